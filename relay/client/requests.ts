/** A TURN client's requests as bytes: what is asked, signed under the long-term credentials once realm and nonce are known. No I/O. */
import type { Endpoint } from '../../kernel/address.ts';
import type { Random } from '../../kernel/random.ts';
import { xorAddress } from '../stun/address-attributes.ts';
import { attributes } from '../stun/attributes.ts';
import { CHANNEL_DATA_HEADER_LENGTH, writeChannelDataHeader } from '../stun/channel-data.ts';
import { padded, TRANSACTION_ID_LENGTH } from '../stun/header.ts';
import { longTermKey } from '../stun/integrity.ts';
import { encodeMessage, type Setter } from '../stun/message-writer.ts';
import { methods } from '../stun/methods.ts';
import { channelNumber, lifetime, requestedTransport, TRANSPORT_UDP } from '../stun/number-attributes.ts';
import { opaqueString } from '../stun/opaque-string.ts';
import { text } from '../stun/text-attributes.ts';
import type { Answer } from './answer.ts';

export interface Credentials {
  readonly username: string;
  readonly credential: string;
}

/** How one request differs from the ordinary. */
export interface Deviation {
  /** Attributes after the ordinary ones, before the credentials. */
  readonly more?: readonly Setter[];
  /** 12 octets instead of new ones. */
  readonly transactionId?: Uint8Array;
  readonly fingerprint?: boolean;
  /** Leaves the credentials out. */
  readonly bare?: boolean;
}

export interface AllocateOptions {
  /** IP protocol number of the relayed transport; null leaves REQUESTED-TRANSPORT out. */
  readonly transport?: number | null;
  /** LIFETIME asked for. */
  readonly seconds?: number;
}

/** Longer than any request: 64 peers, a username of 508 octets, realm and nonce of 763 each. */
const SPACE = 6_144;

/** One attribute of any type with any value. */
export function attribute(type: number, value: Uint8Array = new Uint8Array(0)): Setter {
  return (writer) => writer.into.set(value, writer.add(type, value.length));
}

export function peerAddress(peer: Endpoint): Setter {
  return xorAddress(attributes.XOR_PEER_ADDRESS, peer);
}

export class Requests {
  readonly credentials: Credentials;
  readonly #random: Random;
  #challenge: { realm: string; nonce: string; key: Uint8Array } | undefined;

  constructor(credentials: Credentials, random: Random) {
    this.credentials = credentials;
    this.#random = random;
  }

  /** Undefined until a 401 has told it. */
  get realm(): string | undefined {
    return this.#challenge?.realm;
  }
  get nonce(): string | undefined {
    return this.#challenge?.nonce;
  }
  /** The key that requests are signed with. */
  get key(): Uint8Array | undefined {
    return this.#challenge?.key;
  }

  transactionId(): Uint8Array {
    return Uint8Array.from(this.#random.bytes(TRANSACTION_ID_LENGTH));
  }

  /** Takes realm and nonce from a 401 or 438. Returns whether there is now something to sign with. */
  learn({ realm, nonce }: Pick<Answer, 'realm' | 'nonce'>): boolean {
    if (realm === undefined || nonce === undefined) return false;
    const { username, credential } = this.credentials;
    // No key can be made of an empty password, nor of a realm that is no text: the server is not ours.
    if (opaqueString(realm) === undefined || opaqueString(credential) === undefined) return false;
    this.#challenge = { realm, nonce, key: longTermKey(username, realm, credential) };
    return true;
  }

  binding(deviation: Deviation = {}): Uint8Array {
    return this.request(methods.BINDING.code, [], { bare: true, ...deviation });
  }

  allocate({ transport = TRANSPORT_UDP, seconds }: AllocateOptions = {}, deviation: Deviation = {}): Uint8Array {
    const setters = [
      ...(transport === null ? [] : [requestedTransport(transport)]),
      ...(seconds === undefined ? [] : [lifetime(seconds)]),
    ];
    return this.request(methods.ALLOCATE.code, setters, deviation);
  }

  /** Seconds asked for; 0 ends the allocation. */
  refresh(seconds?: number, deviation: Deviation = {}): Uint8Array {
    return this.request(methods.REFRESH.code, seconds === undefined ? [] : [lifetime(seconds)], deviation);
  }

  createPermission(peers: readonly Endpoint[], deviation: Deviation = {}): Uint8Array {
    return this.request(methods.CREATE_PERMISSION.code, peers.map(peerAddress), deviation);
  }

  channelBind(channel: number, peer: Endpoint, deviation: Deviation = {}): Uint8Array {
    return this.request(methods.CHANNEL_BIND.code, [channelNumber(channel), peerAddress(peer)], deviation);
  }

  /** A Send indication: carries no credentials. */
  send(peer: Endpoint, payload: Uint8Array): Uint8Array {
    return this.indication([peerAddress(peer), attribute(attributes.DATA.type, payload)]);
  }

  /** A Send indication of any attributes. */
  indication(setters: readonly Setter[]): Uint8Array {
    const head = {
      method: methods.SEND.code,
      messageClass: 'indication',
      transactionId: this.transactionId(),
    } as const;
    return encodeMessage(new Uint8Array(SPACE), head, setters).slice();
  }

  /** Any request; signed once there is a challenge, unless it is to be bare. */
  request(method: number, setters: readonly Setter[], deviation: Deviation = {}): Uint8Array {
    const challenge = deviation.bare === true ? undefined : this.#challenge;
    const credentials =
      challenge === undefined
        ? []
        : [
            text(attributes.USERNAME, this.credentials.username),
            text(attributes.REALM, challenge.realm),
            text(attributes.NONCE, challenge.nonce),
          ];
    const transactionId = deviation.transactionId ?? this.transactionId();
    const head = { method, messageClass: 'request', transactionId } as const;
    const all = [...setters, ...(deviation.more ?? []), ...credentials];
    const seals = { key: challenge?.key, fingerprint: deviation.fingerprint ?? false };
    return encodeMessage(new Uint8Array(SPACE), head, all, seals).slice();
  }
}

/** A ChannelData message; padded to four octets where the transport is a stream (RFC 8656 §12.5). */
export function channelData(channel: number, payload: Uint8Array, isStream: boolean): Uint8Array {
  const length = CHANNEL_DATA_HEADER_LENGTH + (isStream ? padded(payload.length) : payload.length);
  const bytes = new Uint8Array(length);
  writeChannelDataHeader(bytes, 0, channel, payload.length);
  bytes.set(payload, CHANNEL_DATA_HEADER_LENGTH);
  return bytes;
}
