/** The three models by name: from ITU's parameters to a rating on 0…100. */
import { g107Rating } from './g107.ts';
import { g1071Rating } from './g107-1.ts';
import { g1072Rating } from './g107-2.ts';
import type { MosModel } from './parameters.ts';

/** Missing parameters are at their defaults. Scores of different models are never compared or averaged. */
export const ratings: Readonly<Record<MosModel, (given: Readonly<Record<string, number>>) => number>> = {
  g107: g107Rating,
  'g107.1': g1071Rating,
  'g107.2': g1072Rating,
};
