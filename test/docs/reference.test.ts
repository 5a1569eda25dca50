/** The reference is complete in both directions: what the code has is there, and what is there the code has. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bootstrapEnv, checkEnv, configFlags, configSchema } from '../../cli/config.ts';
import { ruleGroups } from '../../dashboards/prometheus/rules.ts';
import { configKeys } from '../../kernel/config.ts';
import type { ConfigKey } from '../../kernel/config.ts';
import { errorTable } from '../../kernel/errors.ts';
import { metricTable } from '../../kernel/metrics.ts';
import { suite } from '../../relay/conformance/suite.ts';
import { limits } from '../../relay/turn/observer.ts';
import type { DropReason } from '../../relay/planes/plane.ts';
import { deniedRanges } from '../../relay/policy/denied-ranges.ts';
import { code, docPath, filled, markdownTable, readDoc } from './markdown.ts';

const rules = ruleGroups.flatMap((group) => [...group.rules]);
const alerts = rules.filter((rule) => 'alert' in rule);
const recordings = rules.filter((rule) => 'record' in rule);
const keys = configKeys(configSchema);

const defaultOf = ({ default: value }: ConfigKey): string =>
  value === undefined
    ? ''
    : typeof value === 'string'
      ? value === ''
        ? 'empty'
        : code(value)
      : code(JSON.stringify(value));

const documents = {
  'errors.md': {
    errors: markdownTable(
      ['Code', 'Status', 'Message'],
      Object.entries(errorTable).map(([name, [status, message]]) => [code(name), String(status), message]),
    ),
  },
  'metrics.md': {
    metrics: markdownTable(
      ['Metric', 'Type', 'Labels', 'What it says'],
      Object.entries(metricTable).map(([name, row]) => [
        code(name),
        row.kind,
        row.labels.map(code).join(', '),
        'buckets' in row ? `${row.help} Buckets: ${row.buckets.join(', ')}.` : row.help,
      ]),
    ),
    alerts: markdownTable(
      ['Alert', 'Severity', 'For', 'What it means'],
      alerts.map((rule) => [
        code(rule.alert),
        rule.labels.severity,
        rule.for ?? 'at once',
        rule.annotations.description,
      ]),
    ),
    recordings: markdownTable(
      ['Series', 'Expression'],
      recordings.map((rule) => [code(rule.record), code(rule.expr)]),
    ),
  },
  'config.md': {
    keys: markdownTable(
      ['Key', 'Environment', 'Type', 'Default', 'What it is'],
      keys.map((key) => [code(key.path), code(key.env), key.type, defaultOf(key), key.description]),
    ),
    bootstrap: markdownTable(
      ['Environment', 'What it is'],
      Object.entries(bootstrapEnv).map(([name, what]) => [code(name), what]),
    ),
    flags: markdownTable(
      ['Flag', 'Key', 'What it is'],
      Object.entries(configFlags).map(([flag, [path, what]]) => [code(flag), code(path), what]),
    ),
  },
  'conformance.md': {
    checks: markdownTable(
      ['Check', 'Section', 'Expected', 'Class', 'Over', 'Quick'],
      suite.map(({ name, section, expected, class: of, transports, slow }) => [
        code(name),
        section,
        expected,
        of,
        transports.join(', '),
        slow ? 'with `--slow`' : 'yes',
      ]),
    ),
  },
  '../SECURITY.md': {
    denied: markdownTable(
      ['Range', 'Why'],
      deniedRanges.map(({ range, why }) => [code(range), why]),
    ),
  },
} satisfies Record<string, Record<string, string>>;

describe('the reference', () => {
  it.each(Object.entries(documents))('has exactly what the code has: %s (npm run docs)', async (name, tables) => {
    await expect(await filled(name, tables)).toMatchFileSnapshot(docPath(name));
  });

  it('says of every configuration key what it is', () => {
    expect(keys.length).toBeGreaterThan(30);
    expect(keys.filter(({ description }) => !description.endsWith('.'))).toEqual([]);
  });

  it('has a flag only for keys that exist', () => {
    const paths = new Set(keys.map(({ path }) => path));
    expect(Object.values(configFlags).filter(([path]) => !paths.has(path))).toEqual([]);
  });
});

describe('prose in the documents', () => {
  const markdown = (directory: string): string[] =>
    readdirSync(docPath(directory)).flatMap((name) => (name.endsWith('.md') ? [`${directory}${name}`] : []));
  const names = [...markdown(''), ...markdown('../')];
  const mentioned = (pattern: RegExp): [string, string][] =>
    names.flatMap((name) => [...readDoc(name).matchAll(pattern)].map(([word]): [string, string] => [name, word]));

  it('names only error codes that exist', () => {
    const found = mentioned(/\bTP_[A-Z_]+[A-Z]/g);
    expect(found.length).toBeGreaterThan(Object.keys(errorTable).length);
    expect(found.filter(([, word]) => !(word in errorTable))).toEqual([]);
  });

  it('names only metrics that exist or are recorded', () => {
    const recorded = new Set(recordings.map(({ record }) => record));
    const found = mentioned(/(?:\w+:)*\bturnpike_(?:relay|credentials|collector|billing|quality)_[\w:]*\w/g);
    expect(found.length).toBeGreaterThan(Object.keys(metricTable).length);
    const base = (word: string): string => word.replace(/_(bucket|sum|count)$/, '');
    expect(found.filter(([, word]) => !(base(word) in metricTable) && !recorded.has(word))).toEqual([]);
  });

  it('names only environment variables that exist', () => {
    const known = new Set([...keys.map(({ env }) => env), ...Object.keys(bootstrapEnv), ...Object.keys(checkEnv)]);
    const found = mentioned(/\bTURNPIKE_[A-Z][A-Z_]*[A-Z](?!_)\b/g).filter(([, word]) => word !== 'TURNPIKE_TEST');
    expect(found.length).toBeGreaterThanOrEqual(known.size);
    expect(found.filter(([, word]) => !known.has(word))).toEqual([]);
  });

  it('names only configuration keys that exist', () => {
    const sections = new Set(keys.flatMap(({ path }) => (path.includes('.') ? [path.replace(/\..*/, '')] : [])));
    const parts = keys.map(({ path }) => path.replace(/\w+$/, '*'));
    const known = new Set([...keys.map(({ path }) => path), ...parts]);
    const found = mentioned(/`[a-z]+\.[\w.*]+`/g)
      .map(([name, word]): [string, string] => [name, word.replaceAll('`', '')])
      .filter(([, word]) => sections.has(word.replace(/\..*/, '')));
    expect(found.length).toBeGreaterThan(keys.length);
    expect(found.filter(([, word]) => !known.has(word))).toEqual([]);
  });

  it('says of every limit what it limits and where it is counted', () => {
    const counted = [...limits, ...(['packet_rate', 'bit_rate', 'byte_quota'] satisfies DropReason[])];
    const text = readDoc('config.md');
    expect(counted.filter((name) => !text.includes(`\`${name}\``) && !text.includes(`="${name}"`))).toEqual([]);
  });

  it('counts the conformance checks as they are', () => {
    const counts = mentioned(/\b\d+ (conformance )?checks\b/g);
    expect(counts.length).toBeGreaterThan(0);
    expect(counts.filter(([, words]) => Number.parseInt(words, 10) !== suite.length)).toEqual([]);
  });

  it('links only to files that are there', () => {
    const links = mentioned(/\]\((?!https?:|#)[^)#]+/g).map(([name, link]): [string, string] => [name, link.slice(2)]);
    expect(links.length).toBeGreaterThan(2);
    expect(
      links.filter(([name, link]) => readDocOrNothing(`${name.includes('/') ? '../' : ''}${link}`) === undefined),
    ).toEqual([]);
  });
});

function readDocOrNothing(name: string): string | undefined {
  try {
    return readDoc(name);
  } catch {
    return undefined;
  }
}
