import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLIENT_TX, CounterSlab, INTERNET, PEER_RX, SFU } from '../../../../relay/planes/dgram/counters.ts';
import type { Row } from '../../../../relay/planes/dgram/counters.ts';
import { U64Array } from '../../../../relay/planes/dgram/u64-array.ts';

describe('64-bit counters', () => {
  const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

  it('add exactly at any height, carry into the high word included', () => {
    fc.assert(
      fc.property(u64, fc.array(u32, { maxLength: 20 }), (start, amounts) => {
        const values = new U64Array(3);
        values.set(1, start);
        for (const amount of amounts) values.add(1, amount);
        const sum = amounts.reduce((total, amount) => total + BigInt(amount), start);
        expect(values.get(1)).toBe(BigInt.asUintN(64, sum));
        expect([values.get(0), values.get(2)]).toEqual([0n, 0n]);
      }),
    );
  });

  it('sum exactly, and keep their values when they grow', () => {
    fc.assert(
      fc.property(fc.array(u64, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 4 }), (all, stride) => {
        const values = new U64Array(all.length);
        for (const [index, value] of all.entries()) values.set(index, value);
        values.grow(all.length * 2);
        const picked = all.filter((_, index) => index % stride === 0);
        expect(values.sum(0, stride)).toBe(
          BigInt.asUintN(
            64,
            picked.reduce((total, value) => total + value, 0n),
          ),
        );
        expect(all.map((_, index) => values.get(index))).toEqual(all);
      }),
    );
  });
});

describe('the slab of counters', () => {
  it('gives a clean row, keeps rows apart over its growth, and totals past and present', () => {
    const slab = new CounterSlab();
    const rows: Row[] = [];
    for (let index = 0; index < 300; index += 1) {
      const row = slab.acquire();
      rows.push(row);
      slab.count(row, SFU, CLIENT_TX, index);
      slab.countControl(row, 1);
    }
    for (const [index, row] of rows.entries()) {
      expect(slab.read(row).classes.sfu).toMatchObject({ clientTxBytes: BigInt(index), clientTxPackets: 1n });
    }
    for (const row of rows.slice(0, 150)) slab.release(row);
    const again = slab.acquire();
    expect(slab.read(again).clientControlTxBytes).toBe(0n);
    slab.count(again, INTERNET, PEER_RX, 7);
    const { classes, clientControlTxBytes } = slab.totals();
    expect(classes.sfu).toMatchObject({ clientTxBytes: BigInt((299 * 300) / 2), clientTxPackets: 300n });
    expect(classes.internet).toMatchObject({ peerRxBytes: 7n, peerRxPackets: 1n, clientTxBytes: 0n });
    expect(clientControlTxBytes).toBe(300n);
  });
});
