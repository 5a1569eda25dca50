/** Connections found in a page, however a library makes them; the classes here stand for the browser's. */
import { beforeEach, describe, expect, it } from 'vitest';
import { createMediaRequests } from '../../../collector/client/media.ts';
import { watchConstruction } from '../../../collector/client/page.ts';
import type { ConnectionScope } from '../../../collector/client/page.ts';
import { settled } from './fake-browser.ts';

function browserOf() {
  class NativeConnection {
    readonly given: unknown[];
    constructor(...given: unknown[]) {
      this.given = given;
    }
    static generateCertificate = () => 'a certificate';
    async setLocalDescription(): Promise<unknown> {
      return ['local', this];
    }
    async setRemoteDescription(description: unknown): Promise<unknown> {
      return ['remote', description];
    }
  }
  return { RTCPeerConnection: NativeConnection };
}
type Scope = ReturnType<typeof browserOf>;

let scope: Scope;
let told: unknown[];
let stop: () => void;

beforeEach(() => {
  scope = browserOf();
  told = [];
});

const watch = () => {
  stop = watchConstruction(scope as unknown as ConnectionScope, (pc) => told.push(pc));
};

describe('a page whose connections are watched', () => {
  it('tells each connection once, with what its maker gave it', async () => {
    watch();
    const pc = new scope.RTCPeerConnection({ iceServers: [] });
    expect(told).toEqual([]);
    await pc.setLocalDescription();
    await pc.setRemoteDescription({});
    await settled();
    expect(told).toEqual([pc]);
    expect(pc.given).toEqual([{ iceServers: [] }]);
  });

  it('leaves the class what it is', async () => {
    const Native = scope.RTCPeerConnection;
    watch();
    const pc = new scope.RTCPeerConnection();
    expect(pc).toBeInstanceOf(scope.RTCPeerConnection);
    expect(pc).toBeInstanceOf(Native);
    expect(scope.RTCPeerConnection.name).toBe('NativeConnection');
    expect(scope.RTCPeerConnection.generateCertificate()).toBe('a certificate');
    expect(Reflect.ownKeys(scope.RTCPeerConnection.prototype)).toEqual(
      Reflect.ownKeys(browserOf().RTCPeerConnection.prototype),
    );
    await expect(pc.setRemoteDescription('this')).resolves.toEqual(['remote', 'this']);
  });

  it('finds subclasses, after their own constructor has run', async () => {
    watch();
    const seen: boolean[] = [];
    class Wrapped extends scope.RTCPeerConnection {
      readonly ready: boolean;
      constructor() {
        super();
        seen.push(told.length === 0);
        this.ready = true;
      }
    }
    const pc = new Wrapped();
    await settled();
    expect(seen).toEqual([true]);
    expect(told).toEqual([pc]);
    expect(pc).toBeInstanceOf(Wrapped);
    expect(pc.ready).toBe(true);
  });

  it('finds what a constructor makes that was taken before, and what was there already, when it negotiates', async () => {
    const Early = scope.RTCPeerConnection;
    const old = new Early();
    watch();
    const late = new Early();
    await settled();
    expect(told).toEqual([]);
    await old.setRemoteDescription({});
    await late.setLocalDescription();
    expect(told).toEqual([old, late]);
  });

  it('is given its own functions back', async () => {
    const { RTCPeerConnection: Native } = scope;
    const before = Object.getOwnPropertyDescriptors(Native.prototype);
    watch();
    stop();
    expect(scope.RTCPeerConnection).toBe(Native);
    expect(Object.getOwnPropertyDescriptors(Native.prototype)).toEqual(before);
    await new scope.RTCPeerConnection().setLocalDescription();
    expect(told).toEqual([]);
  });

  it('keeps what another put around ours, which then does nothing more', async () => {
    watch();
    const ours = scope.RTCPeerConnection;
    scope.RTCPeerConnection = class extends ours {};
    const theirs = scope.RTCPeerConnection;
    stop();
    expect(scope.RTCPeerConnection).toBe(theirs);
    await new theirs().setLocalDescription();
    await settled();
    expect(told).toEqual([]);
  });
});

describe('requests for devices', () => {
  class Devices {
    outcome: Promise<unknown> = Promise.resolve('a stream');
    getUserMedia(_constraints?: unknown): Promise<unknown> {
      return this.outcome;
    }
  }
  let devices: Devices;
  let now: number;
  const requests = createMediaRequests();
  const watchDevices = () => requests.watch(devices as unknown as MediaDevices, () => (now += 40));

  beforeEach(() => {
    devices = new Devices();
    now = 1_000;
  });

  it('end as they would, and tell how and after how long, without saying which device', async () => {
    const stop = watchDevices();
    await expect(devices.getUserMedia({ audio: true, video: { deviceId: 'secret' } })).resolves.toBe('a stream');
    devices.outcome = Promise.reject(new DOMException('a label', 'NotAllowedError'));
    await expect(devices.getUserMedia({ audio: true })).rejects.toThrow('a label');
    expect(requests.take()).toEqual([
      { t: 1_080, type: 'get_user_media', value: 'granted', ms: 40, detail: { audio: true, video: true } },
      { t: 1_160, type: 'get_user_media', value: 'NotAllowedError', ms: 40, detail: { audio: true, video: false } },
    ]);
    expect(requests.take()).toEqual([]);
    stop();
    expect(Object.hasOwn(devices, 'getUserMedia')).toBe(false);
  });

  it('are kept for the next report, the newest fifty', async () => {
    const stop = watchDevices();
    for (let index = 0; index < 60; index += 1) await devices.getUserMedia();
    expect(requests.take()).toHaveLength(50);
    stop();
  });
});
