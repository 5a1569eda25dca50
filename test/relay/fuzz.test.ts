/**
 * Hostile bytes for everything that reads bytes from the network: mutations of what is valid, a bounded number of them in every run.
 *
 *     TURNPIKE_TEST_FUZZ_SECONDS=60 npm run fuzz      # each with new seeds until the time is up
 *
 * A failure prints its seed; TURNPIKE_TEST_FUZZ_SEED repeats it.
 */
import { describe, expect, it } from 'vitest';
import { canonicalAddress, formatAddress, parseAddress, parseCidr } from '../../kernel/address.ts';
import { deriveKey, issueReportToken, verifyReportToken } from '../../kernel/report-token.ts';
import { seededRandom } from '../../kernel/random.ts';
import { readAnswer } from '../../relay/client/answer.ts';
import { FrameReader as ClientFrameReader } from '../../relay/client/frame-reader.ts';
import { decodeClaims, encodeClaims } from '../../relay/credentials/claims.ts';
import { SEAL_KEY_BYTES, sealName, splitName, splitRest, unsealName } from '../../relay/credentials/username.ts';
import { FrameReader, LARGEST_FRAME, MALFORMED } from '../../relay/planes/stream/frame-reader.ts';
import { attributes } from '../../relay/stun/attributes.ts';
import { channelDataLength, isChannelData } from '../../relay/stun/channel-data.ts';
import { readAddressErrorCode, readErrorCode, readUnknownAttributeTypes } from '../../relay/stun/error-code.ts';
import { readAddress, readAddresses, readPlainAddress } from '../../relay/stun/address-attributes.ts';
import { decodeMessage, isWellFormed, unknownAttributes } from '../../relay/stun/message.ts';
import type { StunMessage } from '../../relay/stun/message.ts';
import { echoesOfferedAlgorithms, readPasswordAlgorithm } from '../../relay/stun/password-algorithm.ts';
import {
  readAddressFamily,
  readChannelNumber,
  readEvenPort,
  readLifetime,
  readRequestedTransport,
} from '../../relay/stun/number-attributes.ts';
import { emptySendIndication, isSendIndication, parseSendIndication } from '../../relay/stun/send-indication.ts';
import { readText } from '../../relay/stun/text-attributes.ts';
import { Mutator } from './mutation.ts';
import { Bench, tuple } from './turn/bench.ts';
import { endpoint, TurnClient } from './turn-client.ts';

const seconds = Number(process.env['TURNPIKE_TEST_FUZZ_SECONDS'] ?? 0);
const seed = process.env['TURNPIKE_TEST_FUZZ_SEED'] ?? (seconds > 0 ? String(Date.now()) : 'every run');
const RUNS = 50_000;

const peer = endpoint('203.0.113.9:5000');
const peer6 = endpoint('[2001:db8::9]:5000');

/** One of each kind of message, signed where that is due. */
function messages(client: TurnClient): Uint8Array[] {
  const payload = Buffer.from('twenty octets of it.');
  return [
    client.binding({ fingerprint: true }),
    client.allocate({ family: 4 }),
    client.allocate({ family: 6 }),
    client.refresh(600),
    client.createPermission([peer, peer6]),
    client.channelBind(0x4001, peer),
    client.send(peer, payload),
    client.send(peer6, payload),
    client.channelData(0x4001, payload),
  ];
}

/** Runs `attempt` on so many inputs, or for so long; a failure names the seed that repeats it. */
function fuzz(what: string, attempt: (mutator: Mutator) => void, runs = RUNS): void {
  const until = performance.now() + seconds * 1000;
  for (let run = 0; seconds > 0 ? performance.now() < until : run < runs; run += 1) {
    const own = `${seed} ${what} ${run}`;
    try {
      attempt(new Mutator(own));
    } catch (error) {
      throw new Error(`seed "${own}": ${String(error)}`, { cause: error });
    }
  }
}

function readEverything(message: StunMessage): void {
  const texts = ['USERNAME', 'REALM', 'NONCE', 'SOFTWARE'] as const;
  for (const name of texts) readText(message, attributes[name]);
  for (const name of ['XOR_MAPPED_ADDRESS', 'XOR_RELAYED_ADDRESS'] as const) readAddress(message, attributes[name]);
  for (const name of ['MAPPED_ADDRESS', 'ALTERNATE_SERVER'] as const) readPlainAddress(message, attributes[name]);
  for (const name of ['REQUESTED_ADDRESS_FAMILY', 'ADDITIONAL_ADDRESS_FAMILY'] as const) {
    readAddressFamily(message, attributes[name]);
  }
  readAddresses(message, attributes.XOR_PEER_ADDRESS);
  readAddresses(message, attributes.XOR_RELAYED_ADDRESS);
  readErrorCode(message);
  readAddressErrorCode(message);
  readUnknownAttributeTypes(message);
  readLifetime(message);
  readChannelNumber(message);
  readRequestedTransport(message);
  readEvenPort(message);
  readPasswordAlgorithm(message);
  echoesOfferedAlgorithms(message);
  unknownAttributes(message);
  isWellFormed(message);
}

describe('hostile bytes', { timeout: 30_000 + 1000 * seconds * 8 }, () => {
  const samples = messages(new TurnClient('alice', 'secret', seededRandom('fuzz')));

  it('never make the STUN codec throw, nor point outside the message', () => {
    let sound = 0;
    fuzz('stun', (mutator) => {
      const bytes = mutator.of(samples);
      readAnswer(bytes);
      const decoded = decodeMessage(bytes);
      if (!decoded.ok) return;
      sound += 1;
      const within = decoded.message.attributes.every(({ at, length }) => at >= 24 && at + length <= bytes.length);
      if (!within) throw new Error('an attribute lies outside');
      readEverything(decoded.message);
    });
    expect(sound).toBeGreaterThan(100);
  });

  it('never make the packet path read outside the datagram', () => {
    const indication = emptySendIndication();
    let sound = 0;
    fuzz('data', (mutator) => {
      const bytes = mutator.of(samples);
      if (isChannelData(bytes)) {
        const length = channelDataLength(bytes);
        if (length >= 0 && length > bytes.length - 4) throw new Error('more than there is');
        sound += length >= 0 ? 1 : 0;
      }
      if (!isSendIndication(bytes) || parseSendIndication(bytes, indication) !== undefined) return;
      sound += 1;
      const { dataStart, dataEnd, address, port } = indication;
      if (dataStart < 20 || dataEnd < dataStart || dataEnd > bytes.length) throw new Error('data lies outside');
      if (canonicalAddress(address) === undefined || port > 0xffff) throw new Error('no endpoint');
    });
    expect(sound).toBeGreaterThan(100);
  });

  it('never make a stream of frames yield what is no frame, however it is cut', () => {
    let frames = 0;
    fuzz(
      'frames',
      (mutator) => {
        const stream = Buffer.concat(Array.from({ length: 1 + mutator.below(4) }, () => mutator.of(samples)));
        const [reader, client] = [new FrameReader(), new ClientFrameReader()];
        let octets = 0;
        for (let at = 0; at < stream.length;) {
          const chunk = Buffer.from(stream.subarray(at, at + 1 + mutator.below(400)));
          at += chunk.length;
          client.read(Buffer.from(chunk));
          reader.push(chunk);
          for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
            if (frame === MALFORMED) return;
            octets += frame.length;
            frames += 1;
            if (frame.length < 4 || frame.length > LARGEST_FRAME || octets > stream.length) throw new Error('no frame');
            if ((frame[0] ?? 0) > 0x7f) throw new Error('neither of the two');
          }
        }
      },
      RUNS / 4,
    );
    expect(frames).toBeGreaterThan(100);
  });

  it('never make the core throw, nor do anything for somebody unknown but answer', () => {
    let refused = 0;
    fuzz(
      'core',
      (mutator) => {
        const bench = new Bench();
        const stranger = tuple('198.51.100.200:4000');
        const { client } = bench.allocated();
        const signed = messages(client);
        for (let step = 0; step < 40; step += 1) {
          const bytes = mutator.of(signed);
          bench.send(bytes);
          const { commands } = bench.send(bytes, stranger);
          refused += commands.length;
          if (commands.some(({ type }) => type !== 'send')) throw new Error('a stranger has got something');
          bench.clock.advance(mutator.below(20_000));
          bench.expire();
        }
      },
      RUNS / 100,
    );
    expect(refused).toBeGreaterThan(100);
  });

  it('never pass for a credential or a token, nor make one throw', () => {
    const sealKey = deriveKey('a secret', 'seal', SEAL_KEY_BYTES);
    const claims = {
      customId: 'c',
      call: 'room',
      participant: 'ann',
      limits: { bytes: 5n },
      impairment: { delayMs: 5 },
    };
    const username = sealName(claims, { expiry: 2_000_000_000, keyId: 'main', sealKey }, seededRandom('seal'));
    const token = issueReportToken(
      {
        keyId: 'main',
        app: 'shop',
        customId: 'c',
        call: 'r',
        participant: 'p',
        maxConnections: 4,
        expiresAt: 2_000_000_000,
      },
      'a secret',
    );
    const valid = [username, token].map((text) => Buffer.from(text));
    const encoded = [encodeClaims(claims)];
    const secretsOf = () => ({ app: 'shop', secrets: ['a secret'] });
    fuzz('credentials', (mutator) => {
      decodeClaims(mutator.of(encoded));
      const text = mutator.of(valid).toString('utf8');
      if (text === username || text === token) return;
      const name = splitName(text);
      const rest = name && splitRest(name.rest);
      if (name !== undefined && rest !== undefined) {
        const opened = unsealName({ expiry: name.expiry, ...rest }, [sealKey]);
        if (opened.ok) throw new Error(`opened: ${text}`);
      }
      if (verifyReportToken(text, secretsOf, 0) !== undefined) throw new Error(`verified: ${text}`);
    });
    expect(verifyReportToken(token, secretsOf, 0)).toBeDefined();
  });

  it('never make addresses and ranges throw, and what is one reads the same again', () => {
    const texts = [
      '203.0.113.9',
      '2001:db8::9',
      '::ffff:10.0.0.1',
      '64:ff9b::7f00:1',
      '10.0.0.0/8',
      'fe80::/10',
      '::1',
    ];
    let read = 0;
    fuzz('addresses', (mutator) => {
      const text = mutator.of(texts.map((one) => Buffer.from(one))).toString('latin1');
      parseCidr(text);
      const octets = parseAddress(text);
      if (octets === undefined) return;
      read += 1;
      const canonical = canonicalAddress(text) ?? '';
      if (formatAddress(parseAddress(canonical) ?? new Uint8Array(0)) !== canonical)
        throw new Error(`${text}: ${canonical}`);
    });
    expect(read).toBeGreaterThan(100);
  });
});
