/** `turnpike erase`, the built one, on an embedded store of its own. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DumpAnswer, ErasureAnswer } from '../../collector/contract.ts';
import * as encode from '../collector/intake/encoders.ts';
import { hasEmbeddedStore } from '../embedded-store.ts';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const recorded = encode.recordedCall('chromium-156-good', 'b');
/** Times of which the store keeps the rows, on the machine's own clock. */
const shift = Math.round(Date.now() - 3_600_000 - (recorded.samples[0]?.t ?? 0));

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'turnpike-erase-'));
  const call = encode.recordedCall('chromium-156-good', 'b', shift);
  await writeFile(join(directory, 'trace.txt'), encode.asChromeRtcstats(call));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function turnpike(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const options = { cwd: directory, env: { PATH: process.env['PATH'] } };
    execFile(process.execPath, [main, ...args], options, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, stdout, stderr });
    });
  });
}

describe.skipIf(!hasEmbeddedStore)('turnpike erase', () => {
  const ann = ['--participant', 'ann'];
  const rowsOf = (stdout: string) =>
    Object.fromEntries((JSON.parse(stdout) as ErasureAnswer).erased.map(({ table, rows }) => [table, rows]));
  const imported = async () => {
    const { stdout } = await turnpike('import', '--json', '--call', 'standup', ...ann, 'trace.txt');
    const [one] = (JSON.parse(stdout) as { imported: readonly DumpAnswer[] }).imported;
    const { streams, connections, events } = one?.stored ?? {};
    return { stream_intervals: streams, connection_intervals: connections, call_events: events, egress_samples: 0 };
  };
  const nothing = { stream_intervals: 0, connection_intervals: 0, call_events: 0, egress_samples: 0 };

  it('says where there is no store, and who is meant', async () => {
    expect(await turnpike('erase', ...ann)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There is no store'),
    });
    expect((await turnpike('erase')).stderr).toContain("required option '--participant <participant>' not specified");
    expect((await turnpike('erase', ...ann, '--app', 'nobody')).stderr).toContain('--app must be one of default');
  });

  it('counts, removes, finds nothing more, and keeps the same recording from coming back', async () => {
    const stored = await imported();
    expect(rowsOf((await turnpike('erase', ...ann, '--dry-run', '--json')).stdout)).toEqual(stored);
    const { code, stdout } = await turnpike('erase', ...ann);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^table +rows +fate$/m);
    expect(stdout).toMatch(new RegExp(`^stream_intervals +${stored.stream_intervals} +removed$`, 'm'));
    expect(rowsOf((await turnpike('erase', ...ann, '--json')).stdout)).toEqual(nothing);
    await imported();
    expect(rowsOf((await turnpike('erase', ...ann, '--dry-run', '--json')).stdout)).toEqual(nothing);
  });
});
