/** Finds the moment at which the first inbound video frame had been decoded. */
import type { Environment } from './environment.ts';

const POLL_MS = 100;
/** After a picture was promised and the connection is up: beyond this there is no first frame to wait for. */
const PATIENCE_MS = 30_000;

/**
 * Calls `found` once, at the first decoded frame of any inbound video track. Polls the receivers from the first video
 * track on a connected connection; a given element says it sooner, where the browser can (requestVideoFrameCallback).
 */
export function watchFirstFrame(
  pc: RTCPeerConnection,
  environment: Environment,
  video: HTMLVideoElement | undefined,
  signal: AbortSignal,
  found: () => void,
): void {
  if (pc.connectionState === 'connected') return; // observed too late: the frame may long be there
  const receivers: RTCRtpReceiver[] = [];
  const own = new AbortController();
  let polling = false;
  const finish = () => {
    if (own.signal.aborted || signal.aborted) return;
    own.abort();
    found();
  };

  async function poll(deadline: number): Promise<void> {
    if (own.signal.aborted || signal.aborted || environment.now() > deadline) return;
    if (await anyDecoded(receivers)) return finish();
    environment.after(POLL_MS, () => void poll(deadline));
  }

  const begin = () => {
    if (polling || receivers.length === 0 || pc.connectionState !== 'connected') return;
    polling = true;
    void poll(environment.now() + PATIENCE_MS);
  };
  const listening = { signal: own.signal };
  signal.addEventListener('abort', () => own.abort(), listening);
  pc.addEventListener('connectionstatechange', begin, listening);
  pc.addEventListener(
    'track',
    ({ track, receiver }) => {
      if (track.kind === 'video') receivers.push(receiver);
      begin();
    },
    listening,
  );
  if (typeof video?.requestVideoFrameCallback === 'function') video.requestVideoFrameCallback(finish);
}

async function anyDecoded(receivers: readonly RTCRtpReceiver[]): Promise<boolean> {
  try {
    const reports = await Promise.all(receivers.map((receiver) => receiver.getStats()));
    return reports.some((report) => [...report.values()].some(hasFrame));
  } catch {
    return false; // torn down meanwhile
  }
}

function hasFrame(stats: { readonly type?: string; readonly framesDecoded?: number }): boolean {
  return stats.type === 'inbound-rtp' && (stats.framesDecoded ?? 0) >= 1;
}
