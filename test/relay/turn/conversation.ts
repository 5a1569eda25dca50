/**
 * Random conversations with the core: several clients, right and wrong requests, mutated octets, retransmissions, a plane that
 * opens, delays, refuses and gives up, and time in between. A ledger kept beside it judges every command.
 */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { FiveTuple } from '../../../kernel/address.ts';
import { attributes } from '../../../relay/stun/attributes.ts';
import { addressFamily, evenPort } from '../../../relay/stun/number-attributes.ts';
import type { TurnCore } from '../../../relay/turn/core.ts';
import type { TurnOptions } from '../../../relay/turn/settings.ts';
import { attribute, endpoint, TurnClient } from '../turn-client.ts';
import { Bench, type Exchange, tuple, zeroCounters } from './bench.ts';
import { Ledger } from './ledger.ts';

const tuples: readonly FiveTuple[] = [
  tuple('198.51.100.7:1'),
  tuple('198.51.100.7:2'),
  tuple('198.51.100.8:1', 'tcp'),
  tuple('[2001:db8::7]:1'),
];
const peers = [
  '203.0.113.9:5000',
  '203.0.113.9:5001',
  '203.0.113.10:5000',
  '10.0.0.1:5000',
  '[2001:db8:9::1]:5000',
].map(endpoint);

const limits = { permissionsPerAllocation: 3, channelsPerAllocation: 3, openAttempts: 3, newPeersPerSecond: 1 };

export class Conversation {
  readonly bench: Bench;
  readonly ledger = new Ledger(limits.permissionsPerAllocation);
  readonly clients: readonly TurnClient[][];
  /** The last that anybody was given. */
  token: Uint8Array = new Uint8Array(8);
  readonly sent: { bytes: Uint8Array; from: FiveTuple }[] = [];

  constructor(overrides: Partial<TurnOptions> = {}, create?: (options: TurnOptions) => TurnCore) {
    this.bench = new Bench({ ...limits, ...overrides }, create);
    this.clients = tuples.map((from) => ['alice', 'bob'].map((name) => this.bench.client(name, undefined, from)));
    for (const [, bob] of this.clients) if (bob !== undefined) bob.algorithm = 'SHA_256';
  }

  /** Judges an exchange, then compares what the ledger and the core believe to be alive. */
  judged(exchange: Exchange): Exchange {
    const now = this.bench.clock.monotonic();
    this.ledger.judge(exchange.commands, now);
    this.reconcile();
    return exchange;
  }

  /** What the core refused to open (508) is gone too; the rest it must still know, and nothing else. */
  reconcile(): void {
    for (const id of this.ledger.alive.keys()) if (this.bench.core.allocation(id) === undefined) this.ledger.end(id);
    const known = new Set([...this.bench.core.allocations()].map(({ id }) => id));
    assert.deepEqual(known, new Set(this.ledger.alive.keys()));
    const { tuples: held, deadlines } = this.bench.core.entries;
    const taken = new Set([...this.ledger.alive.values()].map(({ from }) => from));
    assert.deepEqual([held, deadlines], [taken.size, this.ledger.alive.size]);
  }

  send(bytes: Uint8Array, at: number): Exchange {
    const from = tuples[at % tuples.length]!;
    this.sent.push({ bytes, from });
    const exchange = this.judged(this.bench.send(bytes, from));
    this.token = exchange.answer?.token ?? this.token;
    if (exchange.answer?.code === 438)
      for (const client of this.clients[at % tuples.length]!) client.learn(exchange.answer);
    return exchange;
  }

  client(at: number, who: number): TurnClient {
    return this.clients[at % tuples.length]![who % 2]!;
  }

  /** Bytes that no client signed: whatever they provoke, it is not a change of anybody's state. */
  sendForeign(bytes: Uint8Array, from: FiveTuple): void {
    const before = this.bench.core.entries;
    const { commands } = this.judged(this.bench.send(bytes, from));
    assert(commands.every(({ type }) => type === 'send' || type === 'close'));
    for (const name of ['ids', 'tuples', 'usernames', 'users', 'apps', 'sources', 'deadlines'] as const) {
      assert(this.bench.core.entries[name] <= before[name]);
    }
  }
}

export type Step = (talk: Conversation) => void;
const small = fc.nat(7);
const seconds = fc.constantFrom(undefined, 0, 1, 600, 700, 3600, 1_000_000);
const peer = fc.constantFrom(...peers);
const channel = fc.constantFrom(0x3fff, 0x4000, 0x4001, 0x4002, 0x4003, 0x5000);
const pause = fc.constantFrom(1, 999, 39_000, 299_999, 300_000, 599_999, 600_000, 900_000, 3_600_000);

export const steps: fc.Arbitrary<Step>[] = [
  fc.tuple(small, small, seconds, fc.constantFrom<4 | 6>(4, 4, 6)).map(([at, who, lifetime, family]): Step => {
    const asked = lifetime === undefined ? { family } : { family, seconds: lifetime };
    return (talk) => talk.send(talk.client(at, who).allocate(asked), at);
  }),
  // Both families, a pair of ports, what a token stands for; alone and in every combination.
  fc
    .tuple(small, small, fc.subarray(['dual', 'pair', 'token'] as const, { minLength: 1 }))
    .map(([at, who, wanted]): Step => (talk) => {
      const setters = {
        dual: addressFamily(attributes.ADDITIONAL_ADDRESS_FAMILY, 6),
        pair: evenPort(true),
        token: attribute(attributes.RESERVATION_TOKEN.type, talk.token),
      };
      talk.send(talk.client(at, who).allocate({}, { more: wanted.map((name) => setters[name]) }), at);
    }),
  fc.tuple(small, small, seconds).map(
    ([at, who, lifetime]): Step =>
      (talk) =>
        talk.send(talk.client(at, who).refresh(lifetime), at),
  ),
  fc.tuple(small, small, fc.array(peer, { maxLength: 4 })).map(
    ([at, who, list]): Step =>
      (talk) =>
        talk.send(talk.client(at, who).createPermission(list), at),
  ),
  fc.tuple(small, small, channel, peer).map(
    ([at, who, number, to]): Step =>
      (talk) =>
        talk.send(talk.client(at, who).channelBind(number, to), at),
  ),
  fc.tuple(small, small, fc.nat(0xffff)).map(
    ([at, who, type]): Step =>
      (talk) =>
        talk.send(talk.client(at, who).refresh(600, { more: [attribute(type, new Uint8Array(4))] }), at),
  ),
  // Wrong password, or none.
  fc.tuple(small, fc.boolean(), seconds).map(([at, bare, lifetime]): Step => {
    return (talk) => {
      const guess = new TurnClient('alice', 'guess');
      guess.realm = talk.client(at, 0).realm;
      guess.nonce = talk.client(at, 0).nonce;
      const from = tuples[at % tuples.length]!;
      talk.sendForeign(guess.refresh(lifetime, { bare }), from);
      talk.sendForeign(guess.allocate({}, { bare }), from);
    };
  }),
  // An earlier message again, with octets changed: no octet of it is outside its integrity.
  fc.tuple(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 })).map(([which, at, flip]): Step => {
    return (talk) => {
      const earlier = talk.sent[which % Math.max(1, talk.sent.length)];
      if (earlier === undefined) return;
      const bytes = Uint8Array.from(earlier.bytes);
      bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ flip;
      talk.sendForeign(bytes, earlier.from);
    };
  }),
  // An earlier message again, as it was: a retransmission or a replay, from there or from elsewhere.
  fc.tuple(fc.nat(), small, fc.boolean()).map(([which, elsewhere, moved]): Step => {
    return (talk) => {
      const earlier = talk.sent[which % Math.max(1, talk.sent.length)];
      if (earlier === undefined) return;
      const from = tuples[elsewhere % tuples.length]!;
      if (moved && from !== earlier.from) talk.sendForeign(earlier.bytes, from);
      else talk.judged(talk.bench.send(earlier.bytes, earlier.from));
    };
  }),
  fc.tuple(fc.uint8Array({ maxLength: 120 }), small).map(
    ([bytes, at]): Step =>
      (talk) =>
        talk.sendForeign(bytes, tuples[at % tuples.length]!),
  ),
  pause.map(
    (milliseconds): Step =>
      (talk) =>
        talk.bench.clock.advance(milliseconds),
  ),
  fc.constant((talk: Conversation) => {
    talk.judged(talk.bench.expire());
  }),
  fc.constantFrom<Bench['ports']>('open', 'open', 'exhausted', 'wait').map((ports): Step => {
    return (talk) => {
      talk.bench.ports = ports;
    };
  }),
  fc.constant((talk: Conversation) => {
    talk.bench.ports = 'open';
    for (const open of talk.bench.waiting.splice(0)) talk.judged(settle(talk, open.allocation));
  }),
  // The plane gives one up, or somebody closes one.
  fc.tuple(fc.nat(), fc.boolean()).map(([which, byPlane]): Step => {
    return (talk) => {
      const ids = [...talk.ledger.alive.keys()];
      const id = ids[which % Math.max(1, ids.length)];
      if (id === undefined) return;
      if (!byPlane) talk.judged(talk.bench.obey(talk.bench.core.close(id, 'revoked')));
      else {
        talk.bench.event({ type: 'closed', allocation: id, reason: 'failed', counters: zeroCounters });
        talk.reconcile();
      }
    };
  }),
];

/** Ends a conversation's beginning: whoever has no allocation gets none from here on. */
export const drain: Step = (talk) => {
  talk.bench.core.drain();
  talk.ledger.draining = true;
};

/** A late `opened`, only while the allocation still has time: a plane does not open what is past its deadline. */
function settle(talk: Conversation, allocation: string): Exchange {
  talk.judged(talk.bench.expire());
  return talk.bench.event({ type: 'opened', allocation, relayed: endpoint('192.0.2.1:55555') });
}
