import { createDgramPlane } from '../../../relay/planes/dgram/dgram-plane.ts';
import { planeConformance } from '../../conformance/plane.ts';

planeConformance('dgram', createDgramPlane);
