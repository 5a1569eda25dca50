/** CreatePermission (RFC 8656 §10.2): all of its peers or none. */
import { familyOf } from '../../kernel/address.ts';
import type { Command } from '../planes/plane.ts';
import { readAddresses } from '../stun/address-attributes.ts';
import { attributes } from '../stun/attributes.ts';
import { siblingOf, siblings } from './allocation.ts';
import { refusalOfNewPeers } from './new-peers.ts';
import { failure, limited, type Outcome, type State, type TurnRequest } from './request.ts';

export function createPermission(request: TurnRequest, { settings }: State): Outcome {
  const { message, at, allocation } = request;
  // There must be an allocation on this five-tuple, else 437 (§5).
  if (allocation?.state !== 'live') return failure('ALLOCATION_MISMATCH');

  // 1. At least one XOR-PEER-ADDRESS, every one of them readable, else 400. Their ports mean nothing.
  const peers = readAddresses(message, attributes.XOR_PEER_ADDRESS);
  if (peers === undefined || peers.length === 0) return failure('BAD_REQUEST');
  const addresses = new Set(peers.map(({ address }) => address));

  // 2. Every peer of the family of a relayed address, else 443.
  for (const address of addresses) {
    if (siblingOf(allocation, familyOf(address)) === undefined) return failure('PEER_ADDRESS_FAMILY_MISMATCH');
  }
  const shares = siblings(allocation).map((record) => ({
    record,
    peers: new Set([...addresses].filter((address) => familyOf(address) === record.relayFamily)),
  }));

  // 3. Every peer allowed by policy, else 403.
  for (const address of addresses) if (!settings.policy.permits(address, allocation.app)) return failure('FORBIDDEN');

  // 4. Room for all, else 508.
  if (!shares.every(({ record, peers }) => record.permissions.hasRoom(peers, at.monotonic))) {
    return limited('permissions', 'INSUFFICIENT_CAPACITY');
  }

  // 5. No more new peers than the allocation may have in this time.
  for (const { record, peers } of shares) {
    const refused = refusalOfNewPeers(request, record, peers, settings);
    if (refused !== undefined) return refused;
  }

  // Installed or refreshed, each for 300 seconds from now (§9).
  return {
    type: 'success',
    attributes: [],
    before: shares.flatMap(({ record, peers }) =>
      Array.from(peers, (peer): Command => {
        return {
          type: 'permit',
          allocation: record.id,
          peer,
          deadline: record.permissions.install(peer, at.monotonic),
        };
      }),
    ),
  };
}
