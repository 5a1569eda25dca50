/** The network conditions that the next call's peer A has: four sliders, with what they say beside them. */
import type { TryConditions } from '../session.ts';
import { element, elementOf, setText } from './dom.ts';

/** Kilobits a second of each step of the slider; the last one is no limit. */
const RATES = [64, 128, 256, 512, 1_000, 2_000, 5_000, undefined] as const;

const words = {
  'condition-loss': (value: number) => `${value} %`,
  'condition-delay': (value: number) => `${value} ms`,
  'condition-jitter': (value: number) => `±${value} ms`,
  'condition-rate': (value: number) => {
    const rate = RATES[value];
    return rate === undefined ? 'no limit' : rate < 1_000 ? `${rate} kbit/s` : `${rate / 1_000} Mbit/s`;
  },
} as const;

const slider = (id: string): HTMLInputElement => elementOf(id, HTMLInputElement);
const valueOf = (id: keyof typeof words): number => slider(id).valueAsNumber;

/** What a credential is asked for; undefined where nothing is impaired. */
export function readConditions(): TryConditions | undefined {
  const rateKbps = RATES[valueOf('condition-rate')];
  const conditions = {
    lossPercent: valueOf('condition-loss'),
    delayMs: valueOf('condition-delay'),
    jitterMs: valueOf('condition-jitter'),
    ...(rateKbps === undefined ? {} : { rateKbps }),
  };
  return Object.values(conditions).some((value) => value > 0) ? conditions : undefined;
}

/** Says what each slider says, now and at each change. */
export function followSliders(changed: () => void): void {
  for (const id of Object.keys(words) as (keyof typeof words)[]) {
    const tell = () => {
      const text = words[id](valueOf(id));
      setText(element(`${id}-value`), text);
      slider(id).setAttribute('aria-valuetext', text);
    };
    slider(id).addEventListener('input', () => {
      tell();
      changed();
    });
    tell();
  }
}
