import { beforeEach, describe, expect, it } from 'vitest';
import type { EgressReading } from '../../../collector/contract.ts';
import { PostedSources } from '../../../collector/sources/posted-sources.ts';
import { SourceMetrics } from '../../../collector/sources/source-metrics.ts';
import { ManualClock } from '../../../kernel/clock.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { systemSleep } from '../../../kernel/sleep.ts';

const SILENCE = 600_000;

describe('those who post', () => {
  let clock: ManualClock;
  let metrics: Metrics;
  let posted: PostedSources;
  beforeEach(() => {
    clock = new ManualClock(Date.UTC(2026, 10, 21));
    metrics = new Metrics();
    const shown = new SourceMetrics(metrics, clock);
    const known = new Set(['janus']);
    posted = new PostedSources({ clock, metrics: shown, log: silentLog, sleep: systemSleep, known });
    return () => posted.stop();
  });
  const reading = (object: string, final = false): EgressReading => ({
    server_id: 'sfu-1',
    boot_id: 'b',
    object_id: object,
    seq: 1,
    window_end: clock.now(),
    app_id: 'demo',
    custom_id: '',
    call_id: '',
    participant_id: '',
    egress_bytes: 1n,
    egress_packets: 0n,
    final,
  });
  const shown = async (name: 'turnpike_source_up' | 'turnpike_source_info' | 'turnpike_source_readings_total') =>
    (await metrics.registry.getSingleMetric(name)?.get())?.values ?? [];
  const up = async () =>
    Object.fromEntries((await shown('turnpike_source_up')).map((one) => [one.labels['source'], one.value]));

  it('are sources by their first post, whose own count is taken for exact', async () => {
    posted.heard('mediasoup', [reading('t-1'), reading('t-2')]);
    const labels = { source: 'mediasoup', kind: 'posted', grade: 'exact' };
    expect(await shown('turnpike_source_info')).toMatchObject([{ labels, value: 1 }]);
    expect(await shown('turnpike_source_readings_total')).toMatchObject([{ value: 2 }]);
    expect(await up()).toEqual({ mediasoup: 1 });
  });

  it('are missed for what they have not called final, each by itself', async () => {
    posted.heard('quiet', [reading('t-1')]);
    posted.heard('done', [reading('t-1')]);
    posted.heard('done', [reading('t-1', true)]);
    clock.advance(SILENCE + 1);
    posted.heard('busy', [reading('t-1')]);
    await posted.tick();
    expect(await up()).toEqual({ quiet: 0, done: 1, busy: 1 });
  });

  it('say nothing of how a source of the configuration is, under its name', async () => {
    posted.heard('janus', [reading('t-1')]);
    expect(await up()).toEqual({});
  });

  it('are shown under a hundred names at most', async () => {
    for (let index = 0; index < 150; index += 1) posted.heard(`source-${index}`, [reading('t-1', true)]);
    expect(await shown('turnpike_source_up')).toHaveLength(100);
  });
});
