/**
 * Allocate (RFC 8656 §7.2). Step 1, authentication, is done when we get here.
 *
 * Of the optional parts this server offers EVEN-PORT without reservation. It gives no second address (ADDITIONAL-ADDRESS-FAMILY is
 * answered with one address and an ADDRESS-ERROR-CODE), reserves no ports, and does not set DF.
 */
import type { Family } from '../../kernel/address.ts';
import { type Random, randomBelow } from '../../kernel/random.ts';
import { uuidV7 } from '../../kernel/uuid.ts';
import type { CredentialLimits } from '../contract.ts';
import type { Command, Limits } from '../planes/plane.ts';
import { xorAddress } from '../stun/address-attributes.ts';
import { attributes } from '../stun/attributes.ts';
import { addressErrorCode, unknownAttributeTypes } from '../stun/error-code.ts';
import type { ErrorName } from '../stun/error-codes.ts';
import { integrityValueOf } from '../stun/integrity.ts';
import type { StunMessage } from '../stun/message.ts';
import type { Setter } from '../stun/message-writer.ts';
import {
  lifetime,
  readAddressFamily,
  readEvenPort,
  readLifetime,
  readRequestedTransport,
  TRANSPORT_UDP,
} from '../stun/number-attributes.ts';
import { text } from '../stun/text-attributes.ts';
import { AllocationRecord } from './allocation.ts';
import { userKey } from './allocation-table.ts';
import { askedOf } from './answer.ts';
import type { Accepted, Instant } from './authenticator.ts';
import { grant } from './lifetime.ts';
import type { Limit } from './observer.ts';
import { redirection } from './redirection.ts';
import { failure, limited, type Outcome, type State, type TurnRequest } from './request.ts';
import type { Settings } from './settings.ts';

export function allocate(request: TurnRequest, state: State): Outcome {
  const { message, identity } = request;

  // 2. The five-tuple must be free. (A retransmission has been answered before it came here.)
  if (request.allocation !== undefined || identity.accepted === undefined) return failure('ALLOCATION_MISMATCH');

  // (At any point the server may send the client elsewhere.)
  if (state.draining) return redirection('draining', request.from, state.settings);

  // 3. REQUESTED-TRANSPORT must be there (400) and be UDP (442).
  const transport = readRequestedTransport(message);
  if (transport === undefined) return failure('BAD_REQUEST');
  if (transport !== TRANSPORT_UDP) return failure('UNSUPPORTED_TRANSPORT_PROTOCOL');

  // 4. A server that cannot set DF treats DONT-FRAGMENT as an attribute it does not know.
  if (message.has(attributes.DONT_FRAGMENT.type)) {
    return failure('UNKNOWN_ATTRIBUTE', unknownAttributeTypes([attributes.DONT_FRAGMENT.type]));
  }

  const refused = refusalOfPorts(message) ?? refusalOfFamilies(message, state.settings);
  if (refused !== undefined) return failure(refused);

  // 10. Quotas (486) and capacity (300, or 508).
  const { accepted, username } = identity;
  const quota = exhaustedQuota(username, accepted, request.at, state);
  if (quota !== undefined) return limited(quota, 'ALLOCATION_QUOTA_REACHED');
  if (state.table.size >= state.settings.maxAllocations) {
    return redirection('relay_allocations', request.from, state.settings);
  }

  const record = recordOf(request, accepted, state.settings);
  state.table.add(record);
  return { type: 'pending', commands: [openCommand(record, state)] };
}

/** Steps 5 and 8: RESERVATION-TOKEN and EVEN-PORT. */
function refusalOfPorts(message: StunMessage): ErrorName | undefined {
  const has = (attribute: { type: number }) => message.has(attribute.type);
  // 5. A token goes with none of the attributes that say where to allocate (400); no token is valid here (508).
  if (has(attributes.RESERVATION_TOKEN)) {
    return has(attributes.EVEN_PORT) ||
      has(attributes.REQUESTED_ADDRESS_FAMILY) ||
      has(attributes.ADDITIONAL_ADDRESS_FAMILY)
      ? 'BAD_REQUEST'
      : 'INSUFFICIENT_CAPACITY';
  }
  // 8. A reservation for two families makes no sense (400); we cannot reserve the next port (508).
  if (readEvenPort(message)?.reserveNext === true) {
    return has(attributes.ADDITIONAL_ADDRESS_FAMILY) ? 'BAD_REQUEST' : 'INSUFFICIENT_CAPACITY';
  }
  return undefined;
}

/** Steps 6, 7 and 9: REQUESTED- and ADDITIONAL-ADDRESS-FAMILY. */
function refusalOfFamilies(message: StunMessage, { families }: Settings): ErrorName | undefined {
  const requested = readAddressFamily(message, attributes.REQUESTED_ADDRESS_FAMILY);
  const additional = readAddressFamily(message, attributes.ADDITIONAL_ADDRESS_FAMILY);
  // 6. One or the other.
  if (requested !== undefined && additional !== undefined) return 'BAD_REQUEST';
  // 9. The additional family can only be IPv6.
  if (additional !== undefined && additional !== 6) return 'BAD_REQUEST';
  // 7. A family that we have not, or that nobody has. None asked for means IPv4.
  const family = requested ?? 4;
  return family === 'other' || !families.includes(family) ? 'ADDRESS_FAMILY_NOT_SUPPORTED' : undefined;
}

/** Requests still on their way to a port count, so that a burst cannot outrun the quota. */
function exhaustedQuota(
  username: string,
  { app, claims }: Accepted,
  at: Instant,
  { table, settings, spent }: State,
): Limit | undefined {
  if (settings.isCapped(app, at)) return 'app_bytes';
  if (claims.limits.bytes !== undefined && spent.of(username) >= claims.limits.bytes) return 'credential_bytes';
  const perCredential = claims.limits.allocations ?? Number.POSITIVE_INFINITY;
  if (table.ofUsername(username).size >= perCredential) return 'credential_allocations';
  if (table.ofUser(userKey(app, claims.customId, username)).size >= settings.allocationsPerUser)
    return 'user_allocations';
  return table.ofApp(app).size >= settings.allocationsPerApp ? 'app_allocations' : undefined;
}

function recordOf({ message, from, at, identity }: TurnRequest, accepted: Accepted, settings: Settings) {
  const credentialDeadline =
    settings.onExpiry === 'disconnect' ? at.monotonic + (accepted.expiresAt - at.now) : Number.POSITIVE_INFINITY;
  const granted = grant(readLifetime(message), at.monotonic, credentialDeadline, settings);
  return new AllocationRecord({
    id: uuidV7({ now: () => at.now, monotonic: () => at.monotonic }, settings.random),
    fiveTuple: from,
    relayFamily: readAddressFamily(message, attributes.REQUESTED_ADDRESS_FAMILY) === 6 ? 6 : 4,
    username: identity.username,
    keys: identity.keys,
    credential: accepted,
    createdAt: at,
    credentialDeadline,
    deadline: granted.deadline,
    origin: {
      asked: askedOf(message),
      integrity: Uint8Array.from(integrityValueOf(message)),
      seal: identity.seal,
      lifetime: granted.seconds,
      evenPort: message.has(attributes.EVEN_PORT.type),
      additionalFamily: message.has(attributes.ADDITIONAL_ADDRESS_FAMILY.type),
    },
    settings,
  });
}

/** Asks the plane for one more port, chosen so that nobody can tell which (RFC 8656 §7.2, §21.1.6). */
export function openCommand(record: AllocationRecord, { settings, spent }: Pick<State, 'settings' | 'spent'>): Command {
  record.attempts += 1;
  const port = pickPort(settings.relayPorts, record.origin.evenPort, settings.random);
  return openPort(record, port, limitsOf(record.claims.limits, spent.of(record.username)));
}

/** Asks the plane for this port. */
export function openPort(record: AllocationRecord, port: number, limits: Limits): Command {
  return {
    type: 'open',
    allocation: record.id,
    client: record.fiveTuple,
    family: record.relayFamily,
    port,
    deadline: record.deadline,
    app: record.app,
    credential: record.username,
    limits,
    ...(record.claims.impairment === undefined ? {} : { impairment: record.claims.impairment }),
  };
}

function pickPort({ first, last }: Settings['relayPorts'], even: boolean, random: Random): number {
  if (!even) return first + randomBelow(random, last - first + 1);
  const firstEven = first + (first & 1);
  return firstEven + 2 * randomBelow(random, ((last - firstEven) >> 1) + 1);
}

/** What the plane is to hold a credential's allocations to, of which those that have ended had sent `spent` bytes. */
export function limitsOf({ packetsPerSecond, bitsPerSecond, bytes }: CredentialLimits, spent: bigint): Limits {
  return {
    ...(packetsPerSecond === undefined ? {} : { packetsPerSecond }),
    ...(bitsPerSecond === undefined ? {} : { bitsPerSecond }),
    ...(bytes === undefined ? {} : { bytes: bytes > spent ? bytes - spent : 0n }),
  };
}

/** The attributes of the success response, once the plane has opened the port (RFC 8656 §7.2, last part). */
export function allocatedAnswer(record: AllocationRecord, settings: Pick<Settings, 'software'>): readonly Setter[] {
  const { relayed, fiveTuple, origin } = record;
  const missing: Family = 6;
  return [
    ...(relayed === undefined ? [] : [xorAddress(attributes.XOR_RELAYED_ADDRESS, relayed)]),
    lifetime(origin.lifetime),
    xorAddress(attributes.XOR_MAPPED_ADDRESS, fiveTuple.client),
    ...(origin.additionalFamily ? [addressErrorCode(missing, 'ADDRESS_FAMILY_NOT_SUPPORTED')] : []),
    ...(settings.software === '' ? [] : [text(attributes.SOFTWARE, settings.software)]),
  ];
}

/** Whether a message on this five-tuple is the very Allocate that made the allocation, sent again. */
export function isRetransmission(record: AllocationRecord, message: StunMessage): boolean {
  const { asked, integrity } = record.origin;
  const same = (left: Uint8Array, right: Uint8Array) => Buffer.compare(left, right) === 0;
  return (
    message.method === asked.method &&
    same(message.transactionId, asked.transactionId) &&
    same(integrityValueOf(message), integrity)
  );
}
