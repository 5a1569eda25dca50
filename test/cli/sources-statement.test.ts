/** What the composed service bills for a call that others carried, too. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { configSchema } from '../../cli/config.ts';
import { loadConfig } from '../../kernel/config.ts';
import { ManualClock } from '../../kernel/clock.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';
import { ACCOUNT, FakeCloudflare, TOKEN } from '../collector/sources/fake-cloudflare.ts';
import { hasEmbeddedStore, testDatabase } from '../embedded-store.ts';
import type { TestDatabase } from '../embedded-store.ts';
import { composedService, type ComposedService } from './composed-service.ts';

vi.mock('node:fs/promises', async (load) => (await import('./without-scripts.ts')).withoutScripts(await load()));

const NOW = Date.UTC(2026, 10, 20, 12);
const ALLOCATION = '019a9c1e-0000-7000-8000-000000000001';
const BOOT = '019a9c1e-0000-7000-8000-00000000000b';

describe.skipIf(!hasEmbeddedStore)('a service with sources', () => {
  let store: TestDatabase;
  let cloudflare: FakeCloudflare;
  let service: ComposedService;

  beforeAll(async () => {
    store = await testDatabase();
    cloudflare = await FakeCloudflare.open();
    const clock = new ManualClock(NOW);
    const app = { id: 'shop', tokenHashes: [hashToken('app')], keys: [{ id: 'main', secrets: ['s'] }], origins: [] };
    const hashes = { relay: hashToken('relay'), source: hashToken('source'), operator: hashToken('operator') };
    const sources = [
      { kind: 'janus', name: 'janus' },
      { kind: 'cloudflare', name: 'cf', dataset: 'turn', account: ACCOUNT, token: TOKEN, url: cloudflare.url },
    ];
    service = await composedService({
      config: {
        ...loadConfig(configSchema, { env: {}, flags: {} }),
        ...configSchema.pick({ sources: true }).parse({ sources }),
      },
      authority: createAuthority(
        {
          apps: [app],
          relayTokenHash: hashes.relay,
          sourceTokenHash: hashes.source,
          operatorTokenHash: hashes.operator,
        },
        clock,
      ),
      store,
      clock,
    });
  });
  afterAll(async () => {
    await service.close();
    await cloudflare.close();
    await store.close();
  });

  const post = async (url: string, token: string, payload: object) => {
    const answer = await service.http.inject({
      method: 'POST',
      url,
      headers: { authorization: `Bearer ${token}` },
      payload,
    });
    expect({ status: answer.statusCode, body: answer.body }).toMatchObject({ status: 200 });
  };
  /** What Janus says of a handle: its room, and what it has sent to it so far. */
  const janusSays = (handle: number, participant: string, room: number, sent: number, seconds: number) => {
    const who = { emitter: 'janus-1', session_id: handle + 1, handle_id: handle, opaque_id: participant };
    const timestamp = (NOW - 60_000 + seconds * 1_000) * 1_000;
    const joined = { plugin: 'janus.plugin.videoroom', data: { event: 'joined', room, id: 7 } };
    const stats = { mid: '0', mindex: 0, media: 'video', codec: 'vp8', 'packets-sent': 10, 'bytes-sent': sent };
    return [
      { ...who, type: 64, timestamp, event: joined },
      { ...who, type: 32, subtype: 3, timestamp: timestamp + 1, event: stats },
    ];
  };
  const relayed = (sentToClient: string, participant: string) => {
    const none = { client_rx: '0', client_tx: '0', peer_rx: '0', peer_tx: '0' };
    const totals = (sent: string) =>
      Object.fromEntries(
        Object.entries({ ...none, client_tx: sent }).flatMap(([name, bytes]) => [
          [`${name}_bytes`, bytes],
          [`${name}_packets`, '0'],
        ]),
      );
    return {
      server_id: 'relay-1',
      boot_id: BOOT,
      allocation_id: ALLOCATION,
      seq: 1,
      window_end: NOW - 30_000,
      app_id: 'shop',
      key_id: 'main',
      custom_id: '',
      call_id: '1234',
      participant_id: participant,
      transport: 'udp',
      client_family: 4,
      relay_family: 4,
      final: true,
      client_control_tx_bytes: '0',
      classes: { internet: totals('0'), own_relay: totals('0'), sfu: totals(sentToClient) },
    };
  };

  it('charges a call that went through Janus and our relay once, and one through Janus alone in full', async () => {
    // Ann is behind the relay: the same media, with the relay's framing. Ben is not.
    await post('/v1/sfu/janus', 'source', [
      ...janusSays(1, 'ann', 1234, 400_000, 0),
      ...janusSays(2, 'ben', 1234, 50_000, 0),
    ]);
    await post('/v1/sfu/janus', 'source', [
      ...janusSays(1, 'ann', 1234, 1_000_000, 10),
      ...janusSays(2, 'ben', 1234, 70_000, 10),
    ]);
    await post('/v1/usage', 'relay', { records: [relayed('1004000', 'ann')] });
    // Retried, and another room of the same participant, which is another call.
    await post('/v1/sfu/janus', 'source', janusSays(1, 'ann', 1234, 1_000_000, 10));
    await post('/v1/usage', 'relay', { records: [relayed('1004000', 'ann')] });
    await post('/v1/sfu/janus', 'source', janusSays(3, 'ann', 99, 3_000, 20));

    const answer = await service.http.inject({
      url: '/v1/statements/2026-11',
      headers: { authorization: 'Bearer operator' },
    });
    expect(answer.json()).toMatchObject({
      lines: [
        { app: 'shop', meter: 'sfu', bytes: '1073000', overlapBytes: '1000000' },
        { app: 'shop', meter: 'turn', bytes: '1004000', overlapBytes: '0' },
      ],
      totals: { bytes: '2077000', overlapBytes: '1000000', freeBytes: '1077000' },
    });
  });

  it('asks Cloudflare from its start on, and shows how each source is', async () => {
    const metrics = async () =>
      (await service.http.inject({ url: '/metrics', headers: { authorization: 'Bearer operator' } })).body;
    await vi.waitFor(async () => expect(await metrics()).toContain('turnpike_source_up{source="cf"} 1'), 30_000);
    const shown = await metrics();
    expect(shown).toContain('turnpike_source_info{source="cf",kind="cloudflare",grade="sampled"} 1');
    expect(shown).toContain('turnpike_source_info{source="janus",kind="janus",grade="exact"} 1');
    expect(shown).toContain('turnpike_source_up{source="janus"} 1');
  });
});
