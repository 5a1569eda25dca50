import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameReader, LARGEST_FRAME, MALFORMED } from '../../../../relay/planes/stream/frame-reader.ts';
import { bindingRequest, channelData, stun } from '../../../conformance/frames.ts';

/** Everything that the reader gives for these chunks, in order; a malformed stream ends with the symbol. */
function readAll(chunks: readonly Buffer[], largest?: number): (Buffer | typeof MALFORMED)[] {
  const reader = new FrameReader();
  const frames: (Buffer | typeof MALFORMED)[] = [];
  for (const chunk of chunks) {
    reader.push(Buffer.from(chunk));
    for (let frame = reader.next(largest); frame !== undefined; frame = reader.next(largest)) {
      frames.push(frame);
      if (frame === MALFORMED) return frames;
    }
  }
  return frames;
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const marks = [0, ...at.map((mark) => mark % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return marks.slice(1).map((mark, index) => bytes.subarray(marks[index], mark));
}

const onStream = (channel: number, payload: Buffer) => channelData(channel, payload, -payload.length & 3);

const payload = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.nat(0xffff).map((length) => new Uint8Array(length)),
);
const frame = fc.oneof(
  fc
    .tuple(fc.integer({ min: 0x4000, max: 0x7fff }), payload)
    .map(([channel, bytes]) => onStream(channel, Buffer.from(bytes))),
  fc
    .tuple(fc.nat(0x3fff), fc.uint8Array({ maxLength: 60 }))
    .map(([type, value]) => stun(type, [[0x8022, Buffer.from(value)]])),
);
const cuts = fc.array(fc.nat(), { maxLength: 60 });

describe('frames of a byte stream', () => {
  it('are the same however the stream was cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), cuts, (frames, at) => {
        expect(readAll(cut(Buffer.concat(frames), at))).toEqual(frames);
      }),
    );
  });

  it('are the same octet by octet', () => {
    const frames = [bindingRequest, onStream(0x4001, Buffer.from('odd')), onStream(0x4000, Buffer.alloc(0)), stun(1)];
    const octets = Array.from(Buffer.concat(frames), (octet) => Buffer.of(octet));
    expect(readAll(octets)).toEqual(frames);
  });

  it('end where the stream stops being one, wherever it is cut', () => {
    const junk = fc.oneof(
      fc.constant(Buffer.from('GET / HTTP/1.1\r\n')),
      fc.constant(Buffer.from('160301020001000000', 'hex')),
      fc.constant(Buffer.from('8000000000000000', 'hex')),
      fc.constant(Buffer.from('0001000300000000', 'hex')),
      fc.constant(Buffer.from('000100002112a443', 'hex')),
    );
    const small = fc.array(frame, { maxLength: 5 }).filter((frames) => frames.every(({ length }) => length <= 4096));
    fc.assert(
      fc.property(small, junk, cuts, (frames, bad, at) => {
        expect(readAll(cut(Buffer.concat([...frames, bad]), at), 4096)).toEqual([...frames, MALFORMED]);
      }),
    );
  });

  it('never make the reader throw, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 200 })),
        fc.integer({ min: 4, max: LARGEST_FRAME }),
        (raw, most) => {
          for (const each of readAll(
            raw.map((bytes) => Buffer.from(bytes)),
            most,
          )) {
            expect(each === MALFORMED || (each.length >= 4 && each.length <= most)).toBe(true);
          }
        },
      ),
    );
  });

  it('may be as large as their length fields let them be', () => {
    const largest = [onStream(0x4001, Buffer.alloc(0xffff, 1)), stun(0x0016, [[0x0013, Buffer.alloc(0xfff8, 2)]])];
    expect(largest.map(({ length }) => length)).toEqual([65_540, LARGEST_FRAME]);
    expect(readAll(cut(Buffer.concat(largest), [7, 70_000, 100_000]))).toEqual(largest);
  });

  it('are refused by their claimed length, before that much has come', () => {
    expect(readAll([Buffer.from('4001ffff', 'hex')], 4096)).toEqual([MALFORMED]);
    expect(readAll([Buffer.from('00', 'hex'), Buffer.from('01fffc', 'hex')], 4096)).toEqual([MALFORMED]);
    expect(readAll([onStream(0x4001, Buffer.alloc(4092))], 4096)).toHaveLength(1);
    expect(readAll([onStream(0x4001, Buffer.alloc(4093))], 4096)).toEqual([MALFORMED]);
  });

  it('stay as they are while later ones are read', () => {
    const reader = new FrameReader();
    const [first, second] = [onStream(0x4001, Buffer.alloc(2000, 1)), onStream(0x4002, Buffer.alloc(2000, 2))];
    reader.push(first.subarray(0, 10));
    expect(reader.next()).toBeUndefined();
    reader.push(Buffer.concat([first.subarray(10), second.subarray(0, 10)]));
    const got = reader.next();
    expect(reader.next()).toBeUndefined();
    reader.push(second.subarray(10));
    expect(reader.next()).toEqual(second);
    expect(got).toEqual(first);
  });
});
