/** A relayed call in a real browser, seen from outside the page: the test keeps every RTCPeerConnection that it makes. */
import { gunzipSync } from 'node:zlib';
import { join } from 'node:path';
import type { Page } from 'playwright-core';

/** What the browser itself counted on one side, at one moment. */
export interface PeerFigures {
  readonly localCandidateType: string | null;
  /** Payload of the selected pair: RTP, RTCP and DTLS, without STUN checks and TURN framing. */
  readonly bytesReceived: number;
  readonly packetsReceived: number;
  readonly bytesSent: number;
  readonly packetsSent: number;
  /** Connectivity checks that this side received: requests and responses. */
  readonly checksReceived: number;
  readonly framesDecoded: number;
  readonly audioEnergy: number;
}

/** To be called before the page is opened. */
export async function keepPeerConnections(page: Page): Promise<void> {
  await page.addInitScript({ path: join(import.meta.dirname, 'pages/keep-connections.js') });
}

/** One entry per connection that the page has made, oldest first. */
export function peerFigures(page: Page): Promise<PeerFigures[]> {
  return page.evaluate<PeerFigures[]>('peerFigures()');
}

/** Collects, from now on, every error of the page and everything that the browser logs in red. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on('pageerror', ({ message }) => complaints.push(message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.text()} ${message.location().url}`);
  });
  return complaints;
}

/** A batch of reports that the collector has acknowledged with 2xx. */
export interface AcknowledgedReport {
  readonly connection: string;
  readonly seq: number;
  /** Inbound and outbound streams' intervals are per sample after the first. */
  readonly samples: number;
  readonly events: number;
}

/** Collects, from now on, every report of the page that says anything and that was answered with 2xx. */
export function acknowledgedReports(page: Page): AcknowledgedReport[] {
  const acknowledged: AcknowledgedReport[] = [];
  page.on('response', (response) => {
    const request = response.request();
    if (request.method() !== 'POST' || !response.url().includes('/v1/stats') || !response.ok()) return;
    const sent = request.postDataBuffer() ?? Buffer.from('{}');
    const isCompressed = request.headers()['content-encoding'] === 'gzip';
    const body = JSON.parse((isCompressed ? gunzipSync(sent) : sent).toString('utf8')) as {
      connection: string;
      seq: number;
      samples: unknown[];
      events: unknown[];
    };
    if (body.samples.length + body.events.length === 0) return; // only asks for the time
    acknowledged.push({
      connection: body.connection,
      seq: body.seq,
      samples: body.samples.length,
      events: body.events.length,
    });
  });
  return acknowledged;
}
