import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { issueReportToken, verifyReportToken } from '../../kernel/report-token.ts';
import type { ReportClaims } from '../../kernel/report-token.ts';

const NOW = 1_795_000_000_000;
const claims: ReportClaims = {
  keyId: 'main',
  app: 'shop',
  call: 'call-1',
  participant: 'ann',
  customId: 'customer 7',
  maxConnections: 8,
  expiresAt: NOW / 1000 + 60,
};
const secretsOf = (keyId: string) =>
  keyId === 'main' ? { app: 'shop', secrets: ['new secret', 'old secret'] } : undefined;

describe('report tokens', () => {
  it('carry their claims from issuer to collector', () => {
    expect(verifyReportToken(issueReportToken(claims, 'new secret'), secretsOf, NOW)).toEqual(claims);
  });
  it('verify under every live secret of the key, and under no other', () => {
    expect(verifyReportToken(issueReportToken(claims, 'old secret'), secretsOf, NOW)).toEqual(claims);
    expect(verifyReportToken(issueReportToken(claims, 'gone secret'), secretsOf, NOW)).toBeUndefined();
  });
  it('end at their expiry', () => {
    const token = issueReportToken(claims, 'new secret');
    expect(verifyReportToken(token, secretsOf, claims.expiresAt * 1000 - 1)).toBeDefined();
    expect(verifyReportToken(token, secretsOf, claims.expiresAt * 1000)).toBeUndefined();
  });
  it('cannot name another app than their key’s', () => {
    expect(
      verifyReportToken(issueReportToken({ ...claims, app: 'bank' }, 'new secret'), secretsOf, NOW),
    ).toBeUndefined();
  });
  it('are refused when any one character is changed, cut or added', () => {
    const token = issueReportToken(claims, 'new secret');
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom('A', 'b', '.', '_', ''), (index, replacement) => {
        const forged = token.slice(0, index) + replacement + token.slice(index + 1);
        return forged === token || verifyReportToken(forged, secretsOf, NOW) === undefined;
      }),
    );
  });
  it('never make the check throw', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 2_000 }), (text) => verifyReportToken(text, secretsOf, NOW) === undefined),
    );
  });
});
