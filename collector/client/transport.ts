/**
 * Carries batches to the collector: in order, one at a time, retried unchanged until they are stored or refused, in a
 * buffer that is bounded, and past the end of the page where the browser allows it.
 */
import type { ErrorBody, ErrorCode } from '../../kernel/errors.ts';
import type { ClientSettings, ReportAnswer } from '../contract.ts';
import type { Reporting, ReportingError } from './api.ts';
import type { Batch } from './batch.ts';
import type { Environment } from './environment.ts';

export interface Transport {
  enqueue(batch: Batch): void;
  /** True once the buffer is empty, false when the attempt under way fails and the rest waits for its retry. Never rejects. */
  drained(): Promise<boolean>;
  /** No more will be enqueued: retries end after a while. */
  close(): void;
}

export interface TransportEvents {
  /** Times of one answer, Unix milliseconds: ours at sending and answering, the collector's at receipt. */
  readonly timed: (sentAt: number, answeredAt: number, serverTime: number) => void;
  /** What the collector wants of its clients; from a proxy in between it may be anything. */
  readonly settings: (settings: Partial<ClientSettings>) => void;
  /** The buffer was full; so many batches were forgotten. */
  readonly dropped: (batches: number) => void;
  readonly error: (error: ReportingError) => void;
  /** The token is not accepted (401, 403): no later batch will be either. */
  readonly unauthorised: () => void;
  /** The page is going: the last chance to enqueue. */
  readonly leaving: () => void;
}

type Outcome =
  | { readonly kind: 'stored' }
  | { readonly kind: 'retry'; readonly afterMs: number | undefined }
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly code: ErrorCode | undefined;
      readonly message: string;
    };

/** What may be in an answer; a proxy in between may answer anything. */
interface Answer extends Partial<Pick<ReportAnswer, 'serverTime' | 'client'>> {
  readonly error?: Partial<ErrorBody['error']>;
}

export const MAX_BATCHES = 60;
export const MAX_BYTES = 2_000_000;
/** What a browser carries past the page's end, all requests together (Fetch standard: 64 KiB), less what headers may take. */
export const HAND_OVER_BYTES = 60_000;
const BASE_DELAY_MS = 1_000;
const MAX_DELAY_MS = 30_000;
const MAX_RETRY_AFTER_MS = 300_000;
const TIMEOUT_MS = 15_000;
const ATTEMPTS_AFTER_CLOSE = 10;
/** How often one batch is sealed anew with what was learnt from its refusal. */
const MAX_RESEALS = 2;
const MISTIMED: ErrorCode = 'TP_COLLECTOR_CLOCK';
const NO_DIFFERENCES: ErrorCode = 'TP_COLLECTOR_DESYNC';
/** A body shorter than this is sent as it is. */
const WORTH_COMPRESSING_BYTES = 1_024;

export function createTransport(environment: Environment, reporting: Reporting, on: TransportEvents): Transport {
  const queue: Batch[] = [];
  let sending: Batch | undefined;
  let failures = 0;
  let reseals = 0;
  let closed = false;
  let cancelRetry: (() => void) | undefined;
  let waiters: ((empty: boolean) => void)[] = [];
  const listening = new AbortController();
  environment.page?.window.addEventListener('pagehide', leave, { signal: listening.signal });

  /** Hands every unconfirmed batch to the browser, even one on its way: a batch that arrives twice is stored once. */
  function leave(): void {
    on.leaving();
    let budget = HAND_OVER_BYTES;
    for (const batch of queue) {
      if (batch.empty || batch.bytes > budget) continue;
      budget -= batch.bytes;
      handOver(environment, reporting, batch);
    }
  }

  function settle(): void {
    if (closed && queue.length === 0) listening.abort();
    const settled = waiters;
    waiters = [];
    for (const resolve of settled) resolve(queue.length === 0);
  }

  async function pump(): Promise<void> {
    if (sending !== undefined || cancelRetry !== undefined) return;
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      sending = next;
      const outcome = await attempt(next);
      sending = undefined;
      if (outcome.kind === 'retry') {
        failures += 1;
        if (closed && failures > ATTEMPTS_AFTER_CLOSE) on.dropped(queue.splice(0).length);
        else wait(outcome.afterMs);
        break;
      }
      failures = 0;
      // The refusal brought the time: sealed anew, the batch and all behind it have the right offset.
      if (outcome.kind === 'refused' && outcome.code === MISTIMED && reseals < MAX_RESEALS) {
        reseals += 1;
        next.unseal();
        continue;
      }
      if (outcome.kind === 'refused' && outcome.code === NO_DIFFERENCES && next.spellOut()) continue;
      reseals = 0;
      queue.shift();
      if (outcome.kind === 'refused') refuse(outcome);
    }
    settle();
  }

  function wait(afterMs: number | undefined): void {
    const ceiling = Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** (failures - 1));
    const delay = Math.max(afterMs ?? 0, ceiling * (0.5 + environment.random() / 2));
    cancelRetry = environment.after(delay, () => {
      cancelRetry = undefined;
      void pump();
    });
  }

  function refuse({ status, code, message }: Extract<Outcome, { kind: 'refused' }>): void {
    on.error({ kind: 'refused', message, status, ...(code === undefined ? {} : { code }) });
    if (status !== 401 && status !== 403) return;
    queue.length = 0;
    on.unauthorised();
  }

  async function attempt(batch: Batch): Promise<Outcome> {
    const abort = new AbortController();
    const cancelTimeout = environment.after(TIMEOUT_MS, () => abort.abort());
    try {
      const hidden = environment.page?.hidden() === true && batch.bytes <= HAND_OVER_BYTES;
      const request = jsonRequest(batch, reporting.token, environment.keepalive && hidden);
      // a hidden page may not live until its body is compressed
      const gzip = hidden || batch.bytes < WORTH_COMPRESSING_BYTES ? undefined : environment.gzip;
      const sent = gzip === undefined ? request : await compressed(gzip, request);
      const sentAt = environment.now();
      const response = await environment.fetch(reporting.url, { ...sent, signal: abort.signal });
      const answeredAt = environment.now();
      const answer = (await response.json().catch(() => undefined)) as Answer | undefined;
      if (typeof answer?.serverTime === 'number') on.timed(sentAt, answeredAt, answer.serverTime);
      if (typeof answer?.client === 'object' && answer.client !== null) on.settings(answer.client);
      return judge(response, answer, answeredAt);
    } catch {
      return { kind: 'retry', afterMs: undefined }; // no network, or no answer in time
    } finally {
      cancelTimeout();
    }
  }

  /** Forgets the oldest batches that are not on their way. Each batch has its own baseline, so the others stay whole. */
  function makeRoom(): void {
    let dropped = 0;
    const oversized = () => queue.length > MAX_BATCHES || queue.reduce((sum, { bytes }) => sum + bytes, 0) > MAX_BYTES;
    while (queue.length > 1 && oversized()) {
      const oldest = queue[0] === sending ? 1 : 0;
      if (oldest === queue.length - 1) break;
      queue.splice(oldest, 1);
      dropped += 1;
    }
    if (dropped > 0) on.dropped(dropped);
  }

  return {
    enqueue(batch) {
      queue.push(batch);
      makeRoom();
      void pump();
    },
    drained() {
      if (queue.length === 0) return Promise.resolve(true);
      if (cancelRetry !== undefined) return Promise.resolve(false);
      return new Promise((resolve) => waiters.push(resolve));
    },
    close() {
      closed = true;
      if (queue.length === 0) listening.abort();
    },
  };
}

async function compressed(gzip: (text: string) => Promise<ArrayBuffer>, request: JsonRequest): Promise<RequestInit> {
  const headers = { ...request.headers, 'content-encoding': 'gzip' };
  return { ...request, headers, body: await gzip(request.body) };
}

interface JsonRequest extends RequestInit {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

function jsonRequest(batch: Batch, token: string, keepalive: boolean): JsonRequest {
  return {
    method: 'POST',
    body: batch.body(),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    credentials: 'omit',
    cache: 'no-store',
    ...(keepalive ? { keepalive } : {}),
  };
}

/** Across origins JSON needs a preflight, which may not outlive the page; a text/plain beacon needs none. */
function handOver(environment: Environment, reporting: Reporting, batch: Batch): void {
  const byBeacon = () => {
    const joint = reporting.url.includes('?') ? '&' : '?';
    return environment.beacon(`${reporting.url}${joint}token=${encodeURIComponent(reporting.token)}`, batch.body());
  };
  const byFetch = () => {
    if (!environment.keepalive) return false;
    environment.fetch(reporting.url, jsonRequest(batch, reporting.token, true)).catch(() => undefined);
    return true;
  };
  if (environment.crossOrigin(reporting.url)) void (byBeacon() || byFetch());
  else void (byFetch() || byBeacon());
}

function judge(response: Response, answer: Answer | undefined, now: number): Outcome {
  if (response.ok) return { kind: 'stored' };
  const { status } = response;
  if (status >= 500 || status === 429 || status === 408) {
    return { kind: 'retry', afterMs: retryAfter(response.headers.get('retry-after'), now) };
  }
  const { code, message } = answer?.error ?? {};
  return { kind: 'refused', status, code, message: message ?? `The collector answered ${status}.` };
}

/** Seconds or an HTTP date (RFC 9110 §10.2.3), in milliseconds from now. */
function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const delay = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - now;
  return Number.isFinite(delay) ? Math.min(MAX_RETRY_AFTER_MS, Math.max(0, delay)) : undefined;
}
