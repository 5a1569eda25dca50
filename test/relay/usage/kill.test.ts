import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usageRecord } from '../../../relay/contract.ts';
import { Spool } from '../../../relay/usage/spool.ts';
import { identityOf, scaleOf } from './samples.ts';

const root = mkdtempSync(join(import.meta.dirname, '../../../node_modules/.turnpike-kill-'));
const program = join(root, 'doomed-relay.mjs');
const data = mkdtempSync(join(tmpdir(), 'turnpike-kill-'));

beforeAll(() =>
  build({
    entryPoints: [join(import.meta.dirname, 'doomed-relay.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  }),
);
afterAll(() => {
  rmSync(root, { recursive: true });
  rmSync(data, { recursive: true });
});

/** Runs the program until it has said so many lines, then kills it; what it was promised, and perhaps said after. */
async function runAndKill(args: string[], lines: number): Promise<Map<string, bigint>> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const promised = new Map<string, bigint>();
  let heard = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    for (const [id, scale] of Object.entries(JSON.parse(line) as Record<string, string>)) {
      promised.set(id, BigInt(scale));
    }
    heard += 1;
    if (heard === lines) child.kill('SIGKILL');
  }
  expect((await exited)[1]).toBe('SIGKILL');
  return promised;
}

describe('usage of a relay killed with SIGKILL', () => {
  it('has every byte that was on disk when it died, each reading once, over several deaths', async () => {
    const promised = new Map<string, bigint>();
    for (const [boot, lines] of [7, 61, 150].entries()) {
      const bootId = `019a0000-0000-7000-8000-00000000000${boot}`;
      const said = await runAndKill([data, bootId, String(boot * 1_000)], lines);
      for (const [id, scale] of said) promised.set(id, scale);
    }
    const spool = new Spool({ directory: data });
    const found = await spool.oldest(100_000);
    const records = found.map(({ text }) => usageRecord.parse(JSON.parse(text)));
    await spool.close();

    expect(new Set(records.map(identityOf)).size).toBe(records.length);
    expect(promised.size).toBeGreaterThan(8);
    for (const [id, scale] of promised) {
      const own = records.filter((record) => record.allocation_id === id);
      expect(own.map((record) => record.seq)).toEqual(own.map((_record, seq) => seq));
      expect(own.filter((record) => record.final)).toHaveLength(1);
      expect(own.at(-1)?.final).toBe(true);
      // The last write may have reached the disk without its line having reached us.
      const kept = own.map(scaleOf).at(-1) ?? -1n;
      expect([scale, scale + 1n]).toContain(kept);
    }
  });
});
