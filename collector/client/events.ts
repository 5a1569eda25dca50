/** Turns what happens to a connection, its tracks, its devices and its page into report events. */
import type { ReportEvent } from '../contract.ts';
import type { Environment } from './environment.ts';

/** The event without its time, which is taken when it is recorded. */
export type Happening = Omit<ReportEvent, 't'>;

export type RecordEvent = (event: Happening) => void;

const MAX_TEXT = 256;

/**
 * Listens until `signal` aborts. `since` is the time of observe(): the set-up event says how long after it the connection
 * was first connected or failed. A connection that was already up when observed has no set-up time to tell.
 */
export function watchConnection(
  pc: RTCPeerConnection,
  environment: Environment,
  since: number,
  signal: AbortSignal,
  record: RecordEvent,
): void {
  const states = [
    ['connectionstatechange', 'connection_state', () => pc.connectionState],
    ['iceconnectionstatechange', 'ice_state', () => pc.iceConnectionState],
    ['icegatheringstatechange', 'gathering_state', () => pc.iceGatheringState],
    ['signalingstatechange', 'signaling_state', () => pc.signalingState],
  ] as const;
  for (const [event, type, state] of states) {
    pc.addEventListener(event, () => record({ type, value: state() }), { signal });
  }
  pc.addEventListener('negotiationneeded', () => record({ type: 'negotiation_needed' }), { signal });
  pc.addEventListener('icecandidateerror', (event) => record(candidateError(event)), { signal });
  watchSetup(pc, environment, since, signal, record);
}

function watchSetup(
  pc: RTCPeerConnection,
  environment: Environment,
  since: number,
  signal: AbortSignal,
  record: RecordEvent,
): void {
  let decided = pc.connectionState === 'connected';
  if (decided) record({ type: 'setup', value: 'connected' });
  const decide = () => {
    const state = pc.connectionState;
    if (decided || (state !== 'connected' && state !== 'failed')) return;
    decided = true;
    record({ type: 'setup', value: state, ms: environment.now() - since });
  };
  pc.addEventListener('connectionstatechange', decide, { signal });
}

/** RFC 8656's error code (401 wrong credential, 486 quota, 701 unreachable) and the server's host; never the local address. */
function candidateError(event: RTCPeerConnectionIceErrorEvent): Happening {
  const [, scheme = '', host = '', transport = ''] =
    /^(stuns?|turns?):([^?]*)(?:\?transport=(\w+))?/i.exec(event.url) ?? [];
  return {
    type: 'candidate_error',
    value: String(event.errorCode),
    detail: { scheme, host, transport, text: event.errorText.slice(0, MAX_TEXT) },
  };
}

/** Remote tracks as they arrive, and local ones as they are found among the senders. */
export function watchTracks(pc: RTCPeerConnection, signal: AbortSignal, record: RecordEvent): { look(): void } {
  const known = new Map<MediaStreamTrack, { readonly side: string; enabled: boolean }>();
  const follow = (track: MediaStreamTrack, side: 'local' | 'remote') => {
    if (known.has(track)) return;
    known.set(track, { side, enabled: track.enabled });
    record({ type: 'track', value: track.kind, detail: { side, muted: track.muted, enabled: track.enabled } });
    for (const [event, type] of TRACK_EVENTS) {
      track.addEventListener(event, () => record({ type, value: track.kind, detail: { side } }), { signal });
    }
  };
  pc.addEventListener('track', ({ track }) => follow(track, 'remote'), { signal });
  const look = () => {
    for (const { track } of pc.getSenders()) if (track !== null) follow(track, 'local');
    // `enabled` fires no event, and silence or a black picture by choice is no fault
    for (const [track, seen] of known) {
      if (track.enabled === seen.enabled) continue;
      seen.enabled = track.enabled;
      const type = track.enabled ? 'track_enabled' : 'track_disabled';
      record({ type, value: track.kind, detail: { side: seen.side } });
    }
  };
  for (const { track } of pc.getReceivers()) if (!track.muted) follow(track, 'remote');
  look();
  return { look };
}

const TRACK_EVENTS = [
  ['mute', 'track_muted'],
  ['unmute', 'track_unmuted'],
  ['ended', 'track_ended'],
] as const;

/** A device plugged or unplugged (never which), a page that went to the background, where browsers throttle, and a busy CPU. */
export function watchSurroundings(
  environment: Environment,
  signal: AbortSignal,
  record: RecordEvent,
  pressed: (state: string) => void,
): void {
  let pressure = 'nominal';
  environment.watchPressure((state) => {
    if (state === pressure) return;
    pressure = state;
    record({ type: 'cpu_pressure', value: state.slice(0, MAX_TEXT) });
    pressed(state);
  }, signal);
  environment.devices?.addEventListener('devicechange', () => record({ type: 'device', value: 'changed' }), { signal });
  const page = environment.page;
  page?.document.addEventListener(
    'visibilitychange',
    () => record({ type: 'page', value: page.hidden() ? 'hidden' : 'visible' }),
    { signal },
  );
}
