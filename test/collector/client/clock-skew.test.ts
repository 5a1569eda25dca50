/** The SDK against the collector's real route: wherever the client's clock stands, rows land at the collector's time. */
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import type { ReportingError } from '../../../collector/client/api.ts';
import { startObservation } from '../../../collector/client/observe.ts';
import { statsRoutes } from '../../../collector/intake/stats-routes.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { FakeWriter, reportToken, service } from '../service.ts';
import { scoreInboundAudio } from '../normalise/scorer.ts';
import { FakeBrowser, FakePeerConnection } from './fake-browser.ts';
import { reportIn } from './sent-report.ts';
import type { SentRequest } from './fake-browser.ts';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
const YEAR = 365.25 * 24 * HOUR;
/** Time passes in steps of it, and each request is answered within one. */
const STEP = 50;
const STARTED = 1_800_000_000_000;

const skews: [string, number][] = [
  ['10 years ahead', 10 * YEAR],
  ['10 years behind', -10 * YEAR],
  ['2 hours ahead', 2 * HOUR],
  ['2 hours behind', -2 * HOUR],
  ['right', 0],
];

let http: FastifyInstance;
afterEach(() => http.close());

/** A browser whose clock is `skew` off, and a collector whose clock is right. */
async function stage(skew: number) {
  const browser = new FakeBrowser();
  browser.time = STARTED + skew;
  const world = { skew, offline: false, statuses: [] as number[] };
  const clock = { now: () => browser.time - world.skew, monotonic: () => browser.time - world.skew - STARTED };
  const made = service(clock);
  const writer = new FakeWriter();
  http = made.http;
  const common = { authority: made.authority, score: scoreInboundAudio, metrics: new Metrics(), log: silentLog };
  await http.register(statsRoutes, { ...common, writer, clock, maxWaitMs: 0 });
  const answers: Promise<void>[] = [];
  browser.auto = (request) => {
    if (world.offline) request.fail();
    else answers.push(answer(request, world.statuses));
  };
  const pc = new FakePeerConnection();
  const errors: ReportingError[] = [];
  const reporting = { url: '/v1/stats', token: reportToken('demo', STARTED) };
  const observation = startObservation(
    pc.asConnection(),
    reporting,
    { onError: (error) => errors.push(error) },
    browser,
  );
  const advance = async (milliseconds: number) => {
    for (let passed = 0; passed < milliseconds; passed += STEP) {
      const packetsReceived = Math.floor((clock.now() - STARTED) / 20);
      pc.stats = [{ id: 'in', type: 'inbound-rtp', kind: 'audio', ssrc: 1, packetsReceived }];
      await browser.advance(STEP);
      await Promise.all(answers.splice(0));
    }
  };
  return { browser, pc, world, clock, writer, errors, observation, advance };
}

async function answer(request: SentRequest, statuses: number[]): Promise<void> {
  const { url, headers, body } = request;
  const response = await http.inject({ method: 'POST', url, headers, payload: body });
  statuses.push(response.statusCode);
  request.answer(response.statusCode, response.json(), response.headers as Record<string, string>);
}

/** Milliseconds after the start at which a row's interval ended or its event was. */
const secondsOf = (writer: FakeWriter, table: 'stream_intervals' | 'call_events') =>
  writer.rowsOf(table).map((row) => Math.round((Number(row['ts']) - STARTED) / 100) / 10);

describe('the clock of a client', () => {
  it.each(skews)('may be %s: its rows land at the time they were measured, each once', async (_name, skew) => {
    const { pc, writer, errors, advance } = await stage(skew);
    await advance(1_000);
    pc.become('connected');
    await advance(14_000);
    expect(secondsOf(writer, 'stream_intervals')).toEqual([3, 5, 7, 9, 11].map((second) => expect.closeTo(second, 0)));
    expect(secondsOf(writer, 'call_events')).toEqual([1, 1].map((second) => expect.closeTo(second, 1)));
    expect(errors).toEqual([]);
  });

  it.each(skews)(
    'may be %s while the network is away: what was gathered meanwhile lands right too',
    async (_n, skew) => {
      const { pc, world, writer, errors, advance } = await stage(skew);
      world.offline = true;
      await advance(500);
      pc.become('connected');
      await advance(39_500);
      expect(writer.inserts).toEqual([]);
      world.offline = false;
      await advance(40_000);
      const seconds = secondsOf(writer, 'stream_intervals');
      expect(seconds.slice(0, 15)).toEqual(
        Array.from({ length: 15 }, (_, index) => expect.closeTo(2.5 + 2 * index, 0) as number),
      );
      expect(new Set(seconds).size).toBe(seconds.length);
      expect(errors).toEqual([]);
    },
  );

  it.each(skews.slice(0, 3))(
    'may be %s in a page that is hidden before it could ask the time: the refused batch is sealed again, and stored once',
    async (_name, skew) => {
      const { browser, world, writer, errors, advance } = await stage(skew);
      await advance(2_200);
      browser.hide();
      await advance(12_800);
      expect(world.statuses.slice(0, 2)).toEqual([400, 200]);
      expect(world.statuses.filter((status) => status !== 200)).toEqual([400]);
      expect(secondsOf(writer, 'stream_intervals')).toEqual(
        [4, 6, 8, 10, 12].map((second) => expect.closeTo(second, 0)),
      );
      expect(errors).toEqual([]);
    },
  );

  it('that says another thing at every look costs a bounded number of attempts', async () => {
    const { browser, errors, advance } = await stage(0);
    await advance(5_000);
    const before = browser.requests.length;
    browser.auto = (request) => {
      browser.time += YEAR;
      request.answer(400, { error: { code: 'TP_COLLECTOR_CLOCK', message: 'Not now.' }, serverTime: 1 });
    };
    await advance(5_000);
    const attempts = browser.requests.slice(before).map(({ body }) => reportIn(body).seq);
    expect(new Set(attempts).size).toBeGreaterThan(0);
    expect(attempts.length / new Set(attempts).size).toBe(3);
    expect(errors[0]).toMatchObject({ kind: 'refused', status: 400, code: 'TP_COLLECTOR_CLOCK' });
  });
});
