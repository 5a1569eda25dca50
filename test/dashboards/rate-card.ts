/** The card that golden files and queries are made with: 1,000 GB free, 0.05 a GB, SFU and TURN in one pool. */
import { rateCard as schema } from '../../billing/contract.ts';

export const rateCard = schema.parse({
  id: 'cloudflare-realtime',
  provider: 'Cloudflare',
  currency: 'USD',
  source: 'https://developers.cloudflare.com/realtime/turn/',
  asOf: '2026-11-01',
  gbBytes: '1000000000',
  pool: ['turn', 'sfu'],
  allowanceGb: '1000',
  tiers: [{ upToGb: null, pricePerGb: '0.05' }],
  overlap: 'charge_once',
});
