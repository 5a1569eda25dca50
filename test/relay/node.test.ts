import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Fastify from 'fastify';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { UsageRecord } from '../../relay/contract.ts';
import { relayRoutes } from '../../relay/node.ts';
import { peerClasses } from '../../relay/planes/plane.ts';
import type { Listener, PlaneTotals } from '../../relay/planes/plane.ts';
import { attributes } from '../../relay/stun/attributes.ts';
import { text } from '../../relay/stun/text-attributes.ts';
import { totalsOf } from '../../relay/usage/reading.ts';
import { requirePart } from '../system-parts.ts';
import { relayBench, RelayedClient, Wire } from './relay-bench.ts';
import type { RelayBench } from './relay-bench.ts';

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

async function bench(directory?: string, collector?: { away: boolean }, listen?: Listener): Promise<RelayBench> {
  const made = await relayBench(directory, collector, listen);
  open.push(() => made.close());
  return made;
}

async function wire(): Promise<Wire> {
  const made = await Wire.open();
  open.push(() => made.close());
  return made;
}

/** A client with an allocation, and a peer with whom it talks on channel 0x4001. */
async function connected(relay: RelayBench) {
  const client = new RelayedClient(await wire(), relay.issue({ customIdentifier: 'c-7', call: 'room' }), relay.server);
  const peer = await wire();
  const { relayed } = await client.allocate();
  if (relayed === undefined) throw new Error('no allocation');
  const bound = await client.authenticated((turn) => turn.channelBind(0x4001, peer.endpoint));
  expect(bound.messageClass).toBe('success');
  return { client, peer, relayed };
}

/** A ChannelData frame. */
function frame(length: number): Buffer {
  const bytes = Buffer.alloc(4 + length, 0x5a);
  bytes.writeUInt16BE(0x4001, 0);
  bytes.writeUInt16BE(length, 2);
  return bytes;
}

/** The final records' totals together, in the plane's own terms. */
function sumOf(records: readonly UsageRecord[]): Omit<PlaneTotals, 'dropped'> {
  const finals = records.filter((record) => record.final);
  const sum = (read: (record: UsageRecord) => bigint) => finals.reduce((total, record) => total + read(record), 0n);
  const ofClass = (name: (typeof peerClasses)[number]) => ({
    clientRxBytes: sum((record) => record.classes[name].client_rx_bytes),
    clientTxBytes: sum((record) => record.classes[name].client_tx_bytes),
    peerRxBytes: sum((record) => record.classes[name].peer_rx_bytes),
    peerTxBytes: sum((record) => record.classes[name].peer_tx_bytes),
    clientRxPackets: sum((record) => record.classes[name].client_rx_packets),
    clientTxPackets: sum((record) => record.classes[name].client_tx_packets),
    peerRxPackets: sum((record) => record.classes[name].peer_rx_packets),
    peerTxPackets: sum((record) => record.classes[name].peer_tx_packets),
  });
  return {
    classes: { internet: ofClass('internet'), own_relay: ofClass('own_relay'), sfu: ofClass('sfu') },
    clientControlTxBytes: sum((record) => record.client_control_tx_bytes),
  };
}

describe('a relay node', () => {
  it('relays for a credential it never saw before and reports, to the byte, what went over the wires', async () => {
    const relay = await bench();
    const { client, peer, relayed } = await connected(relay);
    const before = client.wire.got.bytes;
    let sent = 0;
    for (const length of [0, 1, 160, 1_100]) {
      await client.frame(frame(length));
      sent += 4 + length;
      expect(await peer.receive()).toHaveLength(length);
      await peer.send(Buffer.alloc(length * 2, 1), relayed);
      expect((await client.wire.receive()).subarray(4)).toHaveLength(length * 2);
    }
    await relay.node.stop();

    expect(relay.acknowledged.map((record) => [record.seq, record.final])).toEqual([[0, true]]);
    const [record] = relay.acknowledged;
    expect(record).toMatchObject({
      server_id: relay.node.serverId,
      boot_id: relay.node.bootId,
      app_id: 'shop',
      key_id: 'main',
      custom_id: 'c-7',
      call_id: 'room',
      participant_id: '',
      transport: 'udp',
      client_family: 4,
      relay_family: 4,
      client_control_tx_bytes: BigInt(client.controlBytes),
    });
    expect(record?.classes.internet).toEqual({
      client_rx_bytes: BigInt(sent),
      client_tx_bytes: BigInt(client.wire.got.bytes - before),
      peer_rx_bytes: BigInt(peer.sent.bytes),
      peer_tx_bytes: BigInt(peer.got.bytes),
      client_rx_packets: 4n,
      client_tx_packets: 4n,
      peer_rx_packets: 4n,
      peer_tx_packets: 4n,
    });
    const { dropped: _dropped, ...totals } = relay.plane.totals();
    expect(sumOf(relay.acknowledged)).toEqual(totals);
  });

  it('counts two clients that meet on this relay as own_relay on both of their allocations', async () => {
    const relay = await bench();
    const [one, other] = [await connected(relay), await connected(relay)];
    const bound = await one.client.authenticated((turn) => turn.channelBind(0x4002, other.relayed));
    expect(bound.messageClass).toBe('success');
    await other.client.authenticated((turn) => turn.channelBind(0x4002, one.relayed));
    const bytes = frame(200);
    bytes.writeUInt16BE(0x4002, 0);
    await one.client.frame(bytes);
    expect(await other.client.wire.receive()).toHaveLength(204);
    await relay.node.stop();

    expect(relay.acknowledged).toHaveLength(2);
    const classes = relay.acknowledged.map((record) => record.classes.own_relay);
    expect(new Set(classes.map((totals) => totals.client_rx_bytes))).toEqual(new Set([0n, 204n]));
    expect(new Set(classes.map((totals) => totals.client_tx_bytes))).toEqual(new Set([0n, 204n]));
    const { dropped: _dropped, ...totals } = relay.plane.totals();
    expect(sumOf(relay.acknowledged)).toEqual(totals);
  });

  it('reports the end of an allocation that its client ended, while the node runs on', async () => {
    const relay = await bench();
    const { client } = await connected(relay);
    await client.authenticated((turn) => turn.refresh(0));
    await expect.poll(() => relay.acknowledged.map((record) => record.final)).toEqual([true]);
    expect(relay.node.allocations()).toBe(0);
    const [record] = relay.acknowledged;
    expect(record?.client_control_tx_bytes).toBe(relay.plane.totals().clientControlTxBytes);
  });

  it('keeps usage on disk while the collector is away, and delivers it when the relay runs again', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'turnpike-node-'));
    open.push(() => rmSync(directory, { recursive: true, force: true }));
    const first = await relayBench(directory);
    first.collector.away = true;
    const { client, peer } = await connected(first);
    await client.frame(frame(500));
    await peer.receive();
    const totals = totalsOf({ ...first.plane.totals() });
    await first.node.stop();
    expect(first.acknowledged).toEqual([]);

    const second = await bench(directory);
    await expect.poll(() => second.acknowledged.length).toBe(1);
    expect(second.acknowledged[0]).toMatchObject({ boot_id: first.node.bootId, final: true, classes: totals.classes });
    expect(second.node.serverId).toBe(first.node.serverId);
    expect(second.node.bootId).not.toBe(first.node.bootId);
  }, 20_000);

  it('drained, gives nothing new, is not ready, and waits for the last allocation to end', async () => {
    const relay = await bench();
    const { client, peer } = await connected(relay);
    const never = new AbortController().signal;
    const drained = relay.node.drain(60_000, never);
    expect(relay.node.checks.listeners()).toEqual({ ok: false, detail: 'draining' });
    const late = new RelayedClient(await wire(), relay.issue(), relay.server);
    expect((await late.allocate()).code).toBe(508);
    await client.frame(frame(100));
    expect(await peer.receive()).toHaveLength(100);
    await client.authenticated((turn) => turn.refresh(0));
    await drained;
    expect(relay.node.allocations()).toBe(0);
    await expect.poll(() => relay.acknowledged.map((record) => record.final)).toEqual([true]);
  });

  it('drained, waits no longer than it was told or let', async () => {
    const relay = await bench();
    await connected(relay);
    await relay.node.drain(1, new AbortController().signal);
    const cut = new AbortController();
    const drained = relay.node.drain(3_600_000, cut.signal);
    cut.abort();
    await drained;
    expect(relay.node.allocations()).toBe(1);
    await relay.node.stop();
    expect(relay.acknowledged.map((record) => record.final)).toEqual([true]);
  });

  it('says which directory it is when its spool cannot be opened', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'turnpike-node-'));
    open.push(() => rmSync(directory, { recursive: true, force: true }));
    writeFileSync(join(directory, 'usage'), 'not a directory');
    await expect(relayBench(directory)).rejects.toMatchObject({
      code: 'TP_RELAY_START',
      message: expect.stringContaining(`Cannot open ${directory}/usage: `),
    });
  });

  it('gives nothing to a forged credential, and counts it', async () => {
    const relay = await bench();
    const { username, credential } = relay.issue();
    const forger = new RelayedClient(await wire(), { username: `9${username.slice(1)}`, credential }, relay.server);
    expect((await forger.allocate()).code).toBe(401);
    const { values } = await relay.metrics.counter('turnpike_relay_auth_failures_total').get();
    expect(values).toEqual([{ labels: { reason: 'forged' }, value: 1 }]);
    expect(relay.node.allocations()).toBe(0);
  });

  it('ends what a revoked credential has within the answer, with its last record, and gives it nothing more', async () => {
    const relay = await bench();
    const revoked = relay.issue({ customIdentifier: 'c-7' });
    const clients = await Promise.all([1, 2].map(async () => new RelayedClient(await wire(), revoked, relay.server)));
    for (const client of clients) expect((await client.allocate()).relayed).toBeDefined();
    const other = new RelayedClient(await wire(), relay.issue({ customIdentifier: 'c-7' }), relay.server);
    expect((await other.allocate()).relayed).toBeDefined();

    relay.revoke(revoked.username);
    await expect.poll(() => relay.node.allocations()).toBe(1);
    const refused = await clients[0]!.authenticated((turn) => turn.refresh(600));
    expect(refused.code).toBe(401);
    expect((await new RelayedClient(await wire(), revoked, relay.server).allocate()).code).toBe(401);
    expect((await other.authenticated((turn) => turn.refresh(600))).messageClass).toBe('success');
    const { values } = await relay.metrics.counter('turnpike_relay_auth_failures_total').get();
    expect(values).toEqual([{ labels: { reason: 'revoked' }, value: 2 }]);
    await expect.poll(() => relay.acknowledged.filter((record) => record.final).length).toBe(2);
  }, 20_000);

  it('ends what an app has that reached its cap, gives it 486 through a restart, and lets it in again when the cap is lifted', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'turnpike-node-'));
    open.push(() => rmSync(directory, { recursive: true, force: true }));
    const first = await bench(directory);
    const credential = first.issue();
    expect((await new RelayedClient(await wire(), credential, first.server).allocate()).relayed).toBeDefined();
    first.cap(['bank']);
    first.cap(['bank', 'shop']);
    await expect.poll(() => first.node.allocations()).toBe(0);
    expect((await new RelayedClient(await wire(), credential, first.server).allocate()).code).toBe(486);
    const { values } = await first.metrics.counter('turnpike_relay_limited_requests_total').get();
    expect(values).toContainEqual({ labels: { limit: 'app_bytes' }, value: 1 });
    expect((await first.metrics.gauge('turnpike_relay_capped_apps').get()).values).toEqual([{ labels: {}, value: 2 }]);
    await first.node.stop();

    const second = await bench(directory, { away: true });
    expect((await new RelayedClient(await wire(), credential, second.server).allocate()).code).toBe(486);
    await second.node.stop();

    const third = await bench(directory);
    third.cap([]);
    const again = async () => (await new RelayedClient(await wire(), credential, third.server).allocate()).relayed;
    await expect.poll(again).toBeDefined();
  }, 20_000);

  it('ends the apps that fail closed when its collector is lost, and takes them again when it answers', async () => {
    const collector = { away: false };
    const caps = { closed: new Set(['shop']), timeout: 1_000 };
    const relay = await relayBench(undefined, collector, undefined, { caps });
    open.push(() => relay.close());
    const allocate = async () => new RelayedClient(await wire(), relay.issue(), relay.server).allocate();
    expect((await allocate()).relayed).toBeDefined();
    collector.away = true;
    relay.cap([]);
    await expect.poll(() => relay.node.allocations(), { timeout: 10_000 }).toBe(0);
    expect((await allocate()).code).toBe(486);
    collector.away = false;
    await expect.poll(async () => (await allocate()).code, { timeout: 10_000 }).toBeUndefined();
  }, 30_000);

  it('keeps a revoked credential out after a restart, while its collector is away', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'turnpike-node-'));
    open.push(() => rmSync(directory, { recursive: true, force: true }));
    const first = await bench(directory);
    const revoked = first.issue();
    first.revoke(revoked.username);
    await expect.poll(() => first.node.checks.control().detail).toMatch(/^1 revocations, last answer \d+ s ago/);
    await first.node.stop();

    const second = await bench(directory, { away: true });
    expect((await new RelayedClient(await wire(), revoked, second.server).allocate()).code).toBe(401);
    expect((await new RelayedClient(await wire(), second.issue(), second.server).allocate()).relayed).toBeDefined();
    await expect.poll(() => second.node.checks.control().detail).toContain('the collector answered 503');
  }, 20_000);

  it('lets nothing that clients call themselves into its log, its metrics or its records', async () => {
    let logged = '';
    // Every level, and without the redaction by name that a real log has besides.
    const log = pino({ level: 'trace' }, { write: (line: string) => (logged += line) });
    const relay = await relayBench(undefined, undefined, undefined, { log });
    open.push(() => relay.close());
    const mark = `x"} 1\n'; DROP TABLE egress_samples; --%s\u001b[31m`;
    const software = { more: [text(attributes.SOFTWARE, mark)] };
    const known = relay.issue();
    const names = [mark, known.username];
    for (const username of names) {
      const client = new RelayedClient(await wire(), { username, credential: known.credential }, relay.server);
      const answer = await client.allocate();
      expect(answer.code).toBe(username === mark ? 401 : undefined);
      await client.authenticated((turn) => turn.refresh(600, software));
    }
    relay.revoke(known.username);
    await expect.poll(() => relay.node.allocations()).toBe(0);
    const http = Fastify();
    await http.register(relayRoutes, { node: relay.node, metrics: relay.metrics });
    const metrics = (await http.inject('/metrics')).body;
    await relay.node.stop();

    const records = JSON.stringify(relay.acknowledged, (_key, value: unknown) =>
      typeof value === 'bigint' ? `${value}` : value,
    );
    for (const told of [logged, metrics, records]) {
      expect(told.length).toBeGreaterThan(0);
      for (const hidden of ['DROP TABLE', known.username, known.credential]) expect(told).not.toContain(hidden);
    }
  }, 20_000);

  it('shows on its own port that it is alive and ready, and what it carried', async () => {
    const relay = await bench();
    const http = Fastify();
    await http.register(relayRoutes, { node: relay.node, metrics: relay.metrics });
    const { client, peer } = await connected(relay);
    await client.frame(frame(96));
    await peer.receive();

    expect((await http.inject('/healthz')).statusCode).toBe(200);
    const ready = await http.inject('/readyz');
    expect(ready.json()).toMatchObject({
      ready: true,
      checks: {
        listeners: { ok: true, detail: `127.0.0.1 port ${relay.server.port} (UDP)` },
        spool: { ok: true },
        uplink: { ok: true, detail: '0 records pending, last delivered never' },
      },
    });
    const { body } = await http.inject('/metrics');
    expect(body).toContain('turnpike_relay_allocations 1\n');
    expect(body).toContain('turnpike_relay_allocations_total{transport="udp",result="ok"} 1\n');
    expect(body).toContain('turnpike_relay_bytes_total{direction="client_rx",peer_class="internet"} 100\n');
    expect(body).toContain('turnpike_relay_packets_total{direction="peer_tx",peer_class="internet"} 1\n');
    expect(body).toContain(
      `turnpike_relay_bytes_total{direction="client_control_tx",peer_class="none"} ${client.controlBytes}\n`,
    );
    expect(body).toContain('turnpike_relay_dropped_packets_total{reason="no_permission"} 0\n');
    expect((await http.inject('/metrics')).body).toContain(
      'turnpike_relay_bytes_total{direction="client_rx",peer_class="internet"} 100\n',
    );
    await relay.node.stop();
    expect((await http.inject('/readyz')).statusCode).toBe(503);
  });
});

const coturn = requirePart('coturn');
coturn.describe("a relay node and coturn's own client", () => {
  // Through Send indications: this client still takes channel numbers that RFC 8656 has reserved (0x5000 and up).
  const packets = '-s -y -c -m 2 -n 25 -l 300 -z 10'.split(' ');
  it.each([
    ['UDP', { transport: 'udp', address: '127.0.0.1' }, []],
    ['UDP and IPv6', { transport: 'udp', address: '::1' }, ['-x']],
    ['TCP', { transport: 'tcp', address: '127.0.0.1' }, ['-t']],
    ['TCP and IPv6', { transport: 'tcp', address: '::1' }, ['-t', '-x']],
    ['TLS', { transport: 'tls', address: '127.0.0.1' }, ['-t', '-S']],
  ] as const)(
    'carries its packets over %s without a loss, every byte in the usage records',
    async (_over, at, flags) => {
      const relay = await bench(undefined, undefined, { ...at, port: 0 });
      const { username, credential } = relay.issue();
      const program = coturn.path('turnutils_uclient');
      const who = ['-u', username, '-w', credential, '-p', `${relay.server.port}`];
      const { stdout } = await promisify(execFile)(program, [...who, ...packets, ...flags, at.address]);
      expect(stdout).toContain('tot_send_msgs=50');
      // Over TLS it takes each record for one message (one SSL_read, one look), and misses the second where there are two.
      if (at.transport !== 'tls') expect(stdout).toMatch(/Total lost packets 0 /);
      await relay.node.stop();
      const { dropped, ...totals } = relay.plane.totals();
      expect(totals.classes.own_relay).toMatchObject({ clientRxPackets: 50n, clientTxPackets: 50n });
      expect(Object.values(dropped).every((count) => count === 0n)).toBe(true);
      expect(sumOf(relay.acknowledged)).toEqual(totals);
      const family = at.address === '::1' ? 6 : 4;
      for (const record of relay.acknowledged) {
        expect(record).toMatchObject({ transport: at.transport, client_family: family, relay_family: family });
      }
    },
    60_000,
  );
});
