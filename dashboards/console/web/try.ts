/** /try: one button, a call through the relay, and what the service itself measured of it. */
import { openSession, poll, readCall, readMonth, readSetup, sentenceOf } from './api.ts';
import { followSliders, readConditions } from './conditions.ts';
import { element, elementOf, show, toggle } from './dom.ts';
import { failureOf } from './failure.ts';
import type { Fault } from './failure.ts';
import { formatBytes } from './format.ts';
import { drawMeter } from './meters.ts';
import { startRelayedCall } from './relayed-call.ts';
import type { RelayedCall } from './relayed-call.ts';
import { createSyntheticMedia } from './synthetic-media.ts';
import type { SyntheticMedia } from './synthetic-media.ts';
import { showCall, showCallLink, showFailure, showMonth, showNothing, showPictures, showStatus } from './try-view.ts';
import type { CallState } from './try-view.ts';

const FIGURES_MS = 2_000;
const COUNTER_MS = 1_000;
const MONTH_MS = 10_000;
/** Volumes of the tone. Muted it could not be: browsers measure the level of what they play, and of nothing when muted. */
const HUSHED = 0.01;
const AUDIBLE = 0.4;
/** After hanging up, the relay's last readings and the last reports are still on their way. */
const AFTERMATH_MS = 30_000;

const CALM = 'This call meets nothing but the way to the relay and back.';
const IMPAIRED = 'Peer A’s packets meet these at the relay, once each way, for as long as this call lasts.';
const NEXT_CALL = 'Hang up and start another call: a credential carries its conditions from the start.';

let running: RelayedCall | undefined;
let synthetic: SyntheticMedia[] = [];
let camera: MediaStream | undefined;
let listening = false;
let stopFollowing: () => void = () => undefined;

/** Which buttons there are in which state. */
function enter(state: CallState): void {
  const between = state === 'connecting' || state === 'live';
  toggle('start', !between);
  toggle('hang-up', between);
  element('start').textContent = state === 'idle' ? 'Start the call' : 'Start another call';
}

async function start(): Promise<void> {
  stopFollowing();
  enter('connecting');
  showNothing();
  showStatus('connecting', 'Connecting…', 'Two credentials, two addresses at the relay, and then the first packet.');
  try {
    const impairment = readConditions();
    const session = await openSession(impairment === undefined ? {} : { impairment });
    show('conditions-note', impairment === undefined ? CALM : IMPAIRED);
    synthetic = [createSyntheticMedia('A', 222, 220), createSyntheticMedia('B', 318, 294)];
    const [mediaA, mediaB] = synthetic as [SyntheticMedia, SyntheticMedia];
    const call = startRelayedCall(
      session,
      { A: camera ?? mediaA.stream, B: mediaB.stream },
      { received: play, connected, failed: fail },
    );
    running = call;
    showCallLink(session.call);
    stopFollowing = follow(call);
  } catch (error) {
    fail({ kind: running === undefined && synthetic.length === 0 ? 'session' : 'browser', message: sentenceOf(error) });
  }
}

function connected(): void {
  enter('live');
  showStatus(
    'live',
    'Connected through the relay.',
    'The figures come from the reports of both peers, every two seconds.',
  );
}

function fail(fault: Fault): void {
  tidy();
  enter('failed');
  showFailure(failureOf(fault));
}

async function hangUp(): Promise<void> {
  const call = running;
  tidy();
  enter('ended');
  if (call === undefined) return showStatus('ended', 'Hung up before the call began.', '');
  showStatus('ended', 'The call has ended.', 'Its last figures are still arriving.');
  element('status').querySelector('span')?.append(' ', link(call.call));
  await call.hangUp();
  const stop = stopFollowing;
  window.setTimeout(stop, AFTERMATH_MS);
}

function link(call: string): HTMLAnchorElement {
  const made = document.createElement('a');
  made.href = `/#call=${encodeURIComponent(call)}`;
  made.textContent = 'See the whole call';
  return made;
}

function tidy(): void {
  running = undefined;
  for (const media of synthetic) media.stop();
  synthetic = [];
  for (const peer of ['A', 'B']) elementOf(`video-${peer}`, HTMLVideoElement).srcObject = null;
  showPictures({ A: '', B: '' });
}

/** Shows what `participant` sends where the other one receives it. */
function play(participant: 'A' | 'B', stream: MediaStream): void {
  const video = elementOf(`video-${participant}`, HTMLVideoElement);
  if (video.srcObject === stream) return;
  video.srcObject = stream;
  video.volume = listening ? AUDIBLE : HUSHED;
  video.play().catch(() => {
    video.muted = true; // a browser that lets no sound play by itself shows the picture at least
    video.play().catch(() => undefined); // interrupted by the next call
  });
}

function toggleListening(): void {
  listening = !listening;
  for (const video of document.querySelectorAll('video')) {
    video.muted = false;
    video.volume = listening ? AUDIBLE : HUSHED;
  }
  const button = element('listen');
  button.textContent = listening ? 'Stop listening' : 'Listen';
  button.setAttribute('aria-pressed', String(listening));
}

/** Keeps the figures up to date: the collector's every two seconds, the browser's own counter every second. */
function follow(call: RelayedCall): () => void {
  let relayed = '0';
  const stopFigures = poll(
    FIGURES_MS,
    async () => {
      if (running === call) await call.report();
      const detail = await readCall(call.call);
      if (detail === null) return;
      // the call and the month stand side by side: what the one gained is in the other
      const month = detail.relayedBytes === relayed ? undefined : await readMonth(new Date()).catch(() => undefined);
      relayed = detail.relayedBytes;
      showCall(detail);
      if (month !== undefined) showMonth(month);
    },
    (sentence) => show('mos-model', sentence),
  );
  let frames = { A: 0, B: 0, at: performance.now() };
  const stopCounter = poll(
    COUNTER_MS,
    async () => {
      if (running !== call) return;
      show('pair-bytes', formatBytes(await call.bytesReceived()));
      frames = showFrames(frames);
    },
    () => undefined,
  );
  return () => {
    stopFigures();
    stopCounter();
  };
}

/** Size and rate of both pictures as they are played here. */
function showFrames(before: { A: number; B: number; at: number }): { A: number; B: number; at: number } {
  const now = { A: 0, B: 0, at: performance.now() };
  const texts = { A: '', B: '' };
  for (const peer of ['A', 'B'] as const) {
    const video = elementOf(`video-${peer}`, HTMLVideoElement);
    now[peer] = video.getVideoPlaybackQuality().totalVideoFrames;
    const rate = Math.round(((now[peer] - before[peer]) * 1000) / (now.at - before.at));
    if (video.videoWidth > 0) texts[peer] = `${video.videoWidth}×${video.videoHeight} · ${Math.max(0, rate)} fps`;
  }
  showPictures(texts);
  return now;
}

/** The camera in place of A's test picture and tone, and back. */
async function toggleCamera(): Promise<void> {
  const button = elementOf('camera', HTMLButtonElement);
  button.disabled = true;
  try {
    if (camera === undefined) {
      camera = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480 } });
      await running?.replace('A', camera);
    } else {
      const picture = synthetic[0];
      if (picture !== undefined) await running?.replace('A', picture.stream);
      for (const track of camera.getTracks()) track.stop();
      camera = undefined;
    }
  } catch (error) {
    element('status')
      .querySelector('span')
      ?.replaceChildren(`The camera cannot be used: ${sentenceOf(error)}`);
  }
  button.disabled = false;
  button.textContent = camera === undefined ? 'Use my camera' : 'Use the test picture';
  button.setAttribute('aria-pressed', String(camera !== undefined));
}

function begin(): void {
  showNothing();
  drawMeter(elementOf('month-meter', SVGElement), null, 'Share of the free tier used');
  followSliders(() => {
    if (running !== undefined) show('conditions-note', NEXT_CALL);
  });
  element('start').addEventListener('click', () => void start());
  element('hang-up').addEventListener('click', () => void hangUp());
  element('listen').addEventListener('click', toggleListening);
  element('camera').addEventListener('click', () => void toggleCamera());
  poll(
    MONTH_MS,
    async () => showMonth(await readMonth(new Date())),
    (sentence) => show('month-note', `This month’s statement cannot be read: ${sentence}`),
  );
  readSetup().then(
    ({ turnUrls }) => show('where', turnUrls.join(' ')),
    () => undefined, // only a hint in the corner
  );
}

begin();
