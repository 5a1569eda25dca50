/**
 * What browsers and recorders call the events of an RTCPeerConnection, as our event types. Values come as they are, as
 * JSON in a string, or as `name: value` lines, depending on who wrote them and when. Labels, candidates and SDP are left
 * out, and so are local addresses.
 */
import type { ReportEvent } from '../contract.ts';
import { isObject, stringOf } from './formats/format.ts';

const STATES: Readonly<Record<string, string>> = {
  connectionstatechange: 'connection_state',
  iceconnectionstatechange: 'ice_state',
  icegatheringstatechange: 'gathering_state',
  signalingstatechange: 'signaling_state',
};

const KINDS = new Set(['audio', 'video']);

/** The event of that name (with or without its `on`), without a time; undefined when it is none of ours. */
export function browserEvent(name: string, given: unknown): Omit<ReportEvent, 't'> | undefined {
  const plain = name.toLowerCase().replace(/^on/, '');
  const value = unwrap(given);
  const type = Object.hasOwn(STATES, plain) ? STATES[plain] : undefined;
  if (type !== undefined) return stateEvent(type, value);
  switch (plain) {
    case 'negotiationneeded':
      return { type: 'negotiation_needed' };
    case 'icecandidateerror':
      return candidateError(value);
    case 'close':
      return { type: 'connection_state', value: 'closed' };
    case 'track':
      return trackEvent(value, 'remote');
    case 'addtrack':
      return trackEvent(value, 'local');
    default:
      return undefined;
  }
}

/** Chrome's internals page and its rtcstats file have values as JSON in a string. */
function unwrap(value: unknown): unknown {
  if (typeof value !== 'string' || !/^["{[]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** `connected`, or as Chrome once wrote it, `ICEConnectionStateConnected`. */
function stateEvent(type: string, value: unknown): Omit<ReportEvent, 't'> | undefined {
  const state = stringOf(value)?.replace(/^(?:ICE(?:Connection|Gathering)State|SignalingState)/, '');
  const word = state?.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
  return word === undefined || word.length > 64 ? undefined : { type, value: word };
}

/** An object with `kind`, a list that begins with it, or `audio:<id> stream:<id>`. */
function trackEvent(value: unknown, side: 'local' | 'remote'): Omit<ReportEvent, 't'> | undefined {
  const named: unknown = Array.isArray(value) ? value[0] : isObject(value) ? value['kind'] : value;
  const kind = typeof named === 'string' ? (/^(?:kind: ?)?(audio|video)\b/.exec(named)?.[1] ?? '') : '';
  return KINDS.has(kind) ? { type: 'track', value: kind, detail: { side } } : undefined;
}

/** RFC 8656's error code (401 wrong credential, 486 quota, 701 unreachable) and the server's host; never the local address. */
function candidateError(value: unknown): Omit<ReportEvent, 't'> | undefined {
  const members = isObject(value) ? value : textMembers(value);
  const code = Number(members['errorCode'] ?? members['error_code']);
  if (!Number.isInteger(code) || code < 0 || code > 9_999) return undefined;
  const url = stringOf(members['url']) ?? '';
  const [, scheme = '', host = '', transport = ''] =
    /^(stuns?|turns?):([^?\s]{0,260})(?:\?transport=(\w{1,8}))?/i.exec(url) ?? [];
  const text = (stringOf(members['errorText'] ?? members['error_text']) ?? '').slice(0, 256);
  return { type: 'candidate_error', value: String(code), detail: { scheme, host, transport, text } };
}

/** `url: turn:…` lines, as Chrome wrote them before 142. */
function textMembers(value: unknown): Record<string, string> {
  if (typeof value !== 'string') return {};
  const pairs = [
    ...value.slice(0, 4_096).matchAll(/(?:^|\n|, )(url|error_code|error_text): ?([^\n]*?)(?=\n|, [a-z_]+: |$)/g),
  ];
  return Object.fromEntries(pairs.map(([, name = '', text = '']) => [name, text]));
}
