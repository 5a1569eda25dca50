import { describe, expect, it } from 'vitest';
import { RefusalBudget } from '../../../relay/turn/refusal-budget.ts';
import { endpoint, TurnClient } from '../turn-client.ts';
import { Bench, tuple } from './bench.ts';

const allowed = (budget: RefusalBudget, from: ReturnType<typeof tuple>, now = 0): number => {
  let count = 0;
  while (count < 100 && budget.take(from, now)) count += 1;
  return count;
};

describe('the budget of refusals', () => {
  it('is one for a /24 and for a /56, and another for their neighbours', () => {
    const budget = new RefusalBudget(2, 7);
    expect(allowed(budget, tuple('198.51.100.7:1'))).toBe(20);
    expect(allowed(budget, tuple('198.51.100.250:9'))).toBe(0);
    expect(allowed(budget, tuple('198.51.101.7:1'))).toBe(20);
    expect(allowed(budget, tuple('[2001:db8:0:aa01::1]:1'))).toBe(20);
    expect(allowed(budget, tuple('[2001:db8:0:aaff:1::]:1'))).toBe(0);
    expect(allowed(budget, tuple('[2001:db8:0:ab00::1]:1'))).toBe(20);
  });

  it('comes back with time', () => {
    const budget = new RefusalBudget(2, 7);
    expect(allowed(budget, tuple())).toBe(20);
    expect(allowed(budget, tuple(), 499)).toBe(0);
    expect(allowed(budget, tuple(), 500)).toBe(1);
    expect(allowed(budget, tuple(), 1_000_000)).toBe(20);
  });

  it('over UDP, where an address may be forged, takes nothing from TCP and TLS', () => {
    const budget = new RefusalBudget(2, 7);
    expect(allowed(budget, tuple())).toBe(20);
    expect(allowed(budget, tuple(undefined, 'tcp'))).toBe(20);
    expect(allowed(budget, tuple(undefined, 'tls'))).toBe(0);
  });

  it('spreads prefixes over its buckets', () => {
    const budget = new RefusalBudget(0.1, 7);
    let refused = 0;
    for (let prefix = 0; prefix < 4_096; prefix += 1) {
      if (!budget.take(tuple(`10.${prefix >> 8}.${prefix & 255}.1:1`), 0)) refused += 1;
    }
    // 4,096 balls in 16,384 urns leave about 477 that meet another.
    expect(refused).toBeGreaterThan(300);
    expect(refused).toBeLessThan(700);
  });
});

describe('a core with a budget of refusals', () => {
  it('falls silent towards a prefix that asks too often, counts it, and goes on serving who has credentials there', () => {
    const bench = new Bench({ refusalsPerSecond: 1 });
    const { client } = bench.allocated();
    const flood = Array.from({ length: 50 }, (_, port) => {
      return bench.send(new TurnClient('x', 'y').allocate(), tuple(`198.51.100.${port}:1`)).answer?.code;
    });
    expect(flood.filter((code) => code === 401)).toHaveLength(9);
    expect(bench.observed.filter((line) => line === 'allocate limited')).toHaveLength(41);
    expect(bench.observed.filter((line) => line === 'limit refusals')).toHaveLength(41);
    expect(bench.send(client.createPermission([endpoint('203.0.113.9:1')])).answer?.messageClass).toBe('success');
    const elsewhere = bench.send(new TurnClient('x', 'y').allocate(), tuple('203.0.113.1:1'));
    expect(elsewhere.answer?.code).toBe(401);
  });

  it('spends it on wrong passwords and forged nonces too, and nothing on Binding', () => {
    const bench = new Bench({ refusalsPerSecond: 1 });
    const client = bench.client('alice', 'guess');
    const codes = Array.from({ length: 20 }, () => bench.send(client.allocate()).answer?.code);
    expect(codes.filter((code) => code === 401)).toHaveLength(9);
    client.nonce = 'forged';
    expect(bench.send(client.allocate()).answer).toBeUndefined();
    expect(bench.send(client.binding()).answer?.messageClass).toBe('success');
    expect(bench.observed.filter((line) => line === 'auth integrity')).toHaveLength(20);
  });
});
