import { beforeEach, describe, expect, it } from 'vitest';
import type { Observation, ObserveOptions, ReportingError } from '../../../collector/client/api.ts';
import { startObservation } from '../../../collector/client/observe.ts';
import type { Report } from '../../../collector/contract.ts';
import { FakeBrowser, FakePeerConnection, FakeTrack, reporting, settled } from './fake-browser.ts';
import { reportIn } from './sent-report.ts';

let browser: FakeBrowser;
let pc: FakePeerConnection;
let observation: Observation;
let errors: ReportingError[];

function start(options: ObserveOptions = {}): void {
  observation = startObservation(
    pc.asConnection(),
    reporting,
    { onError: (error) => errors.push(error), ...options },
    browser,
  );
}

/** Every request's body, checked against the collector's own schema. */
const everything = (): Report[] => browser.requests.map(({ body }) => reportIn(body));
/** Those that report anything: the first of all only asks for the time. */
const reports = (): Report[] => everything().filter(({ samples, events }) => samples.length + events.length > 0);
const events = () => reports().flatMap(({ events }) => events);
const eventsOf = (type: string) => events().filter((event) => event.type === type);

function grow(): void {
  pc.stats = [
    { id: 'in', type: 'inbound-rtp', kind: 'audio', ssrc: 1, packetsReceived: Math.floor(browser.time / 20) },
  ];
}

beforeEach(() => {
  browser = new FakeBrowser();
  pc = new FakePeerConnection();
  errors = [];
  grow();
});

describe('observe', () => {
  it('samples every two seconds and sends the first batch within three, then one every five', async () => {
    browser.storeEverything();
    start();
    await browser.advance(3_000);
    expect(reports().map(({ samples }) => samples.length)).toEqual([1]);
    await browser.advance(10_000);
    expect(reports().map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(pc.getStatsCalls).toBe(6);
  });

  it('sends the first interval as soon as there is one, and counts five seconds from there', async () => {
    const times: number[] = [];
    browser.auto = (request) => {
      times.push(browser.time);
      request.answer(200);
    };
    const begun = browser.time;
    start();
    await browser.advance(15_000);
    expect(times.map((time) => time - begun)).toEqual([2_500, 2_500, 4_000, 9_000, 14_000]);
    expect(reports().map(({ samples }) => samples.length)).toEqual([1, 2, 3, 3]);
  });

  it('begins each batch with the last sample of the one before', async () => {
    browser.storeEverything();
    start();
    for (let second = 0; second < 25; second += 1) {
      await browser.advance(1_000);
      grow();
    }
    const sent = reports();
    expect(sent.length).toBeGreaterThan(3);
    const lasts = sent.slice(0, -1).map(({ samples }) => samples.at(-1));
    expect(sent.slice(1).map(({ samples }) => samples[0])).toEqual(lasts);
    expect(Math.min(...sent.slice(1).map(({ samples }) => samples.length))).toBeGreaterThan(1);
  });

  it('numbers batches without a gap and names connection, call, participant and itself', async () => {
    browser.storeEverything();
    start({ call: 'standup', participant: 'ada' });
    await browser.advance(20_000);
    const sent = everything();
    expect(sent.map(({ seq }) => seq)).toEqual(sent.map((_, index) => index));
    for (const { connection, call, participant, sdk } of sent) {
      expect({ connection, call, participant }).toEqual({
        connection: 'fake-connection-0001',
        call: 'standup',
        participant: 'ada',
      });
      expect(sdk).toMatch(/^turnpike-js\//);
    }
  });

  it('leaves out a name that the collector would refuse, and says so', async () => {
    browser.storeEverything();
    start({ call: 'é'.repeat(33), participant: 'ada' });
    await browser.advance(3_000);
    expect(reports()[0]).not.toHaveProperty('call');
    expect(errors.map(({ kind }) => kind)).toEqual(['invalid_option']);
  });

  it('asks for the time before it reports anything, so that every batch has the clock offset', async () => {
    start();
    await browser.advance(2_500);
    expect(everything()).toMatchObject([{ seq: 0, offset: null, samples: [], events: [] }]);
    browser.requests[0]!.fail();
    await browser.advance(10_000);
    expect(reports()).toEqual([]);
    browser.requests.at(-1)!.answer(200, { serverTime: browser.time + 60_000 });
    await settled();
    expect(reports()).toMatchObject([{ seq: 1 }]);
    expect(reports()[0]!.offset).toBeGreaterThan(50_000);
  });

  it('fixes the clock offset into a batch when it is first sent: a retry is byte-identical though more was learnt', async () => {
    start();
    await browser.advance(2_500);
    browser.requests[0]!.answer(200, { serverTime: browser.time + 60_000 });
    await settled();
    browser.requests[1]!.answer(503, { serverTime: browser.time + 99_000 });
    await browser.advance(500);
    browser.requests[2]!.answer(200, { serverTime: browser.time + 99_000 });
    await browser.advance(5_000);
    const [, first, again, second] = browser.requests.map(({ body }) => body);
    expect(reportIn(first!).offset).toBe(60_000);
    expect(again).toBe(first);
    expect(reportIn(second!).offset).toBe(99_000);
  });

  it('sends nothing while there is nothing to say', async () => {
    browser.storeEverything();
    pc.stats = [];
    start();
    await browser.advance(30_000);
    expect(browser.requests).toEqual([]);
  });

  it('takes a sample at the moment of connection, and counts the interval from there', async () => {
    browser.storeEverything();
    pc.stats = [];
    start();
    await browser.advance(700);
    grow();
    pc.become('connected');
    await browser.advance(2_000);
    await browser.advance(5_000);
    const times = reports()
      .flatMap(({ samples }) => samples)
      .map(({ t }) => t - (browser.time - 7_700));
    expect([...new Set(times)]).toEqual([700, 2_700, 4_700, 6_700]);
  });

  it('tells how long set-up took, once', async () => {
    browser.storeEverything();
    start();
    await browser.advance(420);
    pc.become('connected');
    pc.become('disconnected');
    pc.become('connected');
    await browser.advance(5_000);
    expect(eventsOf('setup')).toEqual([expect.objectContaining({ value: 'connected', ms: 420 })]);
    expect(eventsOf('connection_state').map(({ value }) => value)).toEqual(['connected', 'disconnected', 'connected']);
  });

  it('tells that set-up failed', async () => {
    browser.storeEverything();
    start();
    await browser.advance(1_500);
    pc.become('failed');
    await browser.advance(5_000);
    expect(eventsOf('setup')).toEqual([expect.objectContaining({ value: 'failed', ms: 1_500 })]);
  });

  it('finds the first decoded frame within 100 ms of it', async () => {
    browser.storeEverything();
    start();
    let framesDecoded = 0;
    pc.receive(new FakeTrack('video'), () => [{ id: 'v', type: 'inbound-rtp', framesDecoded }]);
    await browser.advance(300);
    pc.become('connected');
    await browser.advance(430);
    framesDecoded = 1;
    await browser.advance(5_000);
    expect(eventsOf('first_frame')).toEqual([expect.objectContaining({ value: 'video', ms: 800 })]);
  });

  it('looks for a first frame for 30 s and no longer', async () => {
    browser.storeEverything();
    start();
    let polls = 0;
    pc.receive(new FakeTrack('video'), () => {
      polls += 1;
      return [{ id: 'v', type: 'inbound-rtp', framesDecoded: 0 }];
    });
    pc.become('connected');
    await browser.advance(120_000);
    expect(polls).toBe(301);
    expect(eventsOf('first_frame')).toEqual([]);
  });

  it('dates the first frame by the element where one is given', async () => {
    browser.storeEverything();
    let presented = () => undefined as void;
    const video = {
      requestVideoFrameCallback: (callback: () => void) => {
        presented = callback;
        return 1;
      },
    } as unknown as HTMLVideoElement;
    start({ video });
    await browser.advance(333);
    presented();
    await browser.advance(5_000);
    expect(eventsOf('first_frame')).toEqual([expect.objectContaining({ ms: 333 })]);
  });

  it('reports candidate errors by code and host, without the local address', async () => {
    browser.storeEverything();
    start();
    pc.dispatchEvent(
      Object.assign(new Event('icecandidateerror'), {
        errorCode: 401,
        errorText: 'Unauthorized',
        url: 'turn:relay.example:3478?transport=udp',
        address: '10.0.0.4',
        port: 50_000,
      }),
    );
    await browser.advance(3_000);
    expect(eventsOf('candidate_error')).toEqual([
      expect.objectContaining({
        value: '401',
        detail: { scheme: 'turn', host: 'relay.example:3478', transport: 'udp', text: 'Unauthorized' },
      }),
    ]);
    expect(browser.requests.at(-1)!.body).toContain('relay.example');
    expect(browser.requests.at(-1)!.body).not.toContain('10.0.0.4');
  });

  it('follows tracks of both sides: arrival, mute, end, and disabling, which fires no event', async () => {
    browser.storeEverything();
    const microphone = new FakeTrack('audio');
    pc.senders = [microphone];
    start();
    const camera = new FakeTrack('video');
    pc.receive(camera, () => []);
    camera.dispatchEvent(new Event('mute'));
    camera.dispatchEvent(new Event('ended'));
    microphone.enabled = false;
    await browser.advance(3_000);
    const seen = events()
      .filter(({ type }) => type.startsWith('track'))
      .map(({ type, value, detail }) => `${type} ${value} ${String(detail?.['side'])}`);
    expect(seen).toEqual([
      'track audio local',
      'track video remote',
      'track_muted video remote',
      'track_ended video remote',
      'track_disabled audio local',
    ]);
  });

  it('reports states of ICE, gathering and signalling, negotiation, devices and the page', async () => {
    browser.storeEverything();
    start();
    pc.iceConnectionState = 'checking';
    pc.dispatchEvent(new Event('iceconnectionstatechange'));
    pc.iceGatheringState = 'complete';
    pc.dispatchEvent(new Event('icegatheringstatechange'));
    pc.signalingState = 'have-local-offer';
    pc.dispatchEvent(new Event('signalingstatechange'));
    pc.dispatchEvent(new Event('negotiationneeded'));
    browser.devices.dispatchEvent(new Event('devicechange'));
    browser.hide();
    await browser.advance(3_000);
    expect(events().map(({ type, value }) => [type, value])).toEqual([
      ['ice_state', 'checking'],
      ['gathering_state', 'complete'],
      ['signaling_state', 'have-local-offer'],
      ['negotiation_needed', undefined],
      ['device', 'changed'],
      ['page', 'hidden'],
    ]);
  });

  it('sends at once when the page is hidden', async () => {
    start();
    await browser.advance(2_100);
    browser.hide();
    expect(browser.requests.map(({ keepalive }) => keepalive)).toEqual([true]);
    expect(reports()[0]!.samples).toHaveLength(1);
  });

  it('seals and hands over what there is when the page goes', async () => {
    start();
    await browser.advance(2_100);
    browser.window.dispatchEvent(new Event('pagehide'));
    expect(browser.requests.filter(({ keepalive }) => keepalive)).toHaveLength(1);
  });

  it('notices a closed connection, sends the rest and leaves no timer or listener behind', async () => {
    browser.storeEverything();
    start();
    await browser.advance(4_100);
    pc.signalingState = 'closed';
    await browser.advance(2_000);
    expect(events().at(-1)).toMatchObject({ type: 'connection_state', value: 'closed' });
    expect(browser.timers).toBe(0);
    const sent = browser.requests.length;
    pc.become('failed');
    browser.hide();
    browser.window.dispatchEvent(new Event('pagehide'));
    await browser.advance(60_000);
    expect(browser.requests).toHaveLength(sent);
  });

  it('takes a last sample when it is stopped, and says whether everything is stored', async () => {
    browser.storeEverything();
    start();
    await browser.advance(1_000);
    await expect(observation.stop()).resolves.toBe(true);
    expect(reports().flatMap(({ samples }) => samples)).toHaveLength(1);
    expect(browser.timers).toBe(0);
  });

  it('flushes on request and goes on', async () => {
    browser.storeEverything();
    start();
    await browser.advance(1_000);
    await expect(observation.flush()).resolves.toBe(true);
    await browser.advance(15_000);
    expect(reports().length).toBeGreaterThan(2);
  });

  it('counts dropped batches in an event of a later batch', async () => {
    browser.auto = (request) => request.fail();
    start();
    await browser.advance(62 * 5_000 + 5_000);
    browser.storeEverything();
    await browser.advance(60_000);
    expect(eventsOf('reports_dropped').length).toBeGreaterThan(0);
    expect(errors.every(({ kind }) => kind === 'dropped')).toBe(true);
  });

  it('observes no more once the token is refused', async () => {
    browser.auto = (request) => request.answer(401);
    start();
    await browser.advance(60_000);
    expect(browser.requests).toHaveLength(1);
    expect(browser.timers).toBe(0);
  });

  it('survives a connection that refuses to be asked, and an app whose error handler throws', async () => {
    browser.auto = (request) => request.answer(400);
    pc.getStats = () => Promise.reject(new DOMException('gone', 'InvalidStateError'));
    start({
      onError: () => {
        throw new Error('the app is broken');
      },
    });
    pc.become('connected');
    await browser.advance(10_000);
    await settled();
    expect(reports().length).toBeGreaterThan(0);
  });

  it('bounds a flood of events by sealing early', async () => {
    browser.storeEverything();
    start();
    for (let index = 0; index < 1_200; index += 1) pc.dispatchEvent(new Event('negotiationneeded'));
    await browser.advance(3_000);
    expect(eventsOf('negotiation_needed')).toHaveLength(1_200);
  });

  it('sends differences, and in full what a collector refuses to continue', async () => {
    let refusals = 0;
    browser.auto = (request) => {
      const isDelta = request.body.includes('"delta"');
      if (isDelta) refusals += 1;
      if (isDelta) request.answer(400, { error: { code: 'TP_COLLECTOR_DESYNC' } });
      else request.answer(200, { serverTime: browser.time });
    };
    start();
    await browser.advance(13_000);
    expect(refusals).toBeGreaterThan(0);
    const refused = browser.requests.findIndex(({ body }) => body.includes('"delta"'));
    const [first, second] = browser.requests.slice(refused, refused + 2).map(({ body }) => body);
    expect(JSON.parse(first!)).toMatchObject({ v: 2 });
    expect(JSON.parse(second!)).toMatchObject({ v: 1 });
    expect(reportIn(second!)).toEqual(reportIn(first!));
    expect(errors).toEqual([]);
  });

  it('samples and reports as the collector asks in its answers', async () => {
    browser.auto = (request) =>
      request.answer(200, { serverTime: browser.time, client: { intervalMs: 5_000, uploadMs: 20_000 } });
    start();
    await browser.advance(3_000);
    const sampled = pc.getStatsCalls;
    const sent = browser.requests.length;
    await browser.advance(40_000);
    expect(pc.getStatsCalls - sampled).toBeLessThanOrEqual(9);
    expect(browser.requests.length - sent).toBeLessThanOrEqual(3);
  });

  it('sends events only when it is none of the sampled connections, and leaves out members that nobody wants', async () => {
    const answer = { sampledShare: 0.4, omittedMembers: ['packetsReceived'] };
    browser.dice = 0.3;
    browser.auto = (request) => request.answer(200, { serverTime: browser.time, client: answer });
    start();
    await browser.advance(10_000);
    const told = reports().flatMap(({ samples }) => samples);
    expect(told.at(-1)).toEqual({
      t: expect.any(Number),
      stats: [{ id: 'in', type: 'inbound-rtp', kind: 'audio', ssrc: 1 }],
    });
    answer.sampledShare = 0.2;
    await browser.advance(10_000);
    const before = reports().length;
    pc.become('connected');
    await browser.advance(10_000);
    expect(
      reports()
        .slice(before)
        .flatMap(({ samples }) => samples),
    ).toEqual([]);
    expect(
      reports()
        .slice(before)
        .flatMap(({ events }) => events)
        .map(({ type }) => type),
    ).toContain('setup');
  });

  it('samples every second while something is wrong, and tells the app', async () => {
    browser.storeEverything();
    const told: unknown[] = [];
    start({ onQuality: (quality) => told.push(quality) });
    pc.become('connected');
    pc.become('disconnected');
    await browser.advance(2_000);
    const connection = 'fake-connection-0001';
    expect(told).toEqual([{ connection, level: 'poor', reasons: ['disconnected'] }]);
    expect(observation.quality).toEqual(told[0]);
    const before = pc.getStatsCalls;
    await browser.advance(10_000);
    expect(pc.getStatsCalls - before).toBe(10);
  });

  it('says nothing of a connection that was made and closed without a description', async () => {
    browser.storeEverything();
    pc.localDescription = null;
    start();
    pc.dispatchEvent(new Event('negotiationneeded'));
    await browser.advance(5_000);
    pc.signalingState = 'closed';
    await browser.advance(30_000);
    expect(browser.requests).toEqual([]);
    expect(browser.timers).toBe(0);
  });

  it('tells when the CPU is pressed', async () => {
    browser.storeEverything();
    start();
    for (const state of ['nominal', 'serious', 'serious', 'critical']) browser.press(state);
    await browser.advance(3_000);
    expect(eventsOf('cpu_pressure').map(({ value }) => value)).toEqual(['serious', 'critical']);
  });
});
