/** Every conformance check there is, in the order in which they are shown. */
import { allocateChecks } from './allocate.ts';
import { authenticationChecks } from './authentication.ts';
import { channelChecks } from './channels.ts';
import type { Check } from './check.ts';
import { dataChecks } from './data.ts';
import { pairChecks } from './pairs.ts';
import { passwordAlgorithmChecks } from './password-algorithms.ts';
import { permissionChecks } from './permissions.ts';
import { refreshChecks } from './refresh.ts';
import { securityChecks } from './security.ts';
import { stunChecks } from './stun.ts';

export const suite: readonly Check[] = [
  ...stunChecks,
  ...authenticationChecks,
  ...passwordAlgorithmChecks,
  ...allocateChecks,
  ...pairChecks,
  ...refreshChecks,
  ...permissionChecks,
  ...channelChecks,
  ...dataChecks,
  ...securityChecks,
];
