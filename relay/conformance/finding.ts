/** From what came back to a finding. */
import type { Exchange } from '../client/transactions.ts';
import { type AttributeName, attributes } from '../stun/attributes.ts';
import type { Finding } from './check.ts';

/** An outcome as a check names it: `success`, an error code, or nothing at all. */
export type Outcome = 'success' | 'silence' | number;

export function outcomeOf(exchange: Exchange): Outcome | undefined {
  if (exchange.type === 'silence') return 'silence';
  if (exchange.type !== 'answer') return undefined;
  return exchange.answer.isSuccess ? 'success' : exchange.answer.code;
}

/** `success`, `437`, `no answer`, … */
export function tell(exchange: Exchange): string {
  switch (exchange.type) {
    case 'silence':
      return 'no answer';
    case 'ended':
      return `connection over (${exchange.reason})`;
    case 'malformed':
      return `malformed answer (${exchange.fault})`;
    default: {
      const { answer } = exchange;
      return answer.isSuccess ? 'success' : String(answer.code ?? 'an error without a code');
    }
  }
}

/** One of these outcomes. */
export function expectOutcome(exchange: Exchange, ...accepted: readonly Outcome[]): Finding {
  const outcome = outcomeOf(exchange);
  return { conforms: outcome !== undefined && accepted.includes(outcome), got: tell(exchange) };
}

interface Expectation {
  readonly with?: readonly AttributeName[];
  readonly without?: readonly AttributeName[];
}

const wireName = (name: AttributeName): string => name.replaceAll('_', '-');

/** This outcome, with these attributes and without those. */
export function expectAnswer(exchange: Exchange, outcome: Outcome, expectation: Expectation): Finding {
  const plain = expectOutcome(exchange, outcome);
  if (!plain.conforms || exchange.type !== 'answer') return plain;
  const { answer } = exchange;
  const missing = (expectation.with ?? []).filter((name) => !answer.has(attributes[name]));
  const excess = (expectation.without ?? []).filter((name) => answer.has(attributes[name]));
  const faults = [
    ...missing.map((name) => `without ${wireName(name)}`),
    ...excess.map((name) => `with ${wireName(name)}`),
  ];
  if (faults.length > 0) return { conforms: false, got: `${plain.got}, ${faults.join(', ')}` };
  const shown = (expectation.with ?? []).map(wireName);
  return { conforms: true, got: shown.length === 0 ? plain.got : `${plain.got} with ${shown.join(', ')}` };
}

/** Several findings as one: what went wrong, or what all of them got. */
export function all(findings: readonly (readonly [what: string, finding: Finding])[]): Finding {
  const wrong = findings.filter(([, finding]) => !finding.conforms);
  const shown = wrong.length > 0 ? wrong : findings;
  const gots = new Set(shown.map(([, finding]) => finding.got));
  const [only] = gots;
  const got =
    wrong.length === 0 && gots.size === 1 && only !== undefined
      ? only
      : shown.map(([what, finding]) => `${what}: ${finding.got}`).join('; ');
  return { conforms: wrong.length === 0, got };
}
