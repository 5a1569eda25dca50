import { describe, expect, it } from 'vitest';
import { limitsQuestion, readLimits, readUsage, usageQuestion } from '../../../collector/sources/cloudflare-usage.ts';
import { ACCOUNT, fault } from './fake-cloudflare.ts';

const window = { start: Date.UTC(2026, 10, 20, 12), end: Date.UTC(2026, 10, 20, 12, 15) };

const answer = (account: unknown) => ({ data: { viewer: { accounts: [account] } }, errors: null });
const group = (keyId: string, customIdentifier: string, egressBytes: unknown) => ({
  dimensions: { keyId, customIdentifier },
  sum: { egressBytes },
});
const usage = (groups: unknown, total: unknown = 0) => answer({ total: [{ sum: { egressBytes: total } }], groups });

describe('a question to Cloudflare', () => {
  it('is for a half-open window, in whole seconds, of one account', () => {
    const { query, variables } = usageQuestion({
      dataset: 'turn',
      account: ACCOUNT,
      owner: undefined,
      window,
      pageSize: 10_000,
    });
    expect(query).toBe(`query Usage($account: string!, $start: Time!, $end: Time!) {
  viewer { accounts(filter: { accountTag: $account }) {
    total: callsTurnUsageAdaptiveGroups(limit: 1, filter: { datetime_geq: $start, datetime_lt: $end }) { sum { egressBytes } }
    groups: callsTurnUsageAdaptiveGroups(limit: 10000, filter: { datetime_geq: $start, datetime_lt: $end }, orderBy: [sum_egressBytes_DESC]) {
      dimensions { keyId customIdentifier }
      sum { egressBytes }
    }
  } }
}`);
    expect(variables).toEqual({ account: ACCOUNT, start: '2026-11-20T12:00:00Z', end: '2026-11-20T12:15:00Z' });
  });

  it('may be of one SFU app alone', () => {
    const { query, variables } = usageQuestion({
      dataset: 'sfu',
      account: ACCOUNT,
      owner: 'an-app',
      window,
      pageSize: 50,
    });
    expect(query.match(/filter: \{ datetime_geq: \$start, datetime_lt: \$end, appId: \$owner \}/g)).toHaveLength(2);
    expect(query).toContain('dimensions { appId sessionId }');
    expect(variables).toMatchObject({ owner: 'an-app' });
  });

  it('never has anything of the configuration in its text', () => {
    const owner = 'x") { evil }';
    expect(usageQuestion({ dataset: 'turn', account: 'y"', owner, window, pageSize: 1 }).query).not.toMatch(/evil|y"/);
    expect(limitsQuestion('sfu', 'y"').query).not.toContain('y"');
  });
});

describe('an answer of Cloudflare', () => {
  it('tells each customer of each key, and those without a name as one without', () => {
    const told = usage(
      [group('k1', 'alice', 207_314_144), group('k1', '', 42), group('k2', 'alice', '7')],
      207_314_193,
    );
    expect(readUsage('turn', told)).toEqual({
      parties: [
        { owner: 'k1', party: 'alice', bytes: 207_314_144n },
        { owner: 'k1', party: '', bytes: 42n },
        { owner: 'k2', party: 'alice', bytes: 7n },
      ],
      restBytes: 0n,
    });
  });

  it('tells as a rest what its sum has beyond its groups', () => {
    expect(readUsage('turn', usage([group('k', 'a', 100)], 130)).restBytes).toBe(30n);
  });

  it('keeps its groups where they are more than the sum, as two samples may differ', () => {
    const { parties, restBytes } = readUsage('turn', usage([group('k', 'a', 100)], 90));
    expect([parties[0]?.bytes, restBytes]).toEqual([100n, 0n]);
  });

  it('without groups is a time without traffic', () => {
    expect(readUsage('sfu', answer({ total: [], groups: [] }))).toEqual({ parties: [], restBytes: 0n });
  });

  it.each([
    ['an error', fault('not authorized for that account'), 'not authorized for that account'],
    ['an error beside data', { ...usage([]), errors: [{ message: 'timeout' }] }, 'timeout'],
    ['an error that would write into our log', fault('a\nb\u001b[31m'), 'a?b?[31m'],
    ['no account', { data: { viewer: { accounts: [] } }, errors: null }, 'of 0 accounts'],
    ['two accounts', { data: { viewer: { accounts: [{}, {}] } } }, 'of 2 accounts'],
    ['no data', { data: null, errors: null }, 'of 0 accounts'],
    ['a sum alone', answer({ total: [{ sum: { egressBytes: 1 } }] }), 'groups'],
    ['groups alone', answer({ groups: [] }), 'total'],
    ['two sums', answer({ total: [{ sum: { egressBytes: 1 } }, { sum: { egressBytes: 1 } }], groups: [] }), 'total'],
    ['one party twice', usage([group('k', 'a', 1), group('k', 'a', 2)], 3), 'one party twice'],
    ['a negative sum', usage([group('k', 'a', -1)]), 'egressBytes'],
    ['a broken sum', usage([group('k', 'a', 0.5)]), 'egressBytes'],
    ['a sum beyond all reason', usage([group('k', 'a', 1e308)]), 'egressBytes'],
    ['a sum that is missing', usage([group('k', 'a', null)]), 'egressBytes'],
    [
      'dimensions of another dataset',
      usage([{ dimensions: { appId: 'a', sessionId: 's' }, sum: { egressBytes: 1 } }]),
      'dimensions',
    ],
    ['no object', 'Bad Gateway', 'none of GraphQL'],
  ])('that is %s is never taken for a time without traffic', (_, told, message) => {
    expect(() => readUsage('turn', told)).toThrow(message);
  });

  it('has more bytes than a 32-bit number, exactly', () => {
    expect(readUsage('turn', usage([group('k', 'a', 160_040_068_147)], 160_040_068_147)).parties[0]?.bytes).toBe(
      160_040_068_147n,
    );
  });
});

describe('the limits of a dataset', () => {
  const settings = { enabled: true, maxDuration: 2_764_800, notOlderThan: 8_000_000, maxPageSize: 50_000 };

  it('are read from the account, in seconds', () => {
    expect(readLimits('sfu', answer({ settings: { callsUsageAdaptiveGroups: settings } }))).toEqual({
      maxDuration: 2_764_800_000,
      notOlderThan: 8_000_000_000,
      maxPageSize: 10_000,
    });
  });

  it('are an error where the account may not read it, or does not say', () => {
    const disabled = { settings: { callsUsageAdaptiveGroups: { ...settings, enabled: false } } };
    expect(() => readLimits('sfu', answer(disabled))).toThrow('may not read callsUsageAdaptiveGroups');
    expect(() => readLimits('turn', answer({ settings: {} }))).toThrow('settings');
  });
});
