/** Links of which no two have had the same five-tuple: what a check left behind at the server is not met by a later one. */
import type { OpenLink } from '../client/open-link.ts';

/** How often in a row the system may give a port that it gave before. */
const TRIES = 100;

/**
 * The system gives a closed socket's port away again, and a server keeps an allocation that its client could not end for
 * minutes. Throws when the system has no other port to give.
 */
export function freshLinks(open: OpenLink): OpenLink {
  const seen = new Set<string>();
  return async () => {
    for (let count = 0; count < TRIES; count += 1) {
      const link = await open();
      const { address, port } = link.local;
      const place = `${address} ${port}`;
      if (!seen.has(place)) {
        seen.add(place);
        return link;
      }
      link.close();
    }
    throw new Error(`the system gave no port in ${TRIES} tries that had not served before`);
  };
}
