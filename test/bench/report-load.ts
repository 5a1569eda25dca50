/** Clients of POST /v1/stats in one process: each has a connection, a report token and numbered batches of a recorded call. */
import { Agent, request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { ReportSample } from '../../collector/contract.ts';
import { pickStats } from '../../collector/client/members.ts';
import { issueReportToken } from '../../kernel/report-token.ts';

/** `native`: the members that the SDK sends. `raw`: all that Chrome's getStats() says. */
export type Shape = 'native' | 'raw';

export interface Target {
  readonly url: string;
  readonly keyId: string;
  readonly app: string;
  readonly secret: string;
}

export interface Outcome {
  readonly seconds: number;
  readonly reports: number;
  /** What getStats() gave at a moment (an RTCStatsReport), with rows each: the baseline that a batch repeats is none of them. */
  readonly samples: number;
  /** Rows of stream_intervals that were acknowledged. */
  readonly intervals: number;
  /** Milliseconds between the moment at which a report was due and its acknowledgement, ascending. */
  readonly acknowledged: readonly number[];
}

/** What follows the offset in a report: samples as recorded, the first of them a baseline. */
interface Piece {
  readonly tail: Buffer;
  readonly begins: number;
}

interface Client {
  readonly name: string;
  readonly token: string;
  seq: number;
}

const CLIENTS = 1_000;
const HOUR = 3_600_000;

export class ReportLoad {
  readonly #target: Target;
  readonly #intervals: number;
  readonly #pieces: readonly Piece[];
  readonly #clients: readonly Client[];
  /**
   * Connections are kept from one measurement to the next: Node accepts one in each turn of its event loop, so that hundreds of new
   * ones at a busy server wait for seconds.
   */
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: Number.POSITIVE_INFINITY });
  /** Calls begin hours ago and end before now, however many batches they are given. */
  readonly #begins = Date.now() - 6 * HOUR;
  #turn = 0;

  /** `intervals`: seconds that a report is of, with a sample for each and the baseline before them. */
  constructor(target: Target, shape: Shape, intervals: number) {
    this.#target = target;
    this.#intervals = intervals;
    this.#pieces = piecesOf(recordedSamples(), shape, intervals);
    this.#clients = Array.from({ length: CLIENTS }, (_, index) => clientOf(target, `${shape}-${index}-${process.pid}`));
  }

  /** Octets of a report's body. */
  get bytes(): number {
    return (this.#pieces[0]?.tail.length ?? 0) + 100;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** So many clients, each of which reports again as soon as it is answered: the most that goes. */
  async flatOut(seconds: number, together: number): Promise<Outcome> {
    const tally = new Tally();
    const until = performance.now() + seconds * 1_000;
    const line = async () => {
      while (performance.now() < until) await this.#report(tally, performance.now());
    };
    await Promise.all(Array.from({ length: together }, line));
    return tally.outcome();
  }

  /** So many reports a second, whether or not earlier ones are answered. */
  async steadily(seconds: number, perSecond: number): Promise<Outcome> {
    const tally = new Tally();
    const begun = performance.now();
    const reports: Promise<void>[] = [];
    const total = Math.floor(seconds * perSecond);
    for (let sent = 0; sent < total; sent += 1) {
      const due = begun + (sent / perSecond) * 1_000;
      if (due > performance.now()) await pause(due - performance.now());
      reports.push(this.#report(tally, due));
    }
    await Promise.all(reports);
    return tally.outcome();
  }

  async #report(tally: Tally, due: number): Promise<void> {
    const client = this.#clients[this.#turn++ % this.#clients.length];
    if (client === undefined) return;
    const seq = client.seq++;
    const piece = this.#pieces[seq % this.#pieces.length];
    if (piece === undefined) return;
    const offset = this.#begins + seq * this.#intervals * 1_000 - piece.begins;
    const head = `{"v":1,"connection":"${client.name}","seq":${seq},"offset":${offset},`;
    const { status, text } = await this.#post(client.token, Buffer.concat([Buffer.from(head), piece.tail]));
    if (status !== 200) throw new Error(`a report was answered ${status}: ${text}`);
    const { stored } = JSON.parse(text) as { stored: { streams: number } };
    tally.add(this.#intervals, stored.streams, performance.now() - due);
  }

  #post(token: string, body: Buffer): Promise<{ status: number; text: string }> {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': body.length,
    };
    return new Promise((resolve, reject) => {
      const options = { method: 'POST', agent: this.#agent, headers };
      const asked = request(`${this.#target.url}/v1/stats`, options, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      });
      asked.once('error', reject).end(body);
    });
  }
}

class Tally {
  readonly #begun = performance.now();
  readonly #waits: number[] = [];
  #samples = 0;
  #intervals = 0;

  add(samples: number, intervals: number, waited: number): void {
    this.#samples += samples;
    this.#intervals += intervals;
    this.#waits.push(waited);
  }

  outcome(): Outcome {
    return {
      seconds: (performance.now() - this.#begun) / 1_000,
      reports: this.#waits.length,
      samples: this.#samples,
      intervals: this.#intervals,
      acknowledged: this.#waits.toSorted((left, right) => left - right),
    };
  }
}

function clientOf({ app, keyId, secret }: Target, name: string): Client {
  const claims = { keyId, app, call: `call-of-${name}`, participant: name, customId: '', maxConnections: 1 };
  return {
    name,
    token: issueReportToken({ ...claims, expiresAt: Math.floor(Date.now() / 1_000) + 86_400 }, secret),
    seq: 0,
  };
}

function recordedSamples(): readonly ReportSample[] {
  const file = 'test/vectors/chromium-156-good.json.gz';
  const { samples } = JSON.parse(gunzipSync(readFileSync(file)).toString()) as {
    samples: readonly { t: number; b: ReportSample['stats'] }[];
  };
  return samples.map(({ t, b }) => ({ t, stats: b }));
}

function piecesOf(recorded: readonly ReportSample[], shape: Shape, intervals: number): Piece[] {
  const samples = shape === 'raw' ? recorded : recorded.map(({ t, stats }) => ({ t, stats: pickStats(stats) }));
  const pieces: Piece[] = [];
  // The first samples of a call have no media yet.
  for (let first = 4; first + intervals < samples.length; first += intervals) {
    const own = samples.slice(first, first + intervals + 1);
    const tail = Buffer.from(JSON.stringify({ samples: own, events: [] }).slice(1));
    pieces.push({ tail, begins: own[0]?.t ?? 0 });
  }
  return pieces;
}
