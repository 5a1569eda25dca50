import { createDgramPlane } from '../../../relay/planes/dgram/dgram-plane.ts';
import { planeConformance } from '../../conformance/plane.ts';
import { sequenceConformance } from '../../conformance/sequences.ts';
import { streamLegConformance } from '../../conformance/stream-legs.ts';

for (const transport of ['udp', 'tcp', 'tls'] as const) planeConformance('dgram', createDgramPlane, transport);
for (const transport of ['tcp', 'tls'] as const) streamLegConformance('dgram', createDgramPlane, transport);
sequenceConformance('dgram', createDgramPlane, 1000);
