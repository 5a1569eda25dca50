/** Messages of a real coturn 4.6.1, recorded from its Redis: a call, a SIGTERM in the middle of the next, a third after a restart. */
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CoturnMessages } from '../../../collector/sources/coturn-redis.ts';
import { Counters } from '../../../collector/sources/counters.ts';
import { totalOf } from './totals.ts';

interface Message {
  readonly t: number;
  readonly channel: string;
  readonly payload: string;
}

const recorded: readonly Message[] = readFileSync(
  new URL('../../vectors/coturn-4.6.1-redis.messages.ndjson', import.meta.url),
  'utf8',
)
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Message);

const listener = () => new CoturnMessages({ name: 'coturn', app: 'demo' }, new Counters());
const hearAll = (reader: CoturnMessages, messages: readonly Message[]) =>
  messages.flatMap(({ channel, payload, t }) => reader.read(channel, payload, t) ?? []);

const sent = ({ payload }: Message) => BigInt(/sentb=(\d+)/.exec(payload)?.[1] ?? 0);
const named = (suffix: string) => recorded.filter(({ channel }) => channel.endsWith(suffix));
const sum = (messages: readonly Message[]) => messages.reduce((total, message) => total + sent(message), 0n);

const channel = (kind: string, user = '1795220169:alice') => `turn/realm/r/user/${user}/allocation/001/${kind}`;

describe('the messages of coturn', () => {
  it('come to every byte that it told of, of ended allocations and of those that a SIGTERM cut short', () => {
    const total = totalOf(hearAll(listener(), recorded));
    expect(total).toBe(sum(named('/traffic')));
    expect(total).toBeGreaterThan(sum(named('/total_traffic')));
  });

  it('are of the customer behind the TURN REST name, and of this app', () => {
    const customers = new Set(hearAll(listener(), recorded).map(({ custom_id: customer }) => customer));
    expect(customers).toEqual(new Set(['alice', 'bob', 'carol']));
  });

  it('name no user in an object, whose name is kept for ever', () => {
    const readings = hearAll(listener(), recorded);
    expect(readings.length).toBeGreaterThan(3);
    for (const { object_id: object } of readings) expect(object).toMatch(/^[0-9a-f]{64}$/);
  });

  it('that were missed while an allocation lived are made good at its end', () => {
    const isMissed = (message: Message) => message.channel.endsWith('/traffic') && message.t < recorded[0]!.t + 20_000;
    const ended = new Set(named('/total_traffic').map((message) => message.channel.replace('/total_traffic', '')));
    const kept = recorded.filter(
      (message) => !isMissed(message) || !ended.has(message.channel.replace('/traffic', '')),
    );
    expect(kept.length).toBeLessThan(recorded.length);
    expect(totalOf(hearAll(listener(), kept))).toBe(sum(named('/traffic')));
  });

  it('are no double for a listener that comes in the middle of an allocation', () => {
    const reader = listener();
    const readings = hearAll(reader, [
      { t: 1, channel: channel('traffic'), payload: 'rcvp=1, rcvb=1, sentp=1, sentb=700' },
      { t: 2, channel: channel('total_traffic'), payload: 'rcvp=9, rcvb=9, sentp=9, sentb=2000' },
    ]);
    expect(totalOf(readings)).toBe(700n);
  });

  it('go on in one sum when an id is used again', () => {
    const round = (t: number, bytes: number): Message[] => [
      { t, channel: channel('status'), payload: 'new lifetime=600, type=UDP' },
      { t: t + 1, channel: channel('traffic'), payload: `rcvp=1, rcvb=1, sentp=1, sentb=${bytes}` },
      { t: t + 2, channel: channel('total_traffic'), payload: `rcvp=1, rcvb=1, sentp=1, sentb=${bytes}` },
    ];
    expect(totalOf(hearAll(listener(), [...round(10, 500), ...round(20, 30)]))).toBe(530n);
  });

  it('may be anything at all', () => {
    const reader = listener();
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.constantFrom('traffic', 'total_traffic', 'status', 'traffic/peer'),
        (user, payload, kind) => {
          expect(reader.read(channel(kind, user), payload, 1)).toBeUndefined();
          expect(reader.read(payload, user, 1)).toBeUndefined();
        },
      ),
    );
  });

  it('count nothing of the side of the peers', () => {
    expect(listener().read(channel('traffic/peer'), 'rcvp=1, rcvb=1, sentp=1, sentb=700', 1)).toBeUndefined();
  });
});
