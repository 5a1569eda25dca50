import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../kernel/random.ts';
import { FrameReader } from '../../../relay/client/frame-reader.ts';
import { channelData, Requests } from '../../../relay/client/requests.ts';

const requests = new Requests({ username: 'u', credential: 'c' }, seededRandom('frames'));

const frame = fc.oneof(
  fc.constant(null).map(() => Buffer.from(requests.binding())),
  fc
    .tuple(fc.integer({ min: 0x4000, max: 0x4fff }), fc.uint8Array({ maxLength: 40 }))
    .map(([channel, payload]) => Buffer.from(channelData(channel, payload, true))),
);

describe('frames of a stream', () => {
  it('come out whole and in order, however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 30 })), (frames, cuts) => {
        const reader = new FrameReader();
        const got: Buffer[] = [];
        let rest = Buffer.concat(frames);
        for (const cut of cuts) {
          got.push(...(reader.read(rest.subarray(0, cut)) ?? []));
          rest = rest.subarray(cut);
        }
        got.push(...(reader.read(rest) ?? []));
        expect(got).toEqual(frames);
      }),
    );
  });

  it('end where the stream is none of frames', () => {
    expect(new FrameReader().read(Buffer.from('HTTP/1.1 400 Bad Request'))).toEqual([]);
    expect(new FrameReader().read(Buffer.from([0x80, 0, 0, 0]))).toBeUndefined();
  });

  it('keeps no view of the chunk it was given', () => {
    const chunk = Buffer.from(requests.binding());
    const [only] = new FrameReader().read(chunk) ?? [];
    const before = Buffer.from(only ?? []);
    chunk.fill(0);
    expect(only).toEqual(before);
  });
});
