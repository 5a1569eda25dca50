import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { dumpRoutes } from '../../../collector/intake/dump-routes.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';
import { FakeWriter, service } from '../service.ts';

vi.mock('../../../collector/intake/zstd.ts', () => ({ systemZstd: () => Promise.resolve(undefined) }));

describe('POST /v1/dumps, where the system has no libzstd', () => {
  let http: FastifyInstance;
  beforeEach(async () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 21));
    ({ http } = service(clock));
    const options = { clock, metrics: new Metrics(), log: silentLog, keptDays: 30, maxWaitMs: 0 };
    await http.register(dumpRoutes, { ...options, writer: new FakeWriter(), score: scoreInboundAudio });
  });
  afterEach(() => http.close());

  it.each([
    ['a body', { 'content-encoding': 'zstd' }],
    ['a file', {}],
  ])('says which encodings there are when %s is of zstd', async (_what, headers) => {
    const answer = await http.inject({
      method: 'POST',
      url: '/v1/dumps',
      headers: { 'content-type': 'application/json', authorization: 'Bearer demo-token', ...headers },
      payload: Buffer.from('28b52ffd00010203', 'hex'),
    });
    expect(answer.statusCode).toBe(415);
    expect(answer.json()).toMatchObject({ error: { code: 'TP_COLLECTOR_ENCODING' } });
    expect(answer.headers['accept-encoding']).toBe('gzip, deflate, br');
  });
});
