/** What a scrape of another server shows of its egress: from a page of metrics, or from one number in a JSON document. */
import { hashedObject, objectNamed, type Observation } from './counters.ts';
import { samplesOf, wholeNumber } from './exposition.ts';
import type { Meter, PulledSettings } from './source-settings.ts';

/** Sources that have counters. */
export type CounterSettings = Exclude<PulledSettings, { kind: 'galene' | 'ant-media' }>;

/** One counter in an answer. */
export type Seen = Pick<Observation, 'serverId' | 'objectId' | 'bytes' | 'run'> &
  Partial<Pick<Observation, 'call' | 'participant'>>;

interface MetricReader {
  readonly metric: string;
  readonly match: Readonly<Record<string, string>>;
  /** Label that names the server; without it, and where it is missing, the source's own name does. */
  readonly server?: string;
  readonly meter: Meter;
}

/** Metrics of servers that we know. */
const presets: Readonly<Record<'livekit' | 'jitsi-videobridge' | 'coturn' | 'eturnal', MetricReader>> = {
  livekit: {
    metric: 'livekit_packet_bytes',
    match: { direction: 'outgoing' },
    server: 'node_id',
    meter: 'sfu',
  },
  // Moves when an endpoint leaves.
  'jitsi-videobridge': { metric: 'jitsi_jvb_bytes_sent_total', match: {}, meter: 'sfu' },
  // Finished allocations only; what it sends to clients, not to peers.
  coturn: { metric: 'turn_traffic_sentb', match: {}, meter: 'turn' },
  // "Received" from the peer's side is what was then sent to the client; a histogram that is observed at the end.
  eturnal: { metric: 'eturnal_turn_relay_rcvd_bytes_sum', match: {}, meter: 'turn' },
};

/** Prometheus clients' own statement of when a process began. */
const STARTED = 'process_start_time_seconds';

export function meterOf(settings: PulledSettings): Meter {
  if (settings.kind === 'galene' || settings.kind === 'ant-media') return 'sfu';
  return settings.kind === 'prometheus' || settings.kind === 'json' ? settings.meter : presets[settings.kind].meter;
}

/** Every counter in an answer. Throws Error, saying why, when there is none: a metric that is misspelt must not look like silence. */
export function countersIn(settings: CounterSettings, text: string): readonly Seen[] {
  if (settings.kind === 'json') return [numberIn(settings, text)];
  const reader = settings.kind === 'prometheus' ? settings : presets[settings.kind];
  return seriesIn(settings.name, reader, text);
}

function seriesIn(source: string, { match, metric, ...reader }: Omit<MetricReader, 'meter'>, text: string): Seen[] {
  const samples = [...samplesOf(text, new Set([metric, STARTED]))];
  const started = samples.find(({ name }) => name === STARTED)?.value;
  const isMeant = (labels: Readonly<Record<string, string>>) =>
    Object.entries(match).every(([label, value]) => labels[label] === value);
  const found = samples.filter(({ labels, name }) => name === metric && isMeant(labels));
  // A server that has carried nothing yet may name its metric and show no series.
  if (found.length === 0 && !new RegExp(`^# (TYPE|HELP) ${metric}\\b`, 'm').test(text)) {
    throw new Error(`there is no ${metric} in the answer`);
  }
  return found.map(({ labels, value }) => {
    const bytes = wholeNumber(value);
    if (bytes === undefined) throw new Error(`${metric} is no count of bytes`);
    const server = reader.server === undefined ? undefined : labels[reader.server];
    return { serverId: server ?? source, objectId: objectOf(labels), bytes, run: started };
  });
}

/** Labels that name people, as coturn's do with `--prometheus-username-labels`. */
const PEOPLE = new Set(['user', 'username']);

/** A series under its labels, in their order by name. */
function objectOf(labels: Readonly<Record<string, string>>): string {
  const text = Object.entries(labels)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([label, value]) => `${label}=${value}`)
    .join(',');
  if (Object.keys(labels).some((label) => PEOPLE.has(label))) return hashedObject(text);
  return text === '' ? 'all' : objectNamed(text);
}

function numberIn({ name, pointer }: PulledSettings & { kind: 'json' }, text: string): Seen {
  let found: unknown = JSON.parse(text);
  for (const step of pointer.slice(1).split('/')) {
    const member = step.replaceAll('~1', '/').replaceAll('~0', '~');
    found =
      typeof found === 'object' && found !== null && Object.hasOwn(found, member)
        ? Reflect.get(found, member)
        : undefined;
  }
  const bytes = typeof found === 'number' || typeof found === 'string' ? wholeNumber(String(found)) : undefined;
  if (bytes === undefined) throw new Error(`there is no counter at ${pointer}`);
  return { serverId: name, objectId: 'all', bytes, run: undefined };
}
