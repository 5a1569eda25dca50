import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { systemZstd } from '../../../collector/intake/zstd.ts';
import { TurnpikeError } from '../../../kernel/errors.ts';
import { Mutator } from '../../relay/mutation.ts';
import { hasZstd, skippableFrame, zstdBomb, zstdCompress, zstdFrame } from './zstd-frames.ts';

const MIB = 1_048_576;
const vector = (name: string) => readFileSync(new URL(`../../vectors/${name}`, import.meta.url));
const zstd = await systemZstd();

async function* inChunksOf(size: number, bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function decode(bytes: Buffer, chunk = 65_536): AsyncGenerator<Buffer> {
  if (zstd === undefined) throw new Error('there is no libzstd');
  return zstd(inChunksOf(chunk, bytes));
}

/** What it becomes, or why it does not. */
async function plain(bytes: Buffer, chunk?: number, limit = 8 * MIB): Promise<Buffer | string> {
  const parts: Buffer[] = [];
  let length = 0;
  try {
    for await (const part of decode(bytes, chunk)) {
      parts.push(part);
      length += part.length;
      if (length > limit) break;
    }
    return Buffer.concat(parts).subarray(0, limit);
  } catch (error) {
    if (error instanceof TurnpikeError && error.code === 'TP_COLLECTOR_COMPRESSION') return error.message;
    throw error;
  }
}
const text = async (bytes: Buffer, chunk?: number) => String(await plain(bytes, chunk));

describe.skipIf(!hasZstd)("the system's zstd", () => {
  const frame = zstdFrame([Buffer.from('hello '), { octet: 0x2e, times: 3 }, Buffer.from(' world')]);

  it('gives what was compressed, however it is cut', async () => {
    const recording = gunzipSync(vector('chromium-156-good.json.gz'));
    const compressed = vector('chromium-156-good.json.zst'); // by zstd 1.5.4 -19
    for (const chunk of [7, 1000, 65_536]) {
      const made = await plain(compressed, chunk);
      expect(recording.equals(made as Buffer)).toBe(true);
    }
    for (const chunk of [1, 2, 3, 5]) expect(await text(frame, chunk)).toBe('hello ... world');
  });

  it('gives outputs of 128 KiB at most, and an output that is full to the last octet once', async () => {
    const parts: number[] = [];
    for await (const part of decode(zstdBomb('x', 3))) parts.push(part.length);
    expect(parts).toEqual([131_072, 131_072, 131_072]);
  });

  it.each([
    ['nothing', Buffer.alloc(0), ''],
    ['an empty frame', zstdFrame([Buffer.alloc(0)]), ''],
    ['two frames', Buffer.concat([frame, frame]), 'hello ... worldhello ... world'],
    [
      'a frame between frames to be skipped',
      Buffer.concat([skippableFrame('a'), frame, skippableFrame('')]),
      'hello ... world',
    ],
    ['a window of 8 MiB', zstdFrame([Buffer.from('as HTTP allows')], 23), 'as HTTP allows'],
    ['frames, 1024 of them', Buffer.concat(Array.from({ length: 1024 }, () => skippableFrame('x'))), ''],
  ])('reads %s', async (_what, bytes, expected) => {
    for (const chunk of [1, 65_536]) expect(await text(bytes, chunk)).toBe(expected);
  });

  it.each([
    ['what is no frame', Buffer.from('{"v":1}'), 'Unknown frame descriptor'],
    ['what follows a frame and is none', Buffer.concat([frame, Buffer.from('and more')]), 'Unknown frame descriptor'],
    ['a window of 16 MiB', zstdFrame([Buffer.from('x')], 24), 'Frame requires too much memory for decoding'],
    ['a window of 2 TiB', zstdFrame([Buffer.from('x')], 41), 'Frame requires too much memory for decoding'],
    ['a block of a kind that is reserved', Buffer.from('28b52ffd0050070000', 'hex'), 'Data corruption detected'],
    ['a frame cut short', frame.subarray(0, -1), 'The last frame is not complete'],
    ['a frame of which only the head is there', frame.subarray(0, 3), 'The last frame is not complete'],
    ['a frame to be skipped, cut short', skippableFrame('abc').subarray(0, -1), 'The last frame is not complete'],
    [
      'frames without end',
      Buffer.concat(Array.from({ length: 1025 }, () => skippableFrame(''))),
      'There are more than 1024 frames',
    ],
    [
      'a checksum that is wrong',
      Buffer.from('28b52ffd24042100007a73746400000000', 'hex'),
      "Restored data doesn't match checksum",
    ],
  ])('refuses %s', async (_what, bytes, why) => {
    for (const chunk of [1, 65_536])
      expect(await text(bytes, chunk)).toBe(`The body is no zstd that is read here: ${why}.`);
  });

  it('leaves the formats of before 1.0 unread, wherever their magic stands', async () => {
    for (const version of ['25b52ffd', '26b52ffd', '27b52ffd', '1eb52ffd', '22b52ffd', '23b52ffd', '24b52ffd']) {
      const old = Buffer.concat([Buffer.from(version, 'hex'), Buffer.alloc(64)]);
      const inHeader = Buffer.concat([Buffer.from('28b52ffdc8', 'hex'), old]);
      for (const chunk of [1, 4, 5, 64]) {
        expect(await text(old, chunk)).toMatch(/^The body is no zstd/);
        expect(await text(inHeader, chunk)).toMatch(/^The body is no zstd/);
      }
    }
  });

  it('lets others have their turn while a few kilobytes become many megabytes, and can be left at any time', async () => {
    let turns = 0;
    let isDone = false;
    const next = () => {
      turns += 1;
      if (!isDone) setImmediate(next);
    };
    setImmediate(next);
    const bomb = zstdBomb('\0', 8192); // 1 GiB out of 32 KiB
    const before = process.memoryUsage().arrayBuffers;
    let made = 0;
    for await (const part of decode(bomb)) {
      made += part.length;
      if (made > 64 * MIB) break;
    }
    isDone = true;
    expect(bomb.length).toBeLessThan(64 * 1024);
    expect(turns).toBeGreaterThanOrEqual(60);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(96 * MIB);
  });

  it('keeps decoders that run beside each other apart, also after some that failed or were left', async () => {
    const texts = Array.from({ length: 12 }, (_, index) => `${index} `.repeat(100_000));
    const compressed = texts.map((one) => zstdCompress(one));
    for (let round = 0; round < 3; round += 1) {
      const runs = compressed.map(async (bytes, index) => {
        if (index % 3 === 1) return text(bytes.subarray(0, -4), 50);
        if (index % 3 === 2) return String(await plain(bytes, 50, 4));
        return text(bytes, 50);
      });
      for (const [index, made] of (await Promise.all(runs)).entries()) {
        const whole = texts[index] ?? '';
        if (index % 3 === 1) expect(made).toMatch(/not complete/);
        else expect(made === (index % 3 === 2 ? whole.slice(0, 4) : whole)).toBe(true);
      }
    }
  });

  it('makes of hostile bytes the same whatever they are cut into, or refuses them', async () => {
    const samples = [
      frame,
      Buffer.concat([skippableFrame('abc'), frame]),
      zstdCompress(JSON.stringify({ stats: Array.from({ length: 50 }, (_, id) => ({ id, type: 'inbound-rtp' })) })),
      zstdCompress(vector('chromium-156-good.json.gz').subarray(0, 3000)),
    ];
    const seed = process.env['TURNPIKE_TEST_FUZZ_SEED'] ?? 'every run';
    const became = { something: 0, refused: 0 };
    for (let run = 0; run < 1500; run += 1) {
      const mutator = new Mutator(`${seed} zstd ${run}`);
      const bytes = mutator.of(samples);
      const [whole, cut] = [await plain(bytes), await plain(bytes, 1 + mutator.below(100))];
      became[typeof whole === 'string' ? 'refused' : 'something'] += 1;
      if (typeof whole !== typeof cut || (typeof whole !== 'string' && !whole.equals(cut as Buffer))) {
        throw new Error(`seed "${seed} zstd ${run}"`);
      }
    }
    expect(Math.min(became.something, became.refused)).toBeGreaterThan(50);
  });
});

describe('a library that is not there, or is another', () => {
  it.each(['libthere-is-none.so.1', 'libc.so.6'])('%s gives no decoder', async (library) => {
    expect(await systemZstd(library)).toBeUndefined();
  });
});
