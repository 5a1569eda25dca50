/** Refresh (RFC 8656 §8.2): a longer life, or with LIFETIME 0 the end. */
import type { Command } from '../planes/plane.ts';
import { attributes } from '../stun/attributes.ts';
import { lifetime, readAddressFamily, readLifetime } from '../stun/number-attributes.ts';
import { siblings } from './allocation.ts';
import { grant } from './lifetime.ts';
import { failure, type Outcome, type State, type TurnRequest } from './request.ts';

export function refresh({ message, at, allocation }: TurnRequest, { table, settings }: State): Outcome {
  // There must be an allocation on this five-tuple, else 437.
  if (allocation?.state !== 'live') return failure('ALLOCATION_MISMATCH');

  // REQUESTED-ADDRESS-FAMILY, if there, names the one of two that is meant; a family that there is not is a mismatch (443).
  const family = readAddressFamily(message, attributes.REQUESTED_ADDRESS_FAMILY);
  const meant = siblings(allocation).filter(({ relayFamily }) => family === undefined || family === relayFamily);
  if (meant.length === 0) return failure('PEER_ADDRESS_FAMILY_MISMATCH');

  // A desired lifetime of 0 deletes: the answer first, then the end, so that the answer still counts as this allocation's.
  const requested = readLifetime(message);
  if (requested === 0) {
    for (const record of meant) table.end(record);
    return {
      type: 'success',
      attributes: [lifetime(0)],
      after: meant.map(({ id }): Command => ({ type: 'close', allocation: id, reason: 'refreshed_to_zero' })),
    };
  }

  // Any other is granted as in an Allocate, counted from now.
  const granted = grant(requested, at.monotonic, allocation.credentialDeadline, settings);
  const { deadline } = granted;
  for (const record of meant) table.postpone(record, deadline);
  return {
    type: 'success',
    attributes: [lifetime(granted.seconds)],
    before: meant.map(({ id }): Command => ({ type: 'extend', allocation: id, deadline })),
  };
}
