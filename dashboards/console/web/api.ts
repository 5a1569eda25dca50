/** The service's own HTTP API, as the pages call it. */
import type { CallDetail, CallsAnswer } from '../../../collector/contract.ts';
import type { AlertView, Statement } from '../../../billing/contract.ts';
import type { ErrorBody } from '../../../kernel/errors.ts';
import type { ConsoleSetup, TryRequest, TrySession } from '../session.ts';

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** A GET, or with something to say a POST. */
async function request<T>(path: string, content?: object): Promise<T> {
  const accept = 'application/json';
  let response: Response;
  try {
    response = await fetch(path, {
      ...(content === undefined
        ? { headers: { accept } }
        : { method: 'POST', headers: { accept, 'content-type': accept }, body: JSON.stringify(content) }),
      cache: 'no-store',
    });
  } catch {
    throw new ApiError(0, 'network', 'The service does not answer.');
  }
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok) return body as T;
  const { code, message } = (body as Partial<ErrorBody> | undefined)?.error ?? {};
  throw new ApiError(response.status, code ?? '', message ?? `The service answered ${response.status}.`);
}

export const readCalls = (): Promise<CallsAnswer> => request('/v1/calls');
export const readAlerts = (): Promise<{ readonly alerts: readonly AlertView[] }> => request('/v1/alerts?state=firing');
export const readSetup = (): Promise<ConsoleSetup> => request('/console/setup');
export const openSession = (wanted: TryRequest): Promise<TrySession> => request('/try/session', wanted);

/** Calls of which something has been stored. */
const known = new Set<string>();

/** Null while nothing of the call has been stored, which is not an error: browsers would log each 404 as one. */
export async function readCall(call: string): Promise<CallDetail | null> {
  const name = encodeURIComponent(call);
  if (!known.has(call)) {
    const { calls } = await request<CallsAnswer>(`/v1/calls?call=${name}&limit=1`);
    if (calls.length === 0) return null;
    known.add(call);
  }
  try {
    return await request<CallDetail>(`/v1/calls/${name}`);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** The statement of the current month, in UTC as billing counts it. */
export function readMonth(now: Date): Promise<Statement> {
  return request(`/v1/statements/${now.toISOString().slice(0, 7)}`);
}

/** The sentence to show for whatever was thrown. */
export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Runs a task now and again `intervalMs` after each end, while the page is visible. A failure is told and tried again.
 * Returns what stops it.
 */
export function poll(intervalMs: number, task: () => Promise<void>, failed: (sentence: string) => void): () => void {
  let stopped = false;
  let timer = 0;
  const round = async (): Promise<void> => {
    try {
      if (!document.hidden) await task();
    } catch (error) {
      if (!stopped) failed(sentenceOf(error));
    }
    if (!stopped) timer = window.setTimeout(() => void round(), intervalMs);
  };
  void round();
  return () => {
    stopped = true;
    window.clearTimeout(timer);
  };
}
