/** Ids of connections whose format gives them none that is theirs alone: made from what is in the recording. */
import { createHash } from 'node:crypto';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * A UUID stands for itself. Any other name (`6-1`, `PC_0`) is one of many in the world, so `marks` that tell its
 * connection apart go into the id: where it belongs, when it began. The same recording always gives the same id.
 */
export function connectionId(name: string, ...marks: readonly (string | number)[]): string {
  if (UUID.test(name)) return name.toLowerCase();
  const hash = createHash('sha256').update(JSON.stringify([name, ...marks]));
  return hash.digest('base64url').slice(0, 22);
}

/** What a call is named after that is only what happened to a page, and that nobody named. `t` is when. */
export function callOfPage(t: number): string {
  return connectionId('page', Math.round(t));
}
