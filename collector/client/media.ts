/**
 * What became of the page's requests for camera, microphone and screen. They come before any connection or beside it, so
 * they wait for the next report of any.
 */
import type { ReportEvent } from '../contract.ts';

export interface MediaRequests {
  /** Notes each request made of these devices until the answer is called. */
  watch(devices: MediaDevices, now: () => number): () => void;
  /** Those that no report has told yet. */
  take(): ReportEvent[];
}

const MAX_WAITING = 50;
const REQUESTS = [
  ['getUserMedia', 'get_user_media'],
  ['getDisplayMedia', 'get_display_media'],
] as const;

export function createMediaRequests(): MediaRequests {
  let waiting: ReportEvent[] = [];
  return {
    watch(devices, now) {
      const undo = REQUESTS.map(([name, type]) =>
        replace(devices, name, (request) => async (constraints) => {
          const since = now();
          const note = (value: string) => {
            const t = Math.round(now() * 10) / 10;
            const detail = { audio: wants(constraints?.audio), video: wants(constraints?.video) };
            waiting = [...waiting, { t, type, value, ms: Math.max(0, Math.round(t - since)), detail }].slice(
              -MAX_WAITING,
            );
          };
          try {
            const stream = await request(constraints);
            note('granted');
            return stream;
          } catch (error) {
            note(error instanceof Error ? error.name : 'unknown');
            throw error;
          }
        }),
      );
      return () => {
        for (const one of undo) one();
      };
    },
    take() {
      const taken = waiting;
      waiting = [];
      return taken;
    },
  };
}

function wants(constraint: boolean | MediaTrackConstraints | undefined): boolean {
  return constraint !== undefined && constraint !== false;
}

type Request = (constraints?: MediaStreamConstraints) => Promise<MediaStream>;

/** Puts a function of our own before the browser's. Undoing it leaves alone what somebody else has put before ours. */
function replace(devices: MediaDevices, name: 'getUserMedia' | 'getDisplayMedia', wrap: (request: Request) => Request) {
  const original: Request | undefined = devices[name];
  if (typeof original !== 'function') return () => undefined;
  const own = Object.keys(devices).includes(name);
  const ours = wrap((constraints) => original.call(devices, constraints));
  devices[name] = ours;
  return () => {
    if (devices[name] !== ours) return;
    if (own) devices[name] = original;
    else Reflect.deleteProperty(devices, name);
  };
}
