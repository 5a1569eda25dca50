import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statementRoutes } from '../../../billing/egress/statement-routes.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { createHttp } from '../../../kernel/http.ts';
import { silentLog } from '../../../kernel/log.ts';
import { createAuthority, hashToken } from '../../../kernel/principals.ts';
import type { StoreReader } from '../../../collector/store/store.ts';

const usageRow = (app_id: string, gigabytes: number) => ({
  app_id,
  meter: 'turn',
  custom_id: '',
  call_id: '',
  participant_id: '',
  egress_bytes: `${gigabytes}000000000`,
  via_sfu_bytes: '0',
  newest_ms: String(Date.UTC(2026, 10, 2)),
});
const asked: unknown[] = [];
const reader: StoreReader = {
  async select(row, _sql, parameters) {
    asked.push(parameters);
    return [usageRow('demo', 600), usageRow('shop', 1_400)].map((found) => row.parse(found));
  },
};

describe('GET /v1/statements/:period', () => {
  let http: FastifyInstance;
  beforeAll(async () => {
    const app = (id: string) => ({ id, tokenHashes: [hashToken(`${id}-token`)], keys: [], origins: [] });
    const authority = createAuthority(
      {
        apps: [app('demo'), app('shop')],
        relayTokenHash: hashToken('relay'),
        sourceTokenHash: hashToken('source'),
        operatorTokenHash: hashToken('operator'),
      },
      new ManualClock(0),
    );
    http = createHttp({ log: silentLog, authority, host: '0.0.0.0' });
    await http.register(statementRoutes, { reader, rateCard: 'cloudflare-realtime' });
  });
  afterAll(() => http.close());
  const get = (url: string, token?: string) =>
    http.inject({ url, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });

  it('gives an operator the whole account', async () => {
    const answer = await get('/v1/statements/2026-11', 'operator');
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({
      period: { name: '2026-11', start: '2026-11-01T00:00:00.000Z', end: '2026-12-01T00:00:00.000Z' },
      app: null,
      rateCard: { id: 'cloudflare-realtime', gbBytes: '1000000000' },
      lines: [{ app: 'demo' }, { app: 'shop' }],
      totals: { bytes: '2000000000000', cost: '50.00' },
    });
    expect(asked.at(-1)).toEqual({ start: Date.UTC(2026, 10, 1), end: Date.UTC(2026, 11, 1) });
  });

  it('gives an app its own lines only, on the account’s allowance', async () => {
    const statement = (await get('/v1/statements/2026-11', 'demo-token')).json();
    expect(statement).toMatchObject({ app: 'demo', totals: { bytes: '600000000000', cost: '15.00' } });
    expect(statement.lines).toHaveLength(1);
    expect(statement.allowance.usedBytes).toBe('1000000000000');
  });

  it('refuses an app that asks for another’s, and anybody without a token', async () => {
    expect((await get('/v1/statements/2026-11?app=shop', 'demo-token')).statusCode).toBe(403);
    expect((await get('/v1/statements/2026-11?app=demo', 'demo-token')).statusCode).toBe(200);
    expect((await get('/v1/statements/2026-11')).statusCode).toBe(401);
    expect((await get('/v1/statements/2026-11', 'relay')).statusCode).toBe(403);
  });

  it('lets an operator look at one app', async () => {
    expect((await get('/v1/statements/2026-11?app=shop', 'operator')).json()).toMatchObject({
      app: 'shop',
      totals: { cost: '35.00' },
    });
  });

  it('writes a table when asked', async () => {
    const answer = await get('/v1/statements/2026-11?format=table', 'operator');
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(answer.body).toContain('Total');
  });

  it('has one clear error each for a bad month, card, format and member', async () => {
    const codeOf = async (url: string) => (await get(url, 'operator')).json().error.code;
    expect(await codeOf('/v1/statements/2026-13')).toBe('TP_BILLING_PERIOD');
    expect(await codeOf('/v1/statements/2026-11?rateCard=../x')).toBe('TP_BILLING_RATE_CARD');
    expect(await codeOf('/v1/statements/2026-11?format=pdf')).toBe('TP_KERNEL_INVALID');
    expect(await codeOf('/v1/statements/2026-11?from=1')).toBe('TP_KERNEL_INVALID');
  });
});
