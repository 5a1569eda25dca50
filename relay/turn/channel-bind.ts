/** ChannelBind (RFC 8656 §12.2): a number for a peer, and the permission for its address. */
import { familyOf } from '../../kernel/address.ts';
import type { Command } from '../planes/plane.ts';
import { readAddress } from '../stun/address-attributes.ts';
import { attributes } from '../stun/attributes.ts';
import { isChannelNumber } from '../stun/channel-data.ts';
import { readChannelNumber } from '../stun/number-attributes.ts';
import { siblingOf, siblings } from './allocation.ts';
import { refusalOfNewPeers } from './new-peers.ts';
import { failure, limited, type Outcome, type State, type TurnRequest } from './request.ts';

export function channelBind(request: TurnRequest, { settings }: State): Outcome {
  const { message, at, allocation } = request;
  // There must be an allocation on this five-tuple, else 437 (§5).
  if (allocation?.state !== 'live') return failure('ALLOCATION_MISMATCH');
  const now = at.monotonic;

  // 1. Both CHANNEL-NUMBER and XOR-PEER-ADDRESS, else 400.
  const channel = readChannelNumber(message);
  const peer = readAddress(message, attributes.XOR_PEER_ADDRESS);
  if (channel === undefined || peer === undefined) return failure('BAD_REQUEST');

  // 2. A number from 0x4000 to 0x4FFF, else 400.
  if (!isChannelNumber(channel)) return failure('BAD_REQUEST');

  // 3. and 4. The number bound to no other peer, the peer to no other number, nor within 5 minutes after (§12), else 400.
  // A client with two relayed addresses has one space of numbers for both.
  if (siblings(allocation).some(({ channels }) => channels.conflicts(channel, peer, now)))
    return failure('BAD_REQUEST');

  // 5. A peer of the family of a relayed address, else 443.
  const record = siblingOf(allocation, familyOf(peer.address));
  if (record === undefined) return failure('PEER_ADDRESS_FAMILY_MISMATCH');
  const { app, channels, permissions, id } = record;

  // 6. A peer allowed by policy, address and port, else 403.
  if (!settings.policy.permits(peer.address, app) || settings.policy.judge(peer, app) === 'denied') {
    return failure('FORBIDDEN');
  }

  // 7. Room for both, else 508.
  const addresses = new Set([peer.address]);
  if (!permissions.hasRoom(addresses, now)) return limited('permissions', 'INSUFFICIENT_CAPACITY');
  if (!channels.hasRoom(channel, now)) return limited('channels', 'INSUFFICIENT_CAPACITY');

  // 8. No more new peers than the allocation may have in this time.
  const refused = refusalOfNewPeers(request, record, addresses, settings);
  if (refused !== undefined) return refused;

  // Bound or refreshed for 600 seconds, its permission for 300; a number that had a rested binding loses it first.
  const { deadline, displaced } = channels.bind(channel, peer, now);
  const before: Command[] = displaced.map((number) => ({ type: 'unbind', allocation: id, channel: number }));
  before.push(
    { type: 'permit', allocation: id, peer: peer.address, deadline: permissions.install(peer.address, now) },
    { type: 'bind', allocation: id, channel, peer, deadline },
  );
  return { type: 'success', attributes: [], before };
}
