import { describe, expect, it } from 'vitest';
import { viewersOf } from '../../../collector/sources/ant-media.ts';

/** As Ant Media Server writes it: BigInteger as a number, what a version does not measure as null. */
const viewer = (clientId: number, video: number | null, audio: number | null) => ({
  measuredBitrate: -1,
  sendBitrate: 512_000,
  clientId,
  clientInfo: 'Ann’s phone',
  clientIp: '192.0.2.7',
  videoSentStats: video === null ? null : { videoPacketsSent: 5, videoBytesSent: video, timeMs: 1_795_160_000_000 },
  audioSentStats: audio === null ? null : { audioPacketsSent: 5, audioBytesSent: audio },
});

/** A server with these viewers of each stream, that keeps to its pages of at most 50. */
function server(streams: Readonly<Record<string, readonly object[]>>) {
  const asked: string[] = [];
  const get = (path: string): Promise<string> => {
    asked.push(path);
    const [, stream, offset = '', size = ''] =
      /^\/rest\/v2\/broadcasts\/(?:list|(.+)\/webrtc-client-stats)\/(\d+)\/(\d+)$/.exec(path) ?? [];
    const all =
      stream === undefined
        ? Object.entries(streams).map(([streamId, { length }]) => ({ streamId, webRTCViewerCount: length }))
        : streams[decodeURIComponent(stream)];
    const page = all?.slice(Number(offset), Number(offset) + Math.min(Number(size), 50));
    return page === undefined ? Promise.reject(new Error('the answer is 404')) : Promise.resolve(JSON.stringify(page));
  };
  return { asked, get };
}
const countsOf = async (get: (path: string) => Promise<string>) =>
  (await viewersOf('ams', get)).map(({ bytes, call, objectId }) => [call, objectId, bytes]);

describe('what Ant Media Server sends', () => {
  it('is the video and the audio of each viewer of each stream, the stream being the call', async () => {
    const { asked, get } = server({
      stage: [viewer(7, 1_000, 20), viewer(-8, null, 5)],
      'a/b #1': [viewer(7, 9, null)],
      idle: [],
    });
    expect(await countsOf(get)).toEqual([
      ['stage', 'stage/7', 1_020n],
      ['stage', 'stage/-8', 5n],
      ['a/b #1', 'a/b #1/7', 9n],
    ]);
    expect(asked).toEqual([
      '/rest/v2/broadcasts/list/0/50',
      '/rest/v2/broadcasts/stage/webrtc-client-stats/0/50',
      '/rest/v2/broadcasts/a%2Fb%20%231/webrtc-client-stats/0/50',
    ]);
  });

  it('is read page by page to the end', async () => {
    const crowd = Array.from({ length: 100 }, (_, index) => viewer(index, index, 0));
    const { get } = server({
      ...Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`s${index}`, []])),
      crowd,
    });
    const found = await viewersOf('ams', get);
    expect(found).toHaveLength(100);
    expect(found.reduce((sum, { bytes }) => sum + bytes, 0n)).toBe(4_950n);
  });

  it('is counted once for a viewer that two pages tell', async () => {
    const { get } = server({ stage: [viewer(7, 1_000, 0), viewer(7, 1_010, 0), viewer(7, 990, 0)] });
    expect(await countsOf(get)).toEqual([['stage', 'stage/7', 1_010n]]);
  });

  it('is not known of a version that tells no bytes, which is no zero', async () => {
    const { get } = server({ stage: [viewer(7, null, null)] });
    await expect(viewersOf('ams', get)).rejects.toThrow('has no bytes');
  });

  it('has an end, whatever the server says', async () => {
    const page = JSON.stringify(Array.from({ length: 50 }, (_, index) => ({ streamId: `s${index}` })));
    await expect(viewersOf('ams', () => Promise.resolve(page))).rejects.toThrow('more viewers than 2000 pages');
  });
});
