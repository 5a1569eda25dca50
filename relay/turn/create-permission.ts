/** CreatePermission (RFC 8656 §10.2): all of its peers or none. */
import { familyOf } from '../../kernel/address.ts';
import { readPeerAddresses } from '../stun/address-attributes.ts';
import { refusalOfNewPeers } from './new-peers.ts';
import { failure, limited, type Outcome, type State, type TurnRequest } from './request.ts';

export function createPermission(request: TurnRequest, { settings }: State): Outcome {
  const { message, at, allocation } = request;
  // There must be an allocation on this five-tuple, else 437 (§5).
  if (allocation?.state !== 'live') return failure('ALLOCATION_MISMATCH');

  // 1. At least one XOR-PEER-ADDRESS, every one of them readable, else 400. Their ports mean nothing.
  const peers = readPeerAddresses(message);
  if (peers === undefined || peers.length === 0) return failure('BAD_REQUEST');
  const addresses = new Set(peers.map(({ address }) => address));

  // 2. Every peer of the relayed address's family, else 443.
  for (const address of addresses) {
    if (familyOf(address) !== allocation.relayFamily) return failure('PEER_ADDRESS_FAMILY_MISMATCH');
  }

  // 3. Every peer allowed by policy, else 403.
  for (const address of addresses) if (!settings.policy.permits(address, allocation.app)) return failure('FORBIDDEN');

  // 4. Room for all, else 508.
  if (!allocation.permissions.hasRoom(addresses, at.monotonic)) {
    return limited('permissions', 'INSUFFICIENT_CAPACITY');
  }

  // 5. No more new peers than the allocation may have in this time.
  const refused = refusalOfNewPeers(request, allocation, addresses, settings);
  if (refused !== undefined) return refused;

  // Installed or refreshed, each for 300 seconds from now (§9).
  return {
    type: 'success',
    attributes: [],
    before: [...addresses].map((peer) => ({
      type: 'permit',
      allocation: allocation.id,
      peer,
      deadline: allocation.permissions.install(peer, at.monotonic),
    })),
  };
}
