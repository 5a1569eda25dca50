/** Refresh (RFC 8656 §8.2): a longer life, or with LIFETIME 0 the end. */
import { attributes } from '../stun/attributes.ts';
import { lifetime, readAddressFamily, readLifetime } from '../stun/number-attributes.ts';
import { grant } from './lifetime.ts';
import { failure, type Outcome, type State, type TurnRequest } from './request.ts';

export function refresh({ message, at, allocation }: TurnRequest, { table, settings }: State): Outcome {
  // There must be an allocation on this five-tuple, else 437.
  if (allocation?.state !== 'live') return failure('ALLOCATION_MISMATCH');

  // REQUESTED-ADDRESS-FAMILY, if there, must name the family of the relayed address, else 443.
  const family = readAddressFamily(message, attributes.REQUESTED_ADDRESS_FAMILY);
  if (family !== undefined && family !== allocation.relayFamily) return failure('PEER_ADDRESS_FAMILY_MISMATCH');

  // A desired lifetime of 0 deletes: the answer first, then the end, so that the answer still counts as this allocation's.
  const requested = readLifetime(message);
  if (requested === 0) {
    table.end(allocation);
    return {
      type: 'success',
      attributes: [lifetime(0)],
      after: [{ type: 'close', allocation: allocation.id, reason: 'refreshed_to_zero' }],
    };
  }

  // Any other is granted as in an Allocate, counted from now.
  const granted = grant(requested, at.monotonic, allocation.credentialDeadline, settings);
  table.postpone(allocation, granted.deadline);
  return {
    type: 'success',
    attributes: [lifetime(granted.seconds)],
    before: [{ type: 'extend', allocation: allocation.id, deadline: granted.deadline }],
  };
}
