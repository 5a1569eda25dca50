/** The uplink's one request: `POST /v1/usage` with the relay token. */
import type { Post, PostAnswer } from './uplink.ts';

/** Milliseconds for a whole exchange; a collector that is slower is asked again. */
const EXCHANGE_TIMEOUT = 15_000;
/** Bytes of an error answer worth keeping. */
const MAX_DETAIL_BYTES = 2_048;

/** `collector` is the collector's base URL. Rejects when no answer came. */
export function postUsage(collector: string, token: string): Post {
  const url = new URL('v1/usage', collector.endsWith('/') ? collector : `${collector}/`);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return async (body, signal): Promise<PostAnswer> => {
    const exchange = new AbortController();
    const abort = () => exchange.abort(signal.aborted ? undefined : new Error('the collector did not answer in time'));
    const timer = setTimeout(abort, EXCHANGE_TIMEOUT);
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      // A collector does not move: whoever says so must not be given the token.
      const init = { method: 'POST', headers, body, redirect: 'manual', signal: exchange.signal } as const;
      const response = await fetch(url, init);
      return { status: response.status, detail: await detailOf(response) };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  };
}

/** The beginning of the body, as text; the rest is not read. */
async function detailOf(response: Response): Promise<string> {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_DETAIL_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_DETAIL_BYTES).toString('utf8');
}
