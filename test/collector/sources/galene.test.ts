import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GaleneRates } from '../../../collector/sources/galene.ts';
import type { Seen } from '../../../collector/sources/scraped.ts';

const START = Date.UTC(2026, 10, 20, 12);

/** As Galène's `stats` package writes it: what a client sends is `up`, what it is sent is `down`. */
const client = (id: string, ...bitrates: number[]) => ({
  id,
  up: [
    { id: 'u1', maxBitrate: 1_000_000, tracks: [{ bitrate: 712_000, maxBitrate: 1_000_000, loss: 0.01, jitter: 2.1 }] },
  ],
  down: [
    {
      id: 'd1',
      maxBitrate: 800_000,
      tracks: bitrates.map((bitrate) => ({ sid: 0, maxSid: 1, bitrate, loss: 0, rtt: 31.2, jitter: 1.1 })),
    },
  ],
});
const page = (...clients: object[]) => JSON.stringify([{ name: 'room', clients }]);
const rates = () => new GaleneRates({ name: 'galene', intervalSeconds: 5 });
const at = (seconds: number) => START + seconds * 1_000;
const bytesOf = (seen: readonly Seen[]) => seen.map(({ bytes }) => bytes);

describe('what Galène sends', () => {
  it('is the mean of the rates of two looks, over the time between them, of all tracks to the client and none from it', () => {
    const read = rates();
    expect(bytesOf(read.read(page(client('ann', 600_000, 100_000)), at(0)))).toEqual([0n]);
    expect(bytesOf(read.read(page(client('ann', 800_000, 100_000)), at(5)))).toEqual([500_000n]);
    expect(bytesOf(read.read(page(client('ann', 0)), at(10)))).toEqual([500_000n + 281_250n]);
  });

  it('belongs to a call, the group, and a participant, the client', () => {
    const [seen] = rates().read(page(client('ann', 1)), at(0));
    expect(seen).toMatchObject({ serverId: 'galene', call: 'room', participant: 'ann' });
  });

  it('is not known of a time in which nobody looked, and not made up', () => {
    const read = rates();
    read.read(page(client('ann', 800_000)), at(0));
    expect(bytesOf(read.read(page(client('ann', 800_000)), at(15)))).toEqual([1_500_000n]);
    expect(bytesOf(read.read(page(client('ann', 800_000)), at(31)))).toEqual([1_500_000n]);
    expect(bytesOf(read.read(page(client('ann', 800_000)), at(36)))).toEqual([2_000_000n]);
  });

  it('is counted anew for a client that left and came back', () => {
    const read = rates();
    const [first] = read.read(page(client('ann', 8_000)), at(0));
    read.read(page(), at(5));
    const [again] = read.read(page(client('ann', 8_000)), at(10));
    expect(again).toMatchObject({ objectId: first?.objectId, bytes: 0n });
    expect(again?.run).not.toBe(first?.run);
  });

  it('never falls, whatever the clock of the collector does', () => {
    const read = rates();
    read.read(page(client('ann', 8_000)), at(0));
    expect(bytesOf(read.read(page(client('ann', 8_000)), at(-5)))).toEqual([0n]);
    expect(bytesOf(read.read(page(client('ann', 8_000)), at(0)))).toEqual([5_000n]);
  });

  it('is told apart for clients of one name in two groups', () => {
    const two = JSON.stringify([
      { name: 'a', clients: [client('ann', 1)] },
      { name: 'b', clients: [client('ann', 2)] },
    ]);
    expect(
      new Set(
        rates()
          .read(two, at(0))
          .map(({ objectId }) => objectId),
      ).size,
    ).toBe(2);
  });

  it('loses nothing to rounding, however often it is looked at', () => {
    const looks = fc.array(fc.record({ rate: fc.nat(50_000_000), elapsed: fc.integer({ min: 1, max: 15_000 }) }), {
      minLength: 1,
      maxLength: 50,
    });
    fc.assert(
      fc.property(fc.nat(50_000_000), looks, (first, list) => {
        const read = rates();
        let now = START;
        let last = first;
        let doubled = 0n;
        let seen = read.read(page(client('ann', first)), now);
        for (const { elapsed, rate } of list) {
          now += elapsed;
          doubled += BigInt(last + rate) * BigInt(elapsed);
          last = rate;
          seen = read.read(page(client('ann', rate)), now);
        }
        expect(bytesOf(seen)).toEqual([doubled / 16_000n]);
      }),
    );
  });

  it.each([
    ['groups without clients', '[{"name":"room","clients":null},{"name":"other"}]', 0],
    [
      'a client that is sent nothing',
      JSON.stringify([{ name: 'room', clients: [{ id: 'ann' }, { id: 'ben', down: null }] }]),
      2,
    ],
    ['no groups', '[]', 0],
    ['names of any kind', page(client('__proto__', 1), client('a\u0000b', 1), client('x'.repeat(9_999), 1)), 3],
  ])('may be %s', (_, text, clients) => {
    expect(rates().read(text, at(0))).toHaveLength(clients);
  });

  it('is nobody’s call and participant under names that are none', () => {
    const [seen] = rates().read(JSON.stringify([{ name: 'r\n', clients: [client('a\u0000b', 1)] }]), at(0));
    expect(seen).toMatchObject({ call: '', participant: '' });
  });

  it.each([
    ['a page', '<html>'],
    ['another document', '{"groups":[]}'],
    ['a rate that is text', page({ id: 'a', down: [{ tracks: [{ bitrate: '1' }] }] })],
    ['a negative rate', page(client('a', -1))],
    ['a rate beyond all reason', page(client('a', 1e15))],
    ['one client twice', page(client('a', 1), client('a', 2))],
  ])('is not known from %s: that is no answer, and changes nothing', (_, text) => {
    const read = rates();
    read.read(page(client('ann', 8_000)), at(0));
    expect(() => read.read(text, at(2))).toThrow(/Gal|JSON|twice/);
    expect(bytesOf(read.read(page(client('ann', 8_000)), at(5)))).toEqual([5_000n]);
  });
});
