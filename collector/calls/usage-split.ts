/** Lines of usage by call, of sources that count for themselves alone: divided by what clients received, with the rest beside it. */
import { TurnpikeError } from '../../kernel/errors.ts';
import type { UsageAnswer } from '../contract.ts';
import type { StoreReader } from '../store/store.ts';
import type { Span } from './egress-hours.ts';
import { splitEgress } from './egress-split.ts';
import type { Claim } from './egress-split.ts';
import { splitRow, splitSourcesRow, splitSourcesSql, splitSql } from './split-queries.ts';

export type UsageLine = UsageAnswer['usage'][number];

/** Windows times calls of one question. */
const MAX_CLAIMS = 100_000;

interface SplitWanted extends Span {
  /** Only this app's; empty for all. */
  readonly app: string;
  readonly sources: readonly string[];
}

/** Sources whose bytes are divided: those of which it is known who was there. */
export async function splitSources(reader: StoreReader, wanted: Omit<SplitWanted, 'sources'>): Promise<string[]> {
  const found = await reader.select(splitSourcesRow, splitSourcesSql, { ...wanted });
  return found.map(({ source }) => source);
}

/** Throws TP_KERNEL_INVALID for a span with more calls than can be divided at once: to leave any out would give theirs to others. */
export async function splitLines(reader: StoreReader, wanted: SplitWanted): Promise<UsageLine[]> {
  const rows = await reader.select(splitRow, splitSql, { ...wanted, limit: MAX_CLAIMS + 1 });
  if (rows.length > MAX_CLAIMS) throw tooLong('there are more calls than can be told apart at once');
  const owners = new Map<string, { app: string; source: string; windows: Map<string, Window> }>();
  for (const row of rows) {
    const name = JSON.stringify([row.app_id, row.source]);
    const owner = owners.get(name) ?? { app: row.app_id, source: row.source, windows: new Map<string, Window>() };
    owners.set(name, owner);
    const window = owner.windows.get(row.window) ?? { bytes: row.counted_bytes, claims: [] };
    owner.windows.set(row.window, window);
    if (row.call_id !== '') window.claims.push({ key: row.call_id, bytes: row.claimed_bytes });
  }
  return [...owners.values()].flatMap(({ app, source, windows }) => linesOf(app, source, [...windows.values()]));
}

interface Window {
  readonly bytes: bigint;
  readonly claims: Claim[];
}

function linesOf(app: string, source: string, windows: readonly Window[]): UsageLine[] {
  const { residual, shares } = splitEgress(windows);
  const line = (key: string, bytes: bigint) => ({ app, key, turnBytes: '0', sfuBytes: bytes.toString(), source });
  return [
    ...shares.map(({ bytes, claimed, key }): UsageLine => ({
      ...line(key, bytes),
      grade: 'split_by_clients',
      claimedBytes: claimed.toString(),
      scaled: claimed > bytes,
    })),
    { ...line('', residual), grade: 'residual' },
  ];
}

/** Sums are whole, or none. */
export function tooLong(why: string): TurnpikeError {
  const issues = [{ path: 'to', message: `must be nearer to \`from\`: ${why}` }];
  return new TurnpikeError('TP_KERNEL_INVALID', undefined, { issues });
}
