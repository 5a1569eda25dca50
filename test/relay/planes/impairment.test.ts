import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import { seededRandom } from '../../../kernel/random.ts';
import type { Impairment } from '../../../relay/contract.ts';
import { DelayQueue, WAITING_OCTETS } from '../../../relay/planes/delay-queue.ts';
import { ImpairedPath, QUEUE_MILLISECONDS } from '../../../relay/planes/impairment.ts';

const path = (impairment: Impairment, seed = 'a seed') => new ImpairedPath(impairment, seededRandom(seed));

/** Arrivals of packets of 1,000 octets sent one a millisecond, or as given. */
const fates = (over: ImpairedPath, count: number, every = 1) =>
  Array.from({ length: count }, (_, index) => over.arrival(1000, index * every));

describe('an impaired path', () => {
  it('lets a packet through at once where nothing is asked for', () => {
    expect(fates(path({}), 5)).toEqual([0, 1, 2, 3, 4]);
  });

  it('loses the share of packets that was asked for, to a hundredth of a percent and over the long run', () => {
    for (const lossPercent of [0, 0.5, 3, 50, 100]) {
      const lost = fates(path({ lossPercent }), 40_000).filter((at) => at === undefined).length;
      const expected = lossPercent * 400;
      // Four standard deviations of the binomial, for one fixed seed.
      const slack = 4 * Math.sqrt((40_000 * lossPercent * (100 - lossPercent)) / 10_000);
      expect(Math.abs(lost - expected)).toBeLessThanOrEqual(slack);
    }
  });

  it('delays every packet alike, to the millisecond', () => {
    expect(fates(path({ delayMs: 200 }), 3, 20)).toEqual([200, 220, 240]);
  });

  it('sways each delay by at most the jitter, and never before the packet was sent', () => {
    const arrivals = fates(path({ delayMs: 50, jitterMs: 80 }), 5_000, 500);
    const delays = arrivals.map((at, index) => (at ?? Number.NaN) - index * 500);
    expect(Math.min(...delays)).toBe(0);
    expect(Math.max(...delays)).toBeGreaterThan(125);
    expect(Math.max(...delays)).toBeLessThanOrEqual(130);
  });

  it('passes no more than its rate, holds 300 ms of it and loses the rest', () => {
    // 1,000 octets a millisecond offered, 800 kbit/s asked for: one packet in ten passes.
    const arrivals = fates(path({ rateKbps: 800 }), 10_000).filter((at) => at !== undefined);
    expect(arrivals.length).toBeGreaterThanOrEqual(1_000);
    expect(arrivals.length).toBeLessThanOrEqual(1_000 + QUEUE_MILLISECONDS / 10 + 1);
    const gaps = arrivals.slice(1).map((at, index) => at - (arrivals[index] ?? 0));
    expect(new Set(gaps)).toEqual(new Set([10]));
  });

  it('keeps the order of packets, and gives the same packets the same fate for the same seed', () => {
    const conditions = fc.record({
      lossPercent: fc.integer({ min: 0, max: 100 }),
      delayMs: fc.nat(5000),
      jitterMs: fc.nat(5000),
      rateKbps: fc.option(fc.integer({ min: 8, max: 10_000 }), { nil: undefined }),
    });
    const packets = fc.array(fc.tuple(fc.integer({ min: 1, max: 1500 }), fc.nat(50)), { maxLength: 60 });
    fc.assert(
      fc.property(conditions, packets, fc.string(), ({ rateKbps, ...rest }, sizes, seed) => {
        const impairment = rateKbps === undefined ? rest : { ...rest, rateKbps };
        const [one, twin] = [path(impairment, seed), path(impairment, seed)];
        let [now, last] = [0, 0];
        for (const [octets, pause] of sizes) {
          now += pause;
          const at = one.arrival(octets, now);
          expect(twin.arrival(octets, now)).toBe(at);
          if (at === undefined) continue;
          expect(at).toBeGreaterThanOrEqual(Math.max(now, last));
          last = at;
        }
      }),
    );
  });
});

describe('packets on their way', () => {
  it('arrive in the order of their moments, and those of one moment as they came', () => {
    const moments = fc.array(fc.nat(20), { maxLength: 80 });
    fc.assert(
      fc.property(moments, (all) => {
        const clock = new ManualClock(0);
        const queue = new DelayQueue(clock);
        const arrived: number[] = [];
        const owner = { waitingOctets: 0 };
        for (const [index, at] of all.entries()) queue.add(at, owner, 10, () => arrived.push(index));
        expect(owner.waitingOctets).toBe(10 * all.length);
        for (let now = 0; now <= 20; now += 1) {
          queue.release();
          const due = [...all.entries()].filter(([, at]) => at <= now).toSorted(([, a], [, b]) => a - b);
          expect(arrived).toEqual(due.map(([index]) => index));
          clock.advance(1);
        }
        expect([queue.size, owner.waitingOctets]).toEqual([0, 0]);
        queue.close();
      }),
    );
  });

  it('arrive by themselves, without anybody asking', async () => {
    const start = performance.now();
    const queue = new DelayQueue({ now: () => Date.now(), monotonic: () => performance.now() - start });
    const later = new Promise<void>((resolve) => queue.add(20, { waitingOctets: 0 }, 1, resolve));
    const sooner = new Promise<void>((resolve) => queue.add(5, { waitingOctets: 0 }, 1, resolve));
    await Promise.all([sooner, later]);
    expect(performance.now() - start).toBeGreaterThanOrEqual(20);
    queue.close();
  });

  it('are no more than so many octets, of one allocation and of all', () => {
    const queue = new DelayQueue(new ManualClock(0));
    const add = (owner: { waitingOctets: number }) => queue.add(1, owner, WAITING_OCTETS.each, () => undefined);
    const greedy = { waitingOctets: 0 };
    expect([add(greedy), add(greedy)]).toEqual([true, false]);
    const others = Array.from({ length: 40 }, () => add({ waitingOctets: 0 }));
    expect(others.filter(Boolean)).toHaveLength(WAITING_OCTETS.all / WAITING_OCTETS.each - 1);
    queue.close();
    expect([queue.size, greedy.waitingOctets, add(greedy)]).toEqual([0, 0, true]);
    queue.close();
  });
});
