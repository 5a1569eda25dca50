import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CapWatch } from '../../../collector/control/caps.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import type { AppCap } from '../../../relay/contract.ts';
import { egressRow } from '../../conformance/store.ts';
import { hasEmbeddedStore, keptOf, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';

const START = Date.UTC(2026, 10, 1);
const NOW = START + 20 * 86_400_000;
const END = Date.UTC(2026, 11, 1);

describe.skipIf(!hasEmbeddedStore)('the caps of apps', () => {
  let store: TestDatabase;
  let clock: ManualClock;
  let told: (readonly AppCap[])[];
  beforeAll(async () => {
    store = await testDatabase();
  });
  beforeEach(async () => {
    clock = new ManualClock(NOW);
    told = [];
    await store.command('TRUNCATE TABLE egress_samples');
  });
  afterAll(() => store.close());

  const watch = (ceilings: Record<string, bigint>) =>
    new CapWatch({
      reader: store,
      keptOf,
      ceilings: new Map(Object.entries(ceilings)),
      tell: (caps) => told.push(caps),
      clock,
      log: silentLog,
    });
  const reading = (relay: string, seq: number, bytes: bigint, change: object = {}) =>
    egressRow({
      app_id: 'shop',
      server_id: relay,
      object_id: `allocation of ${relay}`,
      seq,
      window_end: NOW - 60_000 + seq * 10_000,
      client_tx_bytes: bytes,
      ...change,
    });

  it('are not reached by what other TURN servers sent: it may be an estimate, and ends nothing there', async () => {
    const caps = watch({ shop: 1_000n });
    await store.insert('egress_samples', [
      reading('west', 1, 999n),
      reading('elsewhere', 1, 5_000n, { source: 'cloudflare' }),
    ]);
    await caps.look();
    expect(told).toEqual([[]]);
  });

  it('are reached by the sum over all relays, each reading counted once however often it was sent', async () => {
    const caps = watch({ shop: 1_000n, bank: 1_000n });
    await store.insert('egress_samples', [
      reading('west', 1, 400n),
      reading('west', 2, 500n),
      reading('east', 1, 499n),
    ]);
    await store.insert('egress_samples', [reading('west', 2, 500n), reading('east', 1, 499n)]);
    await caps.look();
    await store.insert('egress_samples', [reading('east', 2, 500n)]);
    await caps.look();
    expect(told).toEqual([[], [{ app: 'shop', until: END }]]);
  });

  it('count the month alone, and what relays carried, not SFUs', async () => {
    const before = { window_end: START, client_tx_bytes: 5_000n };
    await store.insert('egress_samples', [
      reading('west', 1, 5_000n, before),
      reading('west', 2, 5_999n),
      reading('mixer', 1, 9_999n, { meter: 'sfu', peer_class: 'none' }),
    ]);
    await watch({ shop: 1_000n }).look();
    expect(told).toEqual([[]]);
    await watch({ shop: 999n }).look();
    expect(told.at(-1)).toEqual([{ app: 'shop', until: END }]);
    clock.advance(END - NOW);
    await watch({ shop: 999n }).look();
    expect(told.at(-1)).toEqual([]);
  });

  it('stay as they were said last while the store cannot be read', async () => {
    const caps = new CapWatch({
      keptOf,
      reader: { select: () => Promise.reject(new Error('away')) },
      ceilings: new Map([['shop', 1n]]),
      tell: (list) => told.push(list),
      clock,
      log: silentLog,
    });
    await caps.start();
    await caps.stop();
    expect(told).toEqual([]);
  });
});
