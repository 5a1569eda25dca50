/** Why a call on /try did not come about: a sentence that says what failed, and one that says what to try. Pure. */

/** What icecandidateerror told. */
export interface CandidateError {
  readonly code: number;
  readonly url: string;
  readonly text: string;
}

export type Fault =
  | { readonly kind: 'session'; readonly message: string }
  | {
      readonly kind: 'no_candidate';
      readonly peer: 'A' | 'B';
      /** The servers that were asked. */
      readonly urls: readonly string[];
      readonly errors: readonly CandidateError[];
    }
  | { readonly kind: 'not_connected'; readonly errors: readonly CandidateError[] }
  | { readonly kind: 'browser'; readonly message: string };

export interface Failure {
  readonly what: string;
  readonly advice: string;
}

/** RFC 8656 §19 and RFC 8489 §14.8; 701 is the browser's own code for a server that did not answer. */
const CODES: Readonly<Record<number, readonly [what: string, advice: string]>> = {
  400: ['found the request malformed', 'See the relay’s log: browser and relay disagree about the protocol.'],
  401: [
    'refused the credential',
    'Check that relay and collector hold the same TURN key; start the call again for a fresh one.',
  ],
  403: ['forbade the request', 'Check the peer policy of the relay.'],
  438: ['kept refusing the nonce as stale', 'Check that the clocks of this machine and the relay’s do not jump.'],
  486: ['has reached the allocation limit of this credential', 'Hang up other calls on it, or wait until they expire.'],
  508: [
    'has no port or memory left for another allocation',
    'Widen its range of relay ports, or raise its limit of allocations.',
  ],
  701: ['did not answer', 'Check that the relay runs, and that this browser can reach its UDP port.'],
};

export function failureOf(fault: Fault): Failure {
  if (fault.kind === 'no_candidate') return noCandidate(fault.peer, fault.urls, fault.errors);
  if (fault.kind === 'not_connected') return notConnected(fault.errors);
  if (fault.kind === 'session') {
    return {
      what: `The service issued no credential: ${fault.message}`,
      advice: 'Check that it still runs, then start the call again.',
    };
  }
  return {
    what: `This browser could not start the call: ${fault.message}`,
    advice: 'Allow WebRTC for this page, or use a current browser.',
  };
}

function noCandidate(peer: 'A' | 'B', urls: readonly string[], errors: readonly CandidateError[]): Failure {
  const error = errors[0];
  if (error === undefined) {
    return {
      what: `Peer ${peer} got no relay address: ${urls.join(', ')} did not answer in time.`,
      advice: 'Check that the relay runs, and that this browser can reach its UDP port.',
    };
  }
  const [what, advice] = CODES[error.code] ?? ['failed', 'See the relay’s log.'];
  const text = error.text === '' ? '' : `, ${error.text}`;
  return { what: `Peer ${peer} got no relay address: ${error.url} ${what} (error ${error.code}${text}).`, advice };
}

function notConnected(errors: readonly CandidateError[]): Failure {
  const error = errors[0];
  const also = error === undefined ? '' : ` Also seen: error ${error.code} from ${error.url}.`;
  return {
    what: 'Both peers got relay addresses, but nothing passed between them.',
    advice: `The relay must let two allocations of one app meet (turn.hairpin: app), and its relay ports must not be blocked.${also}`,
  };
}
