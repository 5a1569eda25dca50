/** Scores what a browser measured: the function that the collector calls for every inbound audio interval. */
import type { AudioInterval, AudioScore, AudioScorer } from '../../../collector/contract.ts';
import { findCodec } from './codecs.ts';
import { ratings } from './models.ts';
import { ratingToMos } from './rating.ts';

/**
 * Opus on the fullband model, G.711 on the narrowband one, with the parameters of the table of codecs. Null when the codec has no
 * published or borrowed parameters, when it has no Bpl but packets were lost, or when the delay is not known: a guess
 * would look like a measurement. Loss outside 0…100 is taken as the nearer end (RTCP's count of lost packets can fall).
 */
export const audioScorer: AudioScorer = ({ codec, lossPercent, delayMs }: AudioInterval): AudioScore | null => {
  const row = codec === null ? undefined : findCodec(codec);
  if (row === undefined || delayMs === null || !Number.isFinite(delayMs) || !Number.isFinite(lossPercent)) return null;
  const Ppl = Math.min(100, Math.max(0, lossPercent));
  if (row.Bpl === null && Ppl > 0) return null;
  const r = ratings[row.model]({ Ta: Math.max(0, delayMs), Ie: row.Ie, Bpl: row.Bpl ?? 1, Ppl });
  return { mos: ratingToMos(r), r, model: row.model };
};
