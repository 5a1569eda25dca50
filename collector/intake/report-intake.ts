/** What becomes of a client's reports once they are read, whichever way they came: names, rows, the store, and the figures. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { ReportClaims } from '../../kernel/report-token.ts';
import { shortName } from '../../relay/contract.ts';
import type { AudioScorer, ReportAnswer, StoredRows } from '../contract.ts';
import { normaliseReport } from '../normalise/report.ts';
import type { Reporter } from '../normalise/report.ts';
import type { ClientNetwork } from '../privacy/client-network.ts';
import type { StoreWriter } from '../store/store.ts';
import { Allowance, DEFAULT_ALLOWANCE } from './allowance.ts';
import type { AllowanceLimits } from './allowance.ts';
import { Batcher } from './batcher.ts';
import { callOfPage } from './connection-id.ts';
import { isObject } from './formats/format.ts';
import type { Numbered } from './formats/format.ts';
import { QualityMetrics } from './quality-metrics.ts';
import type { Recording } from './recording.ts';

export interface ReportIntakeOptions {
  readonly writer: StoreWriter;
  readonly score: AudioScorer;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly allowance?: Partial<AllowanceLimits>;
  /** What is kept of the address that a report comes from. Absent: nothing. */
  readonly networkOf?: (address: string) => ClientNetwork;
  /** How long a report waits for others to share an insert with. Default 200 ms. */
  readonly maxWaitMs?: number;
}

/** Whose report it is, and where it came from. */
export interface Sender {
  readonly claims: ReportClaims;
  readonly address: string;
  /** What its clock seems to lack to ours, where it does not say so itself; milliseconds. */
  readonly skew?: number | undefined;
}

/**
 * What the client's clock lacks to ours, by a message that came at `receivedAt`: the time of its newest sample or event is when it was
 * sent, at the latest. Whatever held it up makes this more, so the least of several is the nearest. Unix milliseconds.
 */
export function skewOf(batches: readonly Numbered[], receivedAt: number): number | undefined {
  const times = batches.flatMap(({ batch }) =>
    batch.seq === null ? [...batch.samples, ...batch.events].map(({ t }) => t) : [],
  );
  return times.length === 0 ? undefined : receivedAt - Math.max(...times);
}

export class ReportIntake {
  readonly allowance: Allowance;
  readonly #score: AudioScorer;
  readonly #batcher: Batcher;
  readonly #quality: QualityMetrics;
  readonly #networkOf: ((address: string) => ClientNetwork) | undefined;

  constructor({ allowance, clock, log, maxWaitMs, metrics, networkOf, score, writer }: ReportIntakeOptions) {
    this.#networkOf = networkOf;
    this.allowance = new Allowance(clock, { ...DEFAULT_ALLOWANCE, ...allowance });
    this.#score = score;
    this.#batcher = new Batcher({ writer, log, ...(maxWaitMs === undefined ? {} : { maxWaitMs }) });
    this.#quality = new QualityMetrics(metrics);
  }

  /** Resolves when every row is durable. Throws TP_KERNEL_FORBIDDEN for one connection more than the token allows. */
  async store(batches: readonly Numbered[], { claims, address, skew }: Sender): Promise<StoredRows> {
    for (const { origin } of batches) if (origin.connection !== '') this.allowance.admit(claims, origin.connection);
    const network = this.#networkOf?.(address);
    const stored = { streams: 0, connections: 0, events: 0 };
    const write = async ({ origin, batch }: Numbered) => {
      const reporter = { ...reporterOf(claims, { origin, batch }), network };
      const rows = normaliseReport({ ...batch, skew }, reporter, this.#score);
      await this.#batcher.write({ ...rows });
      // a batch without a number is known by its newest sample
      const name = batch.seq ?? `t${batch.samples.at(-1)?.t ?? batch.events.at(-1)?.t}`;
      this.#quality.observe(JSON.stringify([reporter.app, batch.connection, name]), rows);
      stored.streams += rows.stream_intervals.length;
      stored.connections += rows.connection_intervals.length;
      stored.events += rows.call_events.length;
    };
    await Promise.all(batches.map(write));
    return stored;
  }

  /** Takes nothing more, and resolves when what was taken is stored or refused. */
  close(): Promise<void> {
    return this.#batcher.close();
  }
}

/** For whom asks more often than it may. `seconds`: when it may again. */
export function busy(reply: FastifyReply, seconds: number): TurnpikeError {
  void reply.header('retry-after', String(seconds));
  return new TurnpikeError('TP_KERNEL_RATE_LIMITED');
}

/** Whose report it is. */
export function claimsOf({ principal }: FastifyRequest): ReportClaims {
  if (principal?.kind !== 'report') throw new TurnpikeError('TP_KERNEL_FORBIDDEN');
  return principal.claims;
}

/** The token's ids override the report's. A call that nobody named is a call of this one connection. */
function reporterOf(claims: ReportClaims, { origin, batch }: Numbered): Reporter {
  const named = (...names: (string | undefined)[]) => names.find(isName);
  const made = origin.connection === '' ? callOfPage(batch.events[0]?.t ?? 0) : origin.connection;
  return {
    app: claims.app,
    call: named(claims.call, origin.call) ?? made,
    participant: named(claims.participant, origin.participant) ?? '',
  };
}

function isName(name: string | undefined): boolean {
  return name !== undefined && name !== '' && shortName.safeParse(name).success;
}

/**
 * Why nothing of what was read is kept, if nothing is. Faults of shape are told together, as far as anybody would read them; with
 * times all too far from now the time is told.
 */
export function refusalOf({ desynced, kept, mistimed, rejections }: Recording, now: number): TurnpikeError | undefined {
  if (kept > 0 || rejections.count === 0) return undefined;
  const issues = rejections.list();
  if (mistimed === 0) {
    return new TurnpikeError(desynced > 0 ? 'TP_COLLECTOR_DESYNC' : 'TP_KERNEL_INVALID', undefined, { issues });
  }
  // A client whose clock is far off cannot learn its offset from acknowledgements: it would never get one.
  const beside = { serverTime: now } satisfies Partial<ReportAnswer>;
  return new TurnpikeError('TP_COLLECTOR_CLOCK', undefined, { issues, beside });
}

/**
 * JSON of a client. Members of a sample may have any name: they are read, never assigned. One that would itself change its
 * prototype is no report. Throws TP_KERNEL_BAD_JSON.
 */
export function parseReport(text: string): unknown {
  try {
    const body: unknown = JSON.parse(text);
    if (!isObject(body) || !Object.hasOwn(body, '__proto__')) return body;
  } catch {
    // it is none
  }
  throw new TurnpikeError('TP_KERNEL_BAD_JSON');
}
