/** What every ClickHouse behind the store must do: the embedded one, a server, a cluster by URL. */
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Row, Store } from '../../collector/store/store.ts';
import { tableNames, tables } from '../../collector/store/tables.ts';

const T = Date.UTC(2026, 10, 20, 18, 0, 0, 250);

function leading(call: string): Row {
  return {
    app_id: 'app',
    call_id: call,
    participant_id: 'alice',
    connection_id: 'connection-1',
    ts: T,
    batch_seq: 1,
    sample_index: 1,
  };
}

export function streamRow(change: Record<string, Row[string]> = {}): Row {
  return {
    ...leading('call'),
    stream: 'inbound/audio/42',
    interval_ms: 5_000,
    direction: 'inbound',
    kind: 'audio',
    ssrc: 42,
    ...change,
  };
}

export function egressRow(change: Record<string, Row[string]> = {}): Row {
  return {
    app_id: 'app',
    meter: 'turn',
    source: 'turnpike',
    server_id: 'relay-1',
    boot_id: 'boot-1',
    object_id: 'allocation-1',
    peer_class: 'internet',
    seq: 1,
    window_end: T,
    key_id: 'key',
    custom_id: '',
    call_id: 'call',
    participant_id: 'alice',
    transport: 'udp',
    client_family: 4,
    relay_family: 4,
    final: false,
    client_tx_bytes: 0n,
    ...change,
  };
}

const one = z.object({ n: z.string() });

export function storeConformance(name: string, open: () => Promise<Store>): void {
  describe(`store conformance: ${name}`, () => {
    let store: Store;
    beforeAll(async () => {
      store = await open();
    });

    it('has every table with exactly the columns that the tables say', async () => {
      const rows = await store.select(
        z.object({ table: z.string(), name: z.string(), type: z.string() }),
        `SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND table IN {tables:Array(String)} ORDER BY table, position`,
        { tables: tableNames },
      );
      for (const table of tableNames) {
        expect(rows.filter((row) => row.table === table).map((row) => [row.name, spaceless(row.type)])).toEqual(
          tables[table].columns.map((column) => [column.name, spaceless(expandDecimal(column.type))]),
        );
      }
    });

    it('gives back what was put in: 64 bits exactly, decimals, nulls and times', async () => {
      await store.insert('stream_intervals', [
        streamRow({ call_id: 'exact', bytes: 2n ** 64n - 1n, packets_lost: -3, jitter_ms: 12.34, mos: null }),
      ]);
      const rows = await store.select(
        z.unknown(),
        `SELECT ts, bytes, packets_lost, jitter_ms, mos FROM stream_intervals FINAL WHERE call_id = 'exact'`,
      );
      expect(rows).toEqual([
        {
          ts: '2026-11-20T18:00:00.250Z',
          bytes: '18446744073709551615',
          packets_lost: '-3',
          jitter_ms: 12.34,
          mos: null,
        },
      ]);
    });

    it('keeps one row of a batch that was sent again, alone or among others', async () => {
      const batch = [1, 2, 3].map((index) => streamRow({ call_id: 'again', sample_index: index, bytes: 100 }));
      await store.insert('stream_intervals', batch);
      await store.insert('stream_intervals', batch);
      await store.insert('stream_intervals', [streamRow({ call_id: 'again', sample_index: 4, bytes: 100 }), ...batch]);
      expect(
        await store.select(
          z.object({ n: z.string(), bytes: z.string() }),
          `SELECT count() AS n, sum(bytes) AS bytes FROM stream_intervals FINAL WHERE call_id = 'again'`,
        ),
      ).toEqual([{ n: '4', bytes: '400' }]);
    });

    it('takes a batch as a whole or not at all', async () => {
      const rows = [streamRow({ call_id: 'whole' }), streamRow({ call_id: 'whole', sample_index: 2, kind: 'smell' })];
      await expect(store.insert('stream_intervals', rows)).rejects.toThrow(/smell/);
      expect(await store.select(one, `SELECT count() AS n FROM stream_intervals WHERE call_id = 'whole'`)).toEqual([
        { n: '0' },
      ]);
    });

    it('refuses a row with a column that the table does not have', async () => {
      await expect(store.insert('stream_intervals', [streamRow({ colour: 'red' })])).rejects.toThrow(/colour/);
    });

    it('binds parameters as values, whatever they contain', async () => {
      const hostile = `'; DROP TABLE stream_intervals; --\n\n\t\\ {x:String} \u{1f98a} \u0001`;
      await store.insert('stream_intervals', [streamRow({ call_id: hostile })]);
      expect(
        await store.select(
          one,
          'SELECT count() AS n FROM stream_intervals FINAL WHERE call_id = {call:String} AND ts >= {from:DateTime64(3)} AND batch_seq IN {seqs:Array(UInt32)}',
          { call: hostile, from: '2026-11-20 00:00:00', seqs: [1, 2] },
        ),
      ).toEqual([{ n: '1' }]);
    });

    it('keeps any text, and replaces half a character by the mark for it', async () => {
      await store.insert('call_events', [
        { ...leading('text'), sample_index: 1, type: 'text', value: '\u{1f98a}\u0000\n\\"' },
        { ...leading('text'), sample_index: 2, type: 'text', value: 'half \ud83d of it' },
      ]);
      expect(
        await store.select(
          z.object({ value: z.string() }),
          `SELECT value FROM call_events FINAL WHERE call_id = 'text' ORDER BY sample_index`,
        ),
      ).toEqual([{ value: '\u{1f98a}\u0000\n\\"' }, { value: 'half \ufffd of it' }]);
    });

    it('refuses a row that does not have the shape the reader asked for', async () => {
      await expect(store.select(z.object({ n: z.int() }), 'SELECT toUInt64(1) AS n')).rejects.toThrow(z.ZodError);
    });

    it('answers the differences between readings in the view egress', async () => {
      const readings = [
        egressRow({ object_id: 'view', seq: 1, client_tx_bytes: 100n }),
        egressRow({ object_id: 'view', seq: 2, client_tx_bytes: 250n }),
        egressRow({ object_id: 'view', seq: 5, client_tx_bytes: 2n ** 60n }),
        egressRow({ object_id: 'view', seq: 1, client_tx_bytes: 7n, peer_class: 'sfu' }),
      ];
      await store.insert('egress_samples', readings);
      await store.insert('egress_samples', readings.slice(1, 2));
      expect(
        await store.select(
          z.object({ peer_class: z.string(), seq: z.string(), egress_bytes: z.string() }),
          `SELECT peer_class, seq, egress_bytes FROM egress WHERE object_id = 'view' ORDER BY peer_class, seq`,
        ),
      ).toEqual([
        { peer_class: 'internet', seq: '1', egress_bytes: '100' },
        { peer_class: 'internet', seq: '2', egress_bytes: '150' },
        { peer_class: 'internet', seq: '5', egress_bytes: String(2n ** 60n - 250n) },
        { peer_class: 'sfu', seq: '1', egress_bytes: '7' },
      ]);
    });

    it('answers in the view egress what a reading adds to the highest before it: never less than 0, to the last byte', async () => {
      const most = 2n ** 64n - 1n;
      const totals = [900n, 100n, 850n, 1_000n, 40n, most];
      const at = (seq: number) => 1_763_600_000_000 + seq * 1_000;
      const readings = totals.map((total, seq) =>
        egressRow({ object_id: 'falling', seq, window_end: at(seq), client_tx_bytes: total }),
      );
      await store.insert('egress_samples', readings.toReversed());
      const rows = await store.select(
        z.object({ bytes: z.string() }),
        `SELECT egress_bytes AS bytes FROM egress WHERE object_id = 'falling' ORDER BY seq`,
      );
      expect(rows.map(({ bytes }) => BigInt(bytes))).toEqual([900n, 0n, 0n, 100n, 0n, most - 1_000n]);
    });

    it('says that it is there', async () => {
      expect(await store.ping()).toBe(true);
    });
  });
}

function spaceless(type: string): string {
  return type.replaceAll(' ', '');
}

/** ClickHouse spells Decimal32(S) as Decimal(9, S). */
function expandDecimal(type: string): string {
  return type.replace(/Decimal32\((\d)\)/, 'Decimal(9,$1)');
}
