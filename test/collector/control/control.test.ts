import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ControlFeed } from '../../../collector/control/control-feed.ts';
import type { ControlFeedOptions } from '../../../collector/control/control-feed.ts';
import { controlRoutes } from '../../../collector/control/control-routes.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { silentLog } from '../../../kernel/log.ts';
import { systemRandom } from '../../../kernel/random.ts';
import { MAX_REVOCATIONS } from '../../../relay/contract.ts';
import type { ControlAnswer } from '../../../relay/contract.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { service } from '../service.ts';

const START = Date.UTC(2026, 10, 20, 12);
const HOUR = 3_600_000;
const never = new AbortController().signal;
/** Whatever a plain name may be made of. */
const odd = `1795000000:' \\ " é %0a`;
const namesOf = (answer: ControlAnswer) => answer.revocations.map(({ username }) => username);

describe.skipIf(!hasEmbeddedStore)('the control feed', () => {
  let store: TestDatabase;
  let clock: ManualClock;
  const feeds: ControlFeed[] = [];
  beforeAll(async () => {
    store = await testDatabase();
  });
  beforeEach(async () => {
    clock = new ManualClock(START);
    await store.command('TRUNCATE TABLE control');
  });
  afterEach(async () => {
    for (const feed of feeds.splice(0)) await feed.stop();
  });
  const open = async (options: Partial<ControlFeedOptions> = {}) => {
    const feed = new ControlFeed({ store, clock, random: systemRandom, log: silentLog, ...options });
    feeds.push(feed);
    await feed.start();
    return feed;
  };
  const revocation = (username: string, until = START + HOUR) => ({ username, until });

  it('tells a relay that has nothing everything, at once, be it nothing', async () => {
    const feed = await open();
    const empty = await feed.after(undefined, never);
    expect(empty).toEqual({ cursor: expect.any(String), revocations: [] });
    await feed.revoke('shop', revocation('a'));
    await feed.revoke('shop', revocation('b'));
    expect(await feed.after(undefined, never)).toEqual({
      cursor: expect.any(String),
      revocations: [revocation('a'), revocation('b')],
    });
  });

  it('holds a question until there is something new, and answers with that alone', async () => {
    const feed = await open();
    await feed.revoke('shop', revocation('a'));
    const { cursor } = await feed.after(undefined, never);
    const held = feed.after(cursor, never);
    await feed.revoke('shop', revocation('b'));
    const answer = await held;
    expect(namesOf(answer)).toEqual(['b']);
    expect(answer.cursor).not.toBe(cursor);
    expect(namesOf(await feed.after(cursor, never))).toEqual(['b']);
  });

  it('answers a question that was held long enough, or whose asker is gone, with nothing', async () => {
    const feed = await open({ holdMs: 1 });
    const { cursor } = await feed.after(undefined, never);
    expect(await feed.after(cursor, never)).toEqual({ cursor, revocations: [] });
    const patient = await open();
    const { cursor: other } = await patient.after(undefined, never);
    expect(await patient.after(other, AbortSignal.abort())).toEqual({ cursor: other, revocations: [] });
  });

  it('does not store a second revocation of a credential', async () => {
    const feed = await open();
    await feed.revoke('shop', revocation('a'));
    const { cursor } = await feed.after(undefined, never);
    await feed.revoke('shop', revocation('a', START + 2 * HOUR));
    expect((await feed.after(undefined, never)).cursor).toBe(cursor);
  });

  it('knows after a restart what is in force, and tells it to whoever comes with an older cursor', async () => {
    const first = await open();
    await first.revoke('shop', revocation('soon', START + 1_000));
    await first.revoke('shop', revocation(odd));
    const { cursor } = await first.after(undefined, never);
    clock.advance(1_000);
    const second = await open();
    expect(namesOf(await second.after(cursor, never))).toEqual([odd]);
    for (const strange of ['', 'x', 'x.y', `${cursor}9999`, '.1']) {
      expect(namesOf(await second.after(strange, never))).toHaveLength(1);
    }
  });

  it('hears what another collector on the same store was told, while a relay waits', async () => {
    const [one, other] = [await open({ lookMs: 5 }), await open({ lookMs: 5 })];
    const { cursor } = await other.after(undefined, never);
    const held = other.after(cursor, never);
    await one.revoke('shop', revocation('a'));
    expect(namesOf(await held)).toEqual(['a']);
  });

  it('tells many in several answers, none twice and none left out', async () => {
    const feed = await open();
    const names = Array.from(
      { length: MAX_REVOCATIONS * 2 + 1 },
      (_, index) => `user-${String(index).padStart(5, '0')}`,
    );
    await store.insert(
      'control',
      names.map((name) => ({
        app_id: 'shop',
        kind: 'revocation',
        subject: name,
        changed_at: START,
        in_force_until: START + HOUR,
      })),
    );
    const again = await open();
    const heard: string[] = [];
    let cursor: string | undefined;
    for (let turn = 0; turn < 3; turn += 1) {
      const answer = await again.after(cursor, never);
      heard.push(...namesOf(answer));
      ({ cursor } = answer);
    }
    expect(heard).toEqual(names);
    expect(namesOf(await feed.after(undefined, never))).toEqual([]);
  });

  it('bounds what one app may have in force, and makes room as time goes by', async () => {
    const feed = await open({ maxPerApp: 2 });
    await feed.revoke('shop', revocation('a', START + 1_000));
    await feed.revoke('shop', revocation('b'));
    await expect(feed.revoke('shop', revocation('c'))).rejects.toMatchObject({ code: 'TP_RELAY_REVOCATIONS' });
    await feed.revoke('rival', revocation('d'));
    clock.advance(HOUR / 2);
    await feed.revoke('shop', revocation('c'));
    expect(namesOf(await feed.after(undefined, never))).toEqual(['b', 'd', 'c']);
  });

  it('promises nothing that is not stored', async () => {
    const fault = new TurnpikeError('TP_COLLECTOR_STORE_UNAVAILABLE');
    const away = { ...store, select: store.select.bind(store), insert: () => Promise.reject(fault) };
    const feed = await open({ store: away });
    await expect(feed.revoke('shop', revocation('a'))).rejects.toBe(fault);
    expect(namesOf(await feed.after(undefined, never))).toEqual([]);
  });

  it('is asked over HTTP, by relays alone, and lets go of them when the server closes', async () => {
    const { http } = service(clock);
    const feed = await open();
    await http.register(controlRoutes, { feed });
    const ask = (cursor?: string, token = 'relay-token') =>
      http.inject({
        url: `/v1/relays/control${cursor === undefined ? '' : `?cursor=${cursor}`}`,
        headers: { authorization: `Bearer ${token}` },
      });
    expect((await ask(undefined, 'demo-token')).statusCode).toBe(403);
    expect((await ask(undefined, 'guess')).statusCode).toBe(401);
    expect((await ask('x'.repeat(65))).statusCode).toBe(400);
    const first = await ask();
    expect(first.statusCode).toBe(200);
    const { cursor } = first.json<ControlAnswer>();
    const held = ask(cursor);
    await feed.revoke('shop', revocation('a'));
    expect(namesOf((await held).json())).toEqual(['a']);

    const base = await http.listen({ host: '127.0.0.1', port: 0 });
    const newest = (await ask()).json<ControlAnswer>().cursor;
    const waiting = fetch(`${base}/v1/relays/control?cursor=${newest}`, {
      headers: { authorization: 'Bearer relay-token' },
    });
    await expect.poll(() => feed.held).toBe(1);
    await http.close();
    expect((await waiting).status).toBe(200);
  });

  it('tells the caps with every answer once they are known, at once when they change, and only then', async () => {
    const feed = await open({ holdMs: 50 });
    const cap = (app: string) => ({ app, until: START + HOUR });
    const first = await feed.after(undefined, never);
    expect(first.caps).toBeUndefined();
    const held = feed.after(first.cursor, never);
    feed.cap([]);
    const empty = await held;
    expect(empty.caps).toEqual([]);
    const longer = feed.after(empty.cursor, never);
    feed.cap([cap('shop'), cap('bank')]);
    const capped = await longer;
    expect(capped.caps).toEqual([cap('shop'), cap('bank')]);
    feed.cap([cap('bank'), cap('shop')]);
    expect((await feed.after(capped.cursor, never)).cursor).toBe(capped.cursor);
    // A relay that slept through a change is told at once.
    feed.cap([cap('bank')]);
    expect((await feed.after(capped.cursor, never)).caps).toEqual([cap('bank')]);
  });

  it('tells nothing before it has read the store', async () => {
    const feed = new ControlFeed({ store, clock, random: systemRandom, log: silentLog });
    await expect(feed.after(undefined, never)).rejects.toMatchObject({ code: 'TP_COLLECTOR_STORE_UNAVAILABLE' });
  });
});
