/** Writes the figures of a call on /try into the page. */
import type { CallDetail } from '../../../collector/contract.ts';
import type { Statement } from '../../../billing/contract.ts';
import { createChart } from './chart.ts';
import type { Chart } from './chart.ts';
import { element, elementOf, make, setText, show } from './dom.ts';
import type { Failure } from './failure.ts';
import {
  DASH,
  formatBitrate,
  formatBytes,
  formatModel,
  formatMos,
  formatMs,
  formatRatio,
  formatSeconds,
} from './format.ts';
import { lastMinute, liveFigures } from './live-figures.ts';
import type { EndFigures, LiveFigures } from './live-figures.ts';
import { drawMeter, drawMosBar } from './meters.ts';
import { monthFigures } from './month.ts';
import { mosStep, stepWords } from './quality.ts';

export type CallState = 'idle' | 'connecting' | 'live' | 'ended' | 'failed';

const scales = [
  { min: 1, max: 5, format: (value: number) => value.toFixed(1) },
  { min: 0, max: 0.1, format: (value: number) => formatRatio(value) },
] as const;

let minute: Chart | undefined;

/** Everything at its place before anything is known, so that nothing jumps later. */
export function showNothing(): void {
  drawMosBar(elementOf('mos-bar', SVGElement), null);
  minute ??= createChart(element('minute'));
  drawMinute([
    { name: 'MOS', points: [] },
    { name: 'Loss', points: [], scale: 1 },
  ]);
  show('mos', DASH);
  showStep(element('mos-word'), undefined, 'Not measured yet');
  for (const id of ['loss', 'jitter', 'rtt', 'bitrate', 'first-frame', 'freezes', 'relayed', 'pair-bytes'])
    show(id, DASH);
  for (const peer of ['A', 'B'] as const) showEnd(peer, { lossRatio: null, rttMs: null, step: undefined });
}

export function showCall(call: CallDetail): void {
  const figures = liveFigures(call);
  showMos(figures);
  const { series, from, to } = lastMinute(call);
  drawMinute(series, from, to);
  show('loss', formatRatio(figures.lossRatio));
  show('jitter', formatMs(figures.jitterMs));
  show('rtt', formatMs(figures.rttMs));
  show('bitrate', formatBitrate(figures.bitrateBps));
  show('first-frame', formatSeconds(figures.timeToFirstFrameMs));
  show('freezes', figures.freezes === null ? DASH : String(figures.freezes));
  show('relayed', formatBytes(call.relayedBytes));
  for (const peer of ['A', 'B'] as const) showEnd(peer, figures.ends[peer]);
  show('relay-transport', figures.relayProtocol ?? DASH);
}

function showMos({ mos, mosModel }: LiveFigures): void {
  show('mos', formatMos(mos));
  const step = mos === null ? undefined : mosStep(mos);
  showStep(element('mos-word'), step, 'Not measured yet');
  drawMosBar(elementOf('mos-bar', SVGElement), mos);
  if (mos !== null) show('mos-model', `MOS of the worse direction, ${formatModel(mosModel)}`);
}

export function showStep(target: HTMLElement, step: keyof typeof stepWords | undefined, without: string): void {
  setText(target, step === undefined ? without : stepWords[step]);
  target.dataset['step'] = step ?? '';
}

/** What one peer measures: it receives through both legs, so loss is of the way to it, and the round trip of the whole. */
function showEnd(peer: 'A' | 'B', { lossRatio, rttMs, step }: EndFigures): void {
  const leg = element(`leg-${peer}`);
  const known = lossRatio !== null || rttMs !== null;
  const word = step === undefined || step === 'excellent' ? '' : ` · ${stepWords[step]}`;
  const text = known
    ? [`${peer} receives: loss ${formatRatio(lossRatio)}${word}`, `RTT ${formatMs(rttMs)}`]
    : ['not measured yet'];
  leg.dataset['step'] = step ?? '';
  if (leg.textContent !== text.join(' ')) leg.replaceChildren(...text.flatMap((line) => [make('span', {}, line), ' ']));
}

function drawMinute(series: ReturnType<typeof lastMinute>['series'], from = 0, to = 60_000): void {
  minute?.update({ title: 'MOS and loss over the last minute', series, scales, from, to, edges: ['60 s ago', 'now'] });
}

export function showPictures(sizes: Readonly<Record<'A' | 'B', string>>): void {
  show('caption-A', `Peer A${sizes.A === '' ? '' : `, as B receives it · ${sizes.A}`}`);
  show('caption-B', `Peer B${sizes.B === '' ? '' : `, as A receives it · ${sizes.B}`}`);
}

export function showStatus(state: CallState, what: string, more: string): void {
  const status = element('status');
  status.dataset['state'] = state;
  status.replaceChildren(make('strong', {}, what), make('span', { class: 'soft' }, more));
}

export function showFailure({ what, advice }: Failure): void {
  showStatus('failed', what, advice);
}

export function showCallLink(call: string): void {
  element('call-link').replaceChildren(make('a', { href: `/#call=${encodeURIComponent(call)}` }, call));
}

export function showMonth(statement: Statement): void {
  const month = monthFigures(statement);
  show('month-bytes', month.bytes);
  show('month-cost', month.cost);
  show('month-share', month.shareText);
  show('month-note', `${month.used} used · ${month.card}`);
  drawMeter(elementOf('month-meter', SVGElement), month.share, `Free tier used: ${month.shareText}`);
}
