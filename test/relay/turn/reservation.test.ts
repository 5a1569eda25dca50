/** EVEN-PORT with its R bit, and the RESERVATION-TOKEN that it is answered with (RFC 8656 §7.2, §18.7, §18.9). */
import { describe, expect, it } from 'vitest';
import { attributes } from '../../../relay/stun/attributes.ts';
import { evenPort } from '../../../relay/stun/number-attributes.ts';
import type { Answer, TurnClient } from '../turn-client.ts';
import { attribute } from '../turn-client.ts';
import { Bench, effects, tuple } from './bench.ts';

const pair = { more: [evenPort(true)] };
const second = tuple('198.51.100.7:50001');
const withToken = (token: Uint8Array | undefined) => ({
  more: [attribute(attributes.RESERVATION_TOKEN.type, token)],
});

/** Alice's even port and her token for the next one. */
function reserved(bench: Bench, family: 4 | 6 = 4): { client: TurnClient; answer: Answer; token: Uint8Array } {
  const client = bench.client();
  const { answer } = bench.send(client.allocate({ family }, pair));
  if (answer?.token === undefined) throw new Error(`no token: ${answer?.code}`);
  return { client, answer, token: answer.token };
}

function redeem(bench: Bench, token: Uint8Array | undefined, username = 'alice', from = second) {
  return bench.send(bench.client(username, undefined, from).allocate({}, withToken(token)), from);
}

describe('a reserved port (RFC 8656 §7.2)', () => {
  it('is the one after an even port; the plane is told to hold it', () => {
    const bench = new Bench();
    const { commands, answer } = bench.send(bench.client().allocate({}, pair));
    expect(commands[0]).toMatchObject({ type: 'open', holdNext: 40_000 });
    expect((answer?.relayed?.port ?? 1) % 2).toBe(0);
    expect(answer?.token).toHaveLength(8);
  });

  it.each([4, 6] as const)('is given to whoever shows the token, in its own family: IPv%i', (family) => {
    const bench = new Bench();
    const { answer, token } = reserved(bench, family);
    const exchange = redeem(bench, token);
    const port = (answer.relayed?.port ?? 0) + 1;
    expect(exchange.commands[0]).toMatchObject({ type: 'open', port, isHeld: true, family });
    expect(exchange.answer).toMatchObject({ messageClass: 'success', relayed: { port }, token: undefined });
  });

  it('is given once', () => {
    const bench = new Bench();
    const { token } = reserved(bench);
    redeem(bench, token);
    expect(redeem(bench, token, 'alice', tuple('198.51.100.7:50002')).answer?.code).toBe(508);
  });

  it('is nobody else\u2019s, and the attempt does not use the token up', () => {
    const bench = new Bench();
    const { token } = reserved(bench);
    expect(redeem(bench, token, 'bob').answer?.code).toBe(508);
    expect(redeem(bench, token).answer?.messageClass).toBe('success');
  });

  it('is kept for 30 seconds and more after the answer, and then given up', () => {
    const bench = new Bench();
    const { token } = reserved(bench);
    bench.clock.advance(39_999);
    const early = redeem(bench, token);
    expect(early.answer?.messageClass).toBe('success');
    const again = new Bench();
    const late = reserved(again);
    again.clock.advance(40_000);
    expect(redeem(again, late.token).answer?.code).toBe(508);
  });

  it('is not to be guessed: another token is worth nothing (508)', () => {
    const bench = new Bench();
    const { token } = reserved(bench);
    const near = Uint8Array.from(token);
    near[7] = (near[7] ?? 0) ^ 1;
    expect(redeem(bench, near).answer?.code).toBe(508);
    expect(redeem(bench, new Uint8Array(8)).answer?.code).toBe(508);
  });

  it('outlives the allocation that it came with', () => {
    const bench = new Bench();
    const { client, token } = reserved(bench);
    bench.send(client.refresh(0));
    expect(redeem(bench, token).answer?.messageClass).toBe('success');
  });

  it('is answered 508 when the plane has it no more, without another being tried', () => {
    const bench = new Bench();
    const { token } = reserved(bench);
    bench.ports = 'exhausted';
    const exchange = redeem(bench, token);
    expect(exchange.answer?.code).toBe(508);
    expect(effects(exchange)).toHaveLength(1);
  });

  it('counts as an allocation of its user, its app, its source and this relay until it is used or lapses', () => {
    const bench = new Bench({ allocationsPerUser: 2 });
    const { token } = reserved(bench);
    const third = tuple('198.51.100.7:50002');
    const client = bench.client('alice', undefined, third);
    expect(bench.send(client.allocate(), third).answer?.code).toBe(486);
    expect(redeem(bench, token).answer?.messageClass).toBe('success');
    expect(bench.send(client.allocate(), third).answer?.code).toBe(486);
    const lapsing = new Bench({ allocationsPerApp: 2 });
    reserved(lapsing);
    const late = lapsing.client('bob', undefined, second);
    expect(lapsing.send(late.allocate(), second).answer?.code).toBe(486);
    lapsing.clock.advance(40_000);
    expect(lapsing.send(late.allocate(), second).answer?.messageClass).toBe('success');
    const near = new Bench({ allocationsPerSource: 2 });
    const promised = reserved(near);
    expect(near.send(near.client('bob', undefined, second).allocate(), second).answer?.code).toBe(486);
    expect(near.observed).toContain('limit source_allocations');
    expect(redeem(near, promised.token).answer?.messageClass).toBe('success');
  });

  it.each([{ allocationsPerUser: 1 }, { allocationsPerApp: 1 }, { allocationsPerSource: 1 }])(
    'needs room for two: %o',
    (quota) => {
      const bench = new Bench(quota);
      expect(bench.send(bench.client().allocate({}, pair)).answer?.code).toBe(486);
      expect(bench.send(bench.client().allocate()).answer?.messageClass).toBe('success');
    },
  );

  it('is looked for at another even port when the plane could not have both', () => {
    const bench = new Bench({ openAttempts: 3 });
    bench.ports = 'wait';
    bench.send(bench.client().allocate({}, pair));
    const [first] = bench.waiting.splice(0);
    bench.event({ type: 'exhausted', allocation: first?.allocation ?? '' });
    bench.ports = 'open';
    expect(bench.waiting[0]).toMatchObject({ holdNext: 40_000 });
    expect(bench.settleOpens().answer?.token).toHaveLength(8);
  });

  it('leaves no reservation behind when no pair can be had (508)', () => {
    const bench = new Bench({ openAttempts: 2, allocationsPerUser: 2 });
    bench.ports = 'exhausted';
    expect(bench.send(bench.client().allocate({}, pair)).answer?.code).toBe(508);
    bench.ports = 'open';
    expect(bench.send(bench.client().allocate({}, pair)).answer?.messageClass).toBe('success');
  });

  it('never lies outside the configured range', () => {
    const bench = new Bench({ relayPorts: { first: 50_001, last: 50_004 } });
    for (let index = 0; index < 30; index += 1) {
      const from = tuple(`198.51.100.7:${1000 + index}`);
      const { answer } = bench.send(bench.client('alice', undefined, from).allocate({}, pair), from);
      expect(answer?.relayed?.port).toBe(50_002);
    }
  });
});
