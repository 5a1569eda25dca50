/** The overview's four numbers and its table of calls. */
import type { CallSummary } from '../../../collector/contract.ts';
import type { AlertView, Statement } from '../../../billing/contract.ts';
import { durationOf } from './call-sentence.ts';
import { element, elementOf, make, show, toggle } from './dom.ts';
import {
  DASH,
  formatBitrate,
  formatBytes,
  formatDuration,
  formatMos,
  formatMs,
  formatRatio,
  formatSeconds,
  formatWhen,
  plural,
} from './format.ts';
import { drawMeter } from './meters.ts';
import { monthFigures } from './month.ts';
import { mosStep, stepWords } from './quality.ts';

interface CallColumn {
  readonly name: string;
  readonly text?: true;
  readonly cell: (call: CallSummary, now: Date) => Node | string;
}

const columns: readonly CallColumn[] = [
  {
    name: 'Call',
    text: true,
    cell: ({ call }) => make('a', { href: `#call=${encodeURIComponent(call)}` }, call || '(unnamed)'),
  },
  { name: 'State', text: true, cell: state },
  { name: 'Began', cell: ({ startedAt }, now) => formatWhen(startedAt, now) },
  { name: 'Lasted', cell: (call) => formatDuration(durationOf(call)) },
  { name: 'People', cell: ({ participants }) => String(participants) },
  { name: 'MOS', text: true, cell: ({ mos }) => mosCell(mos) },
  { name: 'Loss', cell: ({ lossRatio }) => formatRatio(lossRatio) },
  { name: 'Jitter', cell: ({ jitterMs }) => formatMs(jitterMs) },
  { name: 'Round trip', cell: ({ rttMs }) => formatMs(rttMs) },
  { name: 'Bitrate', cell: ({ bitrateBps }) => formatBitrate(bitrateBps) },
  { name: 'First frame', cell: ({ timeToFirstFrameMs }) => formatSeconds(timeToFirstFrameMs) },
  { name: 'Relayed', cell: ({ relayedBytes }) => formatBytes(relayedBytes) },
];

function state({ live, connected, failed }: CallSummary): Node {
  const word = live ? 'Live' : connected === 0 && failed > 0 ? 'Failed' : 'Ended';
  return make('span', { class: `state ${word.toLowerCase()}` }, word);
}

function mosCell(mos: number | null): Node | string {
  if (mos === null) return DASH;
  const step = mosStep(mos);
  return make('span', { class: 'step', 'data-step': step }, `${formatMos(mos)} ${stepWords[step]}`);
}

/** Live calls first, then the newest. */
export function showCalls(calls: readonly CallSummary[], now: Date): void {
  const ordered = calls.toSorted(
    (one, other) => Number(other.live) - Number(one.live) || other.startedAt.localeCompare(one.startedAt),
  );
  toggle('calls-message', false);
  toggle('calls-empty', calls.length === 0);
  toggle('calls-scroll', calls.length > 0);
  const head = element('calls-head');
  if (head.childElementCount === 0) {
    head.append(...columns.map(({ name, text }) => make('th', { scope: 'col', class: text ? 'text' : '' }, name)));
  }
  keepFocus(() => {
    element('calls-body').replaceChildren(...ordered.map((call) => row(call, now)));
  });
  showTiles(calls);
}

function row(call: CallSummary, now: Date): HTMLElement {
  const cells = columns.map(({ name, text, cell }) =>
    make('td', { 'data-label': name, class: text ? 'text' : '' }, cell(call, now)),
  );
  return make('tr', { class: call.live ? 'live' : '' }, ...cells);
}

/** The table is written anew; who walks through it by keyboard stays on their link. */
function keepFocus(rewrite: () => void): void {
  const focused = document.activeElement?.getAttribute('href');
  rewrite();
  if (focused === null || focused === undefined || document.activeElement !== document.body) return;
  const again = [...element('calls-body').querySelectorAll('a')].find((link) => link.getAttribute('href') === focused);
  again?.focus({ preventScroll: true });
}

function showTiles(calls: readonly CallSummary[]): void {
  const live = calls.filter((call) => call.live);
  show('calls-now', String(live.length));
  const people = live.reduce((sum, { participants }) => sum + participants, 0);
  show('calls-note', `${plural(people, 'participant')} · ${plural(calls.length, 'call')} listed`);
  const scored = ofOneModel(calls);
  const scores = scored.flatMap(({ mos }) => mos ?? []).sort((one, other) => one - other);
  const median = quantile(scores, 0.5);
  show('mos-median', formatMos(median));
  const word = median === null ? 'No call was scored yet' : stepWords[mosStep(median)];
  const low = quantile(scores, 0.05);
  show('mos-note', low === null ? word : `${word} · lowest 5 % of calls at ${formatMos(low)}`);
  show('relayed-note', `${formatBytes(liveBytes(calls))} in calls that are live`);
}

/** Bytes that relays sent in calls that are live. */
export function liveBytes(calls: readonly CallSummary[]): bigint {
  return calls.filter(({ live }) => live).reduce((sum, { relayedBytes }) => sum + BigInt(relayedBytes), 0n);
}

/** Scores of different models do not compare: the newest call's model decides. */
function ofOneModel(calls: readonly CallSummary[]): CallSummary[] {
  const newest = calls
    .filter(({ mosModel }) => mosModel !== null)
    .reduce<CallSummary | undefined>(
      (found, call) => (found === undefined || call.startedAt > found.startedAt ? call : found),
      undefined,
    );
  return calls.filter(({ mosModel }) => newest !== undefined && mosModel === newest.mosModel);
}

/** Nearest rank; `sorted` rises. */
function quantile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

export function showAlerts(alerts: readonly AlertView[], now: Date): void {
  const ordered = alerts.toSorted(
    (one, other) => one.severity.localeCompare(other.severity) || other.since.localeCompare(one.since),
  );
  toggle('alerts', true);
  toggle('alerts-none', alerts.length === 0);
  element('alerts-list').replaceChildren(
    ...ordered.map(({ severity, summary, since, samples }) =>
      make(
        'li',
        { class: severity },
        make(
          'div',
          {},
          make('strong', {}, summary),
          ' ',
          make(
            'small',
            { class: 'num' },
            `${severity}, since ${formatWhen(since, now)}, ${plural(samples, 'row')} of evidence`,
          ),
        ),
      ),
    ),
  );
}

export function showMonth(statement: Statement): void {
  const month = monthFigures(statement);
  show('relayed-month', month.relayed);
  show('month-cost', month.cost);
  show('month-note', month.used);
  element('month-note').title = month.card;
  drawMeter(elementOf('month-meter', SVGElement), month.share, `Free tier used: ${month.shareText}`);
}
