import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { addon } from './shared-clock.ts';

const run = promisify(execFile);
const sources = join(import.meta.dirname, '../../../../relay/planes/native/addon');
const directory = mkdtempSync(join(tmpdir(), 'turnpike-drill-'));
afterAll(() => rmSync(directory, { recursive: true }));

const ROUNDS = 300;
const DATAGRAMS = 200_000;
/** A compiler on a busy machine. */
const PATIENCE = 480_000;

/** The engine without its door, and the drill, under a sanitizer that ends the program at what it finds. */
async function drill(sanitizer: string): Promise<string> {
  const program = join(directory, sanitizer.replaceAll(',', '-'));
  const engine = readdirSync(sources).filter((name) => name.endsWith('.cpp') && name !== 'addon.cpp');
  const units = [join(import.meta.dirname, 'engine-drill.cpp'), ...engine.map((name) => join(sources, name))];
  const flags = ['-std=c++17', '-O1', '-g', '-pthread', `-fsanitize=${sanitizer}`, '-fno-sanitize-recover=all'];
  await run(process.env['CXX'] ?? 'c++', [...flags, `-I${sources}`, '-o', program, ...units]);
  const environment = { ...process.env, TSAN_OPTIONS: 'halt_on_error=1' };
  const { stdout } = await run(program, [String(ROUNDS), String(DATAGRAMS)], { env: environment });
  return stdout;
}

describe.skipIf(addon === undefined)('the engine, under hostile clients and a restless commander,', () => {
  it('touches no memory but its own and does nothing undefined', { timeout: PATIENCE }, async () => {
    expect(await drill('address,undefined')).toMatch(/^\d+ delivered, \d+ counted\n$/);
  });

  it('has no two threads at one place', { timeout: PATIENCE }, async () => {
    expect(await drill('thread')).toMatch(/^\d+ delivered, \d+ counted\n$/);
  });
});
