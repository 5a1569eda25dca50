import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { erasureRoutes } from '../../../collector/erasure/erasure-routes.ts';
import type { Person, PersonalRows } from '../../../collector/erasure/erasure.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { service } from '../service.ts';

describe('DELETE /v1/participants/:participant', () => {
  let http: FastifyInstance;
  let asked: Person[];
  let fault: Error | undefined;
  const erased: PersonalRows[] = [{ table: 'call_events', rows: 3, fate: 'removed' }];
  beforeEach(async () => {
    asked = [];
    fault = undefined;
    ({ http } = service(new ManualClock(Date.UTC(2026, 10, 21))));
    const erase = async (person: Person) => {
      asked.push(person);
      if (fault !== undefined) throw fault;
      return erased;
    };
    await http.register(erasureRoutes, { erasures: { erase } });
  });
  afterEach(() => http.close());

  const remove = (path: string, token: string) =>
    http.inject({ method: 'DELETE', url: `/v1/participants/${path}`, headers: { authorization: `Bearer ${token}` } });

  it('erases an app’s own participant, in all calls or in one', async () => {
    const answer = await remove('ann%2Fmarie', 'demo-token');
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({ erased });
    await remove('ann?call=standup&app=demo', 'demo-token');
    expect(asked).toEqual([
      { app: 'demo', participant: 'ann/marie', call: undefined },
      { app: 'demo', participant: 'ann', call: 'standup' },
    ]);
  });

  it('lets the operator say of which app', async () => {
    expect((await remove('ann?app=shop', 'operator-token')).statusCode).toBe(200);
    expect(asked).toEqual([{ app: 'shop', participant: 'ann', call: undefined }]);
  });

  it.each([
    ['another app’s participant', 'ann?app=shop', 'demo-token', 403],
    ['an operator who names no app', 'ann', 'operator-token', 400],
    ['a relay', 'ann', 'relay-token', 403],
    ['an unknown token', 'ann', 'nobody', 401],
    ['a name that is too long', 'x'.repeat(65), 'demo-token', 400],
  ])('refuses %s', async (_what, path, token, status) => {
    expect((await remove(path, token)).statusCode).toBe(status);
    expect(asked).toEqual([]);
  });

  it('answers 503 while the store has not finished', async () => {
    fault = new TurnpikeError('TP_COLLECTOR_ERASURE');
    expect((await remove('ann', 'demo-token')).statusCode).toBe(503);
  });
});
