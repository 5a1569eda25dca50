/** A request's body behind its Content-Encoding, in bounds before and after. */
import { Readable } from 'node:stream';
import type { FastifyRequest, RequestPayload } from 'fastify';
import { bytesOf, decoded, decoderOf } from './decompression.ts';

/** For `preParsing`. The body's parser holds it to its own limit again. Throws TP_COLLECTOR_ENCODING for an encoding that is unknown. */
export function decodedBody(request: FastifyRequest, payload: RequestPayload, limit: number): RequestPayload {
  const decoder = decoderOf(request.headers['content-encoding']);
  if (decoder === undefined) return payload;
  let passed = 0;
  const source = bytesOf(request.raw, limit, (bytes) => (passed += bytes));
  const plain: RequestPayload = Readable.from(decoded(source, decoder), { objectMode: false });
  return Object.defineProperty(plain, 'receivedEncodedLength', { get: () => passed });
}
