import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../kernel/clock.ts';
import { createHttp } from '../../kernel/http.ts';
import { silentLog } from '../../kernel/log.ts';
import { Metrics } from '../../kernel/metrics.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';
import type { ProbeOptions, Readiness } from '../../kernel/probes.ts';
import { probes } from '../../kernel/probes.ts';

async function service(options: Partial<ProbeOptions> & { metrics?: Metrics } = {}) {
  const authority = createAuthority(
    { apps: [], relayTokenHash: '', sourceTokenHash: '', operatorTokenHash: hashToken('operator') },
    new ManualClock(0),
  );
  const http = createHttp({ log: silentLog, authority, host: '10.0.0.1' });
  await http.register(probes, { metrics: new Metrics(), checks: {}, metricsFor: 'anyone', ...options });
  return (url: string, headers: Record<string, string> = {}) => http.inject({ url, headers });
}

describe('the probes', () => {
  it('is alive whatever its neighbours do', async () => {
    const get = await service({ checks: { store: () => ({ ok: false }) } });
    const response = await get('/healthz');
    expect([response.statusCode, response.json()]).toEqual([200, { alive: true }]);
  });

  it('is ready once every check holds, and says of each how it stands', async () => {
    const checks: Record<string, () => Readiness> = {
      listeners: () => ({ ok: true, detail: '127.0.0.1:3478' }),
      uplink: () => ({ ok: true }),
    };
    const get = await service({ checks });
    expect((await get('/readyz')).json()).toEqual({
      ready: true,
      checks: { listeners: { ok: true, detail: '127.0.0.1:3478' }, uplink: { ok: true } },
    });
    checks['uplink'] = () => ({ ok: false, detail: 'nothing was delivered yet' });
    const response = await get('/readyz');
    expect(response.statusCode).toBe(503);
    expect(response.json()).toMatchObject({
      ready: false,
      checks: { uplink: { detail: 'nothing was delivered yet' } },
    });
  });

  it('is not ready when a check itself fails', async () => {
    const get = await service({ checks: { store: () => Promise.reject(new Error('connection refused')) } });
    const response = await get('/readyz');
    expect(response.statusCode).toBe(503);
    expect(response.json()).toEqual({ ready: false, checks: { store: { ok: false, detail: 'connection refused' } } });
  });

  it("gives metrics in Prometheus's text form, brought up to date by their owners", async () => {
    const metrics = new Metrics();
    let pending = 1;
    metrics.gauge('turnpike_relay_usage_pending', (gauge) => gauge.set(pending));
    const get = await service({ metrics });
    pending = 7;
    const response = await get('/metrics');
    expect(response.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(response.body).toContain('\nturnpike_relay_usage_pending 7\n');
    expect(() => metrics.gauge('turnpike_relay_usage_pending', () => undefined)).toThrow('has an owner already');
  });

  it('keeps metrics, but not the probes, from strangers where the port is public', async () => {
    const get = await service({ metricsFor: ['operator'] });
    expect((await get('/metrics')).statusCode).toBe(401);
    expect((await get('/metrics', { authorization: 'Bearer operator' })).statusCode).toBe(200);
    expect((await get('/readyz')).statusCode).toBe(200);
  });
});
