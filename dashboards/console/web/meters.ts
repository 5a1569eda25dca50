/** Two small pictures: the MOS bar with its mark, and the meter of the free tier. */
import { makeSvg } from './dom.ts';
import { qualityScales } from '../../quality-steps.ts';

/** The ends of the bar: MOS as ITU-T P.800 counts it. */
const [LEAST, MOST] = [1, 5];
const percent = (mos: number) => ((mos - LEAST) / (MOST - LEAST)) * 100;

/** The four steps as a bar, and where this value stands in it. */
export function drawMosBar(svg: SVGElement, mos: number | null): void {
  const [fair, good, excellent] = qualityScales.mos.bounds;
  const ends = [LEAST, fair, good, excellent, MOST].map(percent);
  const steps = ['poor', 'fair', 'good', 'excellent'].map((step, index) => {
    const [from = 0, to = 0] = ends.slice(index, index + 2);
    return makeSvg('rect', { class: step, x: `${from + 0.3}%`, y: 4, width: `${to - from - 0.6}%`, height: 8, rx: 2 });
  });
  const at =
    mos === null
      ? []
      : [makeSvg('rect', { class: 'mark', x: `${percent(mos) - 0.4}%`, y: 0, width: 4, height: 16, rx: 2 })];
  svg.replaceChildren(...steps, ...at);
}

/** Ratio 0…1 of an allowance; beyond it the meter is full. */
export function drawMeter(svg: SVGElement, ratio: number | null, label: string): void {
  const width = ratio === null ? 0 : Math.min(100, Math.max(ratio > 0 ? 0.6 : 0, ratio * 100));
  svg.setAttribute('aria-label', label);
  svg.replaceChildren(
    makeSvg('rect', { class: 'track', width: '100%', height: 10, rx: 5 }),
    makeSvg('rect', { class: 'fill', width: `${width}%`, height: 10, rx: 5 }),
  );
}
