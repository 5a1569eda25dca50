/** Debian's Janus for system tests, with a configuration of its own, listening on loopback alone, and as much of its API as a call takes. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { until } from './service.ts';

const HOST = '127.0.0.1';
/** Where media goes: Janus makes no candidates of loopback, so that it takes another address of this machine. */
const ownAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
/** Why there can be no call through Janus here, if there can be none. */
export const janusRefusal = ownAddress === undefined ? 'Janus needs an IPv4 address besides loopback' : undefined;
const ADMIN_SECRET = 'the test’s own';
export const ROOM = 1234;

export interface JanusOptions {
  readonly program: string;
  /** Where its configuration is written. */
  readonly directory: string;
  /** Where its event handler pushes. */
  readonly backend: string;
  readonly backendPassword: string;
}

/** What Janus itself says that it sent to a handle, RTP with its header, by mid. */
export type SentByMid = Readonly<Record<string, { readonly packets: number; readonly bytes: number }>>;

type Message = Readonly<Record<string, unknown>>;

interface SessionEvent {
  readonly janus: string;
  readonly transaction?: string;
  readonly jsep?: { readonly sdp: string };
  readonly plugindata?: { readonly data: Message };
}

export class JanusServer {
  readonly #api: string;
  readonly #admin: string;
  readonly #start: () => ReturnType<typeof spawn>;
  #process: ReturnType<typeof spawn>;

  private constructor(api: string, admin: string, start: () => ReturnType<typeof spawn>) {
    this.#api = api;
    this.#admin = admin;
    this.#start = start;
    this.#process = start();
  }

  static async start(options: JanusOptions): Promise<JanusServer> {
    const [apiPort, adminPort] = [await freePort(20_000), await freePort(21_000)];
    const folder = join(options.directory, 'janus');
    await mkdir(folder);
    for (const [name, text] of Object.entries(configuration(options, apiPort, adminPort))) {
      await writeFile(join(folder, `janus.${name}jcfg`), text);
    }
    const launch = () =>
      spawn(options.program, ['-F', folder, '-C', join(folder, 'janus.jcfg'), '-o'], { cwd: folder, stdio: 'ignore' });
    const server = new JanusServer(`http://${HOST}:${apiPort}/janus`, `http://${HOST}:${adminPort}/admin`, launch);
    await server.#answers();
    return server;
  }

  /** SIGKILL: it says goodbye to nobody. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }

  async startAgain(): Promise<void> {
    this.#process = this.#start();
    await this.#answers();
  }

  /** A handle of the VideoRoom, in a session of its own. `opaqueId` is what its events are to be known by. */
  async attach(opaqueId: string): Promise<JanusHandle> {
    const session = idIn(await ask(this.#api, { janus: 'create' }));
    const sessionUrl = `${this.#api}/${session}`;
    const plugin = { janus: 'attach', plugin: 'janus.plugin.videoroom', opaque_id: opaqueId };
    const handle = idIn(await ask(sessionUrl, plugin));
    return new JanusHandle(sessionUrl, `${this.#admin}/${session}/${handle}`, session, handle);
  }

  #answers(): Promise<void> {
    return until(async () => (await fetch(`${this.#api}/info`).catch(() => undefined))?.ok === true, 'Janus to answer');
  }
}

/** One handle: what a participant sends, or what it is sent. */
export class JanusHandle {
  readonly #session: string;
  readonly #admin: string;
  readonly #handleId: number;
  /** As the collector names it. */
  readonly name: string;

  constructor(session: string, admin: string, sessionId: number, handleId: number) {
    this.#session = session;
    this.#admin = admin;
    this.#handleId = handleId;
    this.name = `${sessionId}/${handleId}`;
  }

  /** Joins the room to send what the offer has. */
  async publish(offer: string): Promise<{ readonly feed: number; readonly answer: string }> {
    const joined = await this.#message({ request: 'join', ptype: 'publisher', room: ROOM });
    const published = await this.#message({ request: 'publish' }, { type: 'offer', sdp: offer });
    return { feed: numberIn(joined, 'id'), answer: published.sdp };
  }

  /** Joins the room to be sent what somebody publishes; the offer of it. */
  async subscribe(feed: number): Promise<string> {
    const body = { request: 'join', ptype: 'subscriber', room: ROOM, streams: [{ feed }] };
    return (await this.#message(body)).sdp;
  }

  async accept(answer: string): Promise<void> {
    await this.#message({ request: 'start' }, { type: 'answer', sdp: answer });
  }

  /** Resolves when its connection is there. */
  async isUp(): Promise<void> {
    await this.#event(({ janus }) => janus === 'webrtcup');
  }

  async detach(): Promise<void> {
    await ask(`${this.#session}/${this.#handleId}`, { janus: 'detach' });
  }

  /** By Janus' admin API, which tells nothing to its event handlers. */
  async sent(): Promise<SentByMid> {
    const { info } = (await ask(this.#admin, { janus: 'handle_info', admin_secret: ADMIN_SECRET })) as {
      info: { webrtc?: { media: Record<string, { stats: { out: { packets: number; bytes: number } } }> } };
    };
    const media = Object.entries(info.webrtc?.media ?? {});
    return Object.fromEntries(
      media.map(([mid, { stats }]) => [mid, { bytes: stats.out.bytes, packets: stats.out.packets }]),
    );
  }

  /** Sends a message to the plugin and waits for what it says to that. */
  async #message(body: Message, jsep?: Message): Promise<{ readonly data: Message; readonly sdp: string }> {
    const transaction = randomUUID();
    const said = jsep === undefined ? { body } : { body, jsep };
    await ask(`${this.#session}/${this.#handleId}`, { janus: 'message', transaction, ...said });
    const event = await this.#event((one) => one.transaction === transaction);
    const data = event.plugindata?.data ?? {};
    if (data['error'] !== undefined) throw new Error(`the VideoRoom answers: ${JSON.stringify(data['error'])}`);
    return { data, sdp: event.jsep?.sdp ?? '' };
  }

  /** The next event of this kind; what comes before it is of no interest. */
  async #event(isMeant: (event: SessionEvent) => boolean): Promise<SessionEvent> {
    for (;;) {
      const event = (await (await fetch(`${this.#session}?maxev=1`)).json()) as SessionEvent;
      if (isMeant(event)) return event;
    }
  }
}

async function ask(url: string, request: Message): Promise<Message> {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify({ transaction: 'test', ...request }) });
  const said = (await answer.json()) as Message;
  if (said['janus'] === 'error') throw new Error(`Janus answers: ${JSON.stringify(said['error'])}`);
  return said;
}

function idIn(answer: Message): number {
  return numberIn({ data: answer['data'] as Message }, 'id');
}

function numberIn({ data }: { readonly data: Message }, name: string): number {
  const value = data[name];
  if (typeof value !== 'number') throw new Error(`Janus tells no ${name}: ${JSON.stringify(data)}`);
  return value;
}

/** A TCP port beyond the range from which the system gives ports to anybody. */
async function freePort(from: number): Promise<number> {
  for (let port = from; ; port += 1) {
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, HOST, () => resolve(true));
    });
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** What Debian's package has besides what is needed here, and would load. */
const others = {
  plugins: 'audiobridge duktape echotest lua nosip recordplay sip streaming textroom videocall voicemail',
  transports: 'mqtt nanomsg pfunix rabbitmq websockets',
  loggers: 'jsonlog',
  events: 'gelfevh mqttevh nanomsgevh rabbitmqevh wsevh',
};
const disabled = (kind: keyof typeof others) => others[kind].replaceAll(/\w+/g, 'libjanus_$&.so').replaceAll(' ', ',');

/** By the middle of each file's name. What is not here has Janus' defaults. */
function configuration(
  { backend, backendPassword }: JanusOptions,
  apiPort: number,
  adminPort: number,
): Record<string, string> {
  return {
    '': `general: { server_name = "sfu-1", admin_secret = "${ADMIN_SECRET}", debug_level = 3 }
media: { rtp_port_range = "22000-22999" }
nat: { ice_enforce_list = "${ownAddress}" }
plugins: { disable = "${disabled('plugins')}" }
transports: { disable = "${disabled('transports')}" }
loggers: { disable = "${disabled('loggers')}" }
events: { broadcast = true, stats_period = 1, disable = "${disabled('events')}" }
`,
    'transport.http.': `general: { http = true, ip = "${HOST}", port = ${apiPort} }
admin: { admin_http = true, admin_ip = "${HOST}", admin_port = ${adminPort} }
`,
    'plugin.videoroom.': `room-${ROOM}: { publishers = 6, bitrate = 256000, audiocodec = "opus", videocodec = "vp8" }
`,
    'eventhandler.sampleevh.': `general: {
  enabled = true
  events = "handles,webrtc,media,plugins,core"
  grouping = true
  json = "compact"
  backend = "${backend}"
  backend_user = "janus"
  backend_pwd = "${backendPassword}"
}
`,
  };
}
