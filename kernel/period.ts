/** Billing and reporting periods. A period is half-open in time; a reading at its exact end belongs to it. */
import { z } from 'zod';
import { TurnpikeError } from './errors.ts';

export interface Period {
  /** As the user writes it, `2026-11`. */
  readonly name: string;
  /** Unix milliseconds, inclusive for events, exclusive for cumulative readings (a reading at `start` closes the period before). */
  readonly start: number;
  readonly end: number;
}

/** Text of a calendar month: `2026-11`. */
export const monthName = z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'must be a month such as 2026-11');

/** A calendar month in UTC; throws TP_BILLING_PERIOD for anything else. */
export function month(name: string): Period {
  if (!monthName.safeParse(name).success) throw new TurnpikeError('TP_BILLING_PERIOD');
  const year = Number(name.slice(0, 4));
  const index = Number(name.slice(5, 7)) - 1;
  return { name, start: Date.UTC(year, index, 1), end: Date.UTC(year, index + 1, 1) };
}

export function monthOf(now: number): Period {
  return month(new Date(now).toISOString().slice(0, 7));
}
