/**
 * A relay that dies in the middle of calls, and the one that starts in its place. What a killed process leaves is what is on its
 * disk at that moment: the successor runs in a copy of the directory that was made while the first one lived.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { UsageRecord } from '../../../relay/contract.ts';
import type { RelayNodeOptions } from '../../../relay/node.ts';
import { JOURNAL_DELAY } from '../../../relay/restart/journal.ts';
import { relayBench, RelayedClient, Wire } from '../relay-bench.ts';
import type { RelayBench } from '../relay-bench.ts';

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

const CHANNEL = 0x4001;

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'turnpike-restart-'));
  open.push(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

interface Start {
  readonly directory?: string;
  readonly port?: number;
  readonly collector?: { away: boolean };
  readonly options?: Partial<RelayNodeOptions>;
}

async function start(made: Start = {}): Promise<RelayBench> {
  const listen = { transport: 'udp', address: '127.0.0.1', port: made.port ?? 0 } as const;
  const relay = await relayBench(made.directory ?? directory(), made.collector, listen, made.options);
  open.push(() => relay.close());
  return relay;
}

async function wire(): Promise<Wire> {
  const made = await Wire.open();
  open.push(() => made.close());
  return made;
}

/** A client with an allocation, and a peer with whom it talks on a channel. */
async function connected(relay: RelayBench, credential = relay.issue()) {
  const client = new RelayedClient(await wire(), credential, relay.server);
  const peer = await wire();
  const { relayed } = await client.allocate();
  if (relayed === undefined) throw new Error('no allocation');
  const bound = await client.authenticated((turn) => turn.channelBind(CHANNEL, peer.endpoint));
  expect(bound.messageClass).toBe('success');
  return { client, peer, relayed };
}
type Call = Awaited<ReturnType<typeof connected>>;

function frame(length: number): Buffer {
  const bytes = Buffer.alloc(4 + length, 0x5a);
  bytes.writeUInt16BE(CHANNEL, 0);
  bytes.writeUInt16BE(length, 2);
  return bytes;
}

/** One packet each way; fails when the relayed address that the peer sees has changed. */
async function talk({ client, peer, relayed }: Call, length = 100): Promise<void> {
  await client.frame(frame(length));
  expect(await peer.receive()).toHaveLength(length);
  await peer.send(Buffer.alloc(length), relayed);
  expect(await client.wire.receive()).toHaveLength(4 + length);
}

const internet = (relay: RelayBench) => relay.plane.totals().classes.internet;

/** Waits until what was changed and counted is on disk, and gives what a kill at this moment would leave. */
async function leftBy(relay: RelayBench): Promise<string> {
  const copy = directory();
  // The journal is behind by its delay, a checkpoint by half a second and a tick: both are bounds of time, not events.
  await sleep(JOURNAL_DELAY + 900);
  cpSync(relay.directory, copy, { recursive: true });
  return copy;
}

async function killedAndStarted(relay: RelayBench, more: Start = {}): Promise<RelayBench> {
  const left = await leftBy(relay);
  await relay.node.stop();
  return start({ ...more, directory: left, port: relay.server.port });
}

async function resumed(relay: RelayBench): Promise<Record<string, number>> {
  await setImmediate(); // the plane's word on each port comes on the next tick
  const { values } = await relay.metrics.counter('turnpike_relay_resumed_allocations_total').get();
  return Object.fromEntries(values.map(({ labels, value }) => [String(labels['result']), value]));
}

/** Highest total of each allocation and boot, summed: what a statement says. */
function billed(records: readonly UsageRecord[], field: 'client_tx_bytes' | 'client_rx_bytes'): bigint {
  const highest = new Map<string, bigint>();
  for (const record of records) {
    const key = `${record.boot_id} ${record.allocation_id}`;
    const total = record.classes.internet[field];
    if (total >= (highest.get(key) ?? 0n)) highest.set(key, total);
  }
  return [...highest.values()].reduce((sum, total) => sum + total, 0n);
}

describe('a relay that was killed in the middle of a call', () => {
  it('goes on with it: same relayed address, permissions, channels and nonces, nobody told 437 or 438', async () => {
    const first = await start();
    const call = await connected(first);
    await talk(call);
    const second = await killedAndStarted(first);
    expect(await resumed(second)).toEqual({ resumed: 1 });
    await talk(call);
    const refreshed = await call.client.authenticated((turn) => turn.refresh(600));
    expect(refreshed.messageClass).toBe('success');
    expect(second.node.allocations()).toBe(1);
  });

  it('bills every byte of both lives once, each life with a last reading of its own', async () => {
    const first = await start();
    const call = await connected(first);
    await talk(call, 300);
    const before = internet(first);
    const second = await killedAndStarted(first);
    await talk(call, 500);
    await call.client.authenticated((turn) => turn.refresh(0));
    await expect.poll(() => second.acknowledged.filter(({ final }) => final).length).toBe(2);
    const after = internet(second);
    expect(billed(second.acknowledged, 'client_tx_bytes')).toBe(before.clientTxBytes + after.clientTxBytes);
    expect(billed(second.acknowledged, 'client_rx_bytes')).toBe(before.clientRxBytes + after.clientRxBytes);
    expect(before.clientTxBytes).toBe(304n);
    expect(after.clientTxBytes).toBe(504n);
    expect(new Set(second.acknowledged.map((record) => record.boot_id)).size).toBe(2);
    expect(new Set(second.acknowledged.map((record) => record.allocation_id)).size).toBe(1);
  });

  it('does so again and again, and holds the quota over all of its lives', async () => {
    const first = await start();
    const call = await connected(first, first.issue({ limits: { bytes: 1_000n } }));
    await talk(call, 300);
    const second = await killedAndStarted(first);
    await talk(call, 300);
    const third = await killedAndStarted(second);
    await talk(call, 300);
    const fourth = await killedAndStarted(third);
    // 912 bytes are spent.
    await call.peer.send(Buffer.alloc(85), call.relayed);
    await expect.poll(() => fourth.node.allocations()).toBe(0);
    expect(fourth.plane.totals().dropped.byte_quota).toBe(1n);
  }, 30_000);

  it('lets two of its clients go on with each other', async () => {
    const first = await start();
    const [one, other] = [await connected(first), await connected(first)];
    for (const [mine, theirs] of [
      [one, other],
      [other, one],
    ] as const) {
      const bound = await mine.client.authenticated((turn) => turn.channelBind(CHANNEL + 1, theirs.relayed));
      expect(bound.messageClass).toBe('success');
    }
    const second = await killedAndStarted(first);
    const bytes = frame(200);
    bytes.writeUInt16BE(CHANNEL + 1, 0);
    await one.client.frame(bytes);
    expect(await other.client.wire.receive()).toEqual(bytes);
    expect(await resumed(second)).toEqual({ resumed: 2 });
    expect(second.plane.totals().classes.own_relay.clientTxBytes).toBe(204n);
  });

  it('does not go on for a credential that was revoked, though its collector is away', async () => {
    const first = await start();
    const credential = first.issue();
    const call = await connected(first, credential);
    const left = await leftBy(first);
    first.revoke(credential.username);
    await expect.poll(() => first.node.allocations()).toBe(0);
    await first.node.stop();
    // Killed when it had heard of the revocation and not yet ended what it concerns.
    cpSync(join(first.directory, 'control'), join(left, 'control'), { recursive: true, force: true });
    const second = await start({ directory: left, port: first.server.port, collector: { away: true } });
    expect(await resumed(second)).toEqual({ credential: 1 });
    expect((await call.client.authenticated((turn) => turn.refresh(600))).code).toBe(401);
  });

  it('ends an allocation whose port somebody else has now, with its last reading, and says so', async () => {
    const first = await start();
    const call = await connected(first);
    await talk(call, 300);
    const left = await leftBy(first);
    await first.node.stop();
    const squatter = await Wire.open(call.relayed.port);
    open.push(() => squatter.close());
    const second = await start({ directory: left, port: first.server.port });
    expect(await resumed(second)).toEqual({ port: 1 });
    expect((await call.client.authenticated((turn) => turn.refresh(600))).code).toBe(437);
    await expect.poll(() => second.acknowledged.map(({ final }) => final)).toEqual([true]);
    expect(billed(second.acknowledged, 'client_tx_bytes')).toBe(304n);

    const third = await killedAndStarted(second);
    expect(await resumed(third)).toEqual({});
  });

  it('has nothing to go on with when every allocation had ended', async () => {
    const first = await start();
    const call = await connected(first);
    await call.client.authenticated((turn) => turn.refresh(0));
    await expect.poll(() => first.acknowledged.length).toBe(1);
    expect(await resumed(await killedAndStarted(first))).toEqual({});
  });
});

describe('a relay that is stopped', () => {
  it('ends its allocations, so that a successor has none', async () => {
    const first = await start();
    await connected(first);
    const left = first.directory;
    await first.node.stop();
    expect(first.acknowledged.map(({ final }) => final)).toEqual([true]);
    expect(await resumed(await start({ directory: left, port: first.server.port }))).toEqual({});
  });

  it('leaves them to its successor where it is told to keep them, and loses not a byte', async () => {
    const first = await start({ options: { onStop: 'keep' } });
    const call = await connected(first);
    await talk(call, 300);
    await first.node.stop();
    expect(first.acknowledged).toEqual([]);
    const counted = internet(first);

    const second = await start({ directory: first.directory, port: first.server.port });
    expect(await resumed(second)).toEqual({ resumed: 1 });
    await talk(call, 500);
    await second.node.stop();
    const total = counted.clientTxBytes + internet(second).clientTxBytes;
    expect(billed(second.acknowledged, 'client_tx_bytes')).toBe(total);
    expect(total).toBe(304n + 504n);
    expect(second.acknowledged.filter(({ final }) => final)).toHaveLength(2);
  });
});
