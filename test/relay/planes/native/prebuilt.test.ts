import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadAddon } from '../../../../relay/planes/native/addon.ts';
import { channelData } from '../../../conformance/frames.ts';
import { Stage } from '../../../conformance/stage.ts';
import { addon, nativePlane } from './shared-clock.ts';

const run = promisify(execFile);
const repository = join(import.meta.dirname, '../../../..');
const directory = mkdtempSync(join(tmpdir(), 'turnpike-prebuilt-'));
afterAll(() => rmSync(directory, { recursive: true }));

const PREBUILT = `prebuilds/linux-${process.arch}/turnpike.node`;
const BUILT = 'build/native/turnpike.node';
const SOURCE = 'relay/planes/native/addon/worker.cpp';
/** A compiler on a busy machine. */
const PATIENCE = 240_000;
const CHANNEL = 0x4001;
const hello = Buffer.from('hello');

/** The package as npm packs it, without what the addon has nothing to do with. */
async function pack(): Promise<string> {
  const from = join(directory, 'repository');
  mkdirSync(from);
  for (const part of ['package.json', 'build-native.mjs', 'relay/planes/native/addon']) {
    cpSync(join(repository, part), join(from, part), { recursive: true });
  }
  symlinkSync(join(repository, 'node_modules'), join(from, 'node_modules'));
  await run(process.execPath, ['build-native.mjs', '--prebuilt'], { cwd: from });
  const { stdout } = await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', directory], {
    cwd: from,
  });
  return join(directory, stdout.trim());
}

let tarball = '';
let installs = 0;

/** The package unpacked in a folder of its own, as it is before its install script runs. */
async function unpacked(): Promise<string> {
  const folder = join(directory, `install-${(installs += 1)}`);
  mkdirSync(folder);
  await run('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1']);
  return folder;
}

/** Runs the install script where there is no compiler but one that leaves a mark and fails. Returns what it said. */
async function install(folder: string): Promise<{ said: string; isCompilerAsked: boolean }> {
  const path = join(folder, 'bin');
  const mark = join(folder, 'asked');
  mkdirSync(path);
  writeFileSync(join(path, 'c++'), `#!/bin/sh\n: > ${mark}\nexit 1\n`);
  chmodSync(join(path, 'c++'), 0o755);
  symlinkSync(join(repository, 'node_modules'), join(folder, 'node_modules'));
  const { CXX: _, CXXFLAGS: __, ...environment } = process.env;
  const { stderr } = await run(process.execPath, ['build-native.mjs'], {
    cwd: folder,
    env: { ...environment, PATH: path },
  });
  return { said: stderr, isCompilerAsked: existsSync(mark) };
}

describe.skipIf(addon === undefined)('a package with prebuilt addons', { timeout: PATIENCE }, () => {
  beforeAll(async () => {
    tarball = await pack();
  }, PATIENCE);

  it('is installed without a compiler, and relays', async () => {
    const folder = await unpacked();
    expect(await install(folder)).toEqual({ said: '', isCompilerAsked: false });
    const installed = loadAddon(join(folder, BUILT));
    if (installed instanceof Error) throw installed;
    const stage = await Stage.open(nativePlane({ addon: installed }));
    const allocation = await stage.allocate();
    const peer = await stage.leg();
    stage.bind(allocation, CHANNEL, peer.local);
    await allocation.client.send(channelData(CHANNEL, hello), stage.listener);
    expect((await peer.next()).bytes).toEqual(hello);
    await stage.close();
  });

  it('keeps what it installed when the script runs again', async () => {
    const folder = await unpacked();
    await install(folder);
    const before = readFileSync(join(folder, BUILT));
    rmSync(join(folder, 'prebuilds'), { recursive: true });
    await run(process.execPath, ['build-native.mjs', '--required'], { cwd: folder, env: { PATH: '' } });
    expect(readFileSync(join(folder, BUILT))).toEqual(before);
  });

  it.each<[string, (folder: string) => void]>([
    [
      'is cut short',
      (folder) => writeFileSync(join(folder, PREBUILT), readFileSync(join(folder, PREBUILT)).subarray(0, 5000)),
    ],
    ['has one octet changed', (folder) => flip(join(folder, PREBUILT))],
    ['was made of other sources', (folder) => writeFileSync(join(folder, SOURCE), '// changed\n', { flag: 'a' })],
    ['is not there', (folder) => rmSync(join(folder, PREBUILT))],
    ['has no word of what it is', (folder) => writeFileSync(join(folder, PREBUILT, '../made.json'), '{')],
  ])('compiles when the prebuilt addon %s', async (_, spoil) => {
    const folder = await unpacked();
    spoil(folder);
    const { isCompilerAsked, said } = await install(folder);
    expect(isCompilerAsked).toBe(true);
    expect(said).toMatch(/^The native plane was not built, the dgram plane is used: c\+\+ failed/);
    expect(existsSync(join(folder, BUILT))).toBe(false);
  });

  it('compiles when the prebuilt addon is whole and no Node can load it', async () => {
    const folder = await unpacked();
    const bytes = Buffer.from('an addon for another architecture');
    const made = JSON.parse(readFileSync(join(folder, PREBUILT, '../made.json'), 'utf8')) as object;
    writeFileSync(join(folder, PREBUILT), bytes);
    const hash = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(folder, PREBUILT, '../made.json'), JSON.stringify({ ...made, addon: hash }));
    expect((await install(folder)).isCompilerAsked).toBe(true);
    expect(existsSync(join(folder, BUILT))).toBe(false);
  });
});

function flip(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
  writeFileSync(path, bytes);
}
