/**
 * Turnpike's browser SDK.
 *
 *     import { observe } from 'turnpike/client';
 *     const observation = observe(pc, reporting); // `reporting` as generate-ice-servers answered it
 *
 * or, where a library makes the connections, before it is loaded if possible:
 *
 *     const page = observePage(reporting);
 */
import type { Observation, ObserveOptions, PageObservation, Reporting } from './api.ts';
import { browserEnvironment } from './environment.ts';
import { createMediaRequests } from './media.ts';
import { startObservation } from './observe.ts';
import { watchConstruction } from './page.ts';

export type {
  Observation,
  ObserveOptions,
  PageObservation,
  Quality,
  QualityLevel,
  QualityReason,
  Reporting,
  ReportingError,
} from './api.ts';

const observations = new WeakMap<RTCPeerConnection, Observation>();
const media = createMediaRequests();

/**
 * Reports on a connection until it is closed: getStats on an interval, and what happens in between. Call it right after
 * the connection was made, since set-up time and time to first frame count from here. Never throws; a connection that is
 * already observed keeps its first observation.
 */
export function observe(pc: RTCPeerConnection, reporting: Reporting, options: ObserveOptions = {}): Observation {
  const known = observations.get(pc);
  if (known !== undefined) return known;
  const observation = start(pc, reporting, options);
  observations.set(pc, observation);
  return observation;
}

/** A browser without what the SDK needs is not observed; its call goes on. */
function start(pc: RTCPeerConnection, reporting: Reporting, options: ObserveOptions): Observation {
  try {
    return startObservation(pc, reporting, options, browserEnvironment(), media);
  } catch (error) {
    const message = `This connection cannot be observed: ${error instanceof Error ? error.message : String(error)}`;
    options.onError?.({ kind: 'invalid_option', message });
    const never = () => Promise.resolve(false);
    return { connection: '', quality: undefined, flush: never, stop: never };
  }
}

/** Reports how the page's requests for camera, microphone and screen end, until the answer is called. Never throws. */
export function observeMedia(): () => void {
  const devices: MediaDevices | undefined = navigator.mediaDevices; // undefined on insecure pages
  if (devices === undefined) return () => undefined;
  const environment = browserEnvironment();
  return media.watch(devices, () => environment.now());
}

/**
 * Observes every connection that the page makes from now on, by whichever library, and its requests for devices. Those
 * made earlier are found when they next negotiate. Connections that never get a description are not reported.
 */
export function observePage(reporting: Reporting, options: ObserveOptions = {}): PageObservation {
  const found = new Set<WeakRef<Observation>>();
  const endMedia = observeMedia();
  const endConstruction = watchConstruction(window, (pc) => {
    for (const reference of found) if (reference.deref() === undefined) found.delete(reference);
    found.add(new WeakRef(observe(pc, reporting, options)));
  });
  return {
    async stop() {
      endConstruction();
      endMedia();
      const stopped = await Promise.all([...found].map(async (reference) => reference.deref()?.stop() ?? true));
      return stopped.every(Boolean);
    },
  };
}
