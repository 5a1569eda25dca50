/** Set-up and first picture of a connection whose recorder tells neither. */
import { describe, expect, it } from 'vitest';
import type { ReportEvent, RtcStats } from '../../../collector/contract.ts';
import { Milestones } from '../../../collector/intake/milestones.ts';

const BEGUN = 1_000_000;

describe('the milestones of a connection', () => {
  const state = (ms: number, value: string, type = 'connection_state'): ReportEvent => ({ t: BEGUN + ms, type, value });
  const video = (framesDecoded: number, totalInterFrameDelay?: number): RtcStats => ({
    id: 'IT1',
    type: 'inbound-rtp',
    kind: 'video',
    framesDecoded,
    ...(totalInterFrameDelay === undefined ? {} : { totalInterFrameDelay }),
  });
  /** What follows from these, in their order. */
  const told = (...happened: (ReportEvent | { readonly ms: number; readonly stats: RtcStats[] })[]) => {
    const milestones = new Milestones(BEGUN);
    return happened
      .flatMap((one) =>
        'stats' in one ? milestones.afterSample({ t: BEGUN + one.ms, stats: one.stats }) : milestones.afterEvent(one),
      )
      .map(({ type, value, ms, t }) => [type, value, ms, t - BEGUN]);
  };
  const track: ReportEvent = { t: BEGUN + 5, type: 'track', value: 'video', detail: { side: 'remote' } };

  it('are the first of connected and failed, once', () => {
    expect(told(state(10, 'connecting'), state(310, 'connected'), state(900, 'failed'))).toEqual([
      ['setup', 'connected', 310, 310],
    ]);
    expect(told(state(10, 'connecting'), state(15_000, 'failed'), state(16_000, 'connected'))).toEqual([
      ['setup', 'failed', 15_000, 15_000],
    ]);
  });

  it('are not told of a connection that was up before, or that nobody waited for', () => {
    expect(told(state(0, 'connected'), { ms: 900, stats: [video(1)] })).toEqual([]);
    expect(told(state(50, 'disconnected'), state(60, 'connected'))).toEqual([]);
    expect(told(state(10, 'connecting'), state(50, 'closed'))).toEqual([]);
    expect(
      told({ ms: 900, stats: [video(900)] }, state(1_000, 'connected'), { ms: 1_900, stats: [video(930)] }),
    ).toEqual([['setup', 'connected', 1_000, 1_000]]);
  });

  it('follow from ICE where the recorder knew no other state', () => {
    const sample = { ms: 1_000, stats: [] };
    expect(told(state(10, 'checking', 'ice_state'), state(200, 'completed', 'ice_state'), sample)).toEqual([
      ['setup', 'connected', 200, 200],
    ]);
    expect(
      told(state(10, 'checking', 'ice_state'), state(30_000, 'failed', 'ice_state'), { ...sample, ms: 31_000 }),
    ).toEqual([['setup', 'failed', 30_000, 30_000]]);
    const both = [state(5, 'connecting'), state(200, 'connected', 'ice_state'), sample, state(1_500, 'failed')];
    expect(told(...both)).toEqual([['setup', 'failed', 1_500, 1_500]]);
  });

  it('have the first picture where the time between frames says that it was, after the connection and the last sample without', () => {
    const up = [state(10, 'connecting'), state(310, 'connected')];
    const frame = (...samples: { readonly ms: number; readonly stats: RtcStats[] }[]) =>
      told(...up, ...samples).slice(1);
    expect(frame({ ms: 1_000, stats: [video(11, 0.5)] })).toEqual([['first_frame', 'video', 500, 500]]);
    expect(frame({ ms: 1_000, stats: [video(11)] })).toEqual([['first_frame', 'video', 1_000, 1_000]]);
    expect(frame({ ms: 1_000, stats: [video(11, 5)] })).toEqual([['first_frame', 'video', 310, 310]]);
    expect(frame({ ms: 1_000, stats: [video(0)] }, { ms: 2_000, stats: [video(11, 1e300)] })).toEqual([
      ['first_frame', 'video', 1_000, 1_000],
    ]);
    expect(frame({ ms: 1_000, stats: [video(11, 0.5)] }, { ms: 2_000, stats: [video(31, 1.5)] })).toHaveLength(1);
  });

  it('have no picture that came as late as the SDK would not have waited for, counted from when it was promised', () => {
    const up = [track, state(10, 'connecting'), state(310, 'connected')];
    const late = [
      { ms: 59_000, stats: [video(0)] },
      { ms: 60_000, stats: [video(3, 0.1)] },
    ];
    expect(told(...up, ...late)).toEqual([['setup', 'connected', 310, 310]]);
    const promised = { ...track, t: BEGUN + 58_000 };
    expect(told(state(10, 'connecting'), state(310, 'connected'), promised, ...late).slice(1)).toEqual([
      ['first_frame', 'video', 59_900, 59_900],
    ]);
  });
});
