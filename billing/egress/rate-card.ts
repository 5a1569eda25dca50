/** Rate cards are JSON files beside this one: `<id>.json`, data with source and date, checked each time one is loaded. */
import { readdirSync, readFileSync } from 'node:fs';
import { issuesOf, TurnpikeError } from '../../kernel/errors.ts';
import type { Issue } from '../../kernel/errors.ts';
import { rateCard } from '../contract.ts';
import type { RateCard } from '../contract.ts';

const builtIn = new URL('./rate-cards/', import.meta.url);

/** The ids of the cards in the directory, sorted. */
export function rateCardIds(directory: URL = builtIn): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
    .sort();
}

/** One card by id. Throws TP_BILLING_RATE_CARD when there is none, TP_BILLING_RATE_CARD_INVALID when its file has faults. */
export function loadRateCard(id: string, directory: URL = builtIn): RateCard {
  const known = rateCardIds(directory);
  // The id is looked up among the names, never joined to a path: it may come from a URL.
  if (!known.includes(id)) {
    throw new TurnpikeError('TP_BILLING_RATE_CARD', `There is no such rate card; there is ${known.join(', ')}.`);
  }
  const card = parseRateCard(readFileSync(new URL(`${id}.json`, directory), 'utf8'));
  if (card.id === id) return card;
  throw invalid([{ path: 'id', message: `must be ${id}, as the file is called` }]);
}

/** A card from its file's text; all faults are reported together. */
export function parseRateCard(text: string): RateCard {
  const result = rateCard.safeParse(parseJson(text));
  if (!result.success) throw invalid(issuesOf(result.error));
  const faults = tierFaults(result.data);
  if (faults.length > 0) throw invalid(faults);
  return result.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid([{ path: '(file)', message: 'must be JSON' }]);
  }
}

/** Graduated tiers rise, and only the last is open. */
function tierFaults({ tiers }: RateCard): Issue[] {
  return tiers.flatMap(({ upToGb }, index) => {
    const path = `tiers.${index}.upToGb`;
    const before = tiers[index - 1]?.upToGb ?? '0';
    if (index === tiers.length - 1) return upToGb === null ? [] : [{ path, message: 'must be null in the last tier' }];
    if (upToGb === null) return [{ path, message: 'must be a number in every tier but the last' }];
    return BigInt(upToGb) > BigInt(before) ? [] : [{ path, message: 'must be above the tier before' }];
  });
}

function invalid(issues: Issue[]): TurnpikeError {
  const sentence = issues.map(({ path, message }) => `${path} ${message}`).join('; ');
  return new TurnpikeError('TP_BILLING_RATE_CARD_INVALID', `The rate card has faults: ${sentence}`, { issues });
}
