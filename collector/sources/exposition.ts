/** The Prometheus text format (version 0.0.4), as far as a counter's samples go: names, labels, values. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** As it was written. */
  readonly value: string;
}

const NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL = /\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?/y;

/** Samples of these metrics, in the order in which they stand. A line that is none of the format is passed over, as servers differ in their extensions. */
export function* samplesOf(text: string, names: ReadonlySet<string>): Generator<Sample> {
  for (const line of text.split('\n')) {
    const sample = line.startsWith('#') ? undefined : sampleOf(line.trim(), names);
    if (sample !== undefined) yield sample;
  }
}

function sampleOf(line: string, names: ReadonlySet<string>): Sample | undefined {
  NAME.lastIndex = 0;
  const [name] = NAME.exec(line) ?? [];
  if (name === undefined || !names.has(name)) return undefined;
  let at = name.length;
  const labels: [string, string][] = [];
  if (line[at] === '{') {
    at += 1;
    while (line[at] !== '}') {
      LABEL.lastIndex = at;
      const [whole, label, value] = LABEL.exec(line) ?? [];
      if (whole === undefined || label === undefined || value === undefined) return undefined;
      labels.push([label, unescaped(value)]);
      at += whole.length;
    }
    at += 1;
  }
  const [value] = line.slice(at).trim().split(/\s+/);
  return value === undefined || value === '' ? undefined : { name, labels: Object.fromEntries(labels), value };
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character));
}

/** A counter's value as whole bytes: what is no finite number of 0 or more is none. Beyond 2^53 a float64 has no odd numbers. */
export function wholeNumber(text: string): bigint | undefined {
  if (/^\d{1,19}$/.test(text)) return BigInt(text);
  const value = Number(text);
  return Number.isFinite(value) && value >= 0 && value < 2 ** 63 ? BigInt(Math.floor(value)) : undefined;
}
