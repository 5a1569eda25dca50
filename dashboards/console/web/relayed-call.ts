/** Two peers in this page that may only meet through the relay, both observed by the SDK. */
import { observe } from 'turnpike/client';
import type { Observation } from 'turnpike/client';
import type { TryPeer, TrySession } from '../session.ts';
import type { CandidateError, Fault } from './failure.ts';

export interface RelayedCall {
  readonly call: string;
  /** Payload bytes that both peers have received on their selected pairs, by the browser's own count; live. */
  bytesReceived(): Promise<bigint>;
  /** Reports what there is, sooner than the SDK would by itself; resolves when it is stored, or has taken too long. */
  report(): Promise<void>;
  /** Puts other media in place of what a peer sends, without negotiation. */
  replace(participant: 'A' | 'B', media: MediaStream): Promise<void>;
  /** Reports what is left, then ends both connections. */
  hangUp(): Promise<void>;
}

export interface RelayedCallEvents {
  /** What `participant` sends, as the other one receives it. */
  readonly received: (participant: 'A' | 'B', stream: MediaStream) => void;
  readonly connected: () => void;
  readonly failed: (fault: Fault) => void;
}

interface Peer {
  readonly name: 'A' | 'B';
  readonly pc: RTCPeerConnection;
  readonly observation: Observation;
  /** The relay's URLs that it was given. */
  readonly urls: readonly string[];
  readonly errors: CandidateError[];
  candidates: number;
}

/** From the offer to both connections up; browsers give up on a silent TURN server after about ten. */
const PATIENCE_MS = 20_000;
/** The page waits no longer than this for the collector; what is unsent is retried behind it. */
const REPORT_MS = 1_000;
const MAX_VIDEO_BITRATE = 800_000;

/** Starts the call; what becomes of it is told through the events, a fault at most once. */
export function startRelayedCall(
  session: TrySession,
  media: Readonly<Record<'A' | 'B', MediaStream>>,
  on: RelayedCallEvents,
): RelayedCall {
  const [a, b] = session.peers.map((access) => createPeer(access, session.call)) as [Peer, Peer];
  let over = false;
  const fail = (fault: Fault) => {
    if (over) return;
    over = true;
    window.clearTimeout(patience);
    on.failed(fault);
    void end();
  };
  const patience = window.setTimeout(() => fail(faultOf([a, b])), PATIENCE_MS);

  for (const [peer, other] of [
    [a, b],
    [b, a],
  ] as const) {
    exchangeCandidates(peer, other, fail);
    peer.pc.addEventListener('track', ({ streams: [stream] }) => {
      if (stream !== undefined) on.received(other.name, stream);
    });
    peer.pc.addEventListener('connectionstatechange', () => {
      if (peer.pc.connectionState === 'failed') fail(faultOf([a, b]));
      if (over || ![a, b].every(({ pc }) => pc.connectionState === 'connected')) return;
      window.clearTimeout(patience);
      on.connected();
    });
    for (const track of media[peer.name].getTracks()) peer.pc.addTrack(track, media[peer.name]);
  }

  async function end(): Promise<void> {
    over = true;
    window.clearTimeout(patience);
    await atMost(
      REPORT_MS,
      [a, b].map(({ observation }) => observation.stop()),
    );
    for (const { pc } of [a, b]) pc.close();
  }

  negotiate(a, b).catch((error: unknown) => fail({ kind: 'browser', message: String(error) }));
  return {
    call: session.call,
    async bytesReceived() {
      const counts = await Promise.all([a, b].map(({ pc }) => pairBytes(pc)));
      return counts.reduce((sum, count) => sum + count, 0n);
    },
    report: () =>
      atMost(
        REPORT_MS,
        [a, b].map(({ observation }) => observation.flush()),
      ),
    async replace(participant, stream) {
      const peer = participant === 'A' ? a : b;
      for (const track of stream.getTracks()) {
        await peer.pc
          .getSenders()
          .find((sender) => sender.track?.kind === track.kind)
          ?.replaceTrack(track);
      }
    },
    hangUp: end,
  };
}

async function atMost(milliseconds: number, reports: readonly Promise<boolean>[]): Promise<void> {
  await Promise.race([Promise.all(reports), new Promise((resolve) => setTimeout(resolve, milliseconds))]);
}

function createPeer({ participant, iceServers, reporting }: TryPeer, call: string): Peer {
  const servers = iceServers.map((server) => ({ ...server, urls: [...server.urls] }));
  const pc = new RTCPeerConnection({ iceServers: servers, iceTransportPolicy: 'relay' });
  return {
    name: participant,
    pc,
    observation: observe(pc, reporting, { call, participant }),
    urls: servers.flatMap(({ urls }) => urls).filter((url) => url.startsWith('turn')),
    errors: [],
    candidates: 0,
  };
}

function exchangeCandidates(peer: Peer, other: Peer, fail: (fault: Fault) => void): void {
  peer.pc.addEventListener('icecandidate', ({ candidate }) => {
    if (candidate === null || candidate.candidate === '') return;
    peer.candidates += 1;
    other.pc.addIceCandidate(candidate).catch(() => undefined); // one candidate less: the others decide
  });
  peer.pc.addEventListener('icecandidateerror', ({ errorCode, errorText, url }) => {
    peer.errors.push({ code: errorCode, url, text: errorText });
  });
  peer.pc.addEventListener('icegatheringstatechange', () => {
    if (peer.pc.iceGatheringState !== 'complete' || peer.candidates > 0) return;
    fail(faultOf([peer]));
  });
}

async function negotiate(a: Peer, b: Peer): Promise<void> {
  await a.pc.setLocalDescription();
  await b.pc.setRemoteDescription(description(a));
  await b.pc.setLocalDescription();
  await a.pc.setRemoteDescription(description(b));
  await Promise.all([a, b].map(({ pc }) => limitVideo(pc)));
}

function description({ pc }: Peer): RTCSessionDescription {
  if (pc.localDescription === null) throw new Error('the browser made no description');
  return pc.localDescription;
}

/** Enough for a test picture; the rest of the link is for the rest of the house. */
async function limitVideo(pc: RTCPeerConnection): Promise<void> {
  for (const sender of pc.getSenders()) {
    if (sender.track?.kind !== 'video') continue;
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings) encoding.maxBitrate = MAX_VIDEO_BITRATE;
    await sender.setParameters(parameters);
  }
}

/** Without an address at the relay there is nothing to connect. */
function faultOf(peers: readonly Peer[]): Fault {
  const without = peers.find(({ candidates }) => candidates === 0);
  if (without === undefined) return { kind: 'not_connected', errors: peers.flatMap(({ errors }) => errors) };
  const { name, urls, errors } = without;
  return { kind: 'no_candidate', peer: name, urls, errors };
}

async function pairBytes(pc: RTCPeerConnection): Promise<bigint> {
  const report = await pc.getStats();
  let bytes = 0n;
  for (const stats of report.values() as Iterable<RTCStats & Partial<RTCTransportStats & RTCIceCandidatePairStats>>) {
    const pair =
      stats.type === 'transport' && stats.selectedCandidatePairId !== undefined
        ? (report.get(stats.selectedCandidatePairId) as RTCIceCandidatePairStats | undefined)
        : undefined;
    bytes += BigInt(pair?.bytesReceived ?? 0);
  }
  return bytes;
}
