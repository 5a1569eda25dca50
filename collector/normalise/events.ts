/**
 * Rows of call_events, and what of an event is kept in them. Any page may send any event, and a recorder hands on what the browser
 * said: so text is kept only where it is a state, a name of an error or the like, never where it could be somebody's address,
 * username, device label or candidate. Figures are kept under any name.
 */
import { createHash } from 'node:crypto';
import type { ReportEvent } from '../contract.ts';
import type { Row } from '../store/store.ts';
import type { Leading } from './blank-row.ts';
import { decimal } from './values.ts';

/** `have-local-offer`, `NotAllowedError`, `audio`, `701`. */
const WORD = /^(?:[A-Za-z][A-Za-z0-9_-]{0,47}|\d{1,6})$/;
const NAME = /^[A-Za-z][A-Za-z0-9_]{0,47}$/;
/** A TURN or STUN server as its URI names it (RFC 7065), which has no place for a user. */
const HOST = /^(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::\d{1,5})?$/i;

/** What browsers and servers say of candidates that failed; of what else they may say, the code is kept. */
const PHRASES: ReadonlySet<string> = new Set([
  // RFC 8489 §18.3, RFC 8656 §18
  'try alternate',
  'bad request',
  'unauthenticated',
  'unauthorized',
  'forbidden',
  'unknown attribute',
  'allocation mismatch',
  'stale nonce',
  'address family not supported',
  'wrong credentials',
  'unsupported transport protocol',
  'peer address family mismatch',
  'allocation quota reached',
  'server error',
  'insufficient capacity',
  // libwebrtc, where no server answered
  'stun host lookup received error',
  'stun binding request timed out',
  'stun allocate request timed out',
  'turn host lookup received error',
  'turn allocate request timed out',
  'failed to create turn client socket',
  'failed to establish connection',
  'address not associated with the desired network interface',
]);

const isWord = (text: string): boolean => WORD.test(text);

/** Members of `detail` that may be text, and which text. */
const texts: ReadonlyMap<string, (text: string) => boolean> = new Map([
  ['side', isWord],
  ['scheme', isWord],
  ['transport', isWord],
  ['host', (text) => HOST.test(text)],
  ['text', (text) => PHRASES.has(text.toLowerCase().replace(/\.$/, ''))],
]);

/** `seq` is null where a row is known by its time, and one of several of a millisecond by what it says. */
export function eventRows(
  { events, seq }: { readonly events: readonly ReportEvent[]; readonly seq: number | null },
  leading: (t: number, index: number) => Leading,
): Row[] {
  return events.map((event, index) => {
    const said = {
      type: event.type,
      value: event.value !== undefined && isWord(event.value) ? event.value : null,
      value_ms: decimal(event.ms ?? null, 1),
      detail: JSON.stringify(keptOf(event.detail ?? {})),
    };
    if (seq !== null) return { ...leading(event.t, index), ...said };
    return { ...leading(Math.round(event.t), 0), batch_seq: numberOf(said), ...said };
  });
}

/** 32 bits of what is kept of an event. The same of the same millisecond is the same event. */
function numberOf(said: Row): number {
  return createHash('sha256').update(JSON.stringify(said)).digest().readUInt32BE();
}

function keptOf(detail: NonNullable<ReportEvent['detail']>): ReportEvent['detail'] {
  return Object.fromEntries(
    Object.entries(detail).filter(([name, value]) =>
      typeof value === 'string' ? texts.get(name)?.(value) === true : NAME.test(name),
    ),
  );
}
