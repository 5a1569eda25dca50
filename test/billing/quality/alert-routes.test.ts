import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alertRow } from '../../../billing/quality/alerts/alert-history.ts';
import { alertRoutes } from '../../../billing/quality/alerts/alert-routes.ts';
import { standardRules } from '../../../billing/quality/alerts/alert-rules.ts';
import type { Transition } from '../../../billing/quality/alerts/alert-state.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { createHttp } from '../../../kernel/http.ts';
import { silentLog } from '../../../kernel/log.ts';
import { createAuthority, hashToken } from '../../../kernel/principals.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';

const NOW = Date.UTC(2026, 10, 20, 12);
const HOUR = 3_600_000;

describe.skipIf(!hasEmbeddedStore)('the alert routes', () => {
  let http: FastifyInstance;
  beforeAll(async () => {
    const store = await testDatabase();
    const [loss, jitter] = standardRules;
    if (loss === undefined || jitter === undefined) throw new Error('no rules');
    const change = (to: Transition['to'], at: number): Transition => ({
      from: 'inactive',
      to,
      reason: to === 'resolved' ? 'recovered' : 'held',
      at,
      measured: { value: 6.5, samples: 60 },
      startedAt: at,
    });
    await store.insert('alerts', [
      alertRow(loss, 'demo', change('pending', NOW - 72 * HOUR)),
      alertRow(loss, 'demo', change('firing', NOW - 71 * HOUR)),
      alertRow(jitter, 'demo', change('resolved', NOW - HOUR)),
      alertRow(jitter, 'shop', change('resolved', NOW - 25 * HOUR)),
      alertRow(loss, 'shop', change('pending', NOW - HOUR)),
    ]);
    const clock = new ManualClock(NOW);
    const authority = createAuthority(
      {
        apps: [{ id: 'demo', tokenHashes: [hashToken('demo-token')], keys: [], origins: [] }],
        relayTokenHash: hashToken('relay'),
        sourceTokenHash: hashToken('source'),
        operatorTokenHash: hashToken('operator'),
      },
      clock,
    );
    http = createHttp({ log: silentLog, authority, host: '0.0.0.0' });
    await http.register(alertRoutes, { reader: store, clock, rules: standardRules });
  });
  afterAll(() => http.close());
  const get = async (url: string, token: string) =>
    (await http.inject({ url, headers: { authorization: `Bearer ${token}` } })).json();
  const listed = async (url: string, token: string) =>
    (await get(url, token)).alerts.map(({ state, rule, app }: Record<string, string>) => `${state} ${rule} ${app}`);

  it('list what fires, what is pending, and what was resolved in the last day, each alert once', async () => {
    expect(await listed('/v1/alerts', 'operator')).toEqual([
      'firing TurnpikePacketLossHigh demo',
      'pending TurnpikePacketLossHigh shop',
      'resolved TurnpikeJitterHigh demo',
    ]);
    expect((await get('/v1/alerts?state=firing', 'operator')).alerts).toEqual([
      {
        rule: 'TurnpikePacketLossHigh',
        severity: 'warning',
        state: 'firing',
        app: 'demo',
        since: '2026-11-17T13:00:00.000Z',
        value: 6.5,
        threshold: 5,
        samples: 60,
        summary: 'Packet loss of app demo is 6.5 % over 5 min, above 5 %.',
      },
    ]);
  });
  it('show an app its own alerts only', async () => {
    expect(await listed('/v1/alerts', 'demo-token')).toEqual([
      'firing TurnpikePacketLossHigh demo',
      'resolved TurnpikeJitterHigh demo',
    ]);
  });
  it('show the rules without their SQL', async () => {
    const { rules } = await get('/v1/alert-rules', 'operator');
    expect(rules).toHaveLength(5);
    expect(rules[2]).toMatchObject({
      name: 'TurnpikeMosLow',
      breach: 'below',
      threshold: 3.5,
      resolveAt: 3.7,
      minSamples: 24,
    });
    expect(rules[2]).not.toHaveProperty('sql');
  });
  it('refuse other tokens and unknown states', async () => {
    expect((await get('/v1/alerts', 'relay')).error.code).toBe('TP_KERNEL_FORBIDDEN');
    expect((await get('/v1/alerts', 'nobody')).error.code).toBe('TP_KERNEL_UNAUTHORISED');
    expect((await get('/v1/alerts?state=loud', 'operator')).error.code).toBe('TP_KERNEL_INVALID');
  });
});
