/** Calls getStats on an interval that may change, one call at a time, and notices when the connection has been closed. */
import type { ReportSample } from '../contract.ts';
import type { Environment } from './environment.ts';
import { pickStats } from './members.ts';
import type { Stats } from './members.ts';

export interface Sampler {
  /** Takes a sample now, or joins the one being taken; the interval counts from here. Never rejects. */
  sample(): Promise<void>;
  stop(): void;
}

export interface SamplerEvents {
  readonly taken: (sample: ReportSample) => void;
  /** `pc.close()` fires no event, so the interval looks for it. */
  readonly closed: () => void;
}

/** An interval shorter than this is all noise. */
const MIN_GAP_MS = 250;

export function createSampler(
  pc: RTCPeerConnection,
  intervalMs: () => number,
  environment: Environment,
  on: SamplerEvents,
): Sampler {
  let taking: Promise<void> | undefined;
  let takenAt: number | undefined;
  let stopped = false;
  let cancel = environment.after(intervalMs(), tick);

  async function take(): Promise<void> {
    if (takenAt !== undefined && environment.now() - takenAt < MIN_GAP_MS) return;
    try {
      const stats = pickStats((await pc.getStats()).values() as Iterable<Stats>);
      // Before there is a transport the report is empty, and an empty sample says nothing.
      if (stats.length === 0 && takenAt === undefined) return;
      takenAt = environment.now();
      on.taken({ t: Math.round(takenAt * 10) / 10, stats });
    } catch {
      // a connection that is being torn down may refuse: the next tick sees it closed
    }
  }

  function sample(): Promise<void> {
    taking ??= take().finally(() => {
      taking = undefined;
      cancel();
      if (!stopped) cancel = environment.after(intervalMs(), tick);
    });
    return taking;
  }

  function tick(): void {
    if (pc.signalingState === 'closed') on.closed();
    else void sample();
  }

  return {
    sample,
    stop() {
      stopped = true;
      cancel();
    },
  };
}
