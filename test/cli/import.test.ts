/** `turnpike import`, the built one, on an embedded store of its own. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CallSummary, DumpAnswer } from '../../collector/contract.ts';
import * as encode from '../collector/intake/encoders.ts';
import { hasEmbeddedStore } from '../embedded-store.ts';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const recorded = encode.recordedCall('chromium-156-good', 'b');
/** Times of which the store keeps the rows, on the machine's own clock. */
const shift = Math.round(Date.now() - 3_600_000 - (recorded.samples[0]?.t ?? 0));
const call = encode.recordedCall('chromium-156-good', 'b', shift);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'turnpike-import-'));
  await writeFile(join(directory, 'internals.gz'), gzipSync(encode.asInternals(call)));
  await writeFile(join(directory, 'trace.txt'), encode.asChromeRtcstats(call));
  await writeFile(join(directory, 'page.html'), '<html>');
  const old = encode.recordedCall('chromium-156-good', 'b', shift - 400 * 86_400_000);
  await writeFile(join(directory, 'old.json'), encode.asInternals(old));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function turnpike(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const options = { cwd: directory, env: { PATH: process.env['PATH'] } };
    execFile(process.execPath, [main, 'import', ...args], options, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, stdout, stderr });
    });
  });
}

interface Printed {
  readonly imported: readonly (DumpAnswer & { readonly file: string })[];
  readonly calls: readonly CallSummary[];
}

describe.skipIf(!hasEmbeddedStore)('turnpike import', () => {
  it('says of each file its call, and of each call its scores', async () => {
    const { code, stdout } = await turnpike('internals.gz');
    expect(stdout).toMatch(
      /^internals\.gz: webrtc-internals, call recording-[\w-]{22}: 1 connection, \d+ intervals, 6 events\n/,
    );
    expect(stdout).toMatch(/^call +began +participants +MOS /m);
    expect(stdout).toMatch(/^recording-[\w-]{22} .* 4\.\d\d .* g107\.2 +0\.00 % /m);
    expect(code).toBe(0);
  });

  it('stores nothing twice, from any of the files that were saved of a call', async () => {
    const { code, stdout } = await turnpike('--json', 'internals.gz', 'trace.txt', 'internals.gz');
    expect(code).toBe(0);
    const { imported, calls } = JSON.parse(stdout) as Printed;
    expect(imported.map(({ file, format }) => [file, format])).toEqual([
      ['internals.gz', 'webrtc-internals'],
      ['trace.txt', 'rtcstats'],
    ]);
    expect(imported[0]?.stored).toEqual(imported[1]?.stored);
    expect(calls).toMatchObject([{ app: 'default', participants: 1, connected: 1, failed: 0 }]);
  });

  it('reads what it can, says what it cannot, and then fails', async () => {
    const { code, stdout, stderr } = await turnpike(
      '--call',
      'standup',
      '--participant',
      'ann',
      'page.html',
      'trace.txt',
      'old.json',
    );
    expect(code).toBe(2);
    expect(stdout).toContain('trace.txt: rtcstats, call standup');
    expect(stderr).toContain('page.html: TP_KERNEL_BAD_JSON');
    expect(stderr).toContain('old.json: TP_COLLECTOR_RETENTION');
    expect(stderr).toContain('lies outside the last 30 days');
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it.each([
    ['a file that is not there', ['absent.gz'], 'absent.gz'],
    ['a directory', ['.'], 'is no file'],
    ['an app that is not configured', ['--app', 'nobody', 'trace.txt'], '--app must be one of default'],
    ['a name that is too long', ['--call', 'x'.repeat(65), 'trace.txt'], '--call must be at most 64'],
    ['no file', [], "missing required argument 'file'"],
  ])('refuses %s with one clear line', async (_what, args, expected) => {
    const { code, stderr } = await turnpike(...args);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(expected);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});
