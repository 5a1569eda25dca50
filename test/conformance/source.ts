/**
 * What every source of egress must answer, whatever it is made of: what if the server restarts, disappears, repeats, comes late,
 * talks nonsense, and what if the collector restarts.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SourceMetrics } from '../../collector/sources/source-metrics.ts';
import type { Grade } from '../../collector/sources/source-settings.ts';
import { ManualClock } from '../../kernel/clock.ts';
import { Metrics } from '../../kernel/metrics.ts';
import type { TestDatabase } from '../embedded-store.ts';

/** What a scene is made in; `name` is the source's. */
export interface SourceParts {
  readonly name: string;
  readonly store: TestDatabase;
  readonly clock: ManualClock;
  readonly metrics: SourceMetrics;
}

/** A server with clients, and the source that reads it. The server's side is an account of its own of what is due. */
export interface SourceScene {
  /** Time passes in which clients are sent something, and the source is told of it. Answers the bytes that are due for that. */
  carry(): Promise<bigint>;
  /** The server begins anew, without its counters; or it is gone, and another is in its place. */
  restart(): Promise<void>;
  /** The server carries on, but cannot be heard: for as long as it takes until it is missed. */
  disappear(): Promise<void>;
  /** It is heard again. Answers the bytes that are due for the time in between. */
  appear(): Promise<bigint>;
  /** What was told last, told once more. */
  repeat(): Promise<void>;
  /** Something that was told before, told again now; absent where what is told is the answer to a question. */
  tellLate?(): Promise<void>;
  /** What cannot be a server's own words, by what is wrong with it. */
  readonly nonsense: Readonly<Record<string, () => Promise<void>>>;
  /** Another process takes the collector's place, and has the store alone. */
  restartCollector(): Promise<void>;
  close(): Promise<void>;
}

export interface SourceUnderTest {
  readonly kind: string;
  /** What its counters are said to be worth. */
  readonly grade: Grade;
  /** Whose its bytes are. */
  readonly names: Partial<Record<'customId' | 'call' | 'participant', string>>;
  /** Whether it is asked, so that nonsense is a failure to answer. Who pushes nonsense was heard all the same. */
  readonly isAsked: boolean;
  open(parts: SourceParts): Promise<SourceScene>;
}

const START = Date.UTC(2026, 10, 20, 12);
const share = z.object({
  customId: z.string(),
  call: z.string(),
  participant: z.string(),
  bytes: z.coerce.bigint(),
});

export function sourceConformance(
  source: SourceUnderTest,
  documentedGrade: () => string | undefined,
  database: () => TestDatabase,
): void {
  const { grade, isAsked, kind, names } = source;
  describe(`source conformance: ${kind}`, () => {
    let count = 0;
    let name: string;
    let metrics: Metrics;
    let clock: ManualClock;
    beforeEach(() => {
      count += 1;
      name = `${kind.replaceAll(' ', '-')}-${count}`;
      metrics = new Metrics();
      clock = new ManualClock(START);
    });

    /** What it comes to on the bill, and whose: per object and run the most that was counted, under its newest names. */
    const billed = () =>
      database().select(
        share,
        `SELECT who.1 AS customId, who.2 AS call, who.3 AS participant, sum(most) AS bytes FROM
           (SELECT argMax((custom_id, call_id, participant_id), seq) AS who, max(client_tx_bytes) AS most
            FROM egress_samples WHERE source = {name:String}
            GROUP BY app_id, server_id, boot_id, object_id, peer_class HAVING most > 0)
         GROUP BY who`,
        { name },
      );
    const value = async (metric: 'turnpike_source_up' | 'turnpike_source_heard_timestamp_seconds') =>
      (await metrics.gauge(metric).get()).values.find(({ labels }) => labels['source'] === name)?.value;
    const isUp = async () => (await value('turnpike_source_up')) === 1;
    const heardAt = () => value('turnpike_source_heard_timestamp_seconds');

    /** That the bill is what was due, of a scene that has carried something already, so that nothing is special about its beginning. */
    async function expectBilled(
      act: (scene: SourceScene, due: (bytes: bigint) => void) => Promise<void>,
    ): Promise<void> {
      const shown = new SourceMetrics(metrics, clock);
      const scene = await source.open({ name, store: database(), clock, metrics: shown });
      let expected = 0n;
      const due = (bytes: bigint) => {
        expected += bytes;
      };
      try {
        due(await scene.carry());
        due(await scene.carry());
        await act(scene, due);
      } finally {
        await scene.close();
      }
      expect(expected).toBeGreaterThan(0n);
      expect(await billed()).toEqual([{ customId: '', call: '', participant: '', ...names, bytes: expected }]);
    }

    it('has the grade that it is documented with', () => {
      expect(documentedGrade()).toBe(grade);
    });

    it('is billed for what it carries, and says that it is up and when it was last heard', () =>
      expectBilled(async (scene, due) => {
        due(await scene.carry());
        expect([await isUp(), await heardAt()]).toEqual([true, clock.now() / 1_000]);
      }));

    it('that restarts loses nothing of what it had told, and has none of it counted again', () =>
      expectBilled(async (scene, due) => {
        await scene.restart();
        due(await scene.carry());
        due(await scene.carry());
        await scene.restart();
        due(await scene.carry());
        due(await scene.carry());
        expect(await isUp()).toBe(true);
      }));

    it('that disappears is down, was last heard when it was, and has no reading made up for it', () =>
      expectBilled(async (scene, due) => {
        const [bytes, heard] = [await billed(), await heardAt()];
        await scene.disappear();
        expect([await isUp(), await heardAt(), await billed()]).toEqual([false, heard, bytes]);
        due(await scene.appear());
        due(await scene.carry());
        expect([await isUp(), await heardAt()]).toEqual([true, clock.now() / 1_000]);
      }));

    it('that repeats itself is counted once', () =>
      expectBilled(async (scene, due) => {
        await scene.repeat();
        await scene.repeat();
        due(await scene.carry());
        await scene.repeat();
      }));

    it('may be told late, which changes nothing of what was told since', () =>
      expectBilled(async (scene, due) => {
        await scene.tellLate?.();
        due(await scene.carry());
        await scene.tellLate?.();
        await scene.restartCollector();
        await scene.tellLate?.();
      }));

    it('that talks nonsense is taken for no counter: nothing is stored, and whoever was asked is down', async () => {
      await expectBilled(async (scene, due) => {
        const rows = () =>
          database().select(
            z.object({ rows: z.coerce.number() }),
            'SELECT count() AS rows FROM egress_samples WHERE source = {name:String}',
            { name },
          );
        const before = await rows();
        for (const [what, tell] of Object.entries(scene.nonsense)) {
          await tell();
          expect([what, await rows()]).toEqual([what, before]);
          if (isAsked) expect([what, await isUp()]).toEqual([what, false]);
        }
        due(await scene.appear());
        due(await scene.carry());
        expect(await isUp()).toBe(true);
      });
    });

    it('is counted on from where it stood by a collector that is started again, also where both have restarted', () =>
      expectBilled(async (scene, due) => {
        await scene.restartCollector();
        due(await scene.carry());
        due(await scene.carry());
        await scene.restartCollector();
        await scene.restart();
        due(await scene.carry());
        due(await scene.carry());
      }));
  });
}
