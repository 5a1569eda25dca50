import { describe } from 'vitest';
import { planeConformance } from '../../conformance/plane.ts';
import { sequenceConformance } from '../../conformance/sequences.ts';
import { addon, nativePlane } from './native/shared-clock.ts';

/** Clients over UDP are the engine's; those over TCP are here for where the two meet. */
describe.skipIf(addon === undefined)('the native plane', () => {
  for (const threads of [1, 3]) {
    const name = `native (${threads === 1 ? 'one thread' : `${threads} threads`})`;
    planeConformance(name, nativePlane({ threads }), 'udp');
    planeConformance(name, nativePlane({ threads }), 'tcp');
    sequenceConformance(name, nativePlane({ threads }), 300);
  }
});
