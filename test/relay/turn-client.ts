/** A TURN client's half of the conversation, as bytes: builds requests under long-term credentials and reads answers. No I/O. */
import type { Endpoint, Family } from '../../kernel/address.ts';
import { type Random, systemRandom } from '../../kernel/random.ts';
import { parseAddress } from '../../kernel/address.ts';
import { readAddress, readAddresses, xorAddress } from '../../relay/stun/address-attributes.ts';
import { attributes } from '../../relay/stun/attributes.ts';
import { CHANNEL_DATA_HEADER_LENGTH, writeChannelDataHeader } from '../../relay/stun/channel-data.ts';
import { readAddressErrorCode, readErrorCode, readUnknownAttributeTypes } from '../../relay/stun/error-code.ts';
import type { MessageClass } from '../../relay/stun/header.ts';
import { integrityHashOf, integrityIsRight, type IntegrityHash, longTermKey } from '../../relay/stun/integrity.ts';
import { decodeMessage } from '../../relay/stun/message.ts';
import { encodeMessage, type Setter } from '../../relay/stun/message-writer.ts';
import { methods } from '../../relay/stun/methods.ts';
import { passwordAlgorithm, type PasswordAlgorithm } from '../../relay/stun/password-algorithm.ts';
import {
  addressFamily,
  channelNumber,
  lifetime,
  readLifetime,
  requestedTransport,
  TRANSPORT_UDP,
} from '../../relay/stun/number-attributes.ts';
import { readText, text } from '../../relay/stun/text-attributes.ts';

export interface Answer {
  readonly bytes: Uint8Array;
  readonly method: number;
  readonly messageClass: MessageClass;
  /** Hex. */
  readonly transactionId: string;
  /** Of an error response. */
  readonly code: number | undefined;
  readonly realm: string | undefined;
  readonly nonce: string | undefined;
  /** The value of PASSWORD-ALGORITHMS as it came. */
  readonly algorithms: Uint8Array | undefined;
  readonly lifetime: number | undefined;
  readonly relayed: Endpoint | undefined;
  /** All of them: two where both families were asked for. */
  readonly relayedAddresses: readonly Endpoint[] | undefined;
  readonly addressError: { readonly family: Family; readonly code: number } | undefined;
  readonly token: Uint8Array | undefined;
  readonly mapped: Endpoint | undefined;
  /** Of a Data indication. */
  readonly peer: Endpoint | undefined;
  readonly data: Uint8Array | undefined;
  readonly unknown: readonly number[] | undefined;
  readonly hasIntegrity: boolean;
  /** Of the integrity attribute that decides. */
  readonly hash: IntegrityHash | undefined;
  readonly hasFingerprint: boolean;
}

/** Reads any STUN message a server sends; throws when it is not one, FINGERPRINT included. */
export function readAnswer(received: Uint8Array): Answer {
  const bytes = Uint8Array.from(received);
  const decoded = decodeMessage(bytes);
  if (!decoded.ok) throw new Error(`not a STUN message: ${decoded.fault}`);
  const { message } = decoded;
  return {
    bytes,
    method: message.method,
    messageClass: message.messageClass,
    transactionId: Buffer.from(message.transactionId).toString('hex'),
    code: readErrorCode(message),
    realm: readText(message, attributes.REALM),
    nonce: readText(message, attributes.NONCE),
    algorithms: message.value(attributes.PASSWORD_ALGORITHMS.type),
    lifetime: readLifetime(message),
    relayed: readAddress(message, attributes.XOR_RELAYED_ADDRESS),
    relayedAddresses: readAddresses(message, attributes.XOR_RELAYED_ADDRESS),
    addressError: readAddressErrorCode(message),
    token: message.value(attributes.RESERVATION_TOKEN.type),
    mapped: readAddress(message, attributes.XOR_MAPPED_ADDRESS),
    peer: readAddress(message, attributes.XOR_PEER_ADDRESS),
    data: message.value(attributes.DATA.type),
    unknown: readUnknownAttributeTypes(message),
    hasIntegrity: integrityHashOf(message) !== undefined,
    hash: integrityHashOf(message),
    hasFingerprint: message.has(attributes.FINGERPRINT.type),
  };
}

/** How one request differs from the ordinary. */
export interface Deviation {
  /** Attributes after the ordinary ones, before the credentials. */
  readonly more?: readonly Setter[];
  readonly transactionId?: Uint8Array;
  readonly fingerprint?: boolean;
  /** Leaves the credentials out. */
  readonly bare?: boolean;
}

/** One attribute of any type with any value. */
export function attribute(type: number, value: Uint8Array = new Uint8Array(0)): Setter {
  return (writer) => writer.into.set(value, writer.add(type, value.length));
}

export class TurnClient {
  username: string;
  password: string;
  /** Learnt from the first 401. */
  realm: string | undefined;
  nonce: string | undefined;
  /** PASSWORD-ALGORITHMS as learnt, echoed by a client that follows RFC 8489. */
  algorithms: Uint8Array | undefined;
  /** Which algorithm the client names; undefined for one of before RFC 8489, which names none. */
  algorithm: PasswordAlgorithm | undefined;
  readonly #random: Random;

  constructor(username: string, password: string, random: Random = systemRandom) {
    this.username = username;
    this.password = password;
    this.#random = random;
  }

  transactionId(): Uint8Array {
    return Uint8Array.from(this.#random.bytes(12));
  }

  /** Takes realm and nonce from a 401 or 438. Returns whether there was anything to learn. */
  learn(answer: Answer): boolean {
    if (answer.realm === undefined || answer.nonce === undefined) return false;
    this.realm = answer.realm;
    this.nonce = answer.nonce;
    this.algorithms = answer.algorithms;
    return true;
  }

  binding(deviation: Deviation = {}): Uint8Array {
    return this.request(methods.BINDING.code, [], { bare: true, ...deviation });
  }

  /** `transport: null` leaves REQUESTED-TRANSPORT out. */
  allocate(
    {
      transport = TRANSPORT_UDP,
      seconds,
      family,
    }: { transport?: number | null; seconds?: number; family?: Family } = {},
    deviation: Deviation = {},
  ): Uint8Array {
    return this.request(
      methods.ALLOCATE.code,
      [
        ...(transport === null ? [] : [requestedTransport(transport)]),
        ...(seconds === undefined ? [] : [lifetime(seconds)]),
        ...(family === undefined ? [] : [addressFamily(attributes.REQUESTED_ADDRESS_FAMILY, family)]),
      ],
      deviation,
    );
  }

  refresh(seconds?: number, deviation: Deviation = {}): Uint8Array {
    return this.request(methods.REFRESH.code, seconds === undefined ? [] : [lifetime(seconds)], deviation);
  }

  createPermission(peers: readonly Endpoint[], deviation: Deviation = {}): Uint8Array {
    const setters = peers.map((peer) => xorAddress(attributes.XOR_PEER_ADDRESS, peer));
    return this.request(methods.CREATE_PERMISSION.code, setters, deviation);
  }

  channelBind(channel: number, peer: Endpoint, deviation: Deviation = {}): Uint8Array {
    const setters = [channelNumber(channel), xorAddress(attributes.XOR_PEER_ADDRESS, peer)];
    return this.request(methods.CHANNEL_BIND.code, setters, deviation);
  }

  /** A Send indication: carries no credentials. */
  send(peer: Endpoint, payload: Uint8Array, more: readonly Setter[] = []): Uint8Array {
    const setters = [xorAddress(attributes.XOR_PEER_ADDRESS, peer), attribute(attributes.DATA.type, payload), ...more];
    const head = {
      method: methods.SEND.code,
      messageClass: 'indication',
      transactionId: this.transactionId(),
    } as const;
    return encodeMessage(new Uint8Array(payload.length + 512), head, setters).slice();
  }

  channelData(channel: number, payload: Uint8Array): Uint8Array {
    const bytes = new Uint8Array(CHANNEL_DATA_HEADER_LENGTH + payload.length);
    writeChannelDataHeader(bytes, 0, channel, payload.length);
    bytes.set(payload, CHANNEL_DATA_HEADER_LENGTH);
    return bytes;
  }

  /** Any request; signed once realm and nonce are known, unless it is to be bare. */
  request(method: number, setters: readonly Setter[], deviation: Deviation = {}): Uint8Array {
    const { realm, nonce } = this;
    const signed = realm !== undefined && nonce !== undefined && deviation.bare !== true;
    const credentials = signed
      ? [
          text(attributes.USERNAME, this.username),
          text(attributes.REALM, realm),
          text(attributes.NONCE, nonce),
          ...(this.algorithm === undefined
            ? []
            : [attribute(attributes.PASSWORD_ALGORITHMS.type, this.algorithms), passwordAlgorithm(this.algorithm)]),
        ]
      : [];
    const head = {
      method,
      messageClass: 'request',
      transactionId: deviation.transactionId ?? this.transactionId(),
    } as const;
    return encodeMessage(new Uint8Array(4096), head, [...setters, ...(deviation.more ?? []), ...credentials], {
      key: signed ? longTermKey(this.username, realm, this.password, this.algorithm) : undefined,
      hash: this.algorithm === undefined ? 'sha1' : 'sha256',
      fingerprint: deviation.fingerprint ?? false,
    }).slice();
  }

  /** Whether the answer is sealed with this client's password, and the way its requests are. */
  verifies(answer: Answer): boolean {
    const decoded = decodeMessage(answer.bytes);
    if (!decoded.ok || this.realm === undefined) return false;
    const key = longTermKey(this.username, this.realm, this.password, this.algorithm);
    return integrityIsRight(decoded.message, key, this.algorithm === undefined ? 'sha1' : 'sha256');
  }
}

/** An endpoint from `203.0.113.7:4000` or `[2001:db8::7]:4000`. */
export function endpoint(text: string): Endpoint {
  const [, address = '', port = ''] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(text) ?? [];
  if (parseAddress(address) === undefined) throw new Error(`no endpoint: ${text}`);
  return { address, port: Number(port) };
}
