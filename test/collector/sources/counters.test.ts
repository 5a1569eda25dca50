import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EgressReading } from '../../../collector/contract.ts';
import { egressRow } from '../../../collector/intake/metering.ts';
import { Counters, type Observation } from '../../../collector/sources/counters.ts';
import { hasEmbeddedStore, type TestDatabase, testDatabase } from '../../embedded-store.ts';
import { totalOf } from './totals.ts';

const START = Date.UTC(2026, 10, 20, 12);

function seen(bytes: number, seconds: number, change: Partial<Observation> = {}): Observation {
  return {
    serverId: 'sfu-1',
    objectId: 'all',
    bytes: BigInt(bytes),
    packets: 0n,
    at: START + seconds * 1000,
    run: undefined,
    isYoung: false,
    final: false,
    app: 'demo',
    customId: '',
    call: '',
    participant: '',
    ...change,
  };
}

const readAll = (counters: Counters, observations: readonly Observation[]): EgressReading[] =>
  observations.flatMap((observation) => counters.read(observation) ?? []);

describe('a cumulative counter of another server', () => {
  it('counts from where it stood when it was first seen: what came before is nobody\u2019s bill', () => {
    const readings = readAll(new Counters(), [seen(5_000, 0), seen(5_700, 15)]);
    expect(readings.map(({ egress_bytes: bytes }) => bytes)).toEqual([0n, 700n]);
    expect(new Set(readings.map(({ boot_id: boot }) => boot)).size).toBe(1);
  });

  it('counts from 0 what came to be while it was watched', () => {
    expect(totalOf(readAll(new Counters(), [seen(5_000, 0, { isYoung: true })]))).toBe(5_000n);
  });

  it('begins anew when it falls, and what it has then is new', () => {
    const readings = readAll(new Counters(), [seen(1_000, 0), seen(1_600, 15), seen(200, 30), seen(300, 45)]);
    expect(totalOf(readings)).toBe(600n + 300n);
  });

  it('begins anew when its server says so, also where it has grown past what it was', () => {
    const run = (name: string) => ({ run: name });
    const readings = readAll(new Counters(), [
      seen(1_000, 0, run('1')),
      seen(1_500, 15, run('1')),
      seen(9_000, 30, run('2')),
    ]);
    expect(totalOf(readings)).toBe(500n + 9_000n);
  });

  it('begins anew within a run that its server does not tell apart', () => {
    const run = { run: 'same' };
    expect(totalOf(readAll(new Counters(), [seen(100, 0, run), seen(400, 15, run), seen(50, 30, run)]))).toBe(350n);
  });

  it('is read once for each moment, and never backwards', () => {
    const counters = new Counters();
    readAll(counters, [seen(100, 30)]);
    expect(counters.read(seen(100, 30))).toBeUndefined();
    expect(counters.read(seen(90, 15))).toBeUndefined();
  });

  it('has neighbours that it does not meet', () => {
    const other = { objectId: 'other' };
    const readings = readAll(new Counters(), [seen(0, 0), seen(0, 0, other), seen(10, 15), seen(7, 15, other)]);
    expect(totalOf(readings)).toBe(17n);
  });

  it('sums to what was sent since it was first seen, whatever restarts there are', () => {
    const steps = fc.array(fc.record({ sent: fc.nat(10_000), restarts: fc.boolean() }), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(fc.nat(100_000), steps, fc.boolean(), (first, list, isNamed) => {
        let value = first;
        let run = 0;
        let expected = 0;
        const observations = [seen(first, 0, isNamed ? { run: `${run}` } : {})];
        for (const [index, { restarts, sent }] of list.entries()) {
          // A restart that nobody names shows only in a counter that falls.
          const isRestart = restarts && (isNamed || sent < value);
          if (isRestart) run += 1;
          value = isRestart ? sent : value + sent;
          expected += sent;
          observations.push(seen(value, 15 * (index + 1), isNamed ? { run: `${run}` } : {}));
        }
        expect(totalOf(readAll(new Counters(), observations))).toBe(BigInt(expected));
      }),
    );
  });
});

describe.skipIf(!hasEmbeddedStore)('a collector that is started again', () => {
  let store: TestDatabase;
  beforeAll(async () => {
    store = await testDatabase();
  });
  afterAll(() => store.close());

  const keep = (readings: readonly EgressReading[]) =>
    store.insert(
      'egress_samples',
      readings.map((reading) => egressRow('a-source', reading)),
    );
  const restored = async () => {
    const counters = new Counters();
    await counters.restore(store, 'a-source', START + 60_000);
    return counters;
  };

  it('goes on counting where it stood, and knows a restart that it has missed', async () => {
    const first = readAll(new Counters(), [seen(5_000, 0), seen(5_400, 15)]);
    await keep(first);
    const second = readAll(await restored(), [seen(5_900, 30)]);
    expect(second[0]).toMatchObject({ boot_id: first[0]?.boot_id, egress_bytes: 900n });
    await keep(second);
    expect(readAll(await restored(), [seen(100, 45)])[0]).toMatchObject({ egress_bytes: 100n });
  });

  it('knows nothing of another source\u2019s objects', async () => {
    const counters = new Counters();
    await counters.restore(store, 'another', START + 60_000);
    expect(counters.size).toBe(0);
  });
});
