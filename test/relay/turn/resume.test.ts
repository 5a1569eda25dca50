/** A core that takes up what another has written, one allocation at a time. */
import { describe, expect, it } from 'vitest';
import type { Command } from '../../../relay/planes/plane.ts';
import type { Instant } from '../../../relay/turn/authenticator.ts';
import { TurnCore } from '../../../relay/turn/core.ts';
import { endpoint, readAnswer } from '../turn-client.ts';
import { Bench, tuple } from './bench.ts';

const peer = endpoint('203.0.113.9:5000');

/** What a journal keeps, as it reads it. */
const written = (bench: Bench, id: string): unknown => JSON.parse(JSON.stringify(bench.core.written(id, bench.at())));

/** The successor's clock: the same wall, another monotonic beginning. */
const later = (bench: Bench): Instant => ({ now: bench.clock.now(), monotonic: bench.clock.monotonic() - 1_000_000 });

const successor = (bench: Bench, options = {}) => new TurnCore({ ...bench.options, ...options });

function commandsOf(core: TurnCore, entry: unknown, at: Instant, spent = 0n): readonly Command[] {
  const resumed = core.resume(entry, spent, at);
  if (!resumed.ok) throw new Error(`not resumed: ${resumed.reason}`);
  return resumed.commands;
}

describe('an allocation that was written down', () => {
  it('is opened again on its own port, with what is left of every lifetime', () => {
    const bench = new Bench();
    const { client, id } = bench.allocated();
    const { relayed } = bench.core.allocation(id) ?? {};
    bench.send(client.createPermission([endpoint('203.0.113.8:1')]));
    bench.clock.advance(100_000);
    bench.send(client.channelBind(0x4000, peer));
    const entry = written(bench, id);
    bench.clock.advance(250_000);
    const at = later(bench);
    expect(commandsOf(successor(bench), entry, at)).toEqual([
      {
        type: 'open',
        allocation: id,
        client: tuple(),
        family: 4,
        port: relayed?.port,
        deadline: at.monotonic + 250_000,
        app: 'app',
        credential: 'alice',
        limits: {},
      },
      // The other permission, of 350 seconds ago, is over.
      { type: 'permit', allocation: id, peer: peer.address, deadline: at.monotonic + 50_000 },
      { type: 'bind', allocation: id, channel: 0x4000, peer, deadline: at.monotonic + 350_000 },
    ]);
  });

  it('answers its client at once, before the plane has said that it has the port', () => {
    const bench = new Bench();
    const { client, id } = bench.allocated();
    const at = later(bench);
    const core = successor(bench);
    commandsOf(core, written(bench, id), at);
    const [extend, send] = core.handleControl(client.refresh(600), tuple(), at);
    expect(extend).toMatchObject({ type: 'extend', allocation: id });
    expect(send?.type === 'send' && readAnswer(send.bytes).messageClass).toBe('success');
    const { relayed } = bench.core.allocation(id) ?? {};
    if (relayed === undefined) throw new Error('no relayed address');
    expect(core.handleEvent({ type: 'opened', allocation: id, relayed }, at)).toEqual([]);
    expect(core.allocation(id)?.state).toBe('live');
  });

  it('repeats its answer to a client whose Allocate comes again', () => {
    const bench = new Bench();
    const question = bench.client().allocate();
    const { answer } = bench.send(question);
    const [allocation] = bench.core.allocations();
    const core = successor(bench);
    commandsOf(core, written(bench, allocation?.id ?? ''), later(bench));
    const [again] = core.handleControl(question, tuple(), later(bench));
    expect(again).toMatchObject({ type: 'send', bytes: answer?.bytes });
  });

  it('keeps the number of a channel that is over at rest', () => {
    const bench = new Bench({ nonceLifetime: 3_600 });
    const { client, id } = bench.allocated();
    bench.send(client.channelBind(0x4000, peer));
    bench.clock.advance(595_000);
    bench.send(client.refresh(600));
    bench.clock.advance(10_000);
    const at = later(bench);
    const core = successor(bench);
    const commands = commandsOf(core, written(bench, id), at);
    expect(commands.map(({ type }) => type)).toEqual(['open']);
    const other = core.handleControl(client.channelBind(0x4000, endpoint('203.0.113.8:1')), tuple(), at);
    expect(other.map((command) => command.type === 'send' && readAnswer(command.bytes).code)).toEqual([400]);
  });

  it('has what is left of its quota, and ends with it', () => {
    const bench = new Bench();
    bench.accounts.set('alice', { passwords: ['secret'], limits: { bytes: 1_000n, packetsPerSecond: 50 } });
    const { id } = bench.allocated();
    const entry = written(bench, id);
    const [open] = commandsOf(successor(bench), entry, later(bench), 400n);
    expect(open).toMatchObject({ type: 'open', limits: { bytes: 600n, packetsPerSecond: 50 } });
    for (const spent of [1_000n, 1_400n]) {
      expect(successor(bench).resume(entry, spent, later(bench))).toEqual({ ok: false, reason: 'quota' });
    }
  });

  it('is not resurrected when its time ran out, nor lives longer for a wall clock that was put back', () => {
    const bench = new Bench();
    const { id } = bench.allocated();
    const entry = written(bench, id);
    const [open] = commandsOf(successor(bench), entry, { now: bench.clock.now() - 86_400_000, monotonic: 7 });
    expect(open).toMatchObject({ deadline: 7 + 600_000 });
    bench.clock.advance(600_000);
    expect(successor(bench).resume(entry, 0n, later(bench))).toEqual({ ok: false, reason: 'expired' });
  });

  it('ends with its credential where credentials end allocations, and outlives it where they do not', () => {
    for (const onExpiry of ['keep', 'disconnect'] as const) {
      const bench = new Bench({ onExpiry });
      const expiresAt = bench.clock.now() + 300_000;
      bench.accounts.set('alice', { passwords: ['secret'], expiresAt });
      const { id } = bench.allocated();
      const entry = written(bench, id);
      bench.clock.advance(300_000);
      const expired = { lookup: () => ({ ok: false, reason: 'expired' }) as const };
      const resumed = successor(bench, { authenticator: expired }).resume(entry, 0n, later(bench));
      if (onExpiry === 'keep') expect(resumed.ok).toBe(true);
      else expect(resumed).toEqual({ ok: false, reason: 'expired' });
    }
  });

  it.each(['revoked', 'unknown', 'forged', 'malformed'] as const)(
    'does not go on with a credential that is %s',
    (reason) => {
      const bench = new Bench();
      const { id } = bench.allocated();
      const core = successor(bench, { authenticator: { lookup: () => ({ ok: false, reason }) } });
      expect(core.resume(written(bench, id), 0n, later(bench))).toEqual({ ok: false, reason: 'credential' });
      expect(core.size).toBe(0);
    },
  );

  it('is not taken up twice, nor beside another on its five-tuple', () => {
    const bench = new Bench();
    const { id } = bench.allocated();
    const entry = written(bench, id);
    const core = successor(bench);
    commandsOf(core, entry, later(bench));
    expect(core.resume(entry, 0n, later(bench))).toEqual({ ok: false, reason: 'taken' });
    expect(core.size).toBe(1);
  });

  it('is forgotten when its port cannot be had, so that its client may allocate anew', () => {
    const bench = new Bench();
    const { client, id } = bench.allocated();
    const at = later(bench);
    const core = successor(bench);
    commandsOf(core, written(bench, id), at);
    expect(core.handleEvent({ type: 'exhausted', allocation: id }, at)).toEqual([]);
    expect(Object.values(core.entries)).toEqual([0, 0, 0, 0, 0, 0, 0]);
    const answers = core.handleControl(client.refresh(600), tuple(), at);
    expect(answers.map((command) => command.type === 'send' && readAnswer(command.bytes).code)).toEqual([437]);
  });

  it('is closed when the relay has another external address than it was told to its client', () => {
    const bench = new Bench();
    const { id } = bench.allocated();
    const core = successor(bench);
    const at = later(bench);
    commandsOf(core, written(bench, id), at);
    const relayed = { address: '192.0.2.99', port: bench.core.allocation(id)?.relayed?.port ?? 0 };
    expect(core.handleEvent({ type: 'opened', allocation: id, relayed }, at)).toEqual([
      { type: 'close', allocation: id, reason: 'failed' },
    ]);
  });

  it('is refused when another version wrote it or it is damaged', () => {
    const bench = new Bench();
    const { id } = bench.allocated();
    const entry = written(bench, id) as Record<string, unknown>;
    const core = successor(bench);
    for (const wrong of [undefined, null, 'text', {}, { ...entry, version: 0 }, { ...entry, allocation: undefined }]) {
      expect(core.resume(wrong, 0n, later(bench))).toEqual({ ok: false, reason: 'unreadable' });
    }
  });

  it('is not written while it is being opened or closed', () => {
    const bench = new Bench();
    bench.ports = 'wait';
    bench.confirmsCloses = false;
    bench.send(bench.client().allocate());
    const id = bench.waiting[0]?.allocation ?? '';
    expect(bench.core.written(id, bench.at())).toBeUndefined();
    bench.settleOpens();
    expect(bench.core.written(id, bench.at())).toBeDefined();
    bench.obey(bench.core.close(id, 'revoked'));
    expect(bench.core.written(id, bench.at())).toBeUndefined();
  });
});
