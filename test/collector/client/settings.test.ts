import { describe, expect, it } from 'vitest';
import { createSettings } from '../../../collector/client/settings.ts';
import type { ClientSettings } from '../../../collector/contract.ts';

describe('settings', () => {
  it('are two seconds, one while there is an issue, five between reports, before the collector says anything', () => {
    const settings = createSettings({}, 0.5);
    expect([settings.interval(false), settings.interval(true), settings.upload(), settings.sampled()]).toEqual([
      2_000,
      1_000,
      5_000,
      true,
    ]);
    expect(settings.omits('jitter')).toBe(false);
  });

  it('follow the collector, answer by answer', () => {
    const settings = createSettings({}, 0.5);
    settings.take({ intervalMs: 4_000, uploadMs: 10_000, sampledShare: 0.5, omittedMembers: ['jitter'] });
    expect([settings.interval(false), settings.upload(), settings.sampled()]).toEqual([4_000, 10_000, false]);
    expect(settings.omits('jitter')).toBe(true);
    settings.take({ sampledShare: 0.51, omittedMembers: [] });
    expect([settings.interval(false), settings.sampled(), settings.omits('jitter')]).toEqual([4_000, true, false]);
  });

  it('leave the app its own interval', () => {
    const settings = createSettings({ interval: 700 }, 0);
    settings.take({ intervalMs: 9_000, issueIntervalMs: 800 });
    expect([settings.interval(false), settings.interval(true)]).toEqual([700, 700]);
  });

  it.each([
    [1, 500],
    [1e9, 60_000],
    [Number.NaN, 2_000],
  ])('take an interval of %s for %s', (interval, used) => {
    expect(createSettings({ interval }, 0).interval(false)).toBe(used);
  });

  it('are not changed by what is none', () => {
    const settings = createSettings({}, 0);
    settings.take({
      intervalMs: 'soon',
      uploadMs: null,
      sampledShare: {},
      omittedMembers: 'all',
    } as unknown as ClientSettings);
    expect([settings.interval(false), settings.upload(), settings.sampled()]).toEqual([2_000, 5_000, true]);
  });
});
