import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { alertmanagerDelivery } from '../../../billing/quality/alerts/alertmanager-delivery.ts';
import { everywhere, retrying } from '../../../billing/quality/alerts/delivery.ts';
import type { AlertBatch, AlertDelivery, AlertNotice } from '../../../billing/quality/alerts/delivery.ts';
import { webhookDelivery } from '../../../billing/quality/alerts/webhook-delivery.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';

const notice = (change: Partial<AlertNotice> = {}): AlertNotice => ({
  fingerprint: 'f1',
  rule: 'TurnpikeMosLow',
  severity: 'warning',
  app: 'demo',
  state: 'firing',
  startsAt: Date.UTC(2026, 10, 20, 12),
  endsAt: null,
  value: 2.9,
  threshold: 3.5,
  samples: 60,
  summary: 'MOS is low.',
  ...change,
});
const over = notice({ state: 'resolved', endsAt: Date.UTC(2026, 10, 20, 12, 9), value: 4.2 });
const batch = (changed: AlertNotice[], firing: AlertNotice[] = []): AlertBatch => ({
  changed,
  firing,
  validUntil: Date.UTC(2026, 10, 20, 12, 5),
});

/** A receiver that keeps what it is sent. */
async function receiver(status = 200) {
  const posted: { url: string | undefined; headers: IncomingHttpHeaders; body: unknown }[] = [];
  const keep = async (request: IncomingMessage, response: ServerResponse) => {
    posted.push({ url: request.url, headers: request.headers, body: await json(request) });
    response.writeHead(status, { location: '/elsewhere' }).end('{}');
  };
  const server = createServer((request, response) => void keep(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { posted, host: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('Alertmanager', () => {
  it('gets labels, annotations and times as its API v2 has them', async () => {
    const { posted, host } = await receiver();
    await alertmanagerDelivery({ url: `http://${host}/prefix/` }).deliver(batch([notice()], [notice()]));
    expect(posted).toMatchObject([
      {
        url: '/prefix/api/v2/alerts',
        body: [
          {
            labels: { alertname: 'TurnpikeMosLow', severity: 'warning', app: 'demo' },
            annotations: { summary: 'MOS is low.', value: '2.9', threshold: '3.5', samples: '60' },
            startsAt: '2026-11-20T12:00:00.000Z',
            endsAt: '2026-11-20T12:05:00.000Z',
          },
        ],
      },
    ]);
  });
  it('is told again of whatever fires, and of an end once, with its time', async () => {
    const { posted, host } = await receiver();
    const delivery = alertmanagerDelivery({ url: `http://${host}` });
    const other = notice({ fingerprint: 'f2', app: 'shop' });
    await delivery.deliver(batch([], [other]));
    await delivery.deliver(batch([notice(), over], [other]));
    await delivery.deliver(batch([]));
    expect(posted.map(({ body }) => (body as { endsAt: string }[]).map(({ endsAt }) => endsAt.slice(11, 16)))).toEqual([
      ['12:05'],
      ['12:09', '12:05'],
    ]);
  });
});

describe('a webhook', () => {
  it('gets each change, and no repetition', async () => {
    const { posted, host } = await receiver();
    const delivery = webhookDelivery({ url: `http://${host}/hook` });
    await delivery.deliver(batch([notice()], [notice()]));
    await delivery.deliver(batch([], [notice()]));
    await delivery.deliver(batch([over]));
    expect(posted.map(({ body }) => body)).toMatchObject([
      {
        version: 1,
        alerts: [{ rule: 'TurnpikeMosLow', state: 'firing', startsAt: '2026-11-20T12:00:00.000Z', endsAt: null }],
      },
      { version: 1, alerts: [{ state: 'resolved', endsAt: '2026-11-20T12:09:00.000Z' }] },
    ]);
  });
  it('may need a login, which is sent as Basic authorisation', async () => {
    const { posted, host } = await receiver();
    await webhookDelivery({ url: `http://user:p%40ss@${host}/` }).deliver(batch([notice()]));
    expect(posted[0]?.headers.authorization).toBe(`Basic ${Buffer.from('user:p@ss').toString('base64')}`);
  });
  it.each([301, 307, 404, 500])('that answers %i has not accepted', async (status) => {
    const { host, posted } = await receiver(status);
    await expect(webhookDelivery({ url: `http://secret:word@${host}/` }).deliver(batch([notice()]))).rejects.toThrow(
      /^(?!.*(secret|word)).*$/s,
    );
    expect(posted).toHaveLength(1);
  });
});

describe('retrying', () => {
  function flaky() {
    const got: string[][] = [];
    const state = { down: false };
    const inner: AlertDelivery = {
      name: 'flaky',
      async deliver({ changed }) {
        if (state.down) throw new Error('down');
        got.push(changed.map((one) => `${one.state} ${one.value}`));
      },
    };
    return { got, state, inner };
  }
  const counts = async (metrics: Metrics) =>
    (await metrics.registry.getSingleMetric('turnpike_quality_alert_deliveries_total')?.get())?.values.map(
      ({ labels, value }) => `${labels['result']} ${value}`,
    );

  it('keeps changes while the receiver is away and delivers them with the next batch, in order', async () => {
    const { got, state, inner } = flaky();
    const metrics = new Metrics();
    const delivery = retrying(inner, { log: silentLog, metrics });
    state.down = true;
    await delivery.deliver(batch([notice()]));
    await delivery.deliver(batch([over]));
    state.down = false;
    await delivery.deliver(batch([]));
    await delivery.deliver(batch([]));
    expect(got).toEqual([['firing 2.9', 'resolved 4.2'], []]);
    expect(await counts(metrics)).toEqual(['failed 2', 'ok 2']);
  });
  it('is bounded: beyond the limit the oldest are given up, and counted', async () => {
    const { got, state, inner } = flaky();
    const metrics = new Metrics();
    const delivery = retrying(inner, { log: silentLog, metrics, limit: 2 });
    state.down = true;
    await delivery.deliver(batch([1, 2, 3].map((value) => notice({ value }))));
    state.down = false;
    await delivery.deliver(batch([]));
    expect(got).toEqual([['firing 2', 'firing 3']]);
    expect(await counts(metrics)).toEqual(['failed 1', 'lost 1', 'ok 1']);
  });
});

it('one receiver that is away does not keep alerts from the others', async () => {
  const got: AlertBatch[] = [];
  const away: AlertDelivery = { name: 'away', deliver: () => Promise.reject(new Error('away')) };
  const there: AlertDelivery = {
    name: 'there',
    async deliver(one) {
      got.push(one);
    },
  };
  await expect(everywhere([away, there]).deliver(batch([notice()]))).rejects.toThrow('some alerts were not delivered');
  expect(got).toHaveLength(1);
});
