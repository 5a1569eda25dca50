/** The load generator of bench:relay (load/load.cpp), and what it is put in front of: allocations that were made with requests. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import type { Endpoint } from '../../kernel/address.ts';
import type { Answer } from '../relay/turn-client.ts';
import { readAnswer, TurnClient } from '../relay/turn-client.ts';

export const HOST = '127.0.0.1';
export const USER = 'bench';
export const PASSWORD = 'bench-password';
const CHANNEL = 0x4001;
const ADDON = 'build/native/load.node';
/** Milliseconds that an answer may take, and how often is asked before the server is up. */
const PATIENCE = 500;
const ATTEMPTS = 40;

export interface Flow {
  readonly fd: number;
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** Times are seconds of CPU of the generator's two threads, latencies microseconds. */
export interface Outcome {
  readonly sent: number;
  readonly received: number;
  readonly sendCpu: number;
  readonly receiveCpu: number;
  readonly p50: number;
  readonly p99: number;
}

interface Load {
  open(): { fd: number; port: number };
  close(fd: number): void;
  /** Sends every question before it waits for an answer; what is not answered in time is undefined. */
  exchange(
    questions: readonly { readonly fd: number; readonly bytes: Uint8Array }[],
    port: number,
    milliseconds: number,
  ): readonly (Buffer | undefined)[];
  run(options: {
    readonly flows: readonly Flow[];
    readonly sinks: readonly number[];
    /** Datagrams a second, over all flows together. */
    readonly rate: number;
    readonly seconds: number;
    /** Octets of the smallest datagram that counts. */
    readonly least: number;
    /** 1: what a flow sends at a time goes to the kernel as one run (UDP_SEGMENT). */
    readonly runs: 0 | 1;
    /** 1: sinks take runs of datagrams in one piece (UDP_GRO). */
    readonly gro: 0 | 1;
  }): Promise<Outcome>;
}

export function buildLoad(): Load {
  const built = spawnSync(process.execPath, ['build-native.mjs', '--required', 'test/bench/load', ADDON], {
    stdio: 'inherit',
  });
  if (built.status !== 0) throw new Error('the load generator cannot be built');
  return createRequire(import.meta.url)(resolve(ADDON)) as Load;
}

export interface Case {
  readonly framing: 'channel' | 'indication';
  readonly direction: 'up' | 'down' | 'both';
  /** Octets. */
  readonly payload: number;
  readonly allocations: number;
  /** How packets reach the server, if its sockets take runs in one piece: by themselves, or so. */
  readonly arrival: 'single' | 'runs';
  /** How those who receive from the server take what it sends in runs. */
  readonly receivers: 'single' | 'runs';
}

/** Clients with an allocation each and one peer, ready for data. */
export class Scene {
  readonly #load: Load;
  readonly #sink: { fd: number; port: number };
  readonly #clients: { fd: number; turn: TurnClient; relayed: Endpoint }[] = [];
  /** A port that was free a moment ago, for the server that is asked. */
  readonly server: number;

  constructor(load: Load) {
    this.#load = load;
    this.#sink = load.open();
    const probe = load.open();
    load.close(probe.fd);
    this.server = probe.port;
  }

  /** Makes further allocations, and nothing else: `atOnce` clients ask together, and the next when they all have theirs. */
  allocate(count: number, atOnce = 1): void {
    for (let made = 0; made < count; made += atOnce) {
      const clients = Array.from({ length: Math.min(atOnce, count - made) }, () => {
        return { fd: this.#load.open().fd, turn: new TurnClient(USER, PASSWORD) };
      });
      const allocates = () => clients.map(({ fd, turn }) => ({ fd, bytes: turn.allocate() }));
      this.#ask(allocates()).forEach((answer, index) => clients[index]?.turn.learn(answer));
      this.#ask(allocates()).forEach(({ code, relayed }, index) => {
        const client = clients[index];
        if (client === undefined || relayed === undefined) throw new Error(`Allocate was answered ${code}`);
        this.#clients.push({ ...client, relayed });
      });
    }
  }

  /** Lets the peer in, through a channel or by permission alone. */
  admit(framing: Case['framing']): void {
    const peer = { address: HOST, port: this.#sink.port };
    for (const { fd, turn } of this.#clients) {
      const bytes = framing === 'channel' ? turn.channelBind(CHANNEL, peer) : turn.createPermission([peer]);
      for (const { code, messageClass } of this.#ask([{ fd, bytes }]))
        if (messageClass !== 'success') throw new Error(`the peer was refused with ${code}`);
    }
  }

  run({ arrival, direction, framing, payload, receivers }: Case, rate: number, seconds: number): Promise<Outcome> {
    const data = Buffer.alloc(payload, 0x5a);
    const peer = { address: HOST, port: this.#sink.port };
    const flows = this.#clients.flatMap(({ fd, turn, relayed }) => {
      const frame = framing === 'channel' ? turn.channelData(CHANNEL, data) : turn.send(peer, data);
      const up = { fd, port: this.server, bytes: frame };
      const down = { fd: this.#sink.fd, port: relayed.port, bytes: data };
      return [...(direction === 'down' ? [] : [up]), ...(direction === 'up' ? [] : [down])];
    });
    const sinks = [
      ...(direction === 'down' ? [] : [this.#sink.fd]),
      ...(direction === 'up' ? [] : this.#clients.map(({ fd }) => fd)),
    ];
    const [runs, gro] = [arrival === 'runs' ? 1 : 0, receivers === 'runs' ? 1 : 0] as const;
    return this.#load.run({ flows, sinks, rate, seconds, least: payload, runs, gro });
  }

  close(): void {
    for (const { fd } of [this.#sink, ...this.#clients]) this.#load.close(fd);
  }

  #ask(questions: readonly { readonly fd: number; readonly bytes: Uint8Array }[]): Answer[] {
    let answers = this.#load.exchange(questions, this.server, PATIENCE);
    for (let attempt = 1; attempt < ATTEMPTS && answers.includes(undefined); attempt += 1) {
      const again = questions.filter((_question, index) => answers[index] === undefined);
      const late = [...this.#load.exchange(again, this.server, PATIENCE)];
      answers = answers.map((answer) => answer ?? late.shift());
    }
    return answers.map((answer) => {
      if (answer === undefined) throw new Error('the server does not answer');
      return readAnswer(answer);
    });
  }
}

/** Packets a second that the generator moves with nothing between its two ends. */
export async function ceilingOf(load: Load, { arrival, payload }: Pick<Case, 'arrival' | 'payload'>): Promise<number> {
  const [from, to] = [load.open(), load.open()];
  const flow = { fd: from.fd, port: to.port, bytes: Buffer.alloc(payload, 0x5a) };
  const runs = arrival === 'runs' ? 1 : 0;
  const { received } = await load.run({
    flows: [flow],
    sinks: [to.fd],
    rate: 1e7,
    seconds: 1,
    least: 1,
    runs,
    gro: runs,
  });
  load.close(from.fd);
  load.close(to.fd);
  return received;
}
