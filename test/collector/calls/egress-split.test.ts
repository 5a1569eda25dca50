import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitEgress } from '../../../collector/calls/egress-split.ts';
import { splitLines } from '../../../collector/calls/usage-split.ts';
import type { CountedWindow, Split } from '../../../collector/calls/egress-split.ts';
import type { StoreReader } from '../../../collector/store/store.ts';

const bytes = fc.oneof(fc.bigInt({ min: 0n, max: 9n }), fc.bigInt({ min: 0n, max: 2n ** 63n }));
const claims = fc.uniqueArray(fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'Ä', ''), bytes }), {
  selector: ({ key }) => key,
});
const windows = fc.array(fc.record({ bytes, claims }), { maxLength: 6 });

const sum = (items: readonly { readonly bytes: bigint }[]) => items.reduce((all, item) => all + item.bytes, 0n);
const total = ({ residual, shares }: Split) => sum(shares) + residual;
const shareOf = (split: Split, key: string) => split.shares.find((share) => share.key === key)?.bytes ?? 0n;

describe('the bytes of a server, divided by what its clients say', () => {
  it('are theirs where there is enough, and the rest is nobody’s', () => {
    const claimed = [
      { key: 'retro', bytes: 200n },
      { key: 'daily', bytes: 700n },
    ];
    expect(splitEgress([{ bytes: 1_000n, claims: claimed }])).toEqual({
      shares: [
        { key: 'daily', bytes: 700n, claimed: 700n },
        { key: 'retro', bytes: 200n, claimed: 200n },
      ],
      residual: 100n,
    });
  });

  it('are shared in proportion, to the byte, where more is claimed than there is', () => {
    const claimed = ['a', 'b', 'c'].map((key) => ({ key, bytes: 100n }));
    expect(splitEgress([{ bytes: 200n, claims: claimed }])).toEqual({
      shares: [
        { key: 'a', bytes: 67n, claimed: 100n },
        { key: 'b', bytes: 67n, claimed: 100n },
        { key: 'c', bytes: 66n, claimed: 100n },
      ],
      residual: 0n,
    });
  });

  it('of one hour never make up for what is claimed of another', () => {
    const claimed = [{ key: 'a', bytes: 50n }];
    const hours = [
      { bytes: 10n, claims: claimed },
      { bytes: 90n, claims: claimed },
      { bytes: 5n, claims: [] },
    ];
    expect(splitEgress(hours)).toEqual({ shares: [{ key: 'a', bytes: 60n, claimed: 100n }], residual: 45n });
  });

  it('come to what was counted, with nothing below 0 and nobody above what they claim', () => {
    fc.assert(
      fc.property(windows, (all) => {
        const split = splitEgress(all);
        expect(total(split)).toBe(sum(all));
        expect(split.residual).toBeGreaterThanOrEqual(0n);
        for (const share of split.shares) {
          expect(share.bytes).toBeGreaterThanOrEqual(0n);
          expect(share.bytes).toBeLessThanOrEqual(share.claimed);
          expect(share.claimed).toBe(
            sum(all.flatMap((window) => window.claims.filter(({ key }) => key === share.key))),
          );
        }
      }),
    );
  });

  it('leave as residual exactly what each hour has beyond its claims', () => {
    fc.assert(
      fc.property(windows, (all) => {
        const beyond = all.map((window) => window.bytes - sum(window.claims)).filter((rest) => rest > 0n);
        expect(splitEgress(all).residual).toBe(beyond.reduce((one, other) => one + other, 0n));
      }),
    );
  });

  it('give nobody less who claims more, neither than before nor than somebody who claims less', () => {
    fc.assert(
      fc.property(bytes, claims, bytes, (counted, all, more) => {
        const [first, ...rest] = all;
        if (first === undefined) return;
        const before = splitEgress([{ bytes: counted, claims: all }]);
        const raised = { ...first, bytes: first.bytes + more };
        const after = splitEgress([{ bytes: counted, claims: [raised, ...rest] }]);
        expect(shareOf(after, first.key)).toBeGreaterThanOrEqual(shareOf(before, first.key));
        expect(after.residual).toBeLessThanOrEqual(before.residual);
        const bySize = all.toSorted((one, other) => (one.bytes < other.bytes ? -1 : 1));
        for (const [index, { bytes: claimed, key }] of bySize.entries()) {
          const next = bySize[index + 1];
          if (next !== undefined && claimed < next.bytes) {
            expect(shareOf(before, key)).toBeLessThanOrEqual(shareOf(before, next.key));
          }
        }
      }),
    );
  });

  it('are divided the same way in whatever order they are told', () => {
    const shuffled = windows.chain((all) =>
      fc
        .tuple(
          fc.shuffledSubarray(all, { minLength: all.length }),
          ...all.map((window) => fc.shuffledSubarray(window.claims, { minLength: window.claims.length })),
        )
        .map(([order, ...claimed]): readonly [readonly CountedWindow[], readonly CountedWindow[]] => [
          all,
          order.map((window) => ({ ...window, claims: claimed[all.indexOf(window)] ?? [] })),
        ]),
    );
    fc.assert(
      fc.property(shuffled, ([one, other]) => {
        expect(splitEgress(other)).toEqual(splitEgress(one));
      }),
    );
  });

  it('are not told at all where there are more calls than one answer takes: the rest would be nobody’s', async () => {
    const row = { app_id: 'demo', source: 'lk', window: '1', counted_bytes: 1n, call_id: 'call', claimed_bytes: 1n };
    const many = { select: async () => Array.from({ length: 100_001 }, () => row) } as unknown as StoreReader;
    await expect(splitLines(many, { app: '', from: 0, to: 1, sources: ['lk'] })).rejects.toMatchObject({
      code: 'TP_KERNEL_INVALID',
      issues: [{ path: 'to' }],
    });
  });
});
