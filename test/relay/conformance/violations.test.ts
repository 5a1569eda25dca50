/** The checker checked: our own relay behind something that breaks one rule makes exactly the check of that rule fail. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Endpoint } from '../../../kernel/address.ts';
import { familyOf } from '../../../kernel/address.ts';
import { readAddress, readAddresses } from '../../../relay/stun/address-attributes.ts';
import { attributes } from '../../../relay/stun/attributes.ts';
import { FINGERPRINT_LENGTH, writeFingerprint } from '../../../relay/stun/fingerprint.ts';
import { classOf, methodOf, packType, readU16, writeU16 } from '../../../relay/stun/header.ts';
import { decodeMessage, StunMessage } from '../../../relay/stun/message.ts';
import { readChannelNumber } from '../../../relay/stun/number-attributes.ts';
import { readErrorCode } from '../../../relay/stun/error-code.ts';
import { methods } from '../../../relay/stun/methods.ts';
import { hasIpv6 } from '../../conformance/stage.ts';
import { ann, ben, startRelay } from './relay-under-test.ts';
import type { RelayUnderTest } from './relay-under-test.ts';
import { examine } from './server-under-test.ts';

interface Violation {
  readonly rule: string;
  /** The checks that must fail, and no other. */
  readonly fails: readonly string[];
  /** What reaches the relay instead of what the client sent; null keeps it away. */
  toServer?(bytes: Buffer, memory: Set<string>): Buffer | null;
  /** What reaches the client instead of what the relay answered; `asked` was the question. */
  toClient?(bytes: Buffer, asked: Buffer | undefined, memory: Set<string>): Buffer | null;
  /** What the client gets at once, without the relay. */
  reply?(bytes: Buffer): Buffer | undefined;
}

function read(bytes: Buffer): StunMessage | undefined {
  const decoded = decodeMessage(bytes);
  return decoded.ok ? decoded.message : undefined;
}

const codeOf = (bytes: Buffer): number | undefined => {
  const message = read(bytes);
  return message === undefined ? undefined : readErrorCode(message);
};

/** Another attribute type in place of this one, so that nobody finds it. */
function hide(bytes: Buffer, attribute: { type: number }): Buffer {
  const found = read(bytes)?.find(attribute.type);
  if (found !== undefined) writeU16(bytes, found.at - 4, 0xeeee);
  return bytes;
}

function recode(bytes: Buffer, code: number): Buffer {
  const found = read(bytes)?.find(attributes.ERROR_CODE.type);
  if (found !== undefined) bytes.set([Math.trunc(code / 100), code % 100], found.at + 2);
  return bytes;
}

const isStun = (bytes: Buffer): boolean => bytes.length >= 20 && ((bytes[0] ?? 0) & 0xc0) === 0;
const method = (bytes: Buffer): number => (isStun(bytes) ? methodOf(readU16(bytes, 0)) : -1);

const violations: readonly Violation[] = [
  {
    rule: 'takes a wrong FINGERPRINT',
    fails: ['fingerprint-wrong'],
    toServer(bytes) {
      const at = bytes.length - FINGERPRINT_LENGTH;
      if (isStun(bytes) && at >= 20 && readU16(bytes, at) === attributes.FINGERPRINT.type)
        writeFingerprint(bytes, 0, at);
      return bytes;
    },
  },
  {
    rule: 'takes datagrams with octets behind the message',
    fails: ['length-short-of-datagram'],
    toServer: (bytes) => (isStun(bytes) ? bytes.subarray(0, 20 + readU16(bytes, 2)) : bytes),
  },
  {
    rule: 'answers indications',
    fails: ['indication-unanswered'],
    reply(bytes) {
      if (method(bytes) !== methods.BINDING.code || classOf(readU16(bytes, 0)) !== 'indication') return undefined;
      const answer = Buffer.from(bytes);
      writeU16(answer, 0, packType(methods.BINDING.code, 'success'));
      return answer;
    },
  },
  {
    rule: 'sends a 438 without a new NONCE',
    fails: ['nonce-never-given'],
    toClient: (bytes) => (codeOf(bytes) === 438 ? hide(bytes, attributes.NONCE) : bytes),
  },
  {
    rule: 'sends a 420 that names nothing, to Binding',
    fails: ['binding-unknown-required-attribute'],
    toClient: (bytes) => (method(bytes) === methods.BINDING.code ? hide(bytes, attributes.UNKNOWN_ATTRIBUTES) : bytes),
  },
  {
    rule: 'answers 400 where there is no allocation to bind a channel on',
    fails: ['channel-without-allocation'],
    toClient: (bytes) =>
      method(bytes) === methods.CHANNEL_BIND.code && codeOf(bytes) === 437 ? recode(bytes, 400) : bytes,
  },
  {
    rule: 'binds channels that RFC 8656 reserved',
    fails: ['channel-number-0x5000'],
    toClient(bytes, asked) {
      const question = asked === undefined ? undefined : read(asked);
      if (question !== undefined && readChannelNumber(question) === 0x5000) {
        writeU16(bytes, 0, packType(methods.CHANNEL_BIND.code, 'success'));
      }
      return bytes;
    },
  },
  {
    rule: 'takes a peer of another family on a channel',
    fails: ['channel-other-family'],
    toClient(bytes) {
      if (method(bytes) === methods.CHANNEL_BIND.code && codeOf(bytes) === 443) {
        writeU16(bytes, 0, packType(methods.CHANNEL_BIND.code, 'success'));
      }
      return bytes;
    },
  },
  {
    rule: 'does not know an Allocate when it comes again',
    fails: ['allocate-again-retransmitted'],
    toClient(bytes, _asked, memory) {
      const message = read(bytes);
      if (message === undefined || method(bytes) !== methods.ALLOCATE.code) return bytes;
      if (message.messageClass !== 'success') return bytes;
      const id = Buffer.from(message.transactionId).toString('hex');
      if (memory.has(id)) writeU16(bytes, 0, packType(methods.ALLOCATE.code, 'error'));
      memory.add(id);
      return bytes;
    },
  },
  {
    rule: 'seals no errors',
    fails: ['error-sealed'],
    toClient: (bytes) => (codeOf(bytes) === undefined ? bytes : hide(bytes, attributes.MESSAGE_INTEGRITY)),
  },
  {
    rule: 'forwards the padding of ChannelData as data',
    fails: ['channel-data-padded'],
    toServer(bytes) {
      if (bytes[0] === 0x40 && bytes.length > 4 + readU16(bytes, 2)) writeU16(bytes, 2, bytes.length - 4);
      return bytes;
    },
  },
  {
    rule: 'drops empty ChannelData',
    fails: ['channel-data-empty'],
    toServer: (bytes) => (bytes[0] === 0x40 && bytes.length === 4 ? null : bytes),
  },
  {
    rule: 'cuts what would be longer than an Ethernet frame',
    fails: ['payload-whole'],
    toServer(bytes) {
      if (bytes[0] !== 0x40 || bytes.length <= 1_472) return bytes;
      writeU16(bytes, 2, 1_400);
      return bytes.subarray(0, 4 + 1_400);
    },
  },
  {
    rule: 'answers every Refresh with an endless life',
    fails: ['refresh-lifetime-bounded'],
    toClient(bytes) {
      const found = method(bytes) === methods.REFRESH.code ? read(bytes)?.find(attributes.LIFETIME.type) : undefined;
      if (found !== undefined && bytes.readUInt32BE(found.at) === 3_600) bytes.writeUInt32BE(100_000, found.at);
      return bytes;
    },
  },
];

const { MESSAGE_INTEGRITY_SHA256, NONCE, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS } = attributes;

/** A success in place of this error. */
function forgive(bytes: Buffer, code: number): Buffer {
  if (codeOf(bytes) === code) writeU16(bytes, 0, packType(method(bytes), 'success'));
  return bytes;
}

/** Those of a server that offers SHA-256. */
const violationsOfAlgorithms: readonly Violation[] = [
  {
    rule: 'answers SHA-256 without it',
    fails: ['sha256-success-sealed', 'sha256-error-sealed'],
    toClient: (bytes) => hide(bytes, MESSAGE_INTEGRITY_SHA256),
  },
  {
    rule: 'lets the list of algorithms be shortened on the way',
    fails: ['password-algorithms-changed'],
    toClient(bytes, asked) {
      const list = asked === undefined ? undefined : read(asked)?.value(PASSWORD_ALGORITHMS.type);
      return list?.length === 4 ? forgive(bytes, 400) : bytes;
    },
  },
  {
    rule: 'takes an algorithm that is not on a list',
    fails: ['password-algorithm-by-halves'],
    toClient(bytes, asked) {
      const question = asked === undefined ? undefined : read(asked);
      const isHalf = question?.has(PASSWORD_ALGORITHM.type) === true && !question.has(PASSWORD_ALGORITHMS.type);
      return isHalf ? forgive(bytes, 400) : bytes;
    },
  },
  {
    rule: 'forgets what its nonce offered',
    fails: ['nonce-cookie-changed'],
    toClient(bytes, asked) {
      const nonce = asked === undefined ? undefined : read(asked)?.value(NONCE.type);
      const isBare = nonce !== undefined && Buffer.from(nonce).toString('latin1').startsWith('obMatJos2AAAA');
      return isBare ? forgive(bytes, 438) : bytes;
    },
  },
  {
    rule: 'is content with twelve octets of integrity',
    fails: ['integrity-sha256-too-short'],
    toClient: (bytes, asked) =>
      asked !== undefined && asked.readUInt32BE(asked.length - 16) === 0x001c_000c ? forgive(bytes, 401) : bytes,
  },
];

/** Those that need a relay of both families. */
const violationsOfPairs: readonly Violation[] = [
  {
    rule: 'binds a channel number once in each family',
    fails: ['dual-channel-number'],
    toClient(bytes, asked) {
      const question = asked === undefined ? undefined : read(asked);
      const peer = question === undefined ? undefined : readAddress(question, attributes.XOR_PEER_ADDRESS);
      if (peer !== undefined && familyOf(peer.address) === 6 && codeOf(bytes) === 400) {
        writeU16(bytes, 0, packType(methods.CHANNEL_BIND.code, 'success'));
      }
      return bytes;
    },
  },
  {
    rule: 'refuses peers of two families in one request',
    fails: ['dual-permissions'],
    toClient(bytes, asked) {
      const question = asked === undefined ? undefined : read(asked);
      const peers = question === undefined ? undefined : readAddresses(question, attributes.XOR_PEER_ADDRESS);
      const isMixed = new Set(peers?.map(({ address }) => familyOf(address))).size === 2;
      if (isMixed && codeOf(bytes) === undefined) writeU16(bytes, 0, packType(methods.CREATE_PERMISSION.code, 'error'));
      return bytes;
    },
  },
  {
    rule: 'takes a token again, and from anybody',
    fails: ['token-used-up', 'token-of-another-user'],
    toClient(bytes, asked) {
      const token = asked === undefined ? undefined : read(asked)?.value(attributes.RESERVATION_TOKEN.type);
      const isMadeUp = token?.every((octet) => octet === 0x5a);
      if (isMadeUp === false && codeOf(bytes) === 508) writeU16(bytes, 0, packType(methods.ALLOCATE.code, 'success'));
      return bytes;
    },
  },
];

/** Between clients and the relay: each client gets a socket of its own towards the relay. */
class Middlebox {
  readonly #listener: Socket;
  readonly #server: Endpoint;
  readonly #legs = new Map<string, { socket: Socket; asked: Map<string, Buffer> }>();
  readonly #memory = new Set<string>();
  readonly #violation: Violation;

  private constructor(listener: Socket, server: Endpoint, violation: Violation) {
    this.#listener = listener;
    this.#server = server;
    this.#violation = violation;
    listener.on('message', (bytes, { address, port }) => this.#fromClient(bytes, { address, port }));
  }

  static async open(server: Endpoint, violation: Violation): Promise<Middlebox> {
    const listener = createSocket('udp4');
    await new Promise<void>((resolve) => listener.bind(0, '127.0.0.1', resolve));
    return new Middlebox(listener, server, violation);
  }

  get endpoint(): Endpoint {
    const { address, port } = this.#listener.address();
    return { address, port };
  }

  close(): void {
    this.#listener.close();
    for (const { socket } of this.#legs.values()) socket.close();
  }

  #fromClient(bytes: Buffer, client: Endpoint): void {
    const reply = this.#violation.reply?.(bytes);
    if (reply !== undefined) this.#listener.send(reply, client.port, client.address);
    const leg = this.#legOf(client);
    if (isStun(bytes)) leg.asked.set(bytes.subarray(8, 20).toString('hex'), Buffer.from(bytes));
    const passed = this.#violation.toServer === undefined ? bytes : this.#violation.toServer(bytes, this.#memory);
    if (passed !== null) leg.socket.send(passed, this.#server.port, this.#server.address);
  }

  #legOf(client: Endpoint): { socket: Socket; asked: Map<string, Buffer> } {
    const key = `${client.address} ${client.port}`;
    const found = this.#legs.get(key);
    if (found !== undefined) return found;
    const leg = { socket: createSocket('udp4'), asked: new Map<string, Buffer>() };
    leg.socket.on('message', (bytes) => {
      const asked = isStun(bytes) ? leg.asked.get(bytes.subarray(8, 20).toString('hex')) : undefined;
      const violation = this.#violation;
      const passed = violation.toClient === undefined ? bytes : violation.toClient(bytes, asked, this.#memory);
      if (passed !== null) this.#listener.send(passed, client.port, client.address);
    });
    this.#legs.set(key, leg);
    return leg;
  }
}

describe('the conformance suite finds a server that', () => {
  let relay: RelayUnderTest;
  let box: Middlebox | undefined;
  // Its own for each: a box's legs come from ports at which the box before may have left an allocation.
  beforeEach(async () => {
    relay = await startRelay(['127.0.0.0/8']);
  });
  afterEach(async () => {
    box?.close();
    await relay.close();
  });

  it.each([...violations, ...violationsOfAlgorithms])('$rule', async (violation) => {
    box = await Middlebox.open(relay.server, violation);
    const results = await examine(box.endpoint, [ann, ben], { together: 8 });
    const failed = results.filter(({ verdict }) => verdict === 'fail');
    expect(failed).toEqual(violation.fails.map((name): unknown => expect.objectContaining({ name })));
  });

  it.skipIf(!hasIpv6).each(violationsOfPairs)('$rule', async (violation) => {
    box = await Middlebox.open(relay.server, violation);
    const results = await examine(box.endpoint, [ann, ben], { together: 8 });
    const failed = results.filter(({ verdict }) => verdict === 'fail');
    expect(failed).toEqual(violation.fails.map((name): unknown => expect.objectContaining({ name })));
  });

  it('breaks nothing: none', async () => {
    box = await Middlebox.open(relay.server, { rule: 'none', fails: [] });
    const results = await examine(box.endpoint, [ann, ben], { together: 8 });
    expect(results.filter(({ verdict }) => verdict === 'fail')).toEqual([]);
  });
});
