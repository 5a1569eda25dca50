import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalAddress, familyOf, formatAddress } from '../../../../kernel/address.ts';
import { deniedRanges } from '../../../../relay/policy/denied-ranges.ts';
import { channelData, sendIndication } from '../../../conformance/frames.ts';
import { hasIpv6, LOOPBACK, Stage, until } from '../../../conformance/stage.ts';
import { cidr, encodings, inside } from '../../policy/disguises.ts';
import { addon, nativePlane } from './shared-clock.ts';

const CHANNEL = 0x4001;
const hello = Buffer.from('hello');
/** Of each range. */
const ADDRESSES = 4;

/** The address as it is written, and for IPv4 in every disguise. */
function spellings(bytes: Uint8Array): string[] {
  const written = formatAddress(bytes);
  const all = bytes.length === 4 ? [written, ...Object.values(encodings).map((encode) => encode(bytes))] : [written];
  return all.map((address) => canonicalAddress(address) ?? address);
}

/** The stage stands on loopback, which its relay does not call its own: nothing lifts the rule for it. */
const byDefault = { ownAddresses: ['8.8.4.4'], allow: [] };
const peers = deniedRanges.flatMap(({ range }) =>
  fc.sample(inside(cidr(range)), { numRuns: ADDRESSES, seed: 1 }).flatMap(spellings),
);

describe.skipIf(addon === undefined || !hasIpv6)('the threads of the native plane', () => {
  it('give a denied peer nothing in any spelling, though it be permitted and bound', async () => {
    const stage = await Stage.open(nativePlane(), {
      policy: byDefault,
      plane: { relayAddress: { 4: LOOPBACK, 6: '::1' } },
    });
    const allocations = { 4: await stage.allocate(), 6: await stage.allocate({ family: 6 }) };
    let sent = 0n;
    for (const address of peers) {
      const allocation = allocations[familyOf(address)];
      const peer = { address, port: 50_000 };
      stage.bind(allocation, CHANNEL, peer);
      await allocation.client.send(channelData(CHANNEL, hello), stage.listener);
      await allocation.client.send(sendIndication(peer, hello), stage.listener);
      sent += 2n;
      await until(`${address} is denied`, () => stage.dropped('peer_denied') === sent);
      stage.apply({ type: 'unbind', allocation: allocation.id, channel: CHANNEL });
      stage.apply({ type: 'revoke', allocation: allocation.id, peer: address });
    }
    expect(peers.length).toBeGreaterThan(deniedRanges.length * ADDRESSES);
    await stage.drops({ peer_denied: Number(sent) });
    expect(stage.plane.totals().classes.internet.clientRxPackets).toBe(0n);
    await stage.close();
  });

  it('let nothing in from a denied peer', async () => {
    const stage = await Stage.open(nativePlane(), { policy: byDefault });
    const allocation = await stage.allocate();
    const peer = await stage.leg();
    stage.bind(allocation, CHANNEL, peer.local);
    await peer.send(hello, allocation.relayed);
    await stage.drops({ peer_denied: 1 });
    expect(allocation.client.received).toEqual([]);
    await stage.close();
  });
});
