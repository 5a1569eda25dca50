import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CounterFiles } from '../../../../relay/planes/native/counter-files.ts';
import { channelData } from '../../../conformance/frames.ts';
import { reading, Stage, upward } from '../../../conformance/stage.ts';
import { addon, nativePlane } from './shared-clock.ts';

const root = mkdtempSync(join(tmpdir(), 'turnpike-counters-'));
afterAll(() => rmSync(root, { recursive: true }));

const CHANNEL = 0x4001;
const hello = Buffer.from('hello, peer!');

/** An allocation that has relayed so many packets. */
async function relayed(stage: Stage, packets: bigint) {
  const allocation = await stage.allocate();
  const peer = await stage.leg();
  stage.bind(allocation, CHANNEL, peer.local);
  for (let count = 0n; count < packets; count += 1n) {
    await allocation.client.send(channelData(CHANNEL, hello), stage.listener);
    await peer.next();
  }
  await stage.settled(allocation, 'internet', { peerTxPackets: packets });
  return allocation;
}

describe.skipIf(addon === undefined)('the counters of the native plane', () => {
  it('are in their file as they are counted, for whoever comes when the process is gone', async () => {
    const files = new CounterFiles(join(root, 'counted'), 'boot-1');
    const stage = await Stage.open(nativePlane({ counterFile: files.path }));
    const one = await relayed(stage, 2n);
    const two = await relayed(stage, 1n);
    const successor = new CounterFiles(join(root, 'counted'), 'boot-2');
    expect(successor.read('boot-1')).toEqual(
      new Map([
        [one.id, reading({ internet: upward([16, 16], [12, 12]) })],
        [two.id, reading({ internet: upward([16], [12]) })],
      ]),
    );
    await stage.close();
  });

  it('stay there when their allocation has ended, until another needs the room', async () => {
    const files = new CounterFiles(join(root, 'ended'), 'boot-1');
    const stage = await Stage.open(nativePlane({ counterFile: files.path }));
    const ended = await relayed(stage, 1n);
    stage.apply({ type: 'close', allocation: ended.id, reason: 'revoked' });
    await stage.closed(ended.id, 'revoked');
    const successor = new CounterFiles(join(root, 'ended'), 'boot-2');
    expect(successor.read('boot-1').get(ended.id)).toEqual(reading({ internet: upward([16], [12]) }));
    const next = await relayed(stage, 3n);
    expect([...successor.read('boot-1').keys()]).toEqual([next.id]);
    expect(stage.plane.totals().classes.internet.peerTxPackets).toBe(4n);
    await stage.close();
  });

  it('give no allocation where there is no row for it', async () => {
    const stage = await Stage.open(nativePlane({ maxAllocations: 1 }));
    await stage.allocate();
    expect((await stage.open()).answer.type).toBe('exhausted');
    await stage.close();
  });
});

describe('files of counters', () => {
  it('are nothing where there is none, and no way to other files', () => {
    const files = new CounterFiles(join(root, 'none'), 'boot-2');
    writeFileSync(join(root, 'secret'), Buffer.alloc(1 << 20, 1));
    expect(files.read('boot-1').size).toBe(0);
    expect(files.read('../secret').size).toBe(0);
  });

  it('are read as far as they go, however they were cut', () => {
    const files = new CounterFiles(join(root, 'cut'), 'boot-2');
    writeFileSync(join(root, 'cut', 'boot-1'), Buffer.alloc(70_000, 1));
    expect(files.read('boot-1').size).toBeLessThan(20);
  });

  it('are deleted when they have been read, but for this boot’s own', () => {
    const files = new CounterFiles(join(root, 'forgotten'), 'boot-2');
    for (const boot of ['boot-0', 'boot-1', 'boot-2']) writeFileSync(join(root, 'forgotten', boot), '');
    files.forget();
    expect(readdirSync(join(root, 'forgotten'))).toEqual(['boot-2']);
  });
});
