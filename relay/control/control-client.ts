/** The relay's one question to its collector: `GET /v1/relays/control` with the relay token. */
import { controlAnswer } from '../contract.ts';
import type { ControlAnswer } from '../contract.ts';

/** Milliseconds for an answer: longer than a collector holds a question back (25 s). */
const ANSWER_WITHIN = 40_000;
/** Bytes of an answer: 1,000 usernames of the longest kind, all their bytes escaped, stay below it. */
const MAX_ANSWER_BYTES = 4_194_304;

/** Asks for what came after the cursor; resolves when there is something, or when the collector has waited long enough. */
export type AskControl = (cursor: string | undefined, signal: AbortSignal) => Promise<ControlAnswer>;

/** `collector` is the collector's base URL. Rejects when no answer came, or none that can be read. */
export function askControl(collector: string, token: string): AskControl {
  const url = new URL('v1/relays/control', collector.endsWith('/') ? collector : `${collector}/`);
  const headers = { authorization: `Bearer ${token}` };
  return async (cursor, signal) => {
    const question = new URL(url);
    if (cursor !== undefined) question.searchParams.set('cursor', cursor);
    const exchange = new AbortController();
    const abort = () => exchange.abort(signal.aborted ? undefined : new Error('the collector did not answer in time'));
    const timer = setTimeout(abort, ANSWER_WITHIN);
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      // A collector does not move: whoever says so must not be given the token.
      const response = await fetch(question, { headers, redirect: 'manual', signal: exchange.signal });
      const body = await textOf(response);
      if (response.status !== 200) throw new Error(`the collector answered ${response.status} ${body.slice(0, 500)}`);
      return controlAnswer.parse(JSON.parse(body));
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  };
}

async function textOf(response: Response): Promise<string> {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new Error('the collector answered more than it should');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
