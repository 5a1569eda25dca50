/** Rows of connection_intervals: the candidate pair in use between two samples. */
import type { RtcStats } from '../contract.ts';
import { blankRow } from './blank-row.ts';
import type { Leading, Values } from './blank-row.ts';
import { pairCounters, words } from './members.ts';
import type { Sample } from './sample.ts';
import { amount, count, CounterReset, decimal, gain, text, word } from './values.ts';

const BLANK = blankRow('connection_intervals');

/**
 * Row of the connection's interval; undefined when the sample speaks of no connection, or a counter fell. Another pair
 * than before has states but no differences.
 */
export function connectionInterval(
  before: Sample,
  after: Sample,
  leading: Leading,
  intervalMs: number,
): Values | undefined {
  if (after.pair === undefined && after.transport === undefined) return undefined;
  try {
    const row: Values = { ...BLANK };
    return Object.assign(row, leading, { interval_ms: intervalMs }, traffic(before, after), route(after));
  } catch (error) {
    if (error instanceof CounterReset) return undefined;
    throw error;
  }
}

function traffic(before: Sample, after: Sample): Values {
  const { pair } = after;
  if (pair === undefined) return {};
  const bitrate = amount(pair, 'availableOutgoingBitrate');
  const row: Values = {
    available_outgoing_bitrate: bitrate === null || bitrate > Number.MAX_SAFE_INTEGER ? null : Math.round(bitrate),
  };
  if (before.pair?.id !== pair.id) return row;
  for (const [column, member] of pairCounters) row[column] = gain(count(before.pair, member), count(pair, member));
  row['rtt_ms'] = decimal(measuredRoundTrip(before, after), 2);
  return row;
}

/** Mean of the STUN round trips of the interval; the last one where the browser does not count them; milliseconds. */
function measuredRoundTrip(before: Sample, after: Sample): number | null {
  if (before.pair === undefined || before.pair.id !== after.pair?.id) return null;
  const total = gain(amount(before.pair, 'totalRoundTripTime'), amount(after.pair, 'totalRoundTripTime'));
  const answers = gain(count(before.pair, 'responsesReceived'), count(after.pair, 'responsesReceived'));
  if (total !== null && answers !== null) return answers === 0 ? null : (total / answers) * 1_000;
  const last = amount(after.pair, 'currentRoundTripTime');
  return last === null ? null : last * 1_000;
}

/**
 * The best knowledge of the connection's round trip at this interval, milliseconds: measured in it, else the last STUN
 * measurement (browsers check every few seconds), else what RTCP says of our streams. Null when nothing says it.
 */
export function roundTrip(before: Sample, after: Sample): number | null {
  let measured: number | null = null;
  try {
    measured = measuredRoundTrip(before, after);
  } catch (error) {
    if (!(error instanceof CounterReset)) throw error;
  }
  if (measured !== null) return measured;
  const last = amount(after.pair, 'currentRoundTripTime') ?? rtcpRoundTrip(after);
  return last === null ? null : last * 1_000;
}

function rtcpRoundTrip(sample: Sample): number | null {
  for (const remote of sample.remoteReports) {
    const seconds = amount(remote, 'roundTripTime');
    if (seconds !== null) return seconds;
  }
  return null;
}

function route(sample: Sample): Values {
  const { localCandidate: local, remoteCandidate: remote } = sample;
  const relayed = isRelayed(local);
  const turn = relayed ? turnServer(text(local, 'url')) : undefined;
  return {
    local_candidate_type: word(local, 'candidateType', words.candidateType),
    remote_candidate_type: word(remote, 'candidateType', words.candidateType),
    protocol: word(local, 'protocol', words.protocol),
    relay_protocol: relayed ? (word(local, 'relayProtocol', words.relayProtocol) ?? turn?.protocol ?? null) : null,
    relay_host: turn?.host ?? null,
    network_type: word(local, 'networkType', words.networkType),
    dtls_state: word(sample.transport, 'dtlsState', words.dtlsState),
    ice_state: word(sample.transport, 'iceState', words.iceState),
    pair_state: word(sample.pair, 'state', words.pairState),
  };
}

/**
 * Whether the local candidate sends through a TURN server. A relay whose address is rewritten on its way to the peer makes
 * the candidate peer-reflexive with the relay as its base (RFC 8445 §7.2.5.3.1); Chromium then says `prflx`, and gives it
 * `relayProtocol`, which only candidates of a relay have (webrtc-stats, RTCIceCandidateStats).
 */
function isRelayed(local: RtcStats | undefined): boolean {
  const type = local?.['candidateType'];
  return type === 'relay' || (type === 'prflx' && word(local, 'relayProtocol', words.relayProtocol) !== null);
}

/** A TURN URI (RFC 7065): `turn:host:port?transport=tcp`, `turns:[2001:db8::1]`. */
const TURN_URI = /^(turns?):(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::\d{1,5})?(?:\?transport=(udp|tcp))?$/i;

function turnServer(url: string | null): { protocol: 'udp' | 'tcp' | 'tls'; host: string } | undefined {
  const [, scheme, host, transport] = TURN_URI.exec(url ?? '') ?? [];
  if (scheme === undefined || host === undefined) return undefined;
  const protocol = scheme.toLowerCase() === 'turns' ? 'tls' : transport?.toLowerCase() === 'tcp' ? 'tcp' : 'udp';
  return { protocol, host: host.replace(/^\[|\]$/g, '').toLowerCase() };
}
