import { ManualClock } from '../../../../kernel/clock.ts';
import { loadAddon } from '../../../../relay/planes/native/addon.ts';
import type { NativeOffloadDeps } from '../../../../relay/planes/native/native-offload.ts';
import { createNativePlane } from '../../../../relay/planes/native/native-plane.ts';
import type { CreatePlane } from '../../../conformance/stage.ts';

/** Undefined where it was not built, which CI does not take for an answer. */
export const addon = built();

function built() {
  const loaded = loadAddon();
  if (!(loaded instanceof Error)) return loaded;
  if (process.env['CI'] !== undefined) throw loaded;
  return undefined;
}

/** Planes whose threads see the stage's clock move. */
export function nativePlane(options: Partial<NativeOffloadDeps> = {}): CreatePlane {
  return (planeOptions, { clock, random }) => {
    if (addon === undefined) throw new Error('the native plane was not built');
    if (!(clock instanceof ManualClock)) throw new Error('the stage has another clock');
    const sharedClock = new Float64Array(new SharedArrayBuffer(8));
    const advance = clock.advance.bind(clock);
    clock.advance = (milliseconds) => {
      advance(milliseconds);
      sharedClock[0] = clock.monotonic();
    };
    return createNativePlane(planeOptions, { addon, clock, random, threads: 1, sharedClock, ...options });
  };
}
