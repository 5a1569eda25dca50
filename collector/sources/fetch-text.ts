/** A page of another server, in bounded time and size. */
import type { Fetch } from './poller.ts';

const WITHIN = 10_000;
/** A large server's page of metrics has a few. */
const MOST_BYTES = 16 * 1_048_576;

/** `within`: milliseconds for the whole answer. */
export const textFetcher =
  (within = WITHIN): Fetch =>
  async (url, authorization, signal) => {
    const answer = await fetch(url, {
      headers: { accept: 'text/plain, application/json', ...(authorization === undefined ? {} : { authorization }) },
      // An Authorization is for the place that was configured.
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(within)]),
    });
    return bodyOf(answer);
  };

/** The text of an answer. Rejects when it is none of 2xx, or too long. */
export async function bodyOf(answer: Response): Promise<string> {
  if (!answer.ok || answer.body === null) {
    await answer.body?.cancel();
    throw new Error(`the answer is ${answer.status}`);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer.body as ReadableStream<Uint8Array>) {
    length += chunk.length;
    if (length > MOST_BYTES) throw new Error(`the answer is longer than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
