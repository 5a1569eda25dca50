import { describe, expect, it } from 'vitest';
import { egressRoutes } from '../../../collector/intake/metering-routes.ts';
import { meterWebSocketAdapter } from '../../../collector/websocket-adapter/index.ts';
import type { MeteredSocket } from '../../../collector/websocket-adapter/index.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { FakeWriter, service } from '../service.ts';

/** A meter beside a real collector's route. */
async function scene() {
  const clock = new ManualClock(Date.UTC(2026, 10, 21));
  const writer = new FakeWriter();
  const { authority, http } = service(clock);
  await http.register(egressRoutes, { writer, clock, authority, posted: { heard: () => undefined } });
  const meter = meterWebSocketAdapter({
    url: 'http://collector.test',
    token: 'source-token',
    app: 'demo',
    serverId: 'endpoint-1',
    intervalMs: 3_600_000,
    now: () => clock.now(),
    fetch: async (_, init) => {
      if (typeof init?.body !== 'string') throw new Error('not what is expected here');
      const headers = init.headers as Record<string, string>;
      const answer = await http.inject({ method: 'POST', url: '/v1/egress', headers, payload: init.body });
      return new Response(answer.body, { status: answer.statusCode });
    },
  });
  const connect = (identity?: Parameters<typeof meter.add>[1]) => {
    const socket = new EventTarget();
    meter.add(socket as unknown as MeteredSocket, identity);
    return {
      arrive: (data: unknown) => socket.dispatchEvent(new MessageEvent('message', { data })),
      close: () => socket.dispatchEvent(new Event('close')),
    };
  };
  const rows = () => writer.rowsOf('egress_samples');
  const counted = () => rows().map((row) => [row['participant_id'], row['client_tx_bytes'], row['final']]);
  return { connect, counted, meter, rows };
}

describe('the meter of Cloudflare’s WebSocket adapter', () => {
  it('counts what arrives on each connection, and tells whose it is', async () => {
    const { connect, counted, meter, rows } = await scene();
    const [one, other] = [connect({ call: 'standup', participant: 'ann' }), connect({ participant: 'ben' })];
    one.arrive(new ArrayBuffer(3_840));
    other.arrive(new ArrayBuffer(10));
    await meter.tick();
    one.arrive(new ArrayBuffer(160));
    await meter.tick();
    expect(counted()).toEqual([
      ['ann', 3_840n, false],
      ['ben', 10n, false],
      ['ann', 4_000n, false],
    ]);
    expect(rows()[0]).toMatchObject({
      app_id: 'demo',
      meter: 'sfu',
      source: 'websocket-adapter',
      server_id: 'endpoint-1',
      call_id: 'standup',
    });
    await meter.stop();
  });

  it.each([
    ['an ArrayBuffer', new ArrayBuffer(7), 7n],
    ['a Buffer', Buffer.alloc(7), 7n],
    ['a view of a larger buffer', new Uint8Array(new ArrayBuffer(100), 10, 7), 7n],
    ['fragments', [Buffer.alloc(3), Buffer.alloc(4)], 7n],
    ['a Blob', new Blob(['1234567']), 7n],
    ['text, in octets', 'müller', 7n],
  ])('counts a message that is %s', async (_, data, bytes) => {
    const { connect, counted, meter } = await scene();
    connect().arrive(data);
    await meter.stop();
    expect(counted()).toEqual([['', bytes, false]]);
  });

  it('tells the last reading of a connection that was closed, and nothing of one that never carried anything', async () => {
    const { connect, counted, meter } = await scene();
    const [one, silent] = [connect({ participant: 'ann' }), connect({ participant: 'ben' })];
    one.arrive(new ArrayBuffer(5));
    one.close();
    silent.close();
    await meter.tick();
    await meter.tick();
    expect(counted()).toEqual([['ann', 5n, true]]);
    await meter.stop();
  });
});
