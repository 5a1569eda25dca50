import { describe, expect, it } from 'vitest';
import { attributes } from '../../../relay/stun/attributes.ts';
import { TurnCore } from '../../../relay/turn/core.ts';
import { methods } from '../../../relay/stun/methods.ts';
import { addressFamily, evenPort, requestedTransport } from '../../../relay/stun/number-attributes.ts';
import { attribute, endpoint } from '../turn-client.ts';
import { Bench, effects, START, tuple, zeroCounters, noEntries } from './bench.ts';

const token = attribute(attributes.RESERVATION_TOKEN.type, new Uint8Array(8));
const requested = (family: 4 | 6) => addressFamily(attributes.REQUESTED_ADDRESS_FAMILY, family);
const additional = (family: 4 | 6) => addressFamily(attributes.ADDITIONAL_ADDRESS_FAMILY, family);

describe('Allocate (RFC 8656 §7.2)', () => {
  it('opens a relayed address and answers with it, the lifetime and the client\u2019s own address', () => {
    const bench = new Bench();
    const client = bench.client();
    const { answer, commands } = bench.send(client.allocate());
    const [open, send] = commands;
    expect(open).toMatchObject({ type: 'open', client: tuple(), family: 4, app: 'app', deadline: 600_000, limits: {} });
    expect(answer).toMatchObject({ messageClass: 'success', lifetime: 600, mapped: endpoint('198.51.100.7:50000') });
    expect(answer?.relayed).toEqual({ address: '192.0.2.1', port: open?.type === 'open' ? open.port : 0 });
    expect(client.verifies(answer!)).toBe(true);
    expect(send).toMatchObject({ allocation: open?.type === 'open' ? open.allocation : '' });
    expect(bench.observed.slice(-2)).toEqual(['allocate ok', 'allocation udp ok']);
  });

  it('tells the rest of the relay whose it is', () => {
    const bench = new Bench();
    bench.accounts.set('alice', { passwords: ['secret'], app: 'shop', customId: 'customer-9' });
    const { id } = bench.allocated('alice', tuple('[2001:db8::7]:50000'), 4);
    expect(bench.core.allocation(id)).toMatchObject({
      id,
      state: 'live',
      app: 'shop',
      keyId: 'key',
      username: 'alice',
      claims: { customId: 'customer-9', call: 'call', participant: 'alice' },
      fiveTuple: { transport: 'udp' },
      clientFamily: 6,
      relayFamily: 4,
      createdAt: { now: START, monotonic: 0 },
      relayed: { address: '192.0.2.1' },
    });
    expect([...bench.core.allocations()].map((allocation) => allocation.id)).toEqual([id]);
    expect(bench.core.allocationsOf('alice').map((allocation) => allocation.id)).toEqual([id]);
  });

  it('passes the credential\u2019s limits on to the plane', () => {
    const bench = new Bench();
    const limits = { packetsPerSecond: 500, bitsPerSecond: 1_000_000, bytes: 5_000_000_000n, allocations: 3 };
    bench.accounts.set('alice', { passwords: ['secret'], limits });
    const open = bench.send(bench.client().allocate()).commands[0];
    const { allocations: _, ...rest } = limits;
    expect(open).toMatchObject({ type: 'open', limits: rest });
  });

  it.each([
    [undefined, 600],
    [0, 600],
    [5, 600],
    [1200, 1200],
    [100_000, 3600],
    [0xffff_ffff, 3600],
  ])('asked for %s seconds, grants %i', (seconds, granted) => {
    const bench = new Bench();
    const exchange = bench.send(bench.client().allocate(seconds === undefined ? {} : { seconds }));
    expect(exchange.answer?.lifetime).toBe(granted);
    expect(exchange.commands[0]).toMatchObject({ deadline: granted * 1000 });
  });

  it('answers a retransmission with the very same octets for 40 seconds and opens nothing', () => {
    const bench = new Bench();
    const client = bench.client();
    const bytes = client.allocate({}, { fingerprint: true });
    const first = bench.send(bytes);
    bench.clock.advance(39_999);
    const again = bench.send(bytes);
    expect(effects(again)).toEqual([]);
    expect(again.answer?.bytes).toEqual(first.answer?.bytes);
    expect(bench.observed.at(-1)).toBe('allocate repeated');
    bench.clock.advance(1);
    expect(bench.send(bytes).answer?.code).toBe(437);
  });

  it('answers a retransmission although its nonce has gone stale in between', () => {
    const bench = new Bench();
    const client = bench.client();
    bench.clock.advance(599_000);
    const bytes = client.allocate();
    const first = bench.send(bytes);
    bench.clock.advance(2_000);
    expect(bench.send(bytes).answer?.bytes).toEqual(first.answer?.bytes);
  });

  it('is silent to retransmissions while the plane opens, then answers once', () => {
    const bench = new Bench();
    bench.ports = 'wait';
    const client = bench.client();
    const bytes = client.allocate();
    expect(bench.send(bytes).answer).toBeUndefined();
    expect(bench.send(bytes).commands).toEqual([]);
    expect(bench.settleOpens().answer?.messageClass).toBe('success');
    expect(bench.core.size).toBe(1);
  });

  it('takes the same transaction id with another integrity for another request', () => {
    const bench = new Bench();
    const client = bench.client();
    const transactionId = client.transactionId();
    bench.send(client.allocate({}, { transactionId }));
    expect(bench.send(client.allocate({ seconds: 900 }, { transactionId })).answer?.code).toBe(437);
  });

  it('answers 437 to a second Allocate with a new transaction, whoever sends it, also while the first is being opened', () => {
    const bench = new Bench();
    bench.ports = 'wait';
    const client = bench.client();
    bench.send(client.allocate());
    const early = bench.send(client.allocate());
    expect(early.answer?.code).toBe(437);
    expect(early.commands[0]).not.toHaveProperty('allocation');
    bench.settleOpens();
    const second = bench.send(client.allocate());
    expect(second.answer?.code).toBe(437);
    expect(client.verifies(second.answer!)).toBe(true);
    expect(bench.send(bench.client('bob').allocate()).answer?.code).toBe(437);
    expect(bench.core.size).toBe(1);
  });

  it('tells five-tuples apart by transport, client and server', () => {
    const bench = new Bench();
    bench.allocated('alice', tuple());
    bench.allocated('alice', tuple('198.51.100.7:50001'));
    bench.allocated('alice', tuple('198.51.100.7:50000', 'tcp'));
    bench.allocated('alice', { ...tuple(), server: endpoint('192.0.2.1:443') });
    expect(bench.core.size).toBe(4);
  });

  it('answers 400 without REQUESTED-TRANSPORT or with a malformed one, 442 to anything but UDP', () => {
    const bench = new Bench();
    const client = bench.client();
    const malformed = attribute(attributes.REQUESTED_TRANSPORT.type, new Uint8Array(2));
    expect(bench.send(client.allocate({ transport: null })).answer?.code).toBe(400);
    expect(bench.send(client.allocate({ transport: null }, { more: [malformed] })).answer?.code).toBe(400);
    expect(bench.send(client.allocate({ transport: 6 })).answer?.code).toBe(442);
    expect(bench.send(client.allocate({ transport: 0 })).answer?.code).toBe(442);
  });

  it('answers 420 to DONT-FRAGMENT, which it cannot honour, after the checks that come before', () => {
    const bench = new Bench();
    const client = bench.client();
    const more = [attribute(attributes.DONT_FRAGMENT.type)];
    expect(bench.send(client.allocate({ transport: 6 }, { more })).answer?.code).toBe(442);
    expect(bench.send(client.allocate({}, { more })).answer).toMatchObject({ code: 420, unknown: [0x001a] });
  });

  it('answers 400 to a RESERVATION-TOKEN beside anything that says where to allocate, 508 to any token alone', () => {
    const bench = new Bench();
    const client = bench.client();
    for (const other of [evenPort(false), requested(4), additional(6)]) {
      expect(bench.send(client.allocate({}, { more: [token, other] })).answer?.code).toBe(400);
    }
    expect(bench.send(client.allocate({}, { more: [token] })).answer?.code).toBe(508);
  });

  it('gives an even port when asked; reserving the next one does not go with two families (400)', () => {
    const bench = new Bench();
    for (let port = 1; port <= 20; port += 1) {
      const from = tuple(`198.51.100.7:${port}`);
      const { answer } = bench.send(
        bench.client('alice', 'secret', from).allocate({}, { more: [evenPort(false)] }),
        from,
      );
      expect((answer?.relayed?.port ?? 1) % 2).toBe(0);
    }
    const client = bench.client();
    expect(bench.send(client.allocate({}, { more: [evenPort(true), additional(6)] })).answer?.code).toBe(400);
  });

  it('relays in the family asked for, IPv4 when none is', () => {
    const bench = new Bench();
    const from = tuple('[2001:db8::7]:50000');
    expect(bench.send(bench.client('alice', 'secret', from).allocate(), from).answer?.relayed?.address).toBe(
      '192.0.2.1',
    );
    const { answer, commands } = bench.send(bench.client().allocate({ family: 6 }));
    expect(commands[0]).toMatchObject({ family: 6 });
    expect(answer?.relayed?.address).toBe('2001:db8:5::1');
  });

  it('answers 440 to a family it has not or nobody has, also when none is asked for and it has no IPv4', () => {
    const four = new Bench({ families: [4] });
    const six = new Bench({ families: [6] });
    const nobody = attribute(attributes.REQUESTED_ADDRESS_FAMILY.type, Uint8Array.of(9, 0, 0, 0));
    expect(four.send(four.client().allocate({ family: 6 })).answer?.code).toBe(440);
    expect(four.send(four.client().allocate({}, { more: [nobody] })).answer?.code).toBe(440);
    expect(six.send(six.client().allocate()).answer?.code).toBe(440);
    expect(six.send(six.client().allocate({ family: 6 })).answer?.messageClass).toBe('success');
  });

  it('answers 400 to both families\u2019 attributes at once and to ADDITIONAL-ADDRESS-FAMILY of IPv4', () => {
    const bench = new Bench();
    const client = bench.client();
    expect(bench.send(client.allocate({}, { more: [requested(4), additional(6)] })).answer?.code).toBe(400);
    expect(bench.send(client.allocate({}, { more: [additional(4)] })).answer?.code).toBe(400);
  });

  it('chooses ports over the whole range, unpredictably', () => {
    const bench = new Bench({ relayPorts: { first: 50_000, last: 50_009 } });
    const ports = new Set<number>();
    for (let port = 1; port <= 200; port += 1) {
      const from = tuple(`198.51.100.7:${port}`);
      ports.add(bench.send(bench.client('alice', 'secret', from).allocate(), from).answer?.relayed?.port ?? 0);
    }
    expect(ports).toEqual(new Set(Array.from({ length: 10 }, (_, index) => 50_000 + index)));
  });

  it('tries other ports when one is taken, sixteen in all, then answers 508 and forgets', () => {
    const bench = new Bench();
    bench.ports = 'exhausted';
    const client = bench.client();
    const { commands, answer } = bench.send(client.allocate());
    const ports = commands.flatMap((command) => (command.type === 'open' ? [command.port] : []));
    expect(ports).toHaveLength(16);
    expect(new Set(ports).size).toBeGreaterThan(10);
    expect(answer?.code).toBe(508);
    expect(client.verifies(answer!)).toBe(true);
    expect(bench.core.entries).toEqual(noEntries);
    bench.ports = 'open';
    expect(bench.send(client.allocate()).answer?.messageClass).toBe('success');
  });

  it('answers 486 beyond the credential\u2019s own number of allocations, those still opening included', () => {
    const bench = new Bench();
    bench.ports = 'wait';
    bench.accounts.set('alice', { passwords: ['secret'], limits: { allocations: 2 } });
    const codes = [1, 2, 3].map((port) => {
      const from = tuple(`198.51.100.7:${port}`);
      return bench.send(bench.client('alice', 'secret', from).allocate(), from).answer?.code;
    });
    expect(codes).toEqual([undefined, undefined, 486]);
    expect(bench.observed.at(-1)).toBe('allocation udp 486');
  });

  it('answers 486 beyond the quota of a user, which a new credential does not reset, and gives ended ones back', () => {
    const bench = new Bench({ allocationsPerUser: 1 });
    bench.accounts.set('first', { passwords: ['a'], customId: 'customer' });
    bench.accounts.set('second', { passwords: ['b'], customId: 'customer' });
    bench.accounts.set('other', { passwords: ['c'], customId: 'customer', app: 'another app' });
    const { client } = bench.allocated('first', tuple('198.51.100.7:1'));
    const [second, other] = [tuple('198.51.100.7:2'), tuple('198.51.100.7:3')];
    expect(bench.send(bench.client('second', 'b', second).allocate(), second).answer?.code).toBe(486);
    expect(bench.send(bench.client('other', 'c', other).allocate(), other).answer?.messageClass).toBe('success');
    bench.send(client.refresh(0), tuple('198.51.100.7:1'));
    expect(bench.send(bench.client('second', 'b', second).allocate(), second).answer?.messageClass).toBe('success');
  });

  it('answers 486 beyond the quota of an app, whoever its users are', () => {
    const bench = new Bench({ allocationsPerApp: 2 });
    bench.accounts.set('carol', { passwords: ['c'], app: 'another app' });
    bench.allocated('alice', tuple('198.51.100.7:1'));
    const { client } = bench.allocated('bob', tuple('198.51.100.7:2'));
    expect(bench.send(bench.client().allocate()).answer?.code).toBe(486);
    expect(bench.observed).toContain('limit app_allocations');
    bench.allocated('carol', tuple('198.51.100.7:3'));
    bench.send(client.refresh(0), tuple('198.51.100.7:2'));
    bench.allocated('alice', tuple('198.51.100.7:4'));
  });

  it('answers 486 beyond what one address may have, or one /64 of IPv6, whoever asks there', () => {
    const bench = new Bench({ allocationsPerSource: 2 });
    bench.allocated('alice', tuple('198.51.100.7:1'));
    const { client } = bench.allocated('bob', tuple('198.51.100.7:2', 'tcp'));
    expect(bench.send(bench.client().allocate()).answer?.code).toBe(486);
    expect(bench.observed).toContain('limit source_allocations');
    bench.allocated('alice', tuple('198.51.100.8:1'));
    bench.send(client.refresh(0), tuple('198.51.100.7:2', 'tcp'));
    bench.allocated('alice');
    bench.allocated('alice', tuple('[2001:db8::7]:1'));
    bench.allocated('alice', tuple('[2001:db8::8:9]:1'));
    const near = tuple('[2001:db8:0:0:ffff::1]:1');
    expect(bench.send(bench.client('alice', undefined, near).allocate(), near).answer?.code).toBe(486);
    bench.allocated('alice', tuple('[2001:db8:0:1::1]:1'));
  });

  describe('a byte quota', () => {
    const QUOTA = 1_000n;
    const withQuota = () => {
      const bench = new Bench();
      const expiresAt = bench.clock.now() + 3_600_000;
      bench.accounts.set('carol', { passwords: ['c'], limits: { bytes: QUOTA }, expiresAt });
      bench.confirmsCloses = false;
      return bench;
    };
    /** An allocation that begins on this port, sends so many bytes to its client and ends; gives what its `open` allowed. */
    const spend = (bench: Bench, port: number, bytes: bigint) => {
      const from = tuple(`198.51.100.7:${port}`);
      const client = bench.client('carol', undefined, from);
      const { commands, answer } = bench.send(client.allocate(), from);
      const open = commands.find((command) => command.type === 'open');
      if (open === undefined) return answer?.code;
      bench.send(client.refresh(0), from);
      const internet = { ...zeroCounters.classes.internet, clientTxBytes: bytes };
      const counters = { ...zeroCounters, classes: { ...zeroCounters.classes, internet } };
      bench.event({ type: 'closed', allocation: open.allocation, reason: 'refreshed_to_zero', counters });
      return open.limits.bytes;
    };

    it('is of the credential: an allocation gets what those before it left, and 486 when that is nothing', () => {
      const bench = withQuota();
      expect([spend(bench, 1, 400n), spend(bench, 2, 0n), spend(bench, 3, 600n)]).toEqual([1_000n, 600n, 600n]);
      expect(spend(bench, 4, 0n)).toBe(486);
      expect(bench.observed).toContain('limit credential_bytes');
      bench.allocated('alice', tuple('198.51.100.7:5'));
    });

    it('is remembered as long as the credential can start anything, and no longer', () => {
      const bench = withQuota();
      spend(bench, 1, 400n);
      bench.clock.advance(3_599_999);
      bench.expire();
      expect(spend(bench, 2, 0n)).toBe(600n);
      expect(bench.core.snapshot(bench.at()).spent).toEqual([['carol', '400', expect.any(Number)]]);
      bench.clock.advance(60_001);
      bench.expire();
      expect(bench.core.snapshot(bench.at()).spent).toEqual([]);
    });

    it('outlives the core that counted it', () => {
      const bench = withQuota();
      spend(bench, 1, 1_000n);
      const { nonceKey: _, ...options } = bench.options;
      const snapshot: unknown = JSON.parse(JSON.stringify(bench.core.snapshot(bench.at())));
      const heir = TurnCore.restore(options, snapshot, bench.at());
      expect(heir.snapshot(bench.at()).spent).toEqual([['carol', '1000', expect.any(Number)]]);
    });
  });

  it('answers 486 to an app that has carried what it may over all relays, for as long as that holds', () => {
    const capped = new Set(['sfu']);
    const bench = new Bench({ isCapped: (app) => capped.has(app) });
    bench.accounts.set('carol', { passwords: ['x'], app: 'sfu' });
    expect(bench.send(bench.client('carol').allocate()).answer?.code).toBe(486);
    expect(bench.observed).toContain('limit app_bytes');
    bench.allocated('alice', tuple('198.51.100.7:2'));
    capped.clear();
    bench.allocated('carol', tuple('198.51.100.7:3'));
  });

  it('says which quota it was', () => {
    const bench = new Bench({ allocationsPerUser: 1 });
    bench.accounts.set('bob', { passwords: ['hunter2'], limits: { allocations: 1 } });
    for (const [name, limit] of [
      ['alice', 'limit user_allocations'],
      ['bob', 'limit credential_allocations'],
    ] as const) {
      bench.allocated(name, tuple(`198.51.100.7:1${name.length}`));
      bench.send(bench.client(name, undefined, tuple('198.51.100.7:2')).allocate(), tuple('198.51.100.7:2'));
      expect(bench.observed).toContain(limit);
    }
  });

  it('answers 508 when the relay is full', () => {
    const bench = new Bench({ maxAllocations: 1 });
    bench.allocated('alice', tuple('198.51.100.7:1'));
    expect(bench.send(bench.client().allocate()).answer?.code).toBe(508);
    expect(bench.observed).toContain('limit relay_allocations');
  });

  it('puts SOFTWARE into success answers when it is configured', () => {
    const bench = new Bench({ software: 'Turnpike' });
    const { answer } = bench.send(bench.client().allocate());
    expect(Buffer.from(answer?.bytes ?? []).includes('Turnpike')).toBe(true);
  });

  it('takes the first of two REQUESTED-TRANSPORT', () => {
    const bench = new Bench();
    const client = bench.client();
    const bytes = client.request(methods.ALLOCATE.code, [requestedTransport(17), requestedTransport(6)]);
    expect(bench.send(bytes).answer?.messageClass).toBe('success');
  });

  it('refuses to start with a port range, realm, family or lifetime that makes no sense', () => {
    expect(() => new Bench({ relayPorts: { first: 0, last: 10 } })).toThrow(RangeError);
    expect(() => new Bench({ relayPorts: { first: 50_000, last: 50_000 } })).toThrow(RangeError);
    expect(() => new Bench({ realm: '' })).toThrow(RangeError);
    expect(() => new Bench({ families: [] })).toThrow(RangeError);
    expect(() => new Bench({ defaultLifetime: 7200 })).toThrow(RangeError);
  });
});
