/** An intake spool in a directory of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IntakeSpool } from '../../collector/intake/intake-spool.ts';
import { systemClock } from '../../kernel/clock.ts';
import type { Clock } from '../../kernel/clock.ts';
import { systemRandom } from '../../kernel/random.ts';

export interface TemporarySpool {
  readonly spool: IntakeSpool;
  /** Another process's view of the same directory, once this one is closed. */
  reopened(maxBytes?: number): IntakeSpool;
  /** Closes the spool and removes the directory. */
  remove(): Promise<void>;
}

export function temporarySpool(maxBytes = 1_000_000, clock: Clock = systemClock): TemporarySpool {
  const directory = mkdtempSync(join(tmpdir(), 'turnpike-spool-'));
  const open = (most: number) => new IntakeSpool({ directory, maxBytes: most, clock, random: systemRandom });
  const opened = [open(maxBytes)];
  const [spool] = opened;
  if (spool === undefined) throw new Error('unreachable');
  return {
    spool,
    reopened: (most = maxBytes) => {
      const next = open(most);
      opened.push(next);
      return next;
    },
    remove: async () => {
      for (const one of opened) await one.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
