import type { IncomingMessage } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { expandDeltas } from '../../../collector/client/delta.ts';
import { deltaReport, report } from '../../../collector/contract.ts';
import type { DeltaReport, Report } from '../../../collector/contract.ts';

/** A request's body as a report of whole samples, checked against the collector's own schemas. */
export function reportIn(body: string): Report {
  const given = JSON.parse(body) as Report | DeltaReport;
  if (given.v === 1) return report.parse(given);
  const { samples, ...rest } = deltaReport.parse(given);
  return report.parse({ ...rest, v: 1, samples: expandDeltas(samples) });
}

/** A request's body as it went over the wire, and as text. */
export async function sentBody(
  request: IncomingMessage,
): Promise<{ sent: Buffer; text: string; isCompressed: boolean }> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const sent = Buffer.concat(chunks);
  const isCompressed = request.headers['content-encoding'] === 'gzip';
  return { sent, text: (isCompressed ? gunzipSync(sent) : sent).toString('utf8'), isCompressed };
}
