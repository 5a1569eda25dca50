/**
 * The relay as it stands on the Internet: behind a 1:1 NAT of its cloud, its clients behind a NAT of their own, a peer with a
 * public address elsewhere. The addresses are public ones on networks that exist in here only, so that the peer policy is
 * the one that a relay has by default.
 *
 *   client 192.168.1.2 ── nat 20.0.1.2 ── internet ─┬─ 20.0.2.2 ⇄ 10.0.0.2 relay
 *                                                   └─ 20.0.3.2 peer
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../kernel/clock.ts';
import { createAuthority } from '../../kernel/principals.ts';
import { systemRandom } from '../../kernel/random.ts';
import type { Delivery } from '../../relay/client/delivery.ts';
import type { Credentials } from '../../relay/client/requests.ts';
import { systemTimer } from '../../relay/client/timer.ts';
import { type Allocated, type Result, TurnClient } from '../../relay/client/turn-client.ts';
import { issueIceServers } from '../../relay/credentials/ice-servers.ts';
import { requirePart } from '../system-parts.ts';
import { Network } from './network.ts';
import { buildSocketProgram, openSocket } from './remote-socket.ts';
import { mainProgram, until } from './service.ts';

const SERVER = { address: '20.0.2.2', port: 3478 };
const NAT = '20.0.1.2';
const PEER = '20.0.3.2';
const STRANGER = '20.0.3.3';
const CHANNEL = 0x4000;
const MISMATCH = 437;
const secret = 'a secret of networks that nobody reaches';

const networking = requirePart('networking', (tools) => Network.refusal(tools));
const coturn = requirePart('coturn');

networking.describe('a relay behind a 1:1 NAT, for clients behind a NAT', () => {
  let network: Network;
  let directory: string;
  let program: string;
  let relayLog = '';

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'turnpike-nat-'));
    program = join(directory, 'udp-socket.mjs');
    await buildSocketProgram(program);
    network = new Network(networking);
    for (const host of ['client', 'nat', 'internet', 'relay', 'peer']) network.addHost(host);
    network.join(['client', 'lan', '192.168.1.2/24'], ['nat', 'inside', '192.168.1.1/24']);
    network.join(['nat', 'outside', `${NAT}/24`], ['internet', 'line', '20.0.1.1/24']);
    network.join(['relay', 'eth0', '10.0.0.2/24'], ['internet', 'cloud', '10.0.0.1/24']);
    network.join(['peer', 'eth0', `${PEER}/24`], ['internet', 'far', '20.0.3.1/24']);
    network.addAddress('peer', 'eth0', `${STRANGER}/24`);
    for (const [host, gateway] of [
      ['client', '192.168.1.1'],
      ['nat', '20.0.1.1'],
      ['relay', '10.0.0.1'],
      ['peer', '20.0.3.1'],
    ] as const) {
      network.setGateway(host, gateway);
    }
    network.forward('nat');
    network.forward('internet');
    masqueradeTo('40000-40099');
    network.translate(
      'internet',
      `chain arriving { type nat hook prerouting priority dstnat; ip daddr ${SERVER.address} dnat to 10.0.0.2; }
       chain leaving { type nat hook postrouting priority srcnat; ip saddr 10.0.0.2 snat to ${SERVER.address}; }`,
    );
    await startRelay();
  });

  afterAll(async () => {
    await network?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** The ports under which the clients' NAT shows them. */
  function masqueradeTo(ports: string): void {
    const rule = `oifname "outside" meta l4proto udp masquerade to :${ports}`;
    network.translate('nat', `chain leaving { type nat hook postrouting priority srcnat; ${rule}; }`);
  }

  async function startRelay(): Promise<void> {
    // No collector: usage waits on disk. No flag for the peer policy: it is the default one.
    const where = ['--data', directory, '--collector', 'http://127.0.0.1:1'];
    const turn = ['--turn-host', '10.0.0.2', '--turn-port', `${SERVER.port}`, '--external-ip', SERVER.address];
    const env = { TURNPIKE_RELAY_TOKEN: 'a token of these networks', TURNPIKE_KEY_SECRET: secret };
    const relay = network.start('relay', process.execPath, [mainProgram, 'relay', ...where, ...turn], env);
    relay.stdout.on('data', (chunk: Buffer) => (relayLog += chunk.toString()));
    relay.stderr.on('data', (chunk: Buffer) => (relayLog += chunk.toString()));
    await until(() => {
      if (relay.exitCode !== null) throw new Error(`the relay ended: ${relayLog}`);
      return relayLog.includes('"relaying"');
    }, 'the relay');
  }

  function issue(participant: string): Credentials {
    const settings = { id: 'default', tokenHashes: [], keys: [{ id: 'main', secrets: [secret] }], origins: [] };
    const hashes = { relayTokenHash: '', sourceTokenHash: '', operatorTokenHash: '' };
    const key = createAuthority({ apps: [settings], ...hashes }, systemClock).key('main')?.key;
    if (key === undefined) throw new Error('no key');
    const urls = { stunUrls: [], turnUrls: [], reportUrl: '' };
    const by = { app: 'default', key, urls, clock: systemClock, random: systemRandom };
    const { username, credential } = issueIceServers({ ttl: 600, participant }, by).iceServers[0] ?? {};
    if (username === undefined || credential === undefined) throw new Error('no credential');
    return { username, credential };
  }

  /** A client behind the NAT, and what the relay has delivered to it. */
  async function client(name: string): Promise<{ turn: TurnClient; deliveries: Delivery[] }> {
    const socket = await openSocket(network, 'client', { program, address: '192.168.1.2' });
    const deliveries: Delivery[] = [];
    const turn = new TurnClient({
      link: socket.linkTo(SERVER),
      credentials: issue(name),
      clock: systemClock,
      timer: systemTimer,
      random: systemRandom,
      // A request that had to be sent twice has two answers: the second is nothing that a peer sent.
      onDelivery: (delivery) => {
        if (delivery.type !== 'stray') deliveries.push(delivery);
      },
    });
    return { turn, deliveries };
  }

  const peer = (address: string) => openSocket(network, 'peer', { program, address });
  const payloads = (deliveries: readonly Delivery[]) =>
    deliveries.map((delivery) => ('payload' in delivery ? delivery.payload.toString() : delivery.type));

  it('tells a client the address of its NAT, and peers the address outside its own', async () => {
    const { turn, deliveries } = await client('ann');
    const far = await peer(PEER);
    const stranger = await peer(STRANGER);
    const { relayed, mapped } = granted(await turn.allocate());
    expect(mapped?.address).toBe(NAT);
    expect(isWithin(mapped?.port, 40_000, 40_099)).toBe(true);
    expect(relayed.address).toBe(SERVER.address);
    expect(await turn.binding()).toMatchObject({ ok: true, value: mapped });

    expect((await turn.bindChannel(CHANNEL, far.local)).ok).toBe(true);
    turn.sendOn(CHANNEL, Buffer.from('to the peer'));
    await until(() => far.arrived.length > 0, 'the packet at the peer');
    expect(far.arrived).toEqual([{ from: relayed, bytes: Buffer.from('to the peer') }]);

    stranger.send(relayed, Buffer.from('from nobody permitted'));
    far.send(relayed, Buffer.from('from the peer'));
    await until(() => deliveries.length > 0, 'the packet at the client');
    expect(payloads(deliveries)).toEqual(['from the peer']);
    await turn.close();
  });

  it('lets two clients behind one NAT meet at its address outside', async () => {
    const [ann, ben] = [await client('ann'), await client('ben')];
    const [annAt, benAt] = [granted(await ann.turn.allocate()), granted(await ben.turn.allocate())];
    expect((await ann.turn.bindChannel(CHANNEL, benAt.relayed)).ok).toBe(true);
    expect((await ben.turn.bindChannel(CHANNEL, annAt.relayed)).ok).toBe(true);
    ann.turn.sendOn(CHANNEL, Buffer.from('from ann'));
    ben.turn.sendOn(CHANNEL, Buffer.from('from ben'));
    await until(() => ann.deliveries.length > 0 && ben.deliveries.length > 0, 'a packet each way');
    expect([payloads(ann.deliveries), payloads(ben.deliveries)]).toEqual([['from ben'], ['from ann']]);
    await ann.turn.close();
    await ben.turn.close();
  });

  it('answers 437 to a client whose NAT has given it another port, and gives it a new allocation', async () => {
    const { turn, deliveries } = await client('ann');
    const far = await peer(PEER);
    const before = granted(await turn.allocate());
    expect((await turn.bindChannel(CHANNEL, far.local)).ok).toBe(true);
    masqueradeTo('50000-50099');
    network.reconnect('nat', 'outside', '20.0.1.1');

    // Another five-tuple, though the socket is the same: its nonce is stale (438, followed by the client), its allocation none.
    const mismatch = { ok: false, failure: { type: 'refused', code: MISMATCH } };
    expect(await turn.refresh()).toMatchObject(mismatch);
    expect(await turn.bindChannel(CHANNEL, far.local)).toMatchObject(mismatch);
    turn.sendOn(CHANNEL, Buffer.from('on a channel of another five-tuple'));
    far.send(before.relayed, Buffer.from('to a port that nobody owns any more'));

    const after = granted(await turn.allocate());
    expect(isWithin(after.mapped?.port, 50_000, 50_099)).toBe(true);
    expect(after.relayed.port).not.toBe(before.relayed.port);
    expect((await turn.bindChannel(CHANNEL, far.local)).ok).toBe(true);
    turn.sendOn(CHANNEL, Buffer.from('again'));
    await until(() => far.arrived.length > 0, 'the packet at the peer');
    expect(far.arrived).toEqual([{ from: after.relayed, bytes: Buffer.from('again') }]);
    far.send(after.relayed, Buffer.from('once more'));
    await until(() => deliveries.length > 0, 'the packet at the client');
    expect(payloads(deliveries)).toEqual(['once more']);
    await turn.close();
  });

  it('is found usable by `turnpike check` from behind the NAT', () => {
    const { username, credential } = issue('operator');
    const who = ['--username', username, '--credential', credential, '--json'];
    const url = `turn:${SERVER.address}:${SERVER.port}?transport=udp`;
    const said = network.execute('client', process.execPath, mainProgram, 'check', url, ...who);
    expect(JSON.parse(said)).toMatchObject({
      ok: true,
      routes: [{ mapped: { address: NAT }, relayed: { address: SERVER.address } }],
    });
  });

  coturn.describe("and coturn's STUN client", () => {
    it('is told the address of its NAT', () => {
      const program = coturn.path('turnutils_stunclient');
      const said = network.execute('client', program, '-p', `${SERVER.port}`, SERVER.address);
      expect(said).toMatch(/UDP reflexive addr: 20\.0\.1\.2:\d+/);
    });
  });
});

function granted(result: Result<Allocated>): Allocated {
  if (!result.ok) throw new Error(`no allocation: ${JSON.stringify(result.failure)}`);
  return result.value;
}

function isWithin(port: number | undefined, first: number, last: number): boolean {
  return port !== undefined && port >= first && port <= last;
}
