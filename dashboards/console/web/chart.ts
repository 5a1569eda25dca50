/** Small line charts in SVG: a few series over time, gaps where nothing was measured, a legend that says the last value. */
import { make, makeSvg } from './dom.ts';
import { formatClock } from './format.ts';

export interface Series {
  readonly name: string;
  /** Time in Unix milliseconds, rising; null breaks the line. */
  readonly points: readonly (readonly [time: number, value: number | null])[];
  /** Index of the scale that it is drawn on; 0 is the left one. */
  readonly scale?: 0 | 1;
}

export interface Scale {
  readonly min: number;
  /** The top of the scale rises with the data beyond this. */
  readonly max: number;
  readonly format: (value: number) => string;
  /** For the numbers on the axis, where they are written otherwise. */
  readonly tick?: (value: number) => string;
}

export interface ChartData {
  readonly title: string;
  readonly series: readonly Series[];
  readonly scales: readonly [Scale] | readonly [Scale, Scale];
  /** Unix milliseconds at the left and right edge. */
  readonly from: number;
  readonly to: number;
  /** Said under the left and right edge instead of clock times. */
  readonly edges?: readonly [string, string];
}

const HEIGHT = 130;
const LEFT = 50;
const TOP = 8;
const BOTTOM = 18;
/** A pause longer than this, and than a few of the series' own steps, is a gap, not a line. */
const GAP_MS = 12_000;
const GAP_STEPS = 3;
const STYLES = 6;

export interface Chart {
  update(data: ChartData): void;
}

/** Fills `host` with a chart that redraws when its data or its width changes. */
export function createChart(host: HTMLElement): Chart {
  const svg = makeSvg('svg', { role: 'img' });
  const legend = make('ul', { class: 'legend num' });
  host.replaceChildren(svg, legend);
  let latest: ChartData | undefined;
  const draw = () => {
    if (latest !== undefined) drawChart(svg, legend, latest, svg.clientWidth || 420);
  };
  new ResizeObserver(draw).observe(svg);
  return {
    update(data) {
      latest = data;
      draw();
    },
  };
}

function drawChart(svg: SVGElement, legend: HTMLElement, data: ChartData, width: number): void {
  const right = data.scales.length === 2 ? LEFT : 6;
  const plot = { left: LEFT, right: width - right, top: TOP, bottom: HEIGHT - BOTTOM };
  const x = (time: number) => plot.left + ((time - data.from) / (data.to - data.from || 1)) * (plot.right - plot.left);
  const parts: SVGElement[] = [
    makeSvg('path', {
      class: 'axis',
      d: `M${plot.left} ${plot.top}V${plot.bottom}H${plot.right}M${plot.left} ${(plot.top + plot.bottom) / 2}H${plot.right}`,
    }),
  ];
  data.scales.forEach((scale, side) => {
    const { y, top } = scaled(data, scale, side, plot);
    parts.push(...scaleTexts(scale, top, y, side === 0 ? plot.left - 6 : plot.right + 6, side === 0 ? 'end' : 'start'));
    data.series.forEach((series, index) => {
      if ((series.scale ?? 0) !== side) return;
      parts.push(makeSvg('path', { class: `line s${index % STYLES}`, d: pathOf(series, x, y, data.from) }));
    });
  });
  const [start, end] = data.edges ?? [formatClock(data.from), formatClock(data.to)];
  parts.push(makeSvg('text', { x: plot.left, y: HEIGHT - 4 }, start));
  parts.push(makeSvg('text', { x: plot.right, y: HEIGHT - 4, 'text-anchor': 'end' }, end));
  svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute('aria-label', summary(data));
  svg.replaceChildren(...parts);
  const items = data.series.map((series, index) => legendItem(series, index, data));
  legend.replaceChildren(...(items.length > 0 ? items : [make('li', {}, 'Nothing was measured.')]));
}

/** The top grows to the data in round steps, so that the scale does not wander with every sample. */
function scaled(data: ChartData, scale: Scale, side: number, plot: { readonly top: number; readonly bottom: number }) {
  const values = data.series
    .filter((series) => (series.scale ?? 0) === side)
    .flatMap(({ points }) => points.flatMap(([, value]) => (value === null ? [] : [value])));
  const top = values.reduce((highest, value) => (value > highest ? roundUp(value) : highest), scale.max);
  const y = (value: number) => plot.bottom - ((value - scale.min) / (top - scale.min || 1)) * (plot.bottom - plot.top);
  return { y, top };
}

function roundUp(value: number): number {
  const magnitude = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * magnitude).find((step) => step >= value) ?? value;
}

function scaleTexts(scale: Scale, top: number, y: (value: number) => number, x: number, anchor: string): SVGElement[] {
  return [scale.min, (scale.min + top) / 2, top].map((value) =>
    // round values without their zeroes: `5 %`, not `5.0 %`
    makeSvg(
      'text',
      { x, y: y(value) + 3.5, 'text-anchor': anchor },
      (scale.tick ?? scale.format)(value).replace(/\.0+(?!\d)/, ''),
    ),
  );
}

/** Milliseconds between two points beyond which they are not joined: a long call is thinned, and its points lie far apart. */
export function gapOf({ points }: Series): number {
  const times = points.filter(([, value]) => value !== null).map(([time]) => time);
  const steps = times.slice(1).map((time, index) => time - (times[index] ?? time));
  const middle = steps.sort((one, other) => one - other)[Math.floor(steps.length / 2)] ?? 0;
  return Math.max(GAP_MS, GAP_STEPS * middle);
}

function pathOf(series: Series, x: (time: number) => number, y: (value: number) => number, from: number): string {
  const gap = gapOf(series);
  let path = '';
  let before: number | undefined;
  for (const [time, value] of series.points) {
    if (value === null || time < from) {
      before = undefined;
      continue;
    }
    const joined = before !== undefined && time - before <= gap;
    const at = `${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    // a point alone is drawn as a dot: a line of no length with round ends
    path += joined ? `L${at}` : `M${at}l0 0`;
    before = time;
  }
  return path;
}

function lastOf(series: Series): number | null {
  return series.points.findLast(([, value]) => value !== null)?.[1] ?? null;
}

function told(series: Series, data: ChartData): string {
  const last = lastOf(series);
  return last === null ? '–' : (data.scales[series.scale ?? 0] ?? data.scales[0]).format(last);
}

function legendItem(series: Series, index: number, data: ChartData): HTMLElement {
  const swatch = makeSvg('svg', { viewBox: '0 0 20 8', 'aria-hidden': 'true' });
  swatch.append(makeSvg('path', { class: `line s${index % STYLES}`, d: 'M0 4H20' }));
  return make('li', {}, swatch, `${series.name} ${told(series, data)}`);
}

function summary(data: ChartData): string {
  const lines = data.series.map((series) => `${series.name}, last ${told(series, data)}`);
  return `${data.title}. ${lines.length === 0 ? 'Nothing was measured.' : `${lines.join('; ')}.`}`;
}
