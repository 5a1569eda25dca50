import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadRateCard, parseRateCard, rateCardIds } from '../../../billing/egress/rate-card.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';

const text = (change: object = {}) =>
  JSON.stringify({ ...loadRateCard('cloudflare-realtime'), gbBytes: '1000000000', ...change });
const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return error instanceof TurnpikeError ? `${error.code} ${error.issues.map(({ path }) => path).join(' ')}` : 'other';
  }
  return 'accepted';
};

describe('rate cards', () => {
  it('that come with Turnpike are all valid', () => {
    expect(rateCardIds()).toContain('cloudflare-realtime');
    for (const id of rateCardIds()) expect(loadRateCard(id).id).toBe(id);
  });
  it('hold Cloudflare’s published terms: 1,000 GB of 10^9 free in one pool, then $0.05 per GB', () => {
    expect(loadRateCard('cloudflare-realtime')).toMatchObject({
      gbBytes: 1_000_000_000n,
      allowanceGb: '1000',
      pool: ['turn', 'sfu'],
      tiers: [{ upToGb: null, pricePerGb: '0.05' }],
      overlap: 'charge_once',
    });
  });
  it('are looked up by name only: a path is not a name', () => {
    for (const id of ['none', '../rate-cards/cloudflare-realtime', 'cloudflare-realtime.json', '']) {
      expect(codeOf(() => loadRateCard(id))).toBe('TP_BILLING_RATE_CARD ');
    }
  });
  it('are refused with every fault, when unknown members, bad prices or no tiers are in them', () => {
    expect(codeOf(() => parseRateCard('{'))).toBe('TP_BILLING_RATE_CARD_INVALID (file)');
    expect(codeOf(() => parseRateCard(text({ currency: 'usd', asOf: 'yesterday', tiers: [] })))).toBe(
      'TP_BILLING_RATE_CARD_INVALID currency asOf tiers',
    );
    expect(codeOf(() => parseRateCard(text({ tiers: [{ upToGb: null, pricePerGb: 0.05 }] })))).toBe(
      'TP_BILLING_RATE_CARD_INVALID tiers.0.pricePerGb',
    );
    expect(codeOf(() => parseRateCard(text({ discount: '1' })))).toBe('TP_BILLING_RATE_CARD_INVALID ');
  });
  it('must have rising tiers, of which the last is open', () => {
    const tiers = (...limits: (string | null)[]) =>
      text({ tiers: limits.map((upToGb) => ({ upToGb, pricePerGb: '1' })) });
    expect(codeOf(() => parseRateCard(tiers('10', '20', null)))).toBe('accepted');
    expect(codeOf(() => parseRateCard(tiers('10', '10', null)))).toBe('TP_BILLING_RATE_CARD_INVALID tiers.1.upToGb');
    expect(codeOf(() => parseRateCard(tiers(null, null)))).toBe('TP_BILLING_RATE_CARD_INVALID tiers.0.upToGb');
    expect(codeOf(() => parseRateCard(tiers('10')))).toBe('TP_BILLING_RATE_CARD_INVALID tiers.0.upToGb');
  });
  it('must be called what their file is called', () => {
    const directory = mkdtempSync(join(tmpdir(), 'rate-cards-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    writeFileSync(join(directory, 'other.json'), text());
    expect(codeOf(() => loadRateCard('other', pathToFileURL(`${directory}/`)))).toBe('TP_BILLING_RATE_CARD_INVALID id');
  });
});
