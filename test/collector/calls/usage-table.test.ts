import { describe, expect, it } from 'vitest';
import { renderUsage } from '../../../collector/calls/usage-table.ts';
import type { UsageAnswer } from '../../../collector/contract.ts';

const november = { from: '2026-11-01T00:00:00.000Z', to: '2026-12-01T00:00:00.000Z' };

describe('usage as a table', () => {
  it('says of each line how it is known, shows what is nobody’s, and sums to the byte', () => {
    const answer: UsageAnswer = {
      ...november,
      group: 'call',
      usage: [
        { app: 'shop', key: '', turnBytes: '0', sfuBytes: '150000', grade: 'residual', source: 'lk' },
        {
          app: 'shop',
          key: 'retro',
          turnBytes: '0',
          sfuBytes: '25000',
          grade: 'split_by_clients',
          source: 'lk',
          claimedBytes: '50000',
          scaled: true,
        },
        { app: 'shop', key: 'standup', turnBytes: '18446744073709551615', sfuBytes: '0', grade: 'metered' },
        {
          app: 'shop',
          key: 'standup',
          turnBytes: '0',
          sfuBytes: '300000',
          grade: 'split_by_clients',
          source: 'lk',
          claimedBytes: '300000',
          scaled: false,
        },
      ],
    };
    expect(renderUsage(answer)).toBe(`Bytes sent to clients: 2026-11-01 00:00 to 2026-12-01 00:00 UTC

App    Call                     TURN bytes  SFU bytes  How                                 Source
-----  -------  --------------------------  ---------  ----------------------------------  ------
shop   -                                 0    150,000  residual                            lk
shop   retro                             0     25,000  split by clients, who claim 50,000  lk
shop   standup  18,446,744,073,709,551,615          0  metered                             -
shop   standup                           0    300,000  split by clients                    lk
-----  -------  --------------------------  ---------  ----------------------------------  ------
Total           18,446,744,073,709,551,615    475,000
`);
  });

  it('has no column for a key that all lines lack', () => {
    const line = { app: 'shop', key: '', turnBytes: '1', sfuBytes: '2', grade: 'metered' } as const;
    const text = renderUsage({ ...november, group: 'app', usage: [line] });
    expect(text).toContain('App    TURN bytes  SFU bytes  How      Source');
    expect(renderUsage({ ...november, group: 'customer', usage: [line] })).toContain('App    Customer  TURN bytes');
  });
});
