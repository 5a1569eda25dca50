/** One call: a sentence, its figures, plots of every stream, and what happened. */
import type { CallDetail, CallEventPoint, ConnectionPoint, TimelinePoint } from '../../../collector/contract.ts';
import { callSentence } from './call-sentence.ts';
import { createChart } from './chart.ts';
import type { Chart, Scale, Series } from './chart.ts';
import { element, make, setText, show, toggle } from './dom.ts';
import {
  DASH,
  formatBitrate,
  formatBytes,
  formatClock,
  formatMos,
  formatMs,
  formatRatio,
  formatSeconds,
  formatTook,
} from './format.ts';

interface Plot {
  readonly title: string;
  readonly scale: Scale;
  readonly series: (call: CallDetail) => Series[];
}

const inbound = ({ direction }: TimelinePoint) => direction === 'inbound';

const milliseconds: Scale = { min: 0, max: 20, format: formatMs, tick: (value) => `${value} ms` };

const plots: readonly Plot[] = [
  {
    title: 'MOS, what each participant hears',
    scale: { min: 1, max: 5, format: (value) => value.toFixed(1) },
    series: ({ streams }) =>
      seriesOf(
        streams.filter((point) => inbound(point) && point.kind === 'audio'),
        streamName,
        ({ mos }) => mos,
      ),
  },
  {
    title: 'Loss',
    scale: { min: 0, max: 0.05, format: formatRatio },
    series: ({ streams }) => seriesOf(streams.filter(inbound), streamName, ({ lossRatio }) => lossRatio),
  },
  {
    title: 'Jitter',
    scale: milliseconds,
    series: ({ streams }) => seriesOf(streams.filter(inbound), streamName, ({ jitterMs }) => jitterMs),
  },
  {
    title: 'Round trip',
    scale: milliseconds,
    // browsers check the round trip every few seconds: an interval without a check is no gap
    series: ({ connections }) =>
      seriesOf(
        connections.filter(({ rttMs }) => rttMs !== null),
        ({ participant }) => participant || 'connection',
        ({ rttMs }) => rttMs,
      ),
  },
  {
    title: 'Bitrate received',
    scale: { min: 0, max: 100_000, format: formatBitrate },
    series: ({ streams }) => seriesOf(streams.filter(inbound), streamName, ({ bitrateBps }) => bitrateBps),
  },
  {
    title: 'Frames per second received',
    scale: { min: 0, max: 30, format: (value) => value.toFixed(0) },
    series: ({ streams }) =>
      seriesOf(
        streams.filter((point) => inbound(point) && point.kind === 'video'),
        streamName,
        ({ framesPerSecond }) => framesPerSecond,
      ),
  },
];

const charts = new Map<string, Chart>();

const streamName = ({ participant, kind }: TimelinePoint) => `${participant || 'somebody'} ${kind}`;

/** One line per stream (or connection): two of one name are told apart by a number. */
function seriesOf<P extends TimelinePoint | ConnectionPoint>(
  points: readonly P[],
  nameOf: (point: P) => string,
  valueOf: (point: P) => number | null,
): Series[] {
  const lines = new Map<string, P[]>();
  for (const point of points) {
    const key = `${point.participant} ${'stream' in point ? point.stream : point.connection}`;
    const line = lines.get(key);
    if (line === undefined) lines.set(key, [point]);
    else line.push(point);
  }
  const taken = new Map<string, number>();
  return [...lines.values()].flatMap((line) => {
    const [first] = line;
    if (first === undefined) return [];
    const plain = nameOf(first);
    const count = (taken.get(plain) ?? 0) + 1;
    taken.set(plain, count);
    const timed = line.map((point) => [Date.parse(point.ts), valueOf(point)] as const);
    return [{ name: count === 1 ? plain : `${plain} ${count}`, points: timed.sort(([one], [other]) => one - other) }];
  });
}

export function showCall(call: CallDetail): void {
  show('call-name', call.call || 'Unnamed call');
  show('call-sentence', callSentence(call));
  showFigures(call);
  const from = Date.parse(call.startedAt);
  const to = Math.max(from + 1_000, Date.parse(call.lastSeenAt));
  for (const plot of plots) {
    chartOf(plot.title).update({ title: plot.title, series: plot.series(call), scales: [plot.scale], from, to });
  }
  showEvents(call.events);
}

function chartOf(title: string): Chart {
  const known = charts.get(title);
  if (known !== undefined) return known;
  const host = make('div', { class: 'chart' });
  element('call-charts').append(make('section', { class: 'card', 'aria-label': title }, make('h2', {}, title), host));
  const chart = createChart(host);
  charts.set(title, chart);
  return chart;
}

function showFigures(call: CallDetail): void {
  const figures: readonly (readonly [string, string])[] = [
    ['MOS, median', formatMos(call.mos)],
    ['MOS, lowest 5 %', formatMos(call.mosP5)],
    ['Loss', formatRatio(call.lossRatio)],
    ['Jitter', formatMs(call.jitterMs)],
    ['Round trip', formatMs(call.rttMs)],
    ['Bitrate received', formatBitrate(call.bitrateBps)],
    ['First frame', formatSeconds(call.timeToFirstFrameMs)],
    ['Connections', `${call.connected} of ${call.connected + call.failed}`],
    ['Relayed', formatBytes(call.relayedBytes)],
  ];
  const list = element('call-figures');
  if (list.childElementCount !== figures.length) {
    list.replaceChildren(...figures.map(([name]) => make('div', {}, make('dt', {}, name), make('dd', {}))));
  }
  const cells = list.querySelectorAll('dd');
  figures.forEach(([, value], index) => {
    const cell = cells[index];
    if (cell !== undefined) setText(cell, value);
  });
}

/** Newest first: what a live call does now is on top. */
function showEvents(events: readonly CallEventPoint[]): void {
  toggle('events-message', events.length === 0);
  toggle('events-table', events.length > 0);
  const rows = events
    .toSorted((one, other) => other.ts.localeCompare(one.ts))
    .map((event) =>
      make(
        'tr',
        {},
        make('td', { class: 'text' }, formatClock(event.ts)),
        make('td', { class: 'text' }, event.participant || DASH),
        make('td', { class: 'text' }, event.type.replaceAll('_', ' ')),
        make('td', { class: 'text' }, event.value ?? DASH),
        make('td', {}, formatTook(event.ms)),
      ),
    );
  element('events-body').replaceChildren(...rows);
}

/** Before the first answer, or when there is none. */
export function showNoCall(call: string, sentence: string): void {
  show('call-name', call);
  show('call-sentence', sentence);
}
