import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { egressRoutes } from '../../../collector/intake/metering-routes.ts';
import { meterMediasoup } from '../../../collector/mediasoup/index.ts';
import type { MediasoupMeter, MeterOptions } from '../../../collector/mediasoup/index.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { FakeWriter, service } from '../service.ts';
import { FakeTransport } from './fake-transport.ts';

const meters: MediasoupMeter[] = [];
afterEach(async () => {
  for (const meter of meters.splice(0)) await meter.stop();
});

/** A meter beside a real collector's route. */
async function scene(change: Partial<MeterOptions> = {}) {
  const clock = new ManualClock(Date.UTC(2026, 10, 21));
  const writer = new FakeWriter();
  const { authority, http } = service(clock);
  await http.register(egressRoutes, { writer, clock, authority, posted: { heard: () => undefined } });
  let isAway = false;
  const errors: string[] = [];
  const meter = meterMediasoup({
    url: 'http://collector.test',
    token: 'source-token',
    app: 'demo',
    serverId: 'sfu-1',
    intervalMs: 3_600_000,
    now: () => clock.now(),
    onError: (error) => errors.push(error.message),
    fetch: async (url, init) => {
      if (isAway) throw new TypeError('fetch failed');
      if (!(url instanceof URL) || typeof init?.body !== 'string') throw new Error('not what is expected here');
      const headers = init.headers as Record<string, string>;
      const answer = await http.inject({ method: 'POST', url: url.pathname, headers, payload: init.body });
      return new Response(answer.body, { status: answer.statusCode });
    },
    ...change,
  });
  meters.push(meter);
  const router = { observer: new EventEmitter() };
  meter.add(router);
  const transport = (...made: ConstructorParameters<typeof FakeTransport>) => {
    const one = new FakeTransport(...made);
    router.observer.emit('newtransport', one);
    return one;
  };
  const look = async () => {
    clock.advance(5_000);
    await meter.tick();
  };
  const rows = () =>
    writer.rowsOf('egress_samples').map((row) => [row['object_id'], row['client_tx_bytes'], row['final']]);
  return { errors, look, meter, rows, setAway: (away: boolean) => (isAway = away), transport, writer };
}

describe('the meter of mediasoup', () => {
  it('tells what each WebRTC transport has sent, and whose it is', async () => {
    const { look, rows, transport, writer } = await scene();
    const ann = transport('t-ann', { call: 'standup', participant: 'ann', customId: 'acme', other: 7 });
    ann.bytesSent = 1_500;
    await look();
    ann.bytesSent = 4_000;
    await look();
    expect(rows()).toEqual([
      ['t-ann', 1_500n, false],
      ['t-ann', 4_000n, false],
    ]);
    expect(writer.rowsOf('egress_samples')[0]).toMatchObject({
      app_id: 'demo',
      meter: 'sfu',
      source: 'mediasoup',
      server_id: 'sfu-1',
      boot_id: 't-ann',
      call_id: 'standup',
      participant_id: 'ann',
      custom_id: 'acme',
    });
  });

  it('leaves out transports to other routers and to recorders', async () => {
    const { look, rows, transport } = await scene();
    transport('t-pipe', {}, 'pipe-transport');
    transport('t-plain', {}, 'plain-rtp-transport');
    await look();
    expect(rows()).toEqual([]);
  });

  it('keeps what a closed transport was last seen to have sent', async () => {
    const { errors, look, rows, setAway, transport } = await scene();
    const one = transport('t-1');
    one.bytesSent = 900;
    setAway(true);
    await look();
    one.close();
    setAway(false);
    await look();
    expect(rows()).toEqual([['t-1', 900n, true]]);
    expect(errors).toEqual(['fetch failed']);
  });

  it('tells more transports than fit into one request', async () => {
    const { look, rows, transport } = await scene();
    for (let index = 0; index < 2_100; index += 1) transport(`t-${index}`).bytesSent = index;
    await look();
    expect(rows()).toHaveLength(2_100);
  });

  it('says what a collector has against it, and throws nothing', async () => {
    const { errors, look, transport } = await scene({ token: 'a guess' });
    transport('t-1').bytesSent = 1;
    await look();
    expect(errors[0]).toContain('the collector answers 401');
  });

  it('takes names from elsewhere when told to, and looks once more before it stops', async () => {
    const { meter, rows, transport, writer } = await scene({ identify: ({ id }) => ({ participant: `p-${id}` }) });
    transport('t-1').bytesSent = 5;
    await meter.stop();
    expect(rows()).toEqual([['t-1', 5n, false]]);
    expect(writer.rowsOf('egress_samples')[0]).toMatchObject({ participant_id: 'p-t-1' });
  });
});
