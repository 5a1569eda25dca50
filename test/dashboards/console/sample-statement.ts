import type { Statement } from '../../../billing/contract.ts';

/** This month's statement with so many bytes relayed and forwarded. */
export function sampleStatement(turnBytes: bigint, sfuBytes: bigint, cost = '0'): Statement {
  const line = (meter: 'turn' | 'sfu', bytes: bigint) => ({
    app: 'default',
    customId: '',
    meter,
    bytes: String(bytes),
    overlapBytes: '0',
    freeBytes: String(bytes),
    chargedBytes: '0',
    cost: '0',
  });
  const all = String(turnBytes + sfuBytes);
  return {
    period: { name: '2026-11', start: '2026-11-01T00:00:00.000Z', end: '2026-12-01T00:00:00.000Z' },
    asOf: '2026-11-21T10:00:00.000Z',
    app: null,
    rateCard: {
      id: 'cloudflare-realtime',
      provider: 'Cloudflare Realtime',
      currency: 'USD',
      gbBytes: '1000000000',
      source: 'https://developers.cloudflare.com/realtime/turn/',
      asOf: '2026-11-01',
    },
    allowance: { bytes: '1000000000000', usedBytes: all },
    lines: [line('turn', turnBytes), line('sfu', sfuBytes)],
    totals: { bytes: all, overlapBytes: '0', freeBytes: all, chargedBytes: '0', cost },
  };
}
