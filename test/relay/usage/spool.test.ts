import { cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import { usageRecord } from '../../../relay/contract.ts';
import type { UsageRecord } from '../../../relay/contract.ts';
import { BOUNDARY_INTERVAL, Meter } from '../../../relay/usage/meter.ts';
import type { Entries } from '../../../relay/usage/meter.ts';
import { recordOf, totalsOf } from '../../../relay/usage/reading.ts';
import { Spool } from '../../../relay/usage/spool.ts';
import { allocationId, counters, identity, identityOf, metered, scaleOf } from './samples.ts';

const NOON = Date.UTC(2026, 10, 20, 12);
const root = mkdtempSync(join(tmpdir(), 'turnpike-spool-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let directories = 0;
const freshDirectory = () => join(root, String((directories += 1)));

/** What a process that dies at this moment leaves behind. */
function copyOf(directory: string): string {
  const copy = freshDirectory();
  cpSync(directory, copy, { recursive: true });
  return copy;
}

function reading(index: number, seq: number, windowEnd: number, final = false, scale = BigInt(seq + 1)): UsageRecord {
  return recordOf(identity, metered(index), { seq, windowEnd, final, totals: totalsOf(counters(scale)) });
}

const entries = (parts: Partial<Entries>): Entries => ({ records: [], checkpoints: [], ended: [], ...parts });

async function contents(spool: Spool): Promise<UsageRecord[]> {
  const texts = (await spool.oldest(100_000)).map((record) => record.text);
  return texts.map((text) => usageRecord.parse(JSON.parse(text)));
}
const briefly = (records: UsageRecord[]) =>
  records.map((record) => `${record.participant_id}#${record.seq}${record.final ? '!' : ''}=${scaleOf(record)}`);

describe('counters that a plane has kept on disk', () => {
  const recovered = async (kept: ReturnType<typeof counters>, bootId = identity.bootId) => {
    const directory = freshDirectory();
    const spool = new Spool({ directory });
    await spool.write(entries({ checkpoints: [reading(1, 0, NOON, true, 5n), reading(2, 0, NOON, true, 3n)] }));
    const counted = (boot: string) => new Map(boot === bootId ? [[allocationId(1), kept]] : []);
    const next = new Spool({ directory: copyOf(directory), counted });
    const found = briefly(await contents(next));
    await Promise.all([spool.close(), next.close()]);
    return found;
  };

  it('are the last reading of the boot that died, in the place of its checkpoint', async () => {
    expect(await recovered(counters(8n))).toEqual(['p1#0!=8', 'p2#0!=3']);
  });

  it('are not, where they are behind the checkpoint in anything', async () => {
    expect(await recovered({ ...counters(8n), clientControlTxBytes: 499n })).toEqual(['p1#0!=5', 'p2#0!=3']);
  });

  it('are not, where another boot has counted them', async () => {
    expect(await recovered(counters(8n), '019a0000-0000-7000-8000-000000000b02')).toEqual(['p1#0!=5', 'p2#0!=3']);
  });
});

describe('allocations that a process leaves to the next', () => {
  const id = allocationId(1);
  const state = (text: string) => ({ allocation: id, text });

  it('come back as they were last written, until they have ended', async () => {
    const directory = freshDirectory();
    const spool = new Spool({ directory });
    await spool.write(entries({ states: [state('old')] }));
    await spool.write(entries({ states: [state('new'), { allocation: allocationId(2), text: 'other' }] }));
    await spool.write(entries({ records: [reading(2, 0, NOON, true)], ended: [allocationId(2)] }));
    const next = new Spool({ directory: copyOf(directory) });
    expect(next.left()).toEqual([{ allocation: id, text: 'new', spent: 0n }]);
    await next.write(entries({ ended: [id] }));
    expect(next.left()).toEqual([]);
    await Promise.all([spool.close(), next.close()]);
  });

  it('come with what was sent to their client over all lives, however often it died', async () => {
    let directory = freshDirectory();
    const sent = (scale: bigint) =>
      Object.values(counters(scale).classes).reduce((sum, of) => sum + of.clientTxBytes, 0n);
    let total = 0n;
    for (const scale of [5n, 7n]) {
      const spool = new Spool({ directory });
      expect(spool.left().map(({ spent }) => spent)).toEqual(total === 0n ? [] : [total]);
      await spool.write(entries({ states: [state('x')] }));
      await spool.write(entries({ checkpoints: [reading(1, 0, NOON, true, 1n)] }));
      await spool.write(entries({ checkpoints: [reading(1, 0, NOON, true, scale)] }));
      directory = copyOf(directory);
      await spool.close();
      total += sent(scale);
      // A start that dies before it has taken anything up loses none of it and adds nothing.
      const stillborn = new Spool({ directory });
      directory = copyOf(directory);
      await stillborn.close();
    }
    const last = new Spool({ directory });
    expect(last.left()).toEqual([{ allocation: id, text: 'x', spent: total }]);
    await last.close();
  });

  it('are in files that nobody else may read', async () => {
    const directory = freshDirectory();
    const spool = new Spool({ directory });
    const modes = readdirSync(directory).map((file) => statSync(join(directory, file)).mode & 0o777);
    expect(modes).toEqual([0o600, 0o600]);
    await spool.close();
  });
});

describe('the spool', () => {
  it('gives records back oldest allocation first, each in order, until they are settled', async () => {
    const spool = new Spool({ directory: freshDirectory() });
    await spool.write(
      entries({ records: [reading(2, 0, NOON + 1), reading(1, 9, NOON + 2), reading(1, 10, NOON + 3)] }),
    );
    expect(briefly(await contents(spool))).toEqual(['p1#9=10', 'p1#10=11', 'p2#0=1']);
    expect(spool.pending()).toBe(3);
    const [first, second] = await spool.oldest(2);
    await spool.settle([first!.key, second!.key]);
    expect(briefly(await contents(spool))).toEqual(['p2#0=1']);
    expect(spool.pending()).toBe(1);
    await spool.close();
  });

  it('finds everything again after a clean stop, and makes nothing up', async () => {
    const directory = freshDirectory();
    const before = new Spool({ directory });
    await before.write(entries({ checkpoints: [reading(1, 0, NOON + 1, true)] }));
    await before.write(entries({ records: [reading(1, 0, NOON + 2, true)], ended: [allocationId(1)] }));
    await before.close();
    const after = new Spool({ directory });
    expect(after.recovery).toEqual({ finals: 0, readmitted: 0 });
    expect(briefly(await contents(after))).toEqual(['p1#0!=1']);
    await after.close();
  });

  it('turns the checkpoints of a process that died into final records, once', async () => {
    const directory = freshDirectory();
    const alive = new Spool({ directory });
    await alive.write(
      entries({
        records: [reading(1, 0, NOON + 10_000, false, 5n)],
        checkpoints: [reading(1, 1, NOON + 10_000, true, 5n), reading(2, 0, NOON + 10_000, true, 3n)],
      }),
    );
    await alive.write(entries({ checkpoints: [reading(1, 1, NOON + 10_500, true, 7n)] }));
    const left = copyOf(directory);
    await alive.close();

    const next = new Spool({ directory: left });
    expect(next.recovery.finals).toBe(2);
    const found = await contents(next);
    expect(briefly(found)).toEqual(['p1#0=5', 'p1#1!=7', 'p2#0!=3']);
    expect(found.map((record) => record.boot_id)).toEqual(found.map(() => identity.bootId));
    expect(found[1]?.window_end).toBe(NOON + 10_500);
    await next.close();

    const later = new Spool({ directory: left });
    expect(later.recovery.finals).toBe(0);
    expect(later.pending()).toBe(3);
    await later.close();
  });

  it('sets a refused record aside with its reason, out of the way, and tries it again after a restart', async () => {
    const directory = freshDirectory();
    const spool = new Spool({ directory });
    await spool.write(entries({ records: [reading(1, 0, NOON + 1), reading(1, 1, NOON + 2)] }));
    const [poison] = await spool.oldest(1);
    await spool.refuse(poison!, '400 no such class', NOON + 3);
    expect(briefly(await contents(spool))).toEqual(['p1#1=2']);
    expect([spool.pending(), spool.refused()]).toEqual([1, 1]);
    await spool.close();

    const next = new Spool({ directory });
    expect(next.recovery.readmitted).toBe(1);
    expect(briefly(await contents(next))).toEqual(['p1#0=1', 'p1#1=2']);
    expect(next.refused()).toBe(0);
    await next.close();
  });

  it('drops, when too full, only readings that a later one of the same allocation contains', async () => {
    const spool = new Spool({ directory: freshDirectory(), maxRecords: 10 });
    const own = (index: number) => [
      reading(index, 0, NOON + 10_000),
      reading(index, 1, NOON + 20_000),
      reading(index, 2, NOON + BOUNDARY_INTERVAL),
      reading(index, 3, NOON + BOUNDARY_INTERVAL + 10_000),
      reading(index, 4, NOON + BOUNDARY_INTERVAL + 20_000, index === 1),
    ];
    await spool.write(entries({ records: [...own(1), ...own(2)] }));
    expect(spool.pending()).toBe(10);
    await spool.write(entries({ records: [reading(3, 0, NOON + 30_000)] }));
    await expect.poll(() => spool.pending()).toBe(5);
    expect(briefly(await contents(spool))).toEqual(['p1#2=3', 'p1#4!=5', 'p2#2=3', 'p2#4=5', 'p3#0=1']);
    await spool.close();
  });

  it('takes nothing more from a process once another has opened it', async () => {
    const directory = freshDirectory();
    const first = new Spool({ directory });
    await first.write(entries({ checkpoints: [reading(1, 0, NOON + 1, true)] }));
    const second = new Spool({ directory });
    await expect(first.write(entries({ checkpoints: [reading(1, 0, NOON + 2, true, 9n)] }))).rejects.toThrow(
      'another process has taken over',
    );
    expect(briefly(await contents(second))).toEqual(['p1#0!=1']);
    await second.close();
  });
});

describe('usage over any number of crashes', () => {
  type Step =
    | { what: 'open' | 'close' | 'count'; pick: number }
    | { what: 'advance'; by: number }
    | { what: 'tick' | 'deliver' | 'crash' | 'crash before the write' | 'crash between acknowledgement and settling' };
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 3, arbitrary: fc.record({ what: fc.constantFrom('open', 'close'), pick: fc.nat(2) }) },
    { weight: 6, arbitrary: fc.record({ what: fc.constant('count'), pick: fc.nat(2) }) },
    { weight: 4, arbitrary: fc.record({ what: fc.constant('advance'), by: fc.constantFrom(50, 600, 10_000) }) },
    { weight: 6, arbitrary: fc.record({ what: fc.constantFrom('tick', 'deliver') }) },
    {
      weight: 2,
      arbitrary: fc.record({
        what: fc.constantFrom('crash', 'crash before the write', 'crash between acknowledgement and settling'),
      }),
    },
  );

  it('loses nothing that was written, and never says two things under one identity', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
        const world = new World();
        for (const each of steps) await world.do(each);
        await world.do({ what: 'crash' });
        await world.do({ what: 'deliver' });
        for (const texts of world.ledger.values()) expect(texts.size).toBe(1);
        const records = world.records();
        for (const [allocation, promised] of world.promised) {
          const own = records.filter((record) => record.allocation_id === allocation);
          expect(own.map((record) => record.seq)).toEqual(own.map((_record, seq) => seq));
          expect(own.map((record) => record.final)).toEqual(own.map((_record, seq) => seq === own.length - 1));
          expect(own.map(scaleOf).at(-1)).toBe(promised);
        }
        expect(new Set(records.map((record) => record.allocation_id))).toEqual(new Set(world.promised.keys()));
        await world.spool.close();
      }),
      { numRuns: 40 },
    );
  }, 120_000);

  /** A relay that may die between any two steps, and all that a collector ever heard from it. */
  class World {
    clock = new ManualClock(NOON);
    directory = freshDirectory();
    spool = new Spool({ directory: this.directory });
    boots = 0;
    meter = this.boot();
    plane = new Map<string, bigint>();
    allocations = 0;
    /** By identity, every text under which it arrived. */
    ledger = new Map<string, Set<string>>();
    /** Per allocation: what had been counted when it was last written to disk. */
    promised = new Map<string, bigint>();

    boot(): Meter {
      this.boots += 1;
      const bootId = `019a0000-0000-7000-8000-${this.boots.toString(16).padStart(12, 'b')}`;
      return new Meter({ serverId: 'relay-1', bootId }, this.clock.now());
    }
    at() {
      return { now: this.clock.now(), monotonic: this.clock.monotonic() };
    }
    due(): Entries {
      return this.meter.due(this.at(), (id) => counters(this.plane.get(id) ?? 0n));
    }
    async write(written: Entries): Promise<void> {
      await this.spool.write(written);
      for (const record of [...written.records, ...written.checkpoints]) {
        this.promised.set(record.allocation_id, scaleOf(record));
      }
    }
    async deliver() {
      const batch = await this.spool.oldest(1_000);
      for (const { text } of batch) {
        const identity = identityOf(usageRecord.parse(JSON.parse(text)));
        this.ledger.set(identity, (this.ledger.get(identity) ?? new Set()).add(text));
      }
      return batch;
    }
    async crash(): Promise<void> {
      const left = copyOf(this.directory);
      await this.spool.close();
      this.directory = left;
      this.spool = new Spool({ directory: left });
      this.meter = this.boot();
      this.plane.clear();
    }
    async do(step: Step): Promise<void> {
      const chosen = 'pick' in step ? [...this.plane.keys()][step.pick] : undefined;
      switch (step.what) {
        case 'open':
          this.allocations += 1;
          this.plane.set(allocationId(this.allocations), 0n);
          this.meter.opened(metered(this.allocations), this.at());
          break;
        case 'count':
          if (chosen !== undefined) this.plane.set(chosen, (this.plane.get(chosen) ?? 0n) + 1n);
          break;
        case 'close':
          if (chosen === undefined) break;
          await this.write(this.meter.closed(chosen, counters(this.plane.get(chosen) ?? 0n), this.at()));
          this.plane.delete(chosen);
          break;
        case 'advance':
          this.clock.advance(step.by);
          break;
        case 'tick':
          await this.write(this.due());
          break;
        case 'deliver':
          await this.spool.settle((await this.deliver()).map((record) => record.key));
          break;
        case 'crash before the write':
          this.due();
          await this.crash();
          break;
        case 'crash between acknowledgement and settling':
          await this.deliver();
          await this.crash();
          break;
        default:
          await this.crash();
      }
    }
    records(): UsageRecord[] {
      const texts = [...this.ledger.values()].flatMap((said) => [...said]);
      return texts.map((text) => usageRecord.parse(JSON.parse(text))).toSorted((a, b) => a.seq - b.seq);
    }
  }
});
