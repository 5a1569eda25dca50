/**
 * The TURN server (RFC 8656) as a state machine without I/O, clock or randomness of its own: a datagram, a five-tuple and a moment
 * in, commands to the plane out. Authentication, unknown attributes, answers and their seals are dealt with here once;
 * each method has a file of its own.
 */
import type { Endpoint, FiveTuple } from '../../kernel/address.ts';
import type { AllocationId, CloseReason, Command, PlaneEvent } from '../planes/plane.ts';
import { attributes } from '../stun/attributes.ts';
import { unknownAttributeTypes } from '../stun/error-code.ts';
import { type ErrorName, errorCodes } from '../stun/error-codes.ts';
import { decodeMessage, type StunMessage } from '../stun/message.ts';
import type { Setter } from '../stun/message-writer.ts';
import { methods } from '../stun/methods.ts';
import { text } from '../stun/text-attributes.ts';
import { allocate, allocatedAnswer, isRetransmission, openCommand } from './allocate.ts';
import { type Allocation, type AllocationRecord, endReason, siblings } from './allocation.ts';
import { AllocationTable } from './allocation-table.ts';
import { AnswerWriter, askedOf, SMALLEST_QUESTION } from './answer.ts';
import { authenticate, type Authentication, type Gate } from './authentication.ts';
import type { Instant } from './authenticator.ts';
import { bindingReply } from './binding.ts';
import { Challenge } from './challenge.ts';
import { channelBind } from './channel-bind.ts';
import { createPermission } from './create-permission.ts';
import { NonceMint } from './nonce.ts';
import type { RequestMethod, RequestResult } from './observer.ts';
import { RefusalBudget } from './refusal-budget.ts';
import { refresh } from './refresh.ts';
import { objection, type Outcome, type State, type TurnRequest } from './request.ts';
import { Reservations } from './reservations.ts';
import { resume, type Resumed } from './resume.ts';
import { settle, type TurnOptions } from './settings.ts';
import { SpentBytes } from './spent-bytes.ts';
import {
  allocationSnapshot,
  type CoreSnapshot,
  coreSnapshot,
  momentOf,
  reservationSnapshot,
  restoredAllocation,
  restoredReservation,
  SNAPSHOT_VERSION,
  type WrittenAllocation,
} from './snapshot.ts';

type Handler = (request: TurnRequest, state: State) => Outcome;

const handlers: ReadonlyMap<number, readonly [RequestMethod, Handler]> = new Map([
  [methods.ALLOCATE.code, ['allocate', allocate]],
  [methods.REFRESH.code, ['refresh', refresh]],
  [methods.CREATE_PERMISSION.code, ['create_permission', createPermission]],
  [methods.CHANNEL_BIND.code, ['channel_bind', channelBind]],
]);

/** Milliseconds during which a repeated Allocate is answered as the first (RFC 8489 §6.3.1). */
const TRANSACTION_LIFETIME = 40_000;

/** Whether an answer was sent that is not a repetition. */
function isDecision(result: RequestResult): result is 'ok' | `${number}` {
  return result === 'ok' || /^\d/.test(result);
}

const resultOf = (error: ErrorName) => `${errorCodes[error].code}` as const;

export class TurnCore {
  readonly #state: State;
  readonly #gate: Gate;
  readonly #refusals: RefusalBudget;
  readonly #answers: AnswerWriter;

  constructor(options: TurnOptions) {
    const settings = settle(options);
    this.#state = {
      settings,
      table: new AllocationTable(),
      spent: new SpentBytes(),
      reservations: new Reservations(),
      draining: false,
    };
    const { authenticator, hashes, nonceKey, nonceLifetime, realm } = settings;
    this.#gate = {
      challenge: new Challenge(realm, new NonceMint(nonceKey, nonceLifetime, hashes)),
      authenticator,
      hashes,
    };
    this.#answers = new AnswerWriter(hashes);
    this.#refusals = new RefusalBudget(settings.refusalsPerSecond, settings.random.bytes(4).readUInt32BE(0));
  }

  /**
   * One datagram or frame that is neither ChannelData nor a Send indication. `bytes` is read during the call only. Anything that is
   * no request of a method of ours is dropped without an answer (RFC 8489 §6.3, §6.3.2).
   */
  handleControl(bytes: Uint8Array, from: FiveTuple, at: Instant): readonly Command[] {
    const decoded = decodeMessage(bytes);
    if (!decoded.ok || decoded.message.messageClass !== 'request') return [];
    const { message } = decoded;
    if (message.method === methods.BINDING.code) return this.#bind(message, from);
    const [name, handle] = handlers.get(message.method) ?? [];
    if (name === undefined || handle === undefined) return [];

    const known = this.#state.table.of(from);
    const overdue = known === undefined ? [] : this.#expire(known, at);
    const allocation = overdue.length === 0 ? known : this.#state.table.of(from);
    if (allocation !== undefined && isRetransmission(allocation, message)) {
      const repeated = this.#repeat(allocation, at);
      if (repeated !== undefined) return repeated;
    }
    const authentication = authenticate(this.#gate, message, from, at, allocation);
    if (!authentication.ok) return [...overdue, ...this.#refuse(name, authentication, message, from, at, allocation)];
    const request = { message, from, at, identity: authentication.identity, allocation };
    return [...overdue, ...this.#answer(name, request, objection(message) ?? handle(request, this.#state))];
  }

  /** What the plane reports. */
  handleEvent(event: PlaneEvent, at: Instant): readonly Command[] {
    switch (event.type) {
      case 'control':
        return this.handleControl(event.bytes, event.from, at);
      case 'opened':
        return this.#opened(event.allocation, event.relayed);
      case 'exhausted':
        return this.#exhausted(event.allocation);
      case 'closed':
        this.#spend(event);
        this.#state.table.forget(event.allocation);
        return [];
      // `unreachable`: an ICMP attribute (RFC 8656 §11.6) needs the error's type and code, which no plane can see yet.
      default:
        return [];
    }
  }

  /** Ends what is past its deadline. Costs nothing when nothing is. */
  expire(at: Instant): readonly Command[] {
    this.#state.spent.sweep(at.now);
    this.#state.reservations.sweep(at.monotonic);
    const commands: Command[] = [];
    for (let first = this.#state.table.first(); first !== undefined && first.deadline <= at.monotonic;) {
      commands.push(this.#end(first, endReason(first)));
      first = this.#state.table.first();
    }
    return commands;
  }

  /** Monotonic milliseconds at which `expire` will have something to do; undefined when nothing lives. */
  nextDeadline(): number | undefined {
    return this.#state.table.first()?.deadline;
  }

  /** Everything that decides what this core will answer. Costs time in proportion to its allocations. */
  snapshot(at: Instant): CoreSnapshot {
    const { settings, table, draining } = this.#state;
    return {
      version: SNAPSHOT_VERSION,
      takenAt: at.now,
      nonceKey: Buffer.from(settings.nonceKey).toString('base64'),
      draining,
      reservations: this.#state.reservations.entries().map((entry) => reservationSnapshot(entry, at)),
      spent: this.#state.spent.entries().map(([username, bytes, until]) => [username, bytes.toString(), until]),
      allocations: Array.from(table.known(), (record) => allocationSnapshot(record, at)),
    };
  }

  /**
   * A core that goes on where the one that gave this snapshot stood; what is past its deadline by now ends with the next `expire`.
   * The time between is taken from the wall clock. The plane is the caller's: one that has not these allocations open must be
   * told, or they closed. Throws ZodError when the snapshot has not the shape of one.
   */
  static restore(options: Omit<TurnOptions, 'nonceKey'>, snapshot: unknown, at: Instant): TurnCore {
    const read = coreSnapshot.parse(snapshot);
    const core = new TurnCore({ ...options, nonceKey: Buffer.from(read.nonceKey, 'base64') });
    const since = momentOf(read.takenAt, at);
    const reservations = new Map(read.reservations.map((entry) => [entry.token, restoredReservation(entry, since)]));
    for (const reservation of reservations.values()) core.#state.reservations.add(reservation);
    for (const { reservation, ...allocation } of read.allocations) {
      const record = restoredAllocation(allocation, since, core.#state.settings);
      record.reservation = reservations.get(reservation ?? '');
      core.#state.table.add(record);
    }
    for (const [username, bytes, until] of read.spent ?? []) core.#state.spent.add(username, bytes, until);
    core.#state.draining = read.draining;
    return core;
  }

  /** One live allocation, for `resume` of a successor; undefined when it is not alive. */
  written(id: AllocationId, at: Instant): WrittenAllocation | undefined {
    const record = this.#state.table.get(id);
    if (record?.state !== 'live') return undefined;
    return { version: SNAPSHOT_VERSION, takenAt: at.now, allocation: allocationSnapshot(record, at) };
  }

  /**
   * Goes on with an allocation that a predecessor has `written`, of which it had sent `spent` bytes to the client. The commands
   * open its port again and everything behind it; until the plane has answered that it could not, the allocation lives.
   */
  resume(written: unknown, spent: bigint, at: Instant): Resumed {
    return resume(written, spent, at, this.#state);
  }

  /** From now on no allocation is given; those that live go on and may be refreshed. There is no way back. */
  drain(): void {
    this.#state.draining = true;
  }

  get isDraining(): boolean {
    return this.#state.draining;
  }

  /** Ends one allocation now. Nothing happens when it is gone or going. */
  close(id: AllocationId, reason: CloseReason): readonly Command[] {
    const record = this.#state.table.get(id);
    return record === undefined || record.state === 'closing' ? [] : [this.#end(record, reason)];
  }

  /** Any allocation the plane has not had its last word on: it answers until its `closed` event has been handled here. */
  allocation(id: AllocationId): Allocation | undefined {
    return this.#state.table.get(id);
  }

  /** Those that live or are being opened. */
  allocations(): IterableIterator<Allocation> {
    return this.#state.table.all();
  }

  /** Those of one credential, living or being opened. A copy, safe to close while walking. */
  allocationsOf(username: string): readonly Allocation[] {
    return [...this.#state.table.ofUsername(username)];
  }

  /** How many live or are being opened. */
  get size(): number {
    return this.#state.table.size;
  }

  /** Sizes of the maps behind it all: every one is 0 when everything has ended. */
  get entries(): AllocationTable['entries'] {
    return this.#state.table.entries;
  }

  #bind(message: StunMessage, from: FiveTuple): readonly Command[] {
    const { unknown, from: origin, attributes: found } = bindingReply(message, from, this.#state.settings.discovery);
    const asked = askedOf(message);
    const bytes =
      unknown.length > 0
        ? this.#answers.modestError(asked, from.transport, 'UNKNOWN_ATTRIBUTE', [unknownAttributeTypes(unknown)])
        : this.#answers.success(asked, found);
    this.#report('binding', bytes === undefined ? 'dropped' : unknown.length > 0 ? '420' : 'ok', from);
    if (bytes === undefined) return [];
    return [{ type: 'send', to: unknown.length > 0 ? from : { ...from, server: origin }, bytes }];
  }

  /** The same answer once more, or silence while there is none yet; undefined when the transaction is too old to remember. */
  #repeat(record: AllocationRecord, at: Instant): readonly Command[] | undefined {
    const { answer } = record;
    if (answer !== undefined && at.monotonic >= record.createdAt.monotonic + TRANSACTION_LIFETIME) return undefined;
    this.#state.settings.observer.onRequest?.('allocate', 'repeated');
    return answer === undefined ? [] : [{ type: 'send', to: record.fiveTuple, bytes: answer, allocation: record.id }];
  }

  #refuse(
    method: RequestMethod,
    refused: Extract<Authentication, { ok: false }>,
    message: StunMessage,
    from: FiveTuple,
    at: Instant,
    allocation: AllocationRecord | undefined,
  ): readonly Command[] {
    const { error, seal } = refused;
    const { observer } = this.#state.settings;
    if (refused.failure !== undefined) observer.onAuthFailure?.(refused.failure);
    if (seal !== undefined) {
      this.#report(method, resultOf(error), from);
      return [this.#send(from, this.#answers.error(askedOf(message), error, [], seal), allocation)];
    }
    if (from.transport === 'udp' && message.raw.length < SMALLEST_QUESTION) {
      this.#report(method, 'too_short', from);
      return [];
    }
    if (!this.#refusals.take(from, at.monotonic)) {
      observer.onLimit?.('refusals');
      this.#report(method, 'limited', from);
      return [];
    }
    const challenge = refused.challenge ? this.#gate.challenge.attributes(from, at.now) : [];
    const bytes = this.#answers.modestError(askedOf(message), from.transport, error, challenge);
    this.#report(method, bytes === undefined ? 'dropped' : resultOf(error), from);
    return bytes === undefined ? [] : [{ type: 'send', to: from, bytes }];
  }

  #answer(method: RequestMethod, request: TurnRequest, outcome: Outcome): readonly Command[] {
    if (outcome.type === 'pending') return outcome.commands;
    if (outcome.type !== 'success' && outcome.limit !== undefined)
      this.#state.settings.observer.onLimit?.(outcome.limit);
    if (outcome.type === 'ignored') {
      this.#report(method, 'limited', request.from);
      return [];
    }
    const asked = askedOf(request.message);
    const { seal } = request.identity;
    this.#report(method, outcome.type === 'success' ? 'ok' : resultOf(outcome.error), request.from);
    if (outcome.type === 'error') {
      return [
        this.#send(
          request.from,
          this.#answers.error(asked, outcome.error, outcome.attributes, seal),
          request.allocation,
        ),
      ];
    }
    const { software } = this.#state.settings;
    const setters: Setter[] = [
      ...outcome.attributes,
      ...(software === '' ? [] : [text(attributes.SOFTWARE, software)]),
    ];
    const answer = this.#send(request.from, this.#answers.success(asked, setters, seal), request.allocation);
    return [...(outcome.before ?? []), answer, ...(outcome.after ?? [])];
  }

  /** An answer to an authenticated request: it counts for the allocation on its five-tuple, once the plane knows of that. */
  #send(to: FiveTuple, bytes: Uint8Array, allocation: AllocationRecord | undefined): Command {
    if (allocation === undefined || allocation.relayed === undefined) return { type: 'send', to, bytes };
    return { type: 'send', to, bytes, allocation: allocation.id };
  }

  #opened(id: AllocationId, relayed: Endpoint): readonly Command[] {
    const record = this.#state.table.get(id);
    if (record?.isReopening === true) return this.#reopened(record, relayed);
    if (record?.state !== 'opening') return [];
    record.relayed = relayed;
    if (record.reservation !== undefined) record.reservation.port = relayed.port + 1;
    return this.#allocated(record);
  }

  /** Answers an Allocate once every address that can be had for it is there. */
  #allocated(record: AllocationRecord): readonly Command[] {
    const { settings } = this.#state;
    const pair = siblings(record);
    if (pair.some(({ relayed }) => relayed === undefined)) return [];
    const answer = this.#answers.success(record.origin.asked, allocatedAnswer(record, settings), record.origin.seal);
    // Memory of its own, as it stays.
    const kept = new Uint8Array(answer);
    for (const one of pair) {
      one.state = 'live';
      one.answer = kept;
      one.reservation = undefined;
      settings.observer.onLive?.(one);
    }
    this.#report('allocate', 'ok', record.fiveTuple);
    return [this.#send(record.fiveTuple, answer, record)];
  }

  /** The client knows one relayed address, and no other will do. */
  #reopened(record: AllocationRecord, { address, port }: Endpoint): readonly Command[] {
    record.isReopening = false;
    const isSame = record.relayed?.address === address && record.relayed.port === port;
    if (record.state !== 'live') return [];
    if (!isSame) return [this.#end(record, 'failed')];
    this.#state.settings.observer.onLive?.(record);
    return [];
  }

  #exhausted(id: AllocationId): readonly Command[] {
    const { table, settings, reservations } = this.#state;
    const record = table.get(id);
    if (record?.isReopening === true) table.forget(id);
    if (record === undefined || record.state === 'live' || record.isReopening) return [];
    const isOpening = record.state === 'opening';
    // There is only one port that a token stands for.
    const isTriedAgain = record.origin.ports !== 'reserved' && record.attempts < settings.openAttempts;
    if (isOpening && isTriedAgain) return [openCommand(record, this.#state)];
    const { sibling } = record;
    if (record.reservation !== undefined) reservations.remove(record.reservation);
    table.forget(id);
    if (!isOpening) return [];
    settings.observer.onLimit?.('ports');
    if (sibling !== undefined) {
      sibling.missing = 'INSUFFICIENT_CAPACITY';
      return this.#allocated(sibling);
    }
    this.#report('allocate', resultOf('INSUFFICIENT_CAPACITY'), record.fiveTuple);
    const bytes = this.#answers.error(record.origin.asked, 'INSUFFICIENT_CAPACITY', [], record.origin.seal);
    return [{ type: 'send', to: record.fiveTuple, bytes }];
  }

  /** What an allocation has sent to its client is gone from its credential's quota. */
  #spend({ allocation, counters }: PlaneEvent & { type: 'closed' }): void {
    const record = this.#state.table.get(allocation);
    if (record?.claims.limits.bytes === undefined) return;
    const bytes = Object.values(counters.classes).reduce((sum, { clientTxBytes }) => sum + clientTxBytes, 0n);
    this.#state.spent.add(record.username, bytes, record.startsUntil);
  }

  /** A packet may come before the timer does: what is past its deadline on its five-tuple ends first. */
  #expire(record: AllocationRecord, at: Instant): readonly Command[] {
    const overdue = siblings(record).filter(({ deadline }) => deadline <= at.monotonic);
    return overdue.map((one) => this.#end(one, endReason(one)));
  }

  #end(record: AllocationRecord, reason: CloseReason): Command {
    this.#state.table.end(record);
    return { type: 'close', allocation: record.id, reason };
  }

  #report(method: RequestMethod, result: RequestResult, from: FiveTuple): void {
    const { observer } = this.#state.settings;
    observer.onRequest?.(method, result);
    if (method === 'allocate' && isDecision(result)) observer.onAllocation?.(from.transport, result);
  }
}
