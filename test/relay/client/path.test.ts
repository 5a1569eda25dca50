import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../kernel/random.ts';
import { delayOf, jitterOf, lossOf, measurePath, type Passage } from '../../../relay/client/path.ts';
import { ManualTimer } from './manual-timer.ts';

const passage = (sentAt: number, took?: number): Passage => ({
  sentAt,
  arrivedAt: took === undefined ? undefined : sentAt + took,
});

describe('what a path did to packets', () => {
  it('is their delay: least, median, most', () => {
    expect(delayOf([passage(0, 30), passage(20, 10), passage(40, 50), passage(60)])).toEqual({
      min: 10,
      median: 30,
      max: 50,
    });
    expect(delayOf([passage(0)])).toBeUndefined();
  });

  it('is their loss in percent', () => {
    expect(lossOf([passage(0, 1), passage(20), passage(40, 1), passage(60, 1)])).toBe(25);
    expect(lossOf([])).toBe(0);
  });

  it('is their jitter by RFC 3550 §6.4.1', () => {
    expect(jitterOf([passage(0, 10), passage(20, 26), passage(40, 10)])).toBeCloseTo(1 + (16 - 1) / 16, 10);
  });

  it('is no jitter while all take equally long, whatever is lost', () => {
    const fates = fc.array(fc.boolean(), { maxLength: 100 });
    fc.assert(
      fc.property(fates, (came) => {
        expect(jitterOf(came.map((one, index) => passage(index * 20, one ? 35 : undefined)))).toBe(0);
      }),
    );
  });
});

describe('measuring a path', () => {
  it('sends two bounded streams, and counts what comes back once', async () => {
    const timer = new ManualTimer();
    let arrived: (payload: Buffer) => void = () => undefined;
    let count = 0;
    const sent: number[] = [];
    const measured = measurePath(
      {
        send(payload) {
          count += 1;
          sent.push(payload.length);
          // Every tenth is lost, every other comes twice, after 40 ms.
          if (count % 10 === 0) return;
          const copy = Buffer.from(payload);
          timer.after(40, () => {
            arrived(copy);
            arrived(copy);
          });
        },
        listen(call) {
          arrived = call;
        },
      },
      { clock: timer, timer, random: seededRandom('path') },
      { voice: { size: 172, every: 20, count: 50 }, video: { size: 1_200, every: 2, count: 100 } },
    );
    const settled = { done: false };
    void measured.finally(() => {
      settled.done = true;
    });
    for (let step = 0; !settled.done && step < 10_000; step += 1) {
      timer.advance(1);
      await Promise.resolve();
      await Promise.resolve();
    }
    const quality = await measured;
    expect(quality).toMatchObject({ roundTrip: { min: 40, median: 40, max: 40 }, jitter: 0, lossPercent: 10 });
    expect(quality).toMatchObject({ throughputLossPercent: 10, bytes: 50 * 172 + 100 * 1_200 });
    expect(quality.offeredMbps).toBeCloseTo(4.8, 1);
    expect(sent).toHaveLength(150);
  });
});
