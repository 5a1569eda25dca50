/** zstd as tests need it: by the system's library, and frames written by hand (RFC 8878) that no compressor makes. */
import { systemZstd } from '../../../collector/intake/zstd.ts';

const LIBRARY = 'libzstd.so.1';
const LEVEL = 3;

/** Whether there is a library that can undo it. Tests of zstd are skipped where there is none. */
export const hasZstd = (await systemZstd()) !== undefined;
const bindings = hasZstd ? await import('ffi-rs') : undefined;
bindings?.open({ library: LIBRARY, path: LIBRARY });

/** One frame, as anybody's compressor makes it. */
export function zstdCompress(content: string | Buffer): Buffer {
  if (bindings === undefined) throw new Error('there is no libzstd');
  const { DataType: type, load } = bindings;
  const plain = Buffer.from(content);
  const frame = Buffer.alloc(plain.length + plain.length / 256 + 512); // no less than ZSTD_compressBound
  const length = load({
    library: LIBRARY,
    funcName: 'ZSTD_compress',
    retType: type.U64,
    paramsType: [type.U8Array, type.U64, type.U8Array, type.U64, type.I32],
    paramsValue: [frame, frame.length, plain, plain.length, LEVEL],
  });
  return frame.subarray(0, length);
}

/** Octets as they are, at most 128 KiB, or one octet so many times. */
type Block = Buffer | { readonly octet: number; readonly times: number };

/** A frame of these blocks, without its length and checksum. */
export function zstdFrame(blocks: readonly Block[], windowLog = 20): Buffer {
  const written = blocks.flatMap((block, index) => {
    const isRaw = Buffer.isBuffer(block);
    const header = Buffer.alloc(3);
    const isLast = index === blocks.length - 1;
    header.writeUIntLE(((isRaw ? block.length : block.times) << 3) | (isRaw ? 0 : 2) | (isLast ? 1 : 0), 0, 3);
    return [header, isRaw ? block : Buffer.from([block.octet])];
  });
  return Buffer.concat([Buffer.from('28b52ffd00', 'hex'), Buffer.from([(windowLog - 10) << 3]), ...written]);
}

/** A few kilobytes that become so many times 128 KiB of an octet. */
export const zstdBomb = (octet: string, blocks: number): Buffer =>
  zstdFrame(Array.from({ length: blocks }, () => ({ octet: octet.charCodeAt(0), times: 131_072 })));

/** What decoders pass over. */
export function skippableFrame(content: string): Buffer {
  const header = Buffer.from('5a2a4d1800000000', 'hex');
  header.writeUInt32LE(content.length, 4);
  return Buffer.concat([header, Buffer.from(content)]);
}
