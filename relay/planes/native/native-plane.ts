/**
 * The plane in C++: threads that receive and send many datagrams in one system call and never wait for JavaScript
 * (addon/worker.hpp). Everything that is not moving packets of UDP clients is the plane in JavaScript, to which the engine is an
 * offload: one table of allocations, one registry of ports, one way to end.
 */
import { createDgramPlane } from '../dgram/dgram-plane.ts';
import type { DgramPlane } from '../dgram/dgram-plane.ts';
import type { PlaneOptions } from '../plane.ts';
import { NativeOffload } from './native-offload.ts';
import type { NativeOffloadDeps } from './native-offload.ts';

export function createNativePlane(options: PlaneOptions, deps: NativeOffloadDeps): DgramPlane {
  return createDgramPlane(options, { ...deps, offload: new NativeOffload(options, deps) });
}
