/**
 * zstd, undone by the system's library. Node's own decoder, which is there from 22.15 on, takes a body that was cut short for whole and
 * drops what follows a frame.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { DataType } from 'ffi-rs';
import { TurnpikeError } from '../../kernel/errors.ts';

type Decode = (source: AsyncIterable<Buffer>) => AsyncGenerator<Buffer>;

/** 8 MiB, what HTTP allows (RFC 9659); a frame with a larger window is refused. */
const WINDOW_LOG = 23;
/** ZSTD_d_windowLogMax of zstd.h. */
const WINDOW_LOG_MAX = 100;
/** What one call makes at most, bytes: the largest block. */
const OUTPUT_BYTES = 131_072;
/** What is made before others have their turn on this thread, bytes. */
const OUTPUT_OF_A_TURN = 1_048_576;
/** In one body. Each costs a call, and may be as small as 8 octets. */
const MAX_FRAMES = 1024;
/** Workspaces, of 8.5 MiB each, that wait for the next body. */
const MAX_IDLE = 4;
/** A frame of the four octets "zstd", raw. */
const SAMPLE = Buffer.from('28b52ffd20042100007a737464', 'hex');

/** The decoder, or nothing where the system's library is not there, or is not what is known here. */
export async function systemZstd(library = 'libzstd.so.1'): Promise<Decode | undefined> {
  if (!process.arch.endsWith('64')) return undefined; // a size_t is 64 bits below
  try {
    const zstd = new Zstd(bind(await import('ffi-rs'), library));
    const sample = async function* () {
      yield SAMPLE;
    };
    for await (const plain of zstd.decode(sample())) {
      if (plain.equals(SAMPLE.subarray(-4))) return (source) => zstd.decode(source);
    }
  } catch {
    // answered as an encoding that is not known
  }
  return undefined;
}

/** What is called of the library. What it answers is a size_t; an error's number lies just below zero. Throws when it is not there. */
function bind({ DataType: type, load, open }: typeof import('ffi-rs'), library: string) {
  open({ library, path: library });
  const { BigInt: word, I32: int, String: text, U64: size, U8Array: bytes } = type;
  const bound =
    (funcName: string, ...paramsType: DataType[]) =>
    (...paramsValue: unknown[]) =>
      load({ library, funcName, retType: word, paramsType, paramsValue }) as bigint;
  return {
    workspaceOf: bound('ZSTD_estimateDStreamSize', size),
    begin: bound('ZSTD_initStaticDStream', bytes, size),
    set: bound('ZSTD_DCtx_setParameter', bytes, int, int),
    step: bound('ZSTD_decompressStream_simpleArgs', bytes, bytes, size, bytes, bytes, size, bytes),
    nameOf: (error: bigint) =>
      load({ library, funcName: 'ZSTD_getErrorName', retType: text, paramsType: [word], paramsValue: [error] }),
  };
}

/**
 * A decoder's whole state, its window included, is in a workspace of ours (ZSTD_initStaticDStream): it can take no more than that, needs no
 * freeing, and does not read the formats of before 1.0, whose decoders know no limit of ours.
 */
class Zstd {
  readonly #library: ReturnType<typeof bind>;
  readonly #workspaceBytes: number;
  readonly #idle: Buffer[] = [];
  // One call's, and no call is under way while another begins.
  readonly #output = Buffer.alloc(OUTPUT_BYTES);
  readonly #outputAt = Buffer.alloc(8);
  readonly #inputAt = Buffer.alloc(8);

  constructor(library: ReturnType<typeof bind>) {
    this.#library = library;
    this.#workspaceBytes = Number(library.workspaceOf(2 ** WINDOW_LOG));
  }

  /** What frames, one after another, hold. Throws TP_COLLECTOR_COMPRESSION for what is no frame or not all of one. */
  async *decode(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const workspace = this.#idle.pop() ?? Buffer.allocUnsafeSlow(this.#workspaceBytes);
    try {
      this.#begin(workspace);
      let isFrameOpen = false;
      let frames = 0;
      let ofTurn = 0;
      for await (const input of source) {
        let read = 0;
        let isOutputFull = false;
        while (read < input.length || (isFrameOpen && isOutputFull)) {
          const step = this.#step(workspace, input, read);
          ({ read, isFrameOpen } = step);
          isOutputFull = step.output.length === OUTPUT_BYTES;
          if (step.output.length > 0) yield step.output;
          if (!isFrameOpen && (frames += 1) > MAX_FRAMES) throw fault(`There are more than ${MAX_FRAMES} frames`);
          ofTurn += step.output.length;
          if (ofTurn < OUTPUT_OF_A_TURN) continue;
          ofTurn = 0;
          await turn();
        }
      }
      if (isFrameOpen) throw fault('The last frame is not complete');
    } finally {
      if (this.#idle.length < MAX_IDLE) this.#idle.push(workspace);
    }
  }

  #begin(workspace: Buffer): void {
    if (this.#library.begin(workspace, workspace.length) === 0n) throw new Error('zstd refuses its workspace');
    this.#checked(this.#library.set(workspace, WINDOW_LOG_MAX, WINDOW_LOG));
  }

  /** Reads input from `read` on. It has read all of it, and has no more to say of it, when the output is not full. */
  #step(workspace: Buffer, input: Buffer, read: number): { read: number; output: Buffer; isFrameOpen: boolean } {
    this.#outputAt.writeBigUInt64LE(0n);
    this.#inputAt.writeBigUInt64LE(BigInt(read));
    const expected = this.#checked(
      this.#library.step(workspace, this.#output, OUTPUT_BYTES, this.#outputAt, input, input.length, this.#inputAt),
    );
    return {
      read: Number(this.#inputAt.readBigUInt64LE()),
      output: Buffer.from(this.#output.subarray(0, Number(this.#outputAt.readBigUInt64LE()))),
      isFrameOpen: expected !== 0n,
    };
  }

  #checked(size: bigint): bigint {
    if (size < 0n) throw fault(this.#library.nameOf(size));
    return size;
  }
}

const fault = (why: string) =>
  new TurnpikeError('TP_COLLECTOR_COMPRESSION', `The body is no zstd that is read here: ${why}.`);
