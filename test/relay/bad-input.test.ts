/** What a running relay does with datagrams that no honest client sends: silence, or the error that the RFC names. */
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../kernel/random.ts';
import { xorAddress } from '../../relay/stun/address-attributes.ts';
import { attributes } from '../../relay/stun/attributes.ts';
import { text } from '../../relay/stun/text-attributes.ts';
import { methods } from '../../relay/stun/methods.ts';
import { requestedTransport } from '../../relay/stun/number-attributes.ts';
import { relayBench, Wire } from './relay-bench.ts';
import type { RelayBench } from './relay-bench.ts';
import { attribute, readAnswer, TurnClient } from './turn-client.ts';
import type { Answer } from './turn-client.ts';

let relay: RelayBench;
let wire: Wire;
beforeEach(async () => {
  [relay, wire] = await Promise.all([relayBench(), Wire.open()]);
});
afterEach(async () => {
  wire.close();
  await relay.close();
});

/** Sends, then asks a Binding: its answer is the first thing to come back exactly when nothing else was answered. */
async function answerTo(bytes: Uint8Array): Promise<Answer | undefined> {
  const probe = new TurnClient('', '').binding();
  await wire.send(bytes, relay.server);
  await wire.send(probe, relay.server);
  const first = readAnswer(await wire.receive());
  if (first.transactionId === Buffer.from(probe.subarray(8, 20)).toString('hex')) return undefined;
  await wire.receive();
  return first;
}

async function allocated(): Promise<TurnClient> {
  const { username, credential } = relay.issue();
  const client = new TurnClient(username, credential);
  await wire.send(client.allocate(), relay.server);
  client.learn(readAnswer(await wire.receive()));
  await wire.send(client.allocate(), relay.server);
  expect(readAnswer(await wire.receive()).messageClass).toBe('success');
  return client;
}

const nobody = new TurnClient('', '');
/** A Binding request, changed. */
function binding(change: (bytes: Buffer) => void, more: readonly number[] = []): Buffer {
  const bytes = Buffer.concat([nobody.binding(), Uint8Array.from(more)]);
  bytes.writeUInt16BE(bytes.length - 20, 2);
  change(bytes);
  return bytes;
}
const header = (type: number, length: number) => [type >> 8, type & 0xff, length >> 8, length & 0xff];

/** Puts an attribute behind a finished message, and the length right. */
function behind(message: Uint8Array, ...more: number[]): Buffer {
  const bytes = Buffer.concat([message, Uint8Array.from(more)]);
  bytes.writeUInt16BE(bytes.length - 20, 2);
  return bytes;
}

describe('a relay keeps silent about', () => {
  it.each<[string, Uint8Array]>([
    ['an empty datagram', new Uint8Array(0)],
    ['one octet', Uint8Array.of(0)],
    ['a header cut short', nobody.binding().subarray(0, 19)],
    ['another magic cookie', binding((bytes) => bytes.writeUInt32BE(0x2112_a443, 4))],
    ['first bits that are not 00', binding((bytes) => bytes.writeUInt8(0x80, 0))],
    ['a length that is no multiple of four', binding((bytes) => bytes.writeUInt16BE(2, 2))],
    ['a length beyond the datagram', binding((bytes) => bytes.writeUInt16BE(4, 2))],
    ['the longest length there is', binding((bytes) => bytes.writeUInt16BE(0xfffc, 2))],
    ['octets behind the message', Buffer.concat([nobody.binding(), Buffer.alloc(4)])],
    ['an attribute cut short', binding(() => undefined, header(0x8022, 8))],
    ['an attribute of 65,535 octets', binding(() => undefined, header(0x8022, 0xffff))],
    ['65 attributes', binding(() => undefined, Array.from({ length: 65 }, () => header(0x8022, 0)).flat())],
    [
      'a wrong FINGERPRINT',
      binding(
        (bytes) => bytes.writeUInt8((bytes.at(-1) ?? 0) ^ 1, bytes.length - 1),
        [...header(0x8028, 4), 1, 2, 3, 4],
      ),
    ],
    ['a FINGERPRINT that is not last', fingerprintFirst()],
    ['a success response', binding((bytes) => bytes.writeUInt16BE(0x0101, 0))],
    ['an error response', binding((bytes) => bytes.writeUInt16BE(0x0111, 0))],
    ['a Binding indication', binding((bytes) => bytes.writeUInt16BE(0x0011, 0))],
    ['a method that nobody has', binding((bytes) => bytes.writeUInt16BE(0x0fff & ~0x0110, 0))],
    ['ChannelData without an allocation', nobody.channelData(0x4000, Buffer.alloc(8))],
    ['ChannelData on a reserved channel', Buffer.from([0x5000 >> 8, 0, 0, 0])],
    ['a Send indication without an allocation', nobody.send({ address: '127.0.0.1', port: 9 }, Buffer.alloc(8))],
  ])('%s', async (_what, bytes) => {
    expect(await answerTo(bytes)).toBeUndefined();
  });

  it('ChannelData whose length is beyond the datagram, on a bound channel too', async () => {
    const client = await allocated();
    const peer = await Wire.open();
    await wire.send(client.channelBind(0x4000, peer.endpoint), relay.server);
    expect(readAnswer(await wire.receive()).messageClass).toBe('success');
    await wire.send(Buffer.from([0x40, 0x00, 0xff, 0xff, 1, 2, 3, 4]), relay.server);
    await wire.send(Buffer.from([0x40, 0x00]), relay.server);
    await wire.send(client.channelData(0x4000, Buffer.from('true')), relay.server);
    expect((await peer.receive()).toString()).toBe('true');
    expect(relay.plane.totals().dropped.malformed).toBe(2n);
    peer.close();
  });
});

function fingerprintFirst(): Buffer {
  const bytes = behind(nobody.binding(), ...header(0x8028, 4), 0, 0, 0, 0, ...header(0x8022, 0));
  bytes.writeUInt32BE((crc32(bytes.subarray(0, 20)) ^ 0x5354554e) >>> 0, 24);
  return bytes;
}

describe('a relay answers', () => {
  it('420 and the types to a Binding with attributes that it must understand and does not', async () => {
    const answer = await answerTo(
      binding(() => undefined, [...header(0x7f01, 0), ...header(0x7f02, 0), ...header(0x9f01, 0)]),
    );
    expect([answer?.code, answer?.unknown]).toEqual([420, [0x7f01, 0x7f02]]);
  });
  it('420 to an authenticated request with one', async () => {
    const client = await allocated();
    const answer = await answerTo(client.refresh(600, { more: [attribute(0x7f01)] }));
    expect([answer?.code, answer?.unknown]).toEqual([420, [0x7f01]]);
  });
  it('400 to an authenticated request whose attribute has a length that it cannot have', async () => {
    const client = await allocated();
    const malformed = attribute(attributes.LIFETIME.type, new Uint8Array(3));
    expect((await answerTo(client.refresh(undefined, { more: [malformed] })))?.code).toBe(400);
    const peer = attribute(attributes.XOR_PEER_ADDRESS.type, new Uint8Array(20).fill(9));
    expect((await answerTo(client.createPermission([], { more: [peer] })))?.code).toBe(400);
  });
  it('as if nothing stood behind MESSAGE-INTEGRITY', async () => {
    const client = await allocated();
    const ended = await answerTo(behind(client.refresh(600), ...header(attributes.LIFETIME.type, 4), 0, 0, 0, 0));
    expect([ended?.messageClass, ended?.lifetime]).toEqual(['success', 600]);
    const unknown = await answerTo(behind(client.refresh(600), ...header(0x7f01, 0)));
    expect(unknown?.messageClass).toBe('success');
    expect(relay.node.allocations()).toBe(1);
  });
  it('401 where one octet of a signed request was changed', async () => {
    const client = await allocated();
    const request = Buffer.from(client.refresh(0));
    request.writeUInt8(1, 27); // LIFETIME 0 becomes 1
    expect((await answerTo(request))?.code).toBe(401);
    expect(relay.node.allocations()).toBe(1);
  });
  it('401, 438 or 400 to credentials that are cut, forged, another’s or not text', async () => {
    const client = await allocated();
    const { username, realm = '', nonce = '' } = client;
    const named = (...name: Uint8Array[]) => name.map((value) => attribute(attributes.USERNAME.type, value));
    const codeFor = async (change: Partial<TurnClient>) => {
      const other = Object.assign(new TurnClient(username, client.password), { realm, nonce }, change);
      return (await answerTo(other.refresh(600)))?.code;
    };
    expect(await codeFor({ username: username.slice(0, -1) })).toBe(401);
    expect(await codeFor({ username: username.replace(/^\d+/, '99999999999') })).toBe(401);
    expect(await codeFor({ username: `99999999999:main.${'A'.repeat(490)}` })).toBe(401);
    expect(await codeFor({ username: '' })).toBe(401);
    expect(await codeFor({ password: 'wrong' })).toBe(401);
    expect(await codeFor({ realm: 'elsewhere' })).toBe(401);
    expect(await codeFor({ nonce: 'AAAAAAAAAAAAAAAA' })).toBe(438);
    expect(await codeFor({ nonce: '' })).toBe(438);
    const notText = client.request(methods.REFRESH.code, [], {
      bare: true,
      more: [
        ...named(Uint8Array.of(0xff, 0xfe)),
        text(attributes.REALM, realm),
        text(attributes.NONCE, nonce),
        attribute(attributes.MESSAGE_INTEGRITY.type, new Uint8Array(20)),
      ],
    });
    expect([400, 401]).toContain((await answerTo(notText))?.code);
    expect(relay.node.allocations()).toBe(1);
  });
});

/** Largest datagram in these tests' junk; above it lies what loopback carries and the Internet does not. */
const LONGEST_JUNK = 1_500;

describe('a relay that is flooded', () => {
  it('answers a stranger with at most 3.6 octets for each of theirs', async () => {
    const requests = [
      nobody.binding(),
      binding(() => undefined, Array.from({ length: 60 }, (_, index) => header(0x7f00 + index, 0)).flat()),
      nobody.allocate(),
      nobody.refresh(),
      nobody.refresh(600),
      nobody.createPermission([{ address: '192.0.2.1', port: 9 }]),
      nobody.channelBind(0x4000, { address: '192.0.2.1', port: 9 }),
      nobody.request(methods.ALLOCATE.code, [requestedTransport(17), text(attributes.USERNAME, 'x')]),
      nobody.request(methods.CREATE_PERMISSION.code, [xorAddress(attributes.XOR_PEER_ADDRESS, relay.server)]),
      nobody.request(methods.ALLOCATE.code, []),
      nobody.allocate({}, { fingerprint: true }),
    ];
    const ratios: number[] = [];
    for (const request of requests) ratios.push(((await answerTo(request))?.bytes.length ?? 0) / request.length);
    expect(Math.max(...ratios)).toBeLessThanOrEqual(3.6);
    expect(ratios.filter((ratio) => ratio > 0).length).toBeGreaterThan(5);
  });

  it('by junk and by honest-looking strangers keeps nothing of them', async () => {
    const random = seededRandom('junk');
    const int = (below: number) => random.bytes(4).readUInt32BE(0) % below;
    const shapes = [
      () => random.bytes(int(LONGEST_JUNK)),
      () => binding((bytes) => random.bytes(4).copy(bytes, int(bytes.length - 4))),
      () => behind(nobody.binding(), ...header(int(0x10000), 4), ...random.bytes(4)),
      () => Buffer.concat([Buffer.from([0x40 | int(16), int(256), int(256), int(256)]), random.bytes(int(200))]),
      () => nobody.allocate(),
      () => nobody.send({ address: '127.0.0.1', port: 9 }, random.bytes(20)),
    ];
    const flooder = await Wire.open();
    for (let sent = 0; sent < 6_000; sent += 1) {
      const shape = shapes[sent % shapes.length];
      if (shape !== undefined) await flooder.send(shape(), relay.server);
      if (sent % 50 === 0) await setImmediate(); // the relay reads in the same process, and must get to it
    }
    expect((await answerTo(nobody.allocate()))?.code).toBe(401);
    expect(flooder.got.bytes).toBeLessThanOrEqual(flooder.sent.bytes * 3.6);
    flooder.close();
    expect(relay.node.allocations()).toBe(0);
    expect(await relay.metrics.registry.getSingleMetricAsString('turnpike_relay_allocations')).toMatch(/ 0$/m);
    const client = await allocated();
    expect((await answerTo(client.refresh(600)))?.messageClass).toBe('success');
  });
});
