import type { FastifyInstance } from 'fastify';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { egressRoutes, usageRoutes } from '../../../collector/intake/metering-routes.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { FakeWriter, service } from '../service.ts';

const START = Date.UTC(2026, 10, 20, 18);
const ALLOCATION = '019a9c1e-0000-7000-8000-000000000001';
const BOOT = '019a9c1e-0000-7000-8000-00000000000b';

const totals = (tx: string) => ({
  client_rx_bytes: '1',
  client_tx_bytes: tx,
  peer_rx_bytes: '2',
  peer_tx_bytes: '3',
  client_rx_packets: '4',
  client_tx_packets: '5',
  peer_rx_packets: '6',
  peer_tx_packets: '7',
});
const record = (change: object = {}) => ({
  server_id: 'relay-1',
  boot_id: BOOT,
  allocation_id: ALLOCATION,
  seq: 1,
  window_end: START,
  app_id: 'demo',
  key_id: 'demo-key',
  custom_id: 'customer',
  call_id: 'call',
  participant_id: 'alice',
  transport: 'udp',
  client_family: 4,
  relay_family: 6,
  final: false,
  client_control_tx_bytes: '0',
  classes: { internet: totals('18446744073709551615'), own_relay: totals('200'), sfu: totals('0') },
  ...change,
});
const reading = (change: object = {}) => ({
  server_id: 'sfu-1',
  boot_id: 'run-1',
  object_id: 'transport-1',
  seq: 1,
  window_end: START,
  app_id: 'demo',
  call_id: 'call',
  egress_bytes: '9007199254740993',
  ...change,
});

describe('metering', () => {
  let http: FastifyInstance;
  let writer: FakeWriter;
  beforeEach(async () => {
    writer = new FakeWriter();
    const clock = new ManualClock(START);
    const made = service(clock);
    http = made.http;
    await http.register(usageRoutes, { writer, clock });
    const posted = { heard: () => undefined };
    await http.register(egressRoutes, { writer, clock, authority: made.authority, posted });
  });
  afterEach(() => http.close());
  const post = (url: string, payload: unknown, token: string) =>
    http.inject({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
    });
  const usage = (payload: unknown, token = 'relay-token') => post('/v1/usage', payload, token);
  const egress = (payload: unknown, token = 'source-token') => post('/v1/egress', payload, token);
  const issuesOf = (answer: { body: string }) =>
    (JSON.parse(answer.body) as { error: { issues: { path: string }[] } }).error.issues.map(({ path }) => path);

  it('has a row for each peer class, and one for STUN answers once there are any, all in one insert', async () => {
    const answer = await usage({ records: [record(), record({ seq: 2, client_control_tx_bytes: '96' })] });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({ stored: 2 });
    expect(writer.inserts).toHaveLength(1);
    const rows = writer.rowsOf('egress_samples');
    expect(rows.map((row) => [row['seq'], row['peer_class'], row['client_tx_bytes']])).toEqual([
      [1, 'internet', 18446744073709551615n],
      [1, 'own_relay', 200n],
      [1, 'sfu', 0n],
      [2, 'internet', 18446744073709551615n],
      [2, 'own_relay', 200n],
      [2, 'sfu', 0n],
      [2, 'control', 96n],
    ]);
    expect(rows[0]).toMatchObject({
      meter: 'turn',
      source: 'turnpike',
      object_id: ALLOCATION,
      relay_family: 6,
      peer_tx_packets: 7n,
    });
  });

  it('takes an SFU’s counters into the same ledger', async () => {
    const answer = await egress({ source: 'janus', readings: [reading(), reading({ seq: 2, egress_packets: 9 })] });
    expect(answer.json()).toEqual({ stored: 2 });
    expect(writer.rowsOf('egress_samples')).toMatchObject([
      { meter: 'sfu', source: 'janus', peer_class: 'none', client_tx_bytes: 9007199254740993n, client_tx_packets: 0n },
      { seq: 2, client_tx_packets: 9n, custom_id: '', participant_id: '' },
    ]);
  });

  it('stores nothing of a batch with one unknown app, and says which reading it is', async () => {
    const answer = await egress({ source: 'janus', readings: [reading(), reading({ app_id: 'nobody' })] });
    expect(answer.statusCode).toBe(400);
    expect(issuesOf(answer)).toEqual(['readings.1.app_id']);
    expect(writer.inserts).toEqual([]);
  });

  it('refuses times that cannot be true, shapes that are none, and the relays’ own name', async () => {
    const day = 86_400_000;
    const late = { records: [record(), record({ window_end: START + 2 * day }), record({ window_end: 1 })] };
    expect(issuesOf(await usage(late))).toEqual(['records.1.window_end', 'records.2.window_end']);
    expect(issuesOf(await egress({ source: 'turnpike', readings: [reading()] }))).toEqual(['source']);
    expect(issuesOf(await egress({ source: 'janus', readings: [reading({ egress_bytes: '-1' })] }))).toEqual([
      'readings.0.egress_bytes',
    ]);
    expect(issuesOf(await usage({ records: [] }))).toEqual(['records']);
    expect(issuesOf(await usage({ records: [record({ classes: {}, extra: 1 })] }))).toContain(
      'records.0.classes.internet',
    );
    const tooMuch = { records: [record({ server_id: 'x'.repeat(5_000_000) })] };
    expect((await usage(tooMuch)).json()).toMatchObject({ error: { code: 'TP_KERNEL_BODY_TOO_LARGE' } });
    expect(writer.inserts).toEqual([]);
  });

  it('is for relays and sources, each on its own route', async () => {
    for (const token of ['source-token', 'demo-token', 'operator-token']) {
      expect((await usage({ records: [record()] }, token)).statusCode).toBe(403);
    }
    for (const token of ['relay-token', 'demo-token', 'operator-token']) {
      expect((await egress({ source: 'janus', readings: [reading()] }, token)).statusCode).toBe(403);
    }
    expect((await usage({ records: [record()] }, 'guess')).statusCode).toBe(401);
  });

  it('answers 503 when the store is away, so that the relay keeps its records', async () => {
    writer.fault = () => new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE');
    expect((await usage({ records: [record()] })).statusCode).toBe(503);
  });
});

describe.skipIf(!hasEmbeddedStore)('the ledger', () => {
  let store: TestDatabase;
  beforeAll(async () => {
    store = await testDatabase();
  });

  it('does not grow by what was sent again, and its differences add up to the highest total, exactly', async () => {
    const clock = new ManualClock(START);
    const { http } = service(clock);
    await http.register(usageRoutes, { writer: store, clock });
    const send = (records: object[]) =>
      http.inject({
        method: 'POST',
        url: '/v1/usage',
        headers: { authorization: 'Bearer relay-token' },
        payload: { records },
      });
    const at = (seq: number, tx: string, control: string) =>
      record({
        seq,
        window_end: START + seq * 10_000,
        client_control_tx_bytes: control,
        classes: { internet: totals(tx), own_relay: totals('0'), sfu: totals('7') },
      });
    const records = [at(1, '100', '0'), at(2, '9007199254740993', '40'), at(3, '9007199254740999', '95')];
    for (const batch of [records, records, records.slice(1), [records[2]!]]) {
      expect((await send(batch)).statusCode).toBe(200);
    }
    expect(
      await store.select(
        z.object({ peer_class: z.string(), n: z.string(), bytes: z.string() }),
        'SELECT peer_class, count() AS n, sum(egress_bytes) AS bytes FROM egress GROUP BY peer_class ORDER BY peer_class',
      ),
    ).toEqual([
      { peer_class: 'control', n: '2', bytes: '95' },
      { peer_class: 'internet', n: '3', bytes: '9007199254740999' },
      { peer_class: 'own_relay', n: '3', bytes: '0' },
      { peer_class: 'sfu', n: '3', bytes: '7' },
    ]);
    await http.close();
  });
});
