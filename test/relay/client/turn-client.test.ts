import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../kernel/random.ts';
import type { Link, LinkEvents } from '../../../relay/client/link.ts';
import { tellFailure, TurnClient } from '../../../relay/client/turn-client.ts';
import type { Delivery } from '../../../relay/client/delivery.ts';
import { channelData } from '../../../relay/client/requests.ts';
import { xorAddress } from '../../../relay/stun/address-attributes.ts';
import { attributes } from '../../../relay/stun/attributes.ts';
import { encodeDataIndication } from '../../../relay/stun/data-indication.ts';
import { errorCode } from '../../../relay/stun/error-code.ts';
import { longTermKey } from '../../../relay/stun/integrity.ts';
import { decodeMessage, type StunMessage } from '../../../relay/stun/message.ts';
import { encodeMessage, type Setter } from '../../../relay/stun/message-writer.ts';
import { methods } from '../../../relay/stun/methods.ts';
import { lifetime, readLifetime } from '../../../relay/stun/number-attributes.ts';
import { readText, text } from '../../../relay/stun/text-attributes.ts';
import { ManualTimer } from './manual-timer.ts';

const key = longTermKey('ann', 'test', 'secret');
const relayed = { address: '192.0.2.7', port: 50_000 };

/** What the scripted server says to a request. */
interface Reply {
  readonly as: 'success' | 'error';
  readonly setters: readonly Setter[];
  readonly key?: Uint8Array;
}

const challenge = (name: 'UNAUTHENTICATED' | 'STALE_NONCE', nonce: string): Reply => ({
  as: 'error',
  setters: [errorCode(name), text(attributes.REALM, 'test'), text(attributes.NONCE, nonce)],
});
const allocated: Reply = {
  as: 'success',
  setters: [xorAddress(attributes.XOR_RELAYED_ADDRESS, relayed), lifetime(600)],
  key,
};

function bench(...replies: readonly Reply[]) {
  const timer = new ManualTimer();
  const asked: StunMessage[] = [];
  const script = [...replies];
  let events: LinkEvents | undefined;
  const link: Link = {
    transport: 'udp',
    local: { address: '192.0.2.1', port: 1 },
    remote: { address: '192.0.2.2', port: 3478 },
    listen: (heard) => {
      events = heard;
    },
    send: (bytes) => {
      const decoded = decodeMessage(Uint8Array.from(bytes));
      if (!decoded.ok) throw new Error(decoded.fault);
      asked.push(decoded.message);
      const reply = script.shift();
      if (reply === undefined) return;
      const { method, transactionId } = decoded.message;
      const head = { method, messageClass: reply.as, transactionId };
      const seals = { key: reply.key };
      queueMicrotask(() => events?.frame(Buffer.from(encodeMessage(new Uint8Array(1024), head, reply.setters, seals))));
    },
    close: () => undefined,
  };
  const heard: Delivery[] = [];
  const client = new TurnClient({
    link,
    credentials: { username: 'ann', credential: 'secret' },
    clock: timer,
    timer,
    random: seededRandom('client'),
    onDelivery: (delivery) => heard.push(delivery),
  });
  return { client, asked, heard, frame: (bytes: Buffer) => events?.frame(bytes) };
}

describe('a TURN client', () => {
  it('answers the challenge and allocates', async () => {
    const { client, asked } = bench(challenge('UNAUTHENTICATED', 'n1'), allocated);
    expect(await client.allocate()).toMatchObject({ ok: true, value: { relayed, lifetime: 600 } });
    expect(asked.map((message) => readText(message, attributes.NONCE))).toEqual([undefined, 'n1']);
  });

  it('takes a new nonce once, and no more', async () => {
    const { client, asked } = bench(
      challenge('UNAUTHENTICATED', 'n1'),
      allocated,
      challenge('STALE_NONCE', 'n2'),
      { as: 'success', setters: [lifetime(600)], key },
      challenge('STALE_NONCE', 'n3'),
      challenge('STALE_NONCE', 'n4'),
    );
    await client.allocate();
    expect(await client.refresh()).toMatchObject({ ok: true });
    const looped = await client.refresh();
    expect(looped).toEqual({ ok: false, failure: { type: 'refused', code: 438, again: true } });
    expect(asked.map((message) => readText(message, attributes.NONCE))).toEqual([
      undefined,
      'n1',
      'n1',
      'n2',
      'n2',
      'n3',
    ]);
  });

  it('does not ask again after a wrong password', async () => {
    const { client, asked } = bench(challenge('UNAUTHENTICATED', 'n1'), challenge('UNAUTHENTICATED', 'n2'));
    expect(await client.allocate()).toEqual({ ok: false, failure: { type: 'refused', code: 401, again: false } });
    expect(asked).toHaveLength(2);
  });

  it('believes no success that is not sealed with its own password', async () => {
    for (const forged of [
      { ...allocated, key: longTermKey('ann', 'test', 'other') },
      { as: 'success', setters: allocated.setters } as const,
    ]) {
      const { client } = bench(challenge('UNAUTHENTICATED', 'n1'), forged);
      const result = await client.allocate();
      expect(result).toEqual({ ok: false, failure: { type: 'nonsense', what: 'an answer whose integrity is wrong' } });
    }
  });

  it('believes no allocation without an address', async () => {
    const { client } = bench(challenge('UNAUTHENTICATED', 'n1'), { as: 'success', setters: [], key });
    expect(await client.allocate()).toMatchObject({ ok: false, failure: { type: 'nonsense' } });
  });

  it('gives its allocation back when it closes, and only then has one to give', async () => {
    const { client, asked } = bench(challenge('UNAUTHENTICATED', 'n1'), allocated, {
      as: 'success',
      setters: [lifetime(0)],
      key,
    });
    await client.allocate();
    await client.close();
    expect(asked.at(-1)?.method).toBe(methods.REFRESH.code);
    expect(asked.at(-1) === undefined ? undefined : readLifetime(asked.at(-1) as StunMessage)).toBe(0);
    const without = bench();
    await without.client.close();
    expect(without.asked).toEqual([]);
  });

  it('hands on what peers sent, and tells it from strays', () => {
    const { heard, frame } = bench();
    const payload = Buffer.from('hello');
    frame(Buffer.from(channelData(0x4001, payload, false)));
    const indication = Buffer.alloc(200);
    const length = encodeDataIndication(indication, 0, Buffer.alloc(12), Uint8Array.of(192, 0, 2, 9), 9_000, payload);
    frame(indication.subarray(0, length));
    frame(Buffer.from([0x40, 0x01, 0x00, 0x10, 1, 2]));
    frame(Buffer.from('nothing of ours'));
    expect(heard).toMatchObject([
      { type: 'channel', channel: 0x4001, payload },
      { type: 'indication', peer: { address: '192.0.2.9', port: 9_000 }, payload },
      { type: 'stray' },
      { type: 'stray' },
    ]);
  });

  it.each([
    [{ type: 'refused', code: 486, again: false } as const, 'refused with 486'],
    [{ type: 'refused', code: 438, again: true } as const, 'refused with 438, again and again'],
    [{ type: 'silence' } as const, 'no answer'],
    [{ type: 'ended', reason: 'ECONNRESET' } as const, 'connection over: ECONNRESET'],
  ])('says what failed: %j', (failure, words) => {
    expect(tellFailure(failure)).toBe(words);
  });
});
