/** One question to Cloudflare's GraphQL API, in bounded time and size. */
import { bodyOf } from './fetch-text.ts';
import type { Question } from './cloudflare-usage.ts';

/** Puts a question and answers the parsed JSON. Rejects, saying why, when there is none; with `AskLater` when it says until when. */
export type Ask = (question: Question, signal: AbortSignal) => Promise<unknown>;

/** Cloudflare asks to be left alone for so many milliseconds. */
export class AskLater extends Error {
  readonly milliseconds: number;
  constructor(milliseconds: number) {
    super('the quota of questions is used up');
    this.name = 'AskLater';
    this.milliseconds = milliseconds;
  }
}

const WITHIN = 30_000;
/** The quota is of so many milliseconds (developers.cloudflare.com/analytics/graphql-api/limits). */
const QUOTA_WINDOW = 300_000;

export function cloudflareClient(url: string, token: string): Ask {
  const headers = { 'content-type': 'application/json', accept: 'application/json', authorization: `Bearer ${token}` };
  return async (question, signal) => {
    const answer = await fetch(url, {
      method: 'POST',
      headers,
      body: JSON.stringify(question),
      // The token is for the place that was configured.
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(WITHIN)]),
    });
    if (answer.status === 429) {
      await answer.body?.cancel();
      throw new AskLater(holdOff(answer.headers.get('retry-after')));
    }
    return JSON.parse(await bodyOf(answer));
  };
}

/** Retry-After in seconds (RFC 9110 §10.2.3), an hour at most; without it, until the quota is whole again. */
function holdOff(header: string | null): number {
  const seconds = /^\d{1,6}$/.test(header ?? '') ? Number(header) : undefined;
  return seconds === undefined ? QUOTA_WINDOW : Math.min(seconds * 1_000, 3_600_000);
}
