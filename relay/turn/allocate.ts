/**
 * Allocate (RFC 8656 §7.2). Step 1, authentication, is done when we get here.
 *
 * Of the optional parts this server offers EVEN-PORT with its reservation and both families at once. It does not set DF.
 */
import type { Family } from '../../kernel/address.ts';
import { type Random, randomBelow } from '../../kernel/random.ts';
import { uuidV7 } from '../../kernel/uuid.ts';
import type { CredentialLimits } from '../contract.ts';
import type { Command, Limits } from '../planes/plane.ts';
import { sourceOf } from '../source.ts';
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
  reservationToken,
  TRANSPORT_UDP,
} from '../stun/number-attributes.ts';
import { text } from '../stun/text-attributes.ts';
import { AllocationRecord, type Origin, siblings, type WantedPort } from './allocation.ts';
import { userKey } from './allocation-table.ts';
import { askedOf } from './answer.ts';
import type { Accepted } from './authenticator.ts';
import { grant } from './lifetime.ts';
import type { Limit } from './observer.ts';
import { redirection } from './redirection.ts';
import { failure, limited, type Outcome, type State, type TurnRequest } from './request.ts';
import { type Reservation, RESERVATION_LIFETIME, TOKEN_OCTETS } from './reservations.ts';
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

  // 5. A token that stands for nothing, or for what was reserved for somebody else, is worth no port (508).
  const token = message.value(attributes.RESERVATION_TOKEN.type);
  const reserved =
    token === undefined ? undefined : state.reservations.find(hex(token), identity.username, request.at.monotonic);
  if (token !== undefined && reserved === undefined) return limited('ports', 'INSUFFICIENT_CAPACITY');

  // 10. Quotas (486) and capacity (300, or 508). What a token stands for has been counted since it was given.
  const wanted = portWanted(message);
  const more = reserved !== undefined ? 0 : wanted === 'pair' ? 2 : 1;
  const quota = exhaustedQuota(request, identity.accepted, more, state);
  if (quota === 'relay_allocations') return redirection(quota, request.from, state.settings);
  if (quota !== undefined) return limited(quota, 'ALLOCATION_QUOTA_REACHED');

  if (reserved !== undefined) state.reservations.remove(reserved);
  const asked = familiesAsked(message, reserved);
  const [family = 4, other] = asked.filter((one) => state.settings.families.includes(one));
  const record = recordOf(
    request,
    identity.accepted,
    { family, ports: wanted, dual: asked.length > 1 },
    state.settings,
  );
  if (wanted === 'pair') record.reservation = reservationFor(record, state);
  state.table.add(record);
  const first = reserved === undefined ? openCommand(record, state) : openReserved(record, reserved.port, state);
  const second = asked.length > 1 ? openSibling(request, identity.accepted, record, other, state) : undefined;
  return { type: 'pending', commands: second === undefined ? [first] : [first, second] };
}

/** 9. The other of two families, if we have it and there is room for it as well. If not, its place in the answer says why. */
function openSibling(
  request: TurnRequest,
  accepted: Accepted,
  record: AllocationRecord,
  family: Family | undefined,
  state: State,
): Command | undefined {
  const limit = family === undefined ? undefined : exhaustedQuota(request, accepted, 1, state);
  if (limit !== undefined) state.settings.observer.onLimit?.(limit);
  if (family === undefined) record.missing = 'ADDRESS_FAMILY_NOT_SUPPORTED';
  else if (limit === 'relay_allocations') record.missing = 'INSUFFICIENT_CAPACITY';
  else if (limit !== undefined) record.missing = 'ALLOCATION_QUOTA_REACHED';
  if (family === undefined || limit !== undefined) return undefined;
  const sibling = recordOf(request, accepted, { ...record.origin, family }, state.settings);
  state.table.add(sibling);
  return openCommand(sibling, state);
}

/** Steps 5 and 8: what RESERVATION-TOKEN and EVEN-PORT do not go with. */
function refusalOfPorts(message: StunMessage): ErrorName | undefined {
  const has = (attribute: { type: number }) => message.has(attribute.type);
  // 5. A token goes with none of the attributes that say where to allocate.
  const isTokenWrong =
    has(attributes.RESERVATION_TOKEN) &&
    (has(attributes.EVEN_PORT) ||
      has(attributes.REQUESTED_ADDRESS_FAMILY) ||
      has(attributes.ADDITIONAL_ADDRESS_FAMILY));
  // 8. Nor does a reservation go with two families.
  const isPairWrong = readEvenPort(message)?.reserveNext === true && has(attributes.ADDITIONAL_ADDRESS_FAMILY);
  return isTokenWrong || isPairWrong ? 'BAD_REQUEST' : undefined;
}

/** Steps 6, 7 and 9: REQUESTED- and ADDITIONAL-ADDRESS-FAMILY. */
function refusalOfFamilies(message: StunMessage, { families }: Settings): ErrorName | undefined {
  const requested = readAddressFamily(message, attributes.REQUESTED_ADDRESS_FAMILY);
  const additional = readAddressFamily(message, attributes.ADDITIONAL_ADDRESS_FAMILY);
  // 6. One or the other.
  if (requested !== undefined && additional !== undefined) return 'BAD_REQUEST';
  // 9. The additional family can only be IPv6; of the two one will do.
  if (additional !== undefined) return additional === 6 ? undefined : 'BAD_REQUEST';
  if (message.has(attributes.RESERVATION_TOKEN.type)) return undefined;
  // 7. A family that we have not, or that nobody has. None asked for means IPv4.
  const family = requested ?? 4;
  return family === 'other' || !families.includes(family) ? 'ADDRESS_FAMILY_NOT_SUPPORTED' : undefined;
}

function familiesAsked(message: StunMessage, reserved: Reservation | undefined): readonly Family[] {
  if (message.has(attributes.ADDITIONAL_ADDRESS_FAMILY.type)) return [4, 6];
  if (reserved !== undefined) return [reserved.family];
  return [readAddressFamily(message, attributes.REQUESTED_ADDRESS_FAMILY) === 6 ? 6 : 4];
}

function portWanted(message: StunMessage): WantedPort {
  if (message.has(attributes.RESERVATION_TOKEN.type)) return 'reserved';
  const even = readEvenPort(message);
  if (even === undefined) return 'any';
  return even.reserveNext ? 'pair' : 'even';
}

/**
 * What would be too much with so many allocations more. Requests still on their way to a port count, so that a burst cannot outrun
 * the quota, and so do reserved ports.
 */
function exhaustedQuota(
  { at, from, identity: { username } }: TurnRequest,
  { app, claims }: Accepted,
  more: number,
  { table, reservations, settings, spent }: State,
): Limit | undefined {
  reservations.sweep(at.monotonic);
  if (settings.isCapped(app, at)) return 'app_bytes';
  if (claims.limits.bytes !== undefined && spent.of(username) >= claims.limits.bytes) return 'credential_bytes';
  const perCredential = claims.limits.allocations ?? Number.POSITIVE_INFINITY;
  const user = userKey(app, claims.customId, username);
  const ofUsername = table.ofUsername(username).size + reservations.ofUsername(username);
  if (ofUsername + more > perCredential) return 'credential_allocations';
  const ofUser = table.countOfUser(user) + reservations.ofUser(user);
  if (ofUser + more > settings.allocationsPerUser) return 'user_allocations';
  const ofApp = table.countOfApp(app) + reservations.ofApp(app);
  if (ofApp + more > settings.allocationsPerApp) return 'app_allocations';
  const source = sourceOf(from.client.address);
  const ofSource = table.countOfSource(source) + reservations.ofSource(source);
  if (ofSource + more > settings.allocationsPerSource) return 'source_allocations';
  return table.size + reservations.size + more > settings.maxAllocations ? 'relay_allocations' : undefined;
}

function recordOf(
  { message, from, at, identity }: TurnRequest,
  accepted: Accepted,
  { family, ports, dual }: Pick<Origin, 'ports' | 'dual'> & { readonly family: Family },
  settings: Settings,
): AllocationRecord {
  const credentialDeadline =
    settings.onExpiry === 'disconnect' ? at.monotonic + (accepted.expiresAt - at.now) : Number.POSITIVE_INFINITY;
  const granted = grant(readLifetime(message), at.monotonic, credentialDeadline, settings);
  return new AllocationRecord({
    id: uuidV7({ now: () => at.now, monotonic: () => at.monotonic }, settings.random),
    fiveTuple: from,
    relayFamily: family,
    username: identity.username,
    keys: identity.keys,
    credential: accepted,
    createdAt: at,
    credentialDeadline,
    deadline: granted.deadline,
    origin: {
      asked: askedOf(message),
      integrity: new Uint8Array(integrityValueOf(message)),
      seal: identity.seal,
      lifetime: granted.seconds,
      ports,
      dual,
    },
    settings,
  });
}

/** The next port, for the credential that asked for it. Which one it will be is known once the plane has opened the pair. */
function reservationFor(
  { app, claims, createdAt, relayFamily, source, username }: AllocationRecord,
  { reservations, settings }: State,
): Reservation {
  const reservation: Reservation = {
    token: hex(settings.random.bytes(TOKEN_OCTETS)),
    username,
    app,
    customId: claims.customId,
    source,
    family: relayFamily,
    deadline: createdAt.monotonic + RESERVATION_LIFETIME,
    port: undefined,
  };
  reservations.add(reservation);
  return reservation;
}

/** Asks the plane for one more port, chosen so that nobody can tell which (RFC 8656 §7.2, §21.1.6). */
export function openCommand(record: AllocationRecord, { settings, spent }: Pick<State, 'settings' | 'spent'>): Command {
  record.attempts += 1;
  const port = pickPort(settings.relayPorts, record.origin.ports, settings.random);
  const open = openPort(record, port, limitsOf(record.claims.limits, spent.of(record.username)));
  return record.reservation === undefined ? open : { ...open, holdNext: record.reservation.deadline };
}

function openReserved(record: AllocationRecord, port: number, { spent }: State): Command {
  const open = openPort(record, port, limitsOf(record.claims.limits, spent.of(record.username)));
  return { ...open, isHeld: true };
}

/** Asks the plane for this port. */
export function openPort(record: AllocationRecord, port: number, limits: Limits): Command & { type: 'open' } {
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

function pickPort({ first, last }: Settings['relayPorts'], wanted: WantedPort, random: Random): number {
  if (wanted === 'any') return first + randomBelow(random, last - first + 1);
  const firstEven = first + (first & 1);
  // The last of a pair's even ports has another after it.
  const lastEven = wanted === 'pair' ? last - 1 : last;
  return firstEven + 2 * randomBelow(random, ((lastEven - firstEven) >> 1) + 1);
}

const hex = (token: Uint8Array) => Buffer.from(token).toString('hex');

/** What the plane is to hold a credential's allocations to, of which those that have ended had sent `spent` bytes. */
export function limitsOf({ packetsPerSecond, bitsPerSecond, bytes }: CredentialLimits, spent: bigint): Limits {
  return {
    ...(packetsPerSecond === undefined ? {} : { packetsPerSecond }),
    ...(bitsPerSecond === undefined ? {} : { bitsPerSecond }),
    ...(bytes === undefined ? {} : { bytes: bytes > spent ? bytes - spent : 0n }),
  };
}

/** The attributes of the success response, once the plane has opened what there is (RFC 8656 §7.2, last part). */
export function allocatedAnswer(record: AllocationRecord, settings: Pick<Settings, 'software'>): readonly Setter[] {
  const { fiveTuple, origin, relayFamily, reservation, sibling } = record;
  const relayed = siblings(record).flatMap(({ relayed }) => (relayed === undefined ? [] : [relayed]));
  const missing: Family = relayFamily === 4 ? 6 : 4;
  const isHalf = origin.dual && sibling === undefined;
  return [
    ...relayed.map((address) => xorAddress(attributes.XOR_RELAYED_ADDRESS, address)),
    lifetime(origin.lifetime),
    ...(reservation === undefined ? [] : [reservationToken(Buffer.from(reservation.token, 'hex'))]),
    xorAddress(attributes.XOR_MAPPED_ADDRESS, fiveTuple.client),
    ...(isHalf ? [addressErrorCode(missing, record.missing ?? 'INSUFFICIENT_CAPACITY')] : []),
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
