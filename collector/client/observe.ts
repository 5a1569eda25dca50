/** One observed RTCPeerConnection: sampler and listeners feed the batcher, the batcher feeds the transport. */
import type { ReportSample } from '../contract.ts';
import type { Observation, ObserveOptions, Quality, Reporting, ReportingError } from './api.ts';
import { createBatcher } from './batch.ts';
import type { BatchIdentity } from './batch.ts';
import { createClockOffset } from './clock-offset.ts';
import type { Environment } from './environment.ts';
import { watchConnection, watchSurroundings, watchTracks } from './events.ts';
import type { Happening } from './events.ts';
import { watchFirstFrame } from './first-frame.ts';
import type { MediaRequests } from './media.ts';
import { createQualityMonitor } from './quality.ts';
import { createSampler } from './sampler.ts';
import { createSettings } from './settings.ts';
import type { Settings } from './settings.ts';
import { createTransport } from './transport.ts';

export const SDK_NAME = 'turnpike-js/0.1.0';

/**
 * The first batch goes soon, so that a call shows up while it is young and the clock offset is known for the rest; and
 * the first interval goes as soon as it is there.
 */
const FIRST_BATCH_MS = 2_500;
const FIRST_INTERVAL_SAMPLES = 2;
const MAX_EVENT_MS = 86_400_000;
const MAX_NAME_BYTES = 64;

export function startObservation(
  pc: RTCPeerConnection,
  reporting: Reporting,
  options: ObserveOptions,
  environment: Environment,
  media?: MediaRequests,
): Observation {
  const since = environment.now();
  const listening = new AbortController();
  const { signal } = listening;
  let finished = false;
  let samples = 0;
  let asked = false;
  const report = guarded(options.onError);
  const settings = createSettings(options, environment.random());
  const monitor = createQualityMonitor();
  const tellQuality = guarded(options.onQuality);
  let quality: Quality | undefined;
  let cpu = 'nominal';
  const connection = environment.newId();
  const offset = createClockOffset();
  const batcher = createBatcher(identityOf(connection, options, report), () => offset.value());
  const transport = createTransport(environment, reporting, {
    timed: (sentAt, answeredAt, serverTime) => offset.learn(sentAt, answeredAt, serverTime),
    settings: (given) => settings.take(given),
    dropped(batches) {
      record({ type: 'reports_dropped', value: String(batches) });
      report({ kind: 'dropped', message: `The buffer was full: ${batches} batch(es) of reports were dropped.` });
    },
    error: report,
    unauthorised: finish,
    leaving: send,
  });

  function send(): void {
    const batch = batcher.cut();
    if (batch !== undefined) transport.enqueue(batch);
  }

  /**
   * Sends what there is, the very first time after an empty batch that brings back the time. Batches are sealed in their
   * turn, so all of them have the offset, however wrong this clock is and however long the network is away.
   */
  function seal(): void {
    // made and closed again, as libraries do to see what a browser can: nobody's call
    if (pc.localDescription === null && pc.remoteDescription === null) return;
    for (const event of media?.take() ?? []) batcher.addEvent(event);
    if (batcher.pending && !asked) {
      asked = true;
      transport.enqueue(batcher.ask());
    }
    send();
  }

  function record(event: Happening): void {
    const { ms, ...rest } = event;
    const bounded = ms === undefined ? {} : { ms: Math.min(MAX_EVENT_MS, Math.max(0, Math.round(ms * 10) / 10)) };
    batcher.addEvent({ t: Math.round(environment.now() * 10) / 10, ...rest, ...bounded });
    if (batcher.full) seal();
  }

  const tracks = watchTracks(pc, signal, record);
  const sampler = createSampler(pc, () => settings.interval(monitor.hasIssue), environment, {
    taken(sample) {
      if (finished) return;
      tracks.look();
      judge(sample);
      if (!settings.sampled()) return;
      batcher.addSample(reduced(sample, settings));
      samples += 1;
      if (samples === FIRST_INTERVAL_SAMPLES) nextBatch();
      else if (batcher.full) seal();
    },
    closed() {
      record({ type: 'connection_state', value: 'closed' });
      finish();
    },
  });
  watchConnection(pc, environment, since, signal, record);
  watchSurroundings(environment, signal, record, (state) => void (cpu = state));
  watchFirstFrame(pc, environment, options.video, signal, () =>
    record({ type: 'first_frame', value: 'video', ms: environment.now() - since }),
  );
  // the interval in which media starts begins here rather than at the next tick
  pc.addEventListener('connectionstatechange', () => void (pc.connectionState === 'connected' && sampler.sample()), {
    signal,
  });
  // hidden: send what there is while the page still runs; it may not live to hear what time it is
  const { page } = environment;
  page?.document.addEventListener('visibilitychange', () => void (page.hidden() && send()), { signal });

  function judge(sample: ReportSample): void {
    const verdict = monitor.see(sample, { state: pc.connectionState, hidden: page?.hidden() ?? false, cpu });
    if (verdict === undefined) return;
    quality = { connection, ...verdict };
    tellQuality(quality);
  }

  let cancelBatch = environment.after(FIRST_BATCH_MS, nextBatch);
  function nextBatch(): void {
    cancelBatch();
    seal();
    cancelBatch = environment.after(settings.upload(), nextBatch);
  }

  function finish(): void {
    if (finished) return;
    finished = true;
    listening.abort();
    sampler.stop();
    cancelBatch();
    seal();
    transport.close();
  }

  return {
    connection,
    get quality() {
      return quality;
    },
    async flush() {
      if (!finished) await sampler.sample();
      seal();
      return transport.drained();
    },
    async stop() {
      if (!finished) await sampler.sample();
      finish();
      return transport.drained();
    },
  };
}

/** Without the members that the collector does not want. */
function reduced(sample: ReportSample, settings: Settings): ReportSample {
  const stats = sample.stats.map((one) => {
    const kept = Object.entries(one).filter(([name]) => name === 'id' || name === 'type' || !settings.omits(name));
    return { ...Object.fromEntries(kept), id: one.id, type: one.type };
  });
  return { t: sample.t, stats };
}

/** A name that the collector would refuse must not cost the whole report. */
function identityOf(
  connection: string,
  options: ObserveOptions,
  report: (error: ReportingError) => void,
): BatchIdentity {
  const named = (['call', 'participant'] as const).flatMap((member) => {
    const name = options[member];
    if (name === undefined) return [];
    // eslint-disable-next-line no-control-regex
    const fits = new TextEncoder().encode(name).length <= MAX_NAME_BYTES && !/[\u0000-\u001f\u007f]/.test(name);
    if (fits) return [[member, name] as const];
    const message = `${member} must be at most ${MAX_NAME_BYTES} UTF-8 bytes without control characters; it is left out.`;
    report({ kind: 'invalid_option', message });
    return [];
  });
  return { connection, sdk: SDK_NAME, ...Object.fromEntries(named) };
}

/** The app's handler must not break the reporting, nor reporting the app. */
function guarded<T>(handler: ((told: T) => void) | undefined): (told: T) => void {
  return (told) => {
    try {
      handler?.(told);
    } catch {
      // the app's own fault, and not ours to raise here
    }
  };
}
