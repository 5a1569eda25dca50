/**
 * Compiles the native plane's addon into build/native/, with the system's C++ compiler and the headers of the node-api-headers
 * package. Part of the install; where it cannot be done the relay works without it (`--plane dgram`), and one line says so.
 *
 *     node build-native.mjs [--required] [directory of sources, addon]
 *
 * `CXX` names another compiler than c++, `CXXFLAGS` adds to its flags. `--required`: failing is an error.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(fileURLToPath(import.meta.url));
const FLAGS = ['-std=c++17', '-O2', '-fPIC', '-shared', '-pthread', '-fvisibility=hidden', '-Wall', '-Wextra'];
/** The addon then runs on every Linux of its architecture that is not older, whatever libraries it has. */
const SELF_CONTAINED = ['-static-libstdc++', '-static-libgcc'];

/** Compiles every .cpp of a directory into one addon, unless that is newer. Returns why it could not be done. */
function compile(sources, addon) {
  if (process.platform !== 'linux') return `it needs Linux, and this is ${process.platform}`;
  const files = readdirSync(sources).map((name) => join(sources, name));
  const newest = Math.max(...files.map((file) => statSync(file).mtimeMs));
  if ((statSync(addon, { throwIfNoEntry: false })?.mtimeMs ?? 0) > newest) return undefined;
  const { include_dir: headers } = createRequire(import.meta.url)('node-api-headers');
  const compiler = process.env.CXX ?? 'c++';
  const extra = process.env.CXXFLAGS?.split(/\s+/).filter((flag) => flag !== '') ?? SELF_CONTAINED;
  const unfinished = `${addon}.${process.pid}`;
  mkdirSync(dirname(addon), { recursive: true });
  const units = files.filter((file) => file.endsWith('.cpp'));
  const run = spawnSync(compiler, [...FLAGS, ...extra, `-I${headers}`, '-o', unfinished, ...units], {
    encoding: 'utf8',
  });
  if (run.error !== undefined) return `there is no C++ compiler (${run.error.code} ${compiler})`;
  if (run.status !== 0) {
    rmSync(unfinished, { force: true });
    return `${compiler} failed: ${run.stderr.split('\n').find((line) => line.includes('error')) ?? run.stderr}`;
  }
  renameSync(unfinished, addon);
  return undefined;
}

function attempt(sources, addon) {
  try {
    return compile(join(ROOT, sources), join(ROOT, addon));
  } catch (error) {
    return error.message;
  }
}

const [sources = 'relay/planes/native/addon', addon = 'build/native/turnpike.node'] = process.argv
  .slice(2)
  .filter((argument) => !argument.startsWith('--'));
const failure = attempt(sources, addon);
if (failure !== undefined) {
  process.stderr.write(`The native plane was not built, the dgram plane is used: ${failure}\n`);
  if (process.argv.includes('--required')) process.exitCode = 1;
}
