/** Servers that push, or whose process posts, for the conformance suite: Janus, mediasoup, endpoints of Cloudflare's WebSocket adapter. */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { egressRoutes } from '../../../collector/intake/metering-routes.ts';
import { meterMediasoup } from '../../../collector/mediasoup/index.ts';
import type { MediasoupMeter, MeterOptions } from '../../../collector/mediasoup/index.ts';
import { JanusSource } from '../../../collector/sources/janus-source.ts';
import { PostedSources } from '../../../collector/sources/posted-sources.ts';
import { gradeOf, sourceSettings } from '../../../collector/sources/source-settings.ts';
import { meterWebSocketAdapter } from '../../../collector/websocket-adapter/index.ts';
import type { MeteredSocket } from '../../../collector/websocket-adapter/index.ts';
import { silentLog } from '../../../kernel/log.ts';
import { systemSleep } from '../../../kernel/sleep.ts';
import type { SourceParts, SourceScene, SourceUnderTest } from '../../conformance/source.ts';
import { FakeTransport } from '../mediasoup/fake-transport.ts';
import { service } from '../service.ts';

export const janusSource: SourceUnderTest = {
  kind: 'janus',
  grade: gradeOf(sourceSettings.parse({ kind: 'janus', name: 'any' })),
  names: { call: '1234', participant: 'ann' },
  isAsked: false,
  open: async (parts) => janusScene(parts),
};

function janusScene({ clock, metrics, name, store }: SourceParts): SourceScene {
  const settings = { kind: 'janus', name, app: 'demo', opaqueId: 'participant', silentSeconds: 60 } as const;
  const shared = { settings, reader: store, writer: store, clock, metrics, log: silentLog, sleep: systemSleep };
  const collector = () => new JanusSource(shared);
  let source = collector();
  let handle = 8_000;
  let sent = 0;
  let told = 0;
  const pushes: object[][] = [];
  const event = (fields: object) => ({
    emitter: 'sfu-1',
    session_id: 7_000,
    handle_id: handle,
    opaque_id: 'ann',
    timestamp: clock.now() * 1_000,
    ...fields,
  });
  const joined = () =>
    event({ type: 64, event: { plugin: 'janus.plugin.videoroom', data: { event: 'joined', room: 1234, id: 42 } } });
  const counted = (bytes: unknown) =>
    event({ type: 32, subtype: 3, event: { mid: '0', mindex: 0, media: 'video', 'bytes-sent': bytes } });
  const push = async (body: object[]) => {
    pushes.push(body);
    await source.take(body);
  };
  const tell = async () => {
    await push([counted(sent)]);
    const due = BigInt(sent - told);
    told = sent;
    return due;
  };
  const pass = (milliseconds: number) => {
    clock.advance(milliseconds);
    sent += milliseconds + 7;
  };
  const begin = () => push([event({ type: 256, subtype: 1, event: { status: 'started' } }), joined()]);
  const nonsense = (body: unknown) => async () => void (await source.take(body));
  return {
    carry: async () => {
      if (pushes.length === 0) await begin();
      pass(5_000);
      return tell();
    },
    restart: async () => {
      handle += 1;
      sent = 0;
      told = 0;
      await begin();
    },
    disappear: async () => {
      pass(60_001);
      await source.tick();
    },
    appear: async () => {
      pass(5_000);
      return tell();
    },
    repeat: async () => void (await source.take(pushes.at(-1))),
    tellLate: async () => void (await source.take(pushes.slice(0, -1).flat())),
    nonsense: {
      text: nonsense('nothing'),
      'an event without a type': nonsense([{ timestamp: 1, event: {} }]),
      'no number': nonsense([counted('12')]),
      'a negative number': nonsense([counted(-1)]),
      'a number of another year': nonsense([{ ...counted(9_000), timestamp: 1 }]),
    },
    restartCollector: async () => {
      source = collector();
    },
    close: () => source.stop(),
  };
}

/** A process with a meter mounted in it, whose one object has sent so many bytes more. */
interface MeteredProcess {
  readonly meter: Pick<MediasoupMeter, 'tick' | 'stop'>;
  send(bytes: number): void;
}

const whose = { call: 'standup', participant: 'ann', customId: 'acme' };

function mediasoupProcess(options: MeterOptions): MeteredProcess {
  const meter = meterMediasoup(options);
  const router = { observer: new EventEmitter() };
  meter.add(router);
  const transport = new FakeTransport(randomUUID(), whose);
  router.observer.emit('newtransport', transport);
  return { meter, send: (bytes) => (transport.bytesSent += bytes) };
}

function websocketProcess(options: MeterOptions): MeteredProcess {
  const meter = meterWebSocketAdapter(options);
  const socket = new EventTarget();
  meter.add(socket as unknown as MeteredSocket, whose);
  return {
    meter,
    send: (bytes) => socket.dispatchEvent(new MessageEvent('message', { data: new ArrayBuffer(bytes) })),
  };
}

const posted = { grade: 'exact', names: whose, isAsked: false } as const;
export const postedSources: readonly SourceUnderTest[] = [
  { ...posted, kind: 'posted mediasoup', open: (parts) => postedScene(parts, mediasoupProcess) },
  { ...posted, kind: 'posted websocket-adapter', open: (parts) => postedScene(parts, websocketProcess) },
];

async function postedScene(
  { clock, metrics, name, store }: SourceParts,
  begin: (options: MeterOptions) => MeteredProcess,
): Promise<SourceScene> {
  const collector = async () => {
    const posted = new PostedSources({ clock, metrics, log: silentLog, sleep: systemSleep, known: new Set() });
    const { authority, http } = service(clock);
    await http.register(egressRoutes, { writer: store, clock, authority, posted });
    return { http, posted };
  };
  let { http, posted } = await collector();
  const posts: string[] = [];
  const post = (payload: string) =>
    http.inject({
      method: 'POST',
      url: '/v1/egress',
      headers: { authorization: 'Bearer source-token', 'content-type': 'application/json' },
      payload,
    });
  let isAway = false;
  const start = () =>
    begin({
      url: 'http://collector.test',
      token: 'source-token',
      app: 'demo',
      serverId: 'sfu-1',
      source: name,
      intervalMs: 3_600_000,
      now: () => clock.now(),
      fetch: async (_, init) => {
        if (isAway || typeof init?.body !== 'string') throw new TypeError('fetch failed');
        posts.push(init.body);
        const answer = await post(init.body);
        return new Response(answer.body, { status: answer.statusCode });
      },
    });
  let process = start();
  const ended: MeteredProcess[] = [];
  let due = 0;
  const carryFor = async (milliseconds: number) => {
    clock.advance(milliseconds);
    process.send(milliseconds + 7);
    due += milliseconds + 7;
    await process.meter.tick();
  };
  const carry = async () => {
    await carryFor(5_000);
    const told = BigInt(due);
    due = 0;
    return told;
  };
  const nonsense = (text: string) => async () => void (await post(text));
  return {
    carry,
    restart: async () => {
      ended.push(process);
      process = start();
    },
    disappear: async () => {
      isAway = true;
      await carryFor(600_001);
      await posted.tick();
    },
    appear: () => {
      isAway = false;
      return carry();
    },
    repeat: async () => void (await post(posts.at(-1) ?? '')),
    tellLate: async () => {
      for (const body of posts.slice(0, -1)) await post(body);
    },
    nonsense: {
      'nothing at all': nonsense(''),
      'another document': nonsense('{"bytes":7}'),
      'no number': nonsense(posts.join('').replace(/"egress_bytes":"\d+"/, '"egress_bytes":"many"')),
    },
    restartCollector: async () => {
      await posted.stop();
      await http.close();
      ({ http, posted } = await collector());
    },
    close: async () => {
      isAway = true;
      for (const { meter } of [...ended, process]) await meter.stop();
      await posted.stop();
      await http.close();
    },
  };
}
