/**
 * Ant Media Server's REST API (`…/rest/v2/broadcasts` of an application): what each WebRTC viewer of each stream was sent since it
 * came. A viewer is told of only while it is there, so what it was sent between the last look and its leaving is missing: grade
 * `lossy`. A stream is a call; viewers have numbers of the server's own, and what they say of themselves is not read. HLS is not in it.
 */
import { z } from 'zod';
import { shortName } from '../../relay/contract.ts';
import { objectNamed } from './counters.ts';
import type { Seen } from './scraped.ts';

/** Gets a page below the source's URL. */
export type Get = (path: string) => Promise<string>;

const bytes = z.int().nonnegative();
const streams = z.array(z.object({ streamId: z.string().min(1), webRTCViewerCount: z.int().optional() }));
const viewers = z.array(
  z
    .object({
      clientId: z.int(),
      videoSentStats: z.object({ videoBytesSent: bytes }).nullish(),
      audioSentStats: z.object({ audioBytesSent: bytes }).nullish(),
    })
    .refine(({ audioSentStats, videoSentStats }) => audioSentStats != null || videoSentStats != null),
);

/** Entries asked for at a time: as many as any version gives. */
const PAGE = 50;
/** Pages of one look. */
const MOST_PAGES = 2_000;

/** Bytes sent to each viewer since it came. Throws, saying why, when an answer is none of Ant Media's, or there are too many. */
export async function viewersOf(name: string, get: Get): Promise<readonly Seen[]> {
  let pages = 0;
  const whole = async <T>(schema: z.ZodType<T[]>, path: string): Promise<T[]> => {
    const found: T[] = [];
    for (;;) {
      pages += 1;
      if (pages > MOST_PAGES) throw new Error(`there are more viewers than ${MOST_PAGES} pages tell`);
      const part = schema.safeParse(JSON.parse(await get(`${path}/${found.length}/${PAGE}`)));
      if (!part.success) throw new Error('the answer is not Ant Media’s, or has no bytes');
      found.push(...part.data);
      if (part.data.length < PAGE) return found;
    }
  };
  const seen = new Map<string, Seen>();
  for (const { streamId, webRTCViewerCount } of await whole(streams, '/rest/v2/broadcasts/list')) {
    if (webRTCViewerCount === 0) continue;
    const path = `/rest/v2/broadcasts/${encodeURIComponent(streamId)}/webrtc-client-stats`;
    for (const { audioSentStats, clientId, videoSentStats } of await whole(viewers, path)) {
      const objectId = objectNamed(`${streamId}/${clientId}`);
      const sent = BigInt(videoSentStats?.videoBytesSent ?? 0) + BigInt(audioSentStats?.audioBytesSent ?? 0);
      // Somebody who left while pages were turned moves others to another place: one may be told twice.
      const known = seen.get(objectId)?.bytes ?? 0n;
      seen.set(objectId, {
        serverId: name,
        objectId,
        bytes: sent > known ? sent : known,
        run: undefined,
        call: shortName.safeParse(streamId).data ?? '',
      });
    }
  }
  return [...seen.values()];
}
