/**
 * A core's state as plain values that JSON carries unchanged: what a relay writes down so that its successor goes on with the same
 * allocations. Passwords are not in it; the long-term keys made of them are, and the nonce key is, so it is to be kept as a
 * secret is. Octets are base64. Times are milliseconds from the moment it was taken (negative: before), because the successor's
 * monotonic clock has another beginning.
 *
 * Not in it: the budget of refusals, which begins anew full.
 */
import { z } from 'zod';
import { u64 } from '../../kernel/bytes.ts';
import { credentialLimits, impairment } from '../contract.ts';
import type { AllocationId } from '../planes/plane.ts';
import { type ErrorName, errorCodes } from '../stun/error-codes.ts';
import { AllocationRecord, wantedPorts } from './allocation.ts';
import type { Instant } from './authenticator.ts';
import { UNUSED } from './rate.ts';
import { type Reservation, TOKEN_OCTETS } from './reservations.ts';
import type { Settings } from './settings.ts';

/** What is written by another version is not read. */
export const SNAPSHOT_VERSION = 2;

const octets = z.base64();
const token = z.hex().length(2 * TOKEN_OCTETS);
const endpoint = z.strictObject({ address: z.string(), port: z.int().min(0).max(65_535) });
const family = z.union([z.literal(4), z.literal(6)]);
const limits = z.strictObject({ ...credentialLimits.shape, bytes: u64.optional() });

const allocation = z.strictObject({
  id: z.uuid(),
  state: z.enum(['opening', 'live', 'closing']),
  fiveTuple: z.strictObject({ transport: z.enum(['udp', 'tcp', 'tls']), client: endpoint, server: endpoint }),
  relayFamily: family,
  relayed: endpoint.optional(),
  username: z.string(),
  keys: z.strictObject({ MD5: octets, SHA_256: octets }),
  app: z.string(),
  keyId: z.string(),
  claims: z.strictObject({
    customId: z.string(),
    call: z.string(),
    participant: z.string(),
    limits,
    impairment: impairment.optional(),
  }),
  /** Unix milliseconds, and the same moment as a time of this snapshot. */
  createdAt: z.strictObject({ now: z.number(), elapsed: z.number() }),
  deadline: z.number(),
  /** Absent: the credential does not end it. */
  credentialDeadline: z.number().optional(),
  attempts: z.int().nonnegative(),
  /** The bucket of new peers; absent: unused. */
  newPeers: z.number().optional(),
  permissions: z.array(z.tuple([z.string(), z.number()])),
  channels: z.array(z.strictObject({ number: z.int(), peer: endpoint, deadline: z.number() })),
  origin: z.strictObject({
    method: z.int(),
    transactionId: octets,
    fingerprint: z.boolean(),
    length: z.int(),
    integrity: octets,
    seal: z.strictObject({ key: octets, hash: z.enum(['sha1', 'sha256']) }),
    lifetime: z.int().nonnegative(),
    ports: z.enum(wantedPorts),
    dual: z.boolean(),
  }),
  /** Why there is no sibling. */
  missing: z.enum(Object.keys(errorCodes) as ErrorName[]).optional(),
  /** The token of the port that was reserved with it. */
  reservation: token.optional(),
  answer: octets.optional(),
});

const reservation = z.strictObject({
  token,
  username: z.string(),
  app: z.string(),
  customId: z.string(),
  source: z.string(),
  family,
  deadline: z.number(),
  port: z.int().optional(),
});

export const coreSnapshot = z.strictObject({
  version: z.literal(SNAPSHOT_VERSION),
  /** Unix milliseconds. */
  takenAt: z.number(),
  nonceKey: octets,
  draining: z.boolean(),
  /** What ended allocations have taken from their credentials' quotas: username, bytes, Unix milliseconds of the credential's end. */
  spent: z.array(z.tuple([z.string(), u64, z.number()])).optional(),
  /** In the order in which they lapse. */
  reservations: z.array(reservation),
  allocations: z.array(allocation),
});
export type CoreSnapshot = z.input<typeof coreSnapshot>;

/** One allocation alone, for a journal that writes down only what changes. */
export const writtenAllocation = z.strictObject({
  version: coreSnapshot.shape.version,
  takenAt: coreSnapshot.shape.takenAt,
  allocation,
});
export type WrittenAllocation = z.input<typeof writtenAllocation>;
export type AllocationSnapshot = z.input<typeof allocation>;
/** As read: limits in bigint again. */
type ReadAllocation = z.output<typeof allocation>;
type ReservationSnapshot = z.input<typeof reservation>;

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const bytesOf = (base64: string) => Uint8Array.from(Buffer.from(base64, 'base64'));

/** One allocation; `at` is when the snapshot is taken. */
export function allocationSnapshot(record: AllocationRecord, { monotonic }: Instant): AllocationSnapshot {
  const { origin, claims, relayed, answer, credentialDeadline } = record;
  const { bytes, ...counts } = claims.limits;
  const { asked, integrity, seal, ...rest } = origin;
  return {
    id: record.id,
    state: record.state,
    fiveTuple: record.fiveTuple,
    relayFamily: record.relayFamily,
    ...(relayed === undefined ? {} : { relayed }),
    username: record.username,
    keys: { MD5: text(record.keys.MD5), SHA_256: text(record.keys.SHA_256) },
    app: record.app,
    keyId: record.keyId,
    claims: { ...claims, limits: { ...counts, ...(bytes === undefined ? {} : { bytes: bytes.toString() }) } },
    createdAt: { now: record.createdAt.now, elapsed: record.createdAt.monotonic - monotonic },
    deadline: record.deadline - monotonic,
    ...(Number.isFinite(credentialDeadline) ? { credentialDeadline: credentialDeadline - monotonic } : {}),
    attempts: record.attempts,
    ...(record.newPeers === UNUSED ? {} : { newPeers: record.newPeers - monotonic }),
    permissions: record.permissions.entries().map(([address, deadline]) => [address, deadline - monotonic]),
    channels: record.channels.entries().map((channel) => ({ ...channel, deadline: channel.deadline - monotonic })),
    origin: {
      ...rest,
      ...asked,
      transactionId: text(asked.transactionId),
      integrity: text(integrity),
      seal: { key: text(seal.key), hash: seal.hash },
    },
    ...(record.missing === undefined ? {} : { missing: record.missing }),
    ...(record.reservation === undefined ? {} : { reservation: record.reservation.token }),
    ...(answer === undefined ? {} : { answer: text(answer) }),
  };
}

export function reservationSnapshot(
  { deadline, port, ...rest }: Reservation,
  { monotonic }: Instant,
): ReservationSnapshot {
  return { ...rest, deadline: deadline - monotonic, ...(port === undefined ? {} : { port }) };
}

export function restoredReservation({ deadline, port, ...rest }: ReservationSnapshot, since: number): Reservation {
  return { ...rest, deadline: since + deadline, port };
}

/** The monotonic time, by the clock that is read now, of what was taken then. A wall clock that was put back makes nothing younger. */
export function momentOf(takenAt: number, at: Instant): number {
  return at.monotonic - Math.max(0, at.now - takenAt);
}

/** The record again; `since` is the monotonic time at which the snapshot was taken, by the clock that is read now. */
export function restoredAllocation(read: ReadAllocation, since: number, settings: Settings): AllocationRecord {
  const { method, transactionId, fingerprint, length, integrity, seal, ...origin } = read.origin;
  const record = new AllocationRecord({
    id: read.id satisfies AllocationId,
    fiveTuple: read.fiveTuple,
    relayFamily: read.relayFamily,
    username: read.username,
    keys: { MD5: bytesOf(read.keys.MD5), SHA_256: bytesOf(read.keys.SHA_256) },
    credential: { app: read.app, keyId: read.keyId, claims: read.claims },
    createdAt: { now: read.createdAt.now, monotonic: since + read.createdAt.elapsed },
    credentialDeadline: since + (read.credentialDeadline ?? Number.POSITIVE_INFINITY),
    deadline: since + read.deadline,
    origin: {
      ...origin,
      asked: { method, transactionId: bytesOf(transactionId), fingerprint, length },
      integrity: bytesOf(integrity),
      seal: { key: bytesOf(seal.key), hash: seal.hash },
    },
    settings,
  });
  record.state = read.state;
  record.relayed = read.relayed;
  record.answer = read.answer === undefined ? undefined : bytesOf(read.answer);
  record.missing = read.missing;
  record.attempts = read.attempts;
  record.newPeers = since + (read.newPeers ?? UNUSED);
  for (const [address, deadline] of read.permissions) record.permissions.restore(address, since + deadline);
  for (const { number, peer, deadline } of read.channels) record.channels.restore(number, peer, since + deadline);
  return record;
}
