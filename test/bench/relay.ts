/**
 * What one relayed packet costs: ChannelData with 1,000 octets of payload over loopback, one direction at a time, 16
 * allocations made with real Allocate and ChannelBind requests.
 *
 *     npm run bench:relay -- [--direction up|down] [--rate 20000] [--seconds 3] [--rounds 3]
 *
 * Measured is the CPU time (user and system, from /proc) of the server's process alone, divided by the packets that came out
 * of it, after a second of warming up. Of several rounds the cheapest is told: what disturbs a round only ever adds to it.
 * Loopback has no network card, so the kernel's part is understated; generator and sink share the machine, and what is lost
 * may have been lost on them: compare ratios, not absolutes. `floor` is no TURN server: one Node socket in, one out, nothing
 * looked up and nothing asked of the send. It is what no relay on dgram can beat.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Endpoint } from '../../kernel/address.ts';
import { readAnswer, TurnClient } from '../relay/turn-client.ts';
import { cpuOf } from './processes.ts';
import { serve } from './relay-servers.ts';
import type { ServerName } from './relay-servers.ts';

const HOST = '127.0.0.1';
const ALLOCATIONS = 16;
const PAYLOAD = 1000;
const CHANNEL = 0x4001;
const WARM_UP_SECONDS = 1;
/** Largest run of datagrams sent without letting anything be received. */
const BURST = 64;
const USER = 'bench';
const PASSWORD = 'bench-password';

/** One datagram to send again and again, and from where. */
interface Stream {
  readonly socket: Socket;
  readonly bytes: Buffer;
  readonly to: Endpoint;
}

interface Result {
  readonly name: ServerName;
  readonly offered: number;
  readonly relayed: number;
  readonly loss: number;
  /** CPU microseconds per relayed packet. */
  readonly user: number;
  readonly system: number;
}

async function bind(port = 0): Promise<Socket> {
  // As in the plane: numeric addresses are not to be looked up, or the generator is measured instead.
  const socket = createSocket({ type: 'udp4', lookup: (address, _options, answer) => answer(null, address, 4) });
  const listening = once(socket, 'listening');
  socket.bind(port, HOST);
  await listening;
  socket.setRecvBufferSize(4 << 20);
  socket.setSendBufferSize(4 << 20);
  return socket;
}

async function freePort(): Promise<number> {
  const socket = await bind();
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** Sends requests until one is answered; each is lost and sent again like over any network. */
async function ask(socket: Socket, server: Endpoint, request: Uint8Array): Promise<ReturnType<typeof readAnswer>> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const answered = once(socket, 'message', { signal: AbortSignal.timeout(200) });
    socket.send(request, server.port, server.address);
    try {
      const [bytes] = (await answered) as [Buffer];
      return readAnswer(bytes);
    } catch {
      // Not up yet, or lost.
    }
  }
  throw new Error('the server does not answer');
}

/** An allocation with a channel to the peer. Returns the relayed address. */
async function allocate(socket: Socket, server: Endpoint, peer: Endpoint): Promise<Endpoint> {
  const client = new TurnClient(USER, PASSWORD);
  client.learn(await ask(socket, server, client.allocate()));
  const { relayed, code } = await ask(socket, server, client.allocate());
  if (relayed === undefined) throw new Error(`Allocate was answered ${code}`);
  const bound = await ask(socket, server, client.channelBind(CHANNEL, peer));
  if (bound.messageClass !== 'success') throw new Error(`ChannelBind was answered ${bound.code}`);
  return relayed;
}

async function generate(streams: readonly Stream[], rate: number, seconds: number): Promise<number> {
  const start = performance.now();
  let sent = 0;
  for (;;) {
    const elapsed = performance.now() - start;
    if (elapsed >= seconds * 1000) return sent;
    const due = Math.min(BURST, Math.floor((elapsed / 1000) * rate) - sent);
    for (let count = 0; count < due; count += 1) {
      const { socket, bytes, to } = streams[(sent + count) % streams.length]!;
      socket.send(bytes, to.port, to.address);
    }
    sent += Math.max(0, due);
    await setImmediate();
  }
}

async function prepare(
  name: ServerName,
  server: Endpoint,
  sink: Socket,
  direction: string,
): Promise<{ streams: Stream[]; clients: Socket[] }> {
  const { address, port } = sink.address();
  const payload = Buffer.alloc(PAYLOAD, 0x5a);
  const frame = Buffer.from(new TurnClient(USER, PASSWORD).channelData(CHANNEL, payload));
  const streams: Stream[] = [];
  const clients: Socket[] = [];
  for (let index = 0; index < ALLOCATIONS; index += 1) {
    const socket = await bind();
    clients.push(socket);
    const relayed = name === 'floor' ? server : await allocate(socket, server, { address, port });
    streams.push(
      direction === 'up' ? { socket, bytes: frame, to: server } : { socket: sink, bytes: payload, to: relayed },
    );
  }
  return { streams, clients };
}

async function measure(name: ServerName, direction: string, rate: number, seconds: number): Promise<Result> {
  const sink = await bind();
  const server = { address: HOST, port: await freePort() };
  const child = start(name, server.port, sink.address().port);
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot start ${name}`);
  const sockets: Socket[] = [sink];
  try {
    // coturn and node-turn have no way to say that they listen; the first request is repeated until it is answered.
    if (name === 'floor') await setTimeout(1000);
    const { streams, clients } = await prepare(name, server, sink, direction);
    sockets.push(...clients);
    let received = 0;
    const count = (bytes: Buffer) => {
      if (bytes.length >= PAYLOAD) received += 1;
    };
    for (const socket of direction === 'up' ? [sink] : clients) socket.on('message', count);
    await generate(streams, rate, WARM_UP_SECONDS);
    await setTimeout(200);
    received = 0;
    const before = cpuOf(pid);
    const sent = await generate(streams, rate, seconds);
    await setTimeout(200);
    const after = cpuOf(pid);
    return {
      name,
      offered: sent / seconds,
      relayed: received / seconds,
      loss: 1 - received / sent,
      user: (after.user - before.user) / received,
      system: (after.system - before.system) / received,
    };
  } finally {
    for (const socket of sockets) socket.close();
    child.kill();
    await once(child, 'exit');
  }
}

/** The server in a process of its own, on a core of its own where the system lets us choose. */
function start(name: ServerName, port: number, sink: number): ChildProcess {
  const own = [process.execPath, process.argv[1] ?? '', 'serve', name, String(port), String(sink)];
  const coturn = [
    'turnserver -n --log-file=/dev/null --no-stdout-log --pidfile=/dev/null --no-cli --no-tls --no-dtls -m 1',
    `-L ${HOST} -E ${HOST} -p ${port} --min-port=20000 --max-port=29999 --allow-loopback-peers`,
    `--lt-cred-mech -r bench -u ${USER}:${PASSWORD}`,
  ].flatMap((line) => line.split(' '));
  const command = name === 'coturn' ? coturn : own;
  const pinned = existsSync('/usr/bin/taskset') ? ['/usr/bin/taskset', '-c', '1', ...command] : command;
  const [program = '', ...parameters] = pinned;
  return spawn(program, parameters, { stdio: ['ignore', 'ignore', 'inherit'] });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      direction: { type: 'string', default: 'up' },
      rate: { type: 'string', default: '20000' },
      seconds: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '3' },
    },
  });
  const names: ServerName[] = ['floor', 'turnpike', 'node-turn'];
  if (existsSync('/usr/bin/turnserver')) names.push('coturn');
  console.log(
    `ChannelData ${values.direction}, ${PAYLOAD} octets of payload, ${ALLOCATIONS} allocations, one server core`,
  );
  console.log('server      offered/s  relayed/s    loss  CPU µs/packet   (user + system)');
  for (const name of names) {
    if (name === 'floor' && values.direction !== 'up') continue;
    const results: Result[] = [];
    for (let round = 0; round < Number(values.rounds); round += 1) {
      results.push(await measure(name, values.direction, Number(values.rate), Number(values.seconds)));
    }
    const [result] = results.toSorted((a, b) => a.user + a.system - b.user - b.system);
    if (result === undefined) continue;
    if (result.relayed === 0) {
      console.log(`${name.padEnd(10)} relays nothing`);
      continue;
    }
    const cells = [
      name.padEnd(10),
      result.offered.toFixed(0).padStart(10),
      result.relayed.toFixed(0).padStart(10),
      `${(result.loss * 100).toFixed(2)} %`.padStart(7),
      (result.user + result.system).toFixed(1).padStart(14),
      `  (${result.user.toFixed(1)} + ${result.system.toFixed(1)})`,
    ];
    console.log(cells.join(' '));
  }
}

if (process.argv[2] === 'serve') {
  await serve(process.argv[3] as ServerName, Number(process.argv[4]), Number(process.argv[5]), USER, PASSWORD);
} else {
  await main();
}
