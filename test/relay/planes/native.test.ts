import { describe } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import { loadAddon } from '../../../relay/planes/native/addon.ts';
import { createNativePlane } from '../../../relay/planes/native/native-plane.ts';
import { planeConformance } from '../../conformance/plane.ts';
import { sequenceConformance } from '../../conformance/sequences.ts';
import type { CreatePlane } from '../../conformance/stage.ts';

/** Clients over UDP are the engine's; those over TCP are here for where the two meet. */
const addon = loadAddon();
if (addon instanceof Error && process.env['CI'] !== undefined) throw addon;

describe.skipIf(addon instanceof Error)('the native plane', () => {
  for (const threads of [1, 3]) {
    const name = `native (${threads === 1 ? 'one thread' : `${threads} threads`})`;
    const create = creating(threads);
    planeConformance(name, create, 'udp');
    planeConformance(name, create, 'tcp');
    sequenceConformance(name, create, 300);
  }
});

/** The stage's clock, in memory that the engine's threads see too. */
function creating(threads: number): CreatePlane {
  return (options, { clock, random }) => {
    if (addon instanceof Error) throw addon;
    if (!(clock instanceof ManualClock)) throw new Error('the stage has another clock');
    const sharedClock = new Float64Array(new SharedArrayBuffer(8));
    const advance = clock.advance.bind(clock);
    clock.advance = (milliseconds) => {
      advance(milliseconds);
      sharedClock[0] = clock.monotonic();
    };
    return createNativePlane(options, { addon, clock, random, threads, sharedClock });
  };
}
