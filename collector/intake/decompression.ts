/** Bodies as they were before they were compressed: in a stream, and never more of them than is allowed. */
import { Readable, pipeline } from 'node:stream';
import type { Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { TurnpikeError } from '../../kernel/errors.ts';
import { systemZstd } from './zstd.ts';

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);
const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** What comes out for what goes in. Throws what it will for bytes that do not decode. */
type Decoder = (source: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;

/** An error destroys the stream, and so comes out of it. */
const through =
  (open: () => Transform): Decoder =>
  (source) =>
    pipeline(Readable.from(source), open(), () => undefined);
const zstd = await systemZstd();

const decoders: Readonly<Record<string, Decoder>> = {
  gzip: through(() => zlib.createGunzip()),
  'x-gzip': through(() => zlib.createGunzip()),
  deflate: through(() => zlib.createInflate()),
  br: through(() => zlib.createBrotliDecompress()),
  ...(zstd === undefined ? {} : { zstd }),
};

/** The encodings that can be undone here, for Accept-Encoding. */
export const acceptedEncodings = Object.keys(decoders)
  .filter((name) => name !== 'x-gzip')
  .join(', ');

/** The decoder of a Content-Encoding; none for identity. Throws TP_COLLECTOR_ENCODING for one that is not known. */
export function decoderOf(encoding: string | undefined): Decoder | undefined {
  const name = (encoding ?? 'identity').trim().toLowerCase();
  if (name === 'identity' || name === '') return undefined;
  const decoder = Object.hasOwn(decoders, name) ? decoders[name] : undefined;
  if (decoder === undefined) throw new TurnpikeError('TP_COLLECTOR_ENCODING');
  return decoder;
}

/** A request's body as it comes, up to so many bytes. A reader that stops leaves the connection open for the answer. */
export async function* bytesOf(
  body: Readable,
  limit: number,
  passed: (bytes: number) => void = () => undefined,
): AsyncGenerator<Buffer> {
  let total = 0;
  const chunks: AsyncIterable<Buffer> = { [Symbol.asyncIterator]: () => body.iterator({ destroyOnReturn: false }) };
  for await (const chunk of chunks) {
    total += chunk.length;
    if (total > limit) throw new TurnpikeError('TP_KERNEL_BODY_TOO_LARGE');
    passed(chunk.length);
    yield chunk;
  }
}

/** What comes out of a decoder that is fed these bytes. Throws TP_COLLECTOR_COMPRESSION for bytes that do not decode. */
export async function* decoded(source: AsyncIterable<Buffer>, decoder: Decoder): AsyncGenerator<Buffer> {
  try {
    yield* decoder(source);
  } catch (error) {
    throw asCompressionFault(error);
  }
}

/** zlib's own errors are about the bytes; any other is not. */
function asCompressionFault(error: unknown): unknown {
  const isOfBytes = /^(?:Z_|ERR_(?:BROTLI|_ERROR_FORMAT|PADDING)|ERR__ERROR)/.test(
    String((error as NodeJS.ErrnoException).code),
  );
  return isOfBytes ? new TurnpikeError('TP_COLLECTOR_COMPRESSION', undefined, { cause: error }) : error;
}

/**
 * The bytes behind a Content-Encoding, and behind a file that is compressed itself (known by its first bytes), in chunks.
 * Throws TP_KERNEL_BODY_TOO_LARGE beyond `limit` bytes of them, whatever they came in.
 */
export async function* plainBytes(
  source: AsyncIterable<Buffer>,
  encoding: string | undefined,
  limit: number,
): AsyncGenerator<Buffer> {
  const decoder = decoderOf(encoding);
  const unpacked = decoder === undefined ? source : decoded(source, decoder);
  yield* limited(unfiled(limited(unpacked, limit)), limit);
}

/** A compressed file inside. */
async function* unfiled(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const chunks = source[Symbol.asyncIterator]();
  const head: Buffer[] = [];
  let next = await chunks.next();
  while (next.done !== true) {
    head.push(next.value);
    if (head.reduce((sum, chunk) => sum + chunk.length, 0) >= ZSTD_MAGIC.length) break;
    next = await chunks.next();
  }
  const first = Buffer.concat(head);
  const rest = async function* (): AsyncGenerator<Buffer> {
    if (first.length > 0) yield first;
    yield* { [Symbol.asyncIterator]: () => chunks };
  };
  const startsWith = (magic: Buffer) => first.subarray(0, magic.length).equals(magic);
  const encoding = startsWith(GZIP_MAGIC) ? 'gzip' : startsWith(ZSTD_MAGIC) ? 'zstd' : undefined;
  const decoder = decoderOf(encoding);
  yield* decoder === undefined ? rest() : decoded(rest(), decoder);
}

async function* limited(source: AsyncIterable<Buffer>, limit: number): AsyncGenerator<Buffer> {
  let total = 0;
  for await (const chunk of source) {
    total += chunk.length;
    if (total > limit) {
      throw new TurnpikeError('TP_KERNEL_BODY_TOO_LARGE', `The recording is larger than ${limit / 1_048_576} MiB.`);
    }
    yield chunk;
  }
}
