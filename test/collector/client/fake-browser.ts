/** A browser moved by hand: time, timers, requests, the page and a peer connection. */
import { setMaxListeners } from 'node:events';
import type { Environment } from '../../../collector/client/environment.ts';
import type { Stats } from '../../../collector/client/members.ts';

setMaxListeners(0); // Node warns of many listeners on one signal; browsers know no such limit

export interface SentRequest {
  readonly url: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly keepalive: boolean;
  /** Lets the request end. */
  answer(status: number, body?: unknown, headers?: Record<string, string>): void;
  fail(): void;
}

/** Every promise that can settle without time or network has settled. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export class FakeBrowser implements Environment {
  time = 1_800_000_000_000;
  dice = 0;
  isHidden = false;
  keepalive = true;
  cross = false;
  readonly window = new EventTarget();
  readonly document = new EventTarget();
  readonly devices = new EventTarget();
  readonly page = { window: this.window, document: this.document, hidden: () => this.isHidden };
  readonly requests: SentRequest[] = [];
  gzip: Environment['gzip'];
  /** Set by whoever watches the CPU. */
  press: (state: string) => void = () => undefined;
  readonly beacons: { url: string; body: string }[] = [];
  beaconAccepts = true;
  /** What fetch does when nobody answers by hand. */
  auto: ((request: SentRequest) => void) | undefined;
  #timers: { at: number; task: () => void }[] = [];

  now = () => this.time;
  random = () => this.dice;
  newId = () => 'fake-connection-0001';
  crossOrigin = () => this.cross;
  after = (milliseconds: number, task: () => void) => {
    const timer = { at: this.time + milliseconds, task };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };
  beacon = (url: string, body: string) => {
    if (this.beaconAccepts) this.beacons.push({ url, body });
    return this.beaconAccepts;
  };
  fetch = (url: string, init: RequestInit) =>
    new Promise<Response>((resolve, reject) => {
      const fail = () => reject(new TypeError('Failed to fetch'));
      init.signal?.addEventListener('abort', fail);
      const request: SentRequest = {
        url,
        body: init.body as string,
        headers: init.headers as Record<string, string>,
        keepalive: init.keepalive === true,
        fail,
        answer: (status, body = {}, headers = {}) =>
          resolve({
            ok: status >= 200 && status < 300,
            status,
            headers: new Headers(headers),
            json: () => Promise.resolve(body),
          } as Response),
      };
      this.requests.push(request);
      this.auto?.(request);
    });

  watchPressure = (told: (state: string) => void) => {
    this.press = told;
  };

  get timers(): number {
    return this.#timers.length;
  }

  /** Moves time on, running every timer on its own tick and what follows from it. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds;
    await settled();
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.time = Math.max(this.time, due.at);
      due.task();
      await settled();
    }
    this.time = end;
  }

  hide(): void {
    this.isHidden = true;
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  storeEverything(): void {
    this.auto = (request) => request.answer(200, { stored: {}, serverTime: this.time });
  }
}

export class FakePeerConnection extends EventTarget {
  connectionState: RTCPeerConnectionState = 'new';
  iceConnectionState: RTCIceConnectionState = 'new';
  iceGatheringState: RTCIceGatheringState = 'new';
  signalingState: RTCSignalingState = 'stable';
  localDescription: unknown = {};
  remoteDescription: unknown = null;
  stats: Stats[] = [];
  senders: FakeTrack[] = [];
  getStatsCalls = 0;

  getStats(): Promise<Map<string, Stats>> {
    this.getStatsCalls += 1;
    return Promise.resolve(new Map(this.stats.map((stats) => [stats.id, stats])));
  }
  getSenders() {
    return this.senders.map((track) => ({ track }));
  }
  getReceivers(): { track: FakeTrack }[] {
    return [];
  }
  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
  receive(track: FakeTrack, stats: () => Stats[]): void {
    const receiver = { getStats: () => Promise.resolve(new Map(stats().map((one) => [one.id, one]))) };
    this.dispatchEvent(Object.assign(new Event('track'), { track, receiver }));
  }
  /** Only what the SDK touches is there. */
  asConnection(): RTCPeerConnection {
    return this as unknown as RTCPeerConnection;
  }
}

export class FakeTrack extends EventTarget {
  readonly kind: 'audio' | 'video';
  enabled = true;
  muted = false;
  constructor(kind: 'audio' | 'video') {
    super();
    this.kind = kind;
  }
}

export const reporting = { url: 'https://relay.example/v1/stats', token: 'tpr1.claims.mac' };
