/**
 * What it costs to issue credentials: POST generate-ice-servers over HTTP on loopback, beside a bare fastify route that takes the
 * same request and answers with as many octets that were made beforehand.
 *
 *     npm run bench:credentials -- [--seconds 5] [--rounds 3]
 *
 * Measured is the CPU time of the server's process alone, divided by the requests it answered, after a second of warming up; the
 * rate is what one core could do at that price. Of several rounds the cheapest is told.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import fastify from 'fastify';
import { systemClock } from '../../kernel/clock.ts';
import { createHttp } from '../../kernel/http.ts';
import { silentLog } from '../../kernel/log.ts';
import { Metrics } from '../../kernel/metrics.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';
import { systemRandom } from '../../kernel/random.ts';
import { credentialRoutes } from '../../relay/credentials/routes.ts';
import { textTable } from '../../kernel/text-table.ts';
import { cpuOf } from './processes.ts';

type Server = 'fastify' | 'turnpike';

const HOST = '127.0.0.1';
const PATH = '/v1/turn/keys/main/credentials/generate-ice-servers';
const TOKEN = 'token-of-the-benchmark';
const BODY = JSON.stringify({ ttl: 3600, customIdentifier: 'customer-42', call: 'standup', participant: 'ann' });
const CONNECTIONS = 32;

async function serve(name: Server): Promise<void> {
  const http = name === 'fastify' ? bare() : await turnpike();
  await http.listen({ host: HOST, port: 0 });
  process.send?.((http.server.address() as AddressInfo).port);
}

function bare() {
  const answer = JSON.stringify({ iceServers: [], filler: 'x'.repeat(700) });
  const http = fastify();
  http.post(PATH, (_request, reply) => reply.status(201).type('application/json').send(answer));
  return http;
}

async function turnpike() {
  const key = { id: 'main', secrets: ['a secret of the benchmark'] };
  const app = { id: 'shop', tokenHashes: [hashToken(TOKEN)], keys: [key], origins: [] };
  const tokens = { relayTokenHash: hashToken('r'), sourceTokenHash: hashToken('s'), operatorTokenHash: hashToken('o') };
  const authority = createAuthority({ apps: [app], ...tokens }, systemClock);
  const http = createHttp({ log: silentLog, authority, host: HOST });
  await http.register(credentialRoutes, {
    authority,
    urls: () => ({
      stunUrls: ['stun:turn.example.org:3478'],
      turnUrls: ['udp', 'tcp'].map((transport) => `turn:turn.example.org:3478?transport=${transport}`),
      reportUrl: 'https://turnpike.example.org/v1/stats',
    }),
    revoke: () => Promise.resolve(),
    metrics: new Metrics(),
    clock: systemClock,
    random: systemRandom,
  });
  return http;
}

/** Asks over and over on so many connections until the time is up; how many answers came. */
async function load(port: number, seconds: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const headers = {
    authorization: `Bearer ${TOKEN}`,
    'content-type': 'application/json',
    'content-length': BODY.length,
  };
  const until = performance.now() + seconds * 1000;
  let answers = 0;
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      const asked = request({ host: HOST, port, path: PATH, method: 'POST', agent, headers }, (answer) => {
        if (answer.statusCode !== 201) reject(new Error(`answered ${answer.statusCode}`));
        answer.resume().once('end', resolve);
      });
      asked.once('error', reject).end(BODY);
    });
  const line = async () => {
    for (; performance.now() < until; answers += 1) await ask();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, line));
  agent.destroy();
  return answers;
}

async function measure(name: Server, seconds: number): Promise<number> {
  const child = spawn(process.execPath, [process.argv[1] ?? '', 'serve', name], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  try {
    const [port] = (await once(child, 'message')) as [number];
    await load(port, 1);
    const before = cpuOf(child.pid ?? 0);
    const answers = await load(port, seconds);
    const after = cpuOf(child.pid ?? 0);
    return (after.user + after.system - before.user - before.system) / answers;
  } finally {
    child.kill();
    await once(child, 'exit');
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { seconds: { type: 'string', default: '5' }, rounds: { type: 'string', default: '3' } },
  });
  const cheapest: Record<Server, number> = { fastify: Infinity, turnpike: Infinity };
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const name of ['fastify', 'turnpike'] as const) {
      cheapest[name] = Math.min(cheapest[name], await measure(name, Number(values.seconds)));
    }
  }
  const rows = (['fastify', 'turnpike'] as const).map((name) => [
    name === 'fastify' ? 'fastify, a bare route' : 'turnpike, a credential',
    cheapest[name].toFixed(1),
    Math.floor(1e6 / cheapest[name]).toString(),
    `${(cheapest[name] / cheapest.fastify).toFixed(2)}×`,
  ]);
  const columns = ['what is answered', 'CPU µs each', 'each core and second', 'against the bare route'].map(
    (title, index) => ({ title, align: index === 0 ? 'left' : 'right' }) as const,
  );
  console.log(textTable(columns, rows).join('\n'));
}

if (process.argv[2] === 'serve') await serve(process.argv[3] as Server);
else await main();
