import type { AudioScorer } from '../../../collector/contract.ts';

/** Not a model: falls with loss and delay, so that a test can tell which of them it was given. */
export const scoreInboundAudio: AudioScorer = ({ codec, lossPercent, delayMs }) => {
  if (codec === null || delayMs === null) return null;
  const r = Math.max(0, 100 - 2 * lossPercent - delayMs / 50);
  return { mos: 1 + (3.5 * r) / 100, r, model: 'test' };
};
