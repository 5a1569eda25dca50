/**
 * Turnpike's browser SDK.
 *
 *     import { observe } from 'turnpike/client';
 *     const observation = observe(pc, reporting); // `reporting` as generate-ice-servers answered it
 */
import type { Observation, ObserveOptions, Reporting } from './api.ts';
import { browserEnvironment } from './environment.ts';
import { startObservation } from './observe.ts';

export type { Observation, ObserveOptions, Reporting, ReportingError } from './api.ts';

const observations = new WeakMap<RTCPeerConnection, Observation>();

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
    return startObservation(pc, reporting, options, browserEnvironment());
  } catch (error) {
    const message = `This connection cannot be observed: ${error instanceof Error ? error.message : String(error)}`;
    options.onError?.({ kind: 'invalid_option', message });
    return { connection: '', flush: () => Promise.resolve(false), stop: () => Promise.resolve(false) };
  }
}
