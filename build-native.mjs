/**
 * Puts the native plane's addon into build/native/: the one that the package brought for this architecture (prebuilds/), where it
 * fits, else compiled with the system's C++ compiler and the headers of the node-api-headers package. Part of the install; where
 * neither can be done the relay works without it (`--plane dgram`), and one line says so.
 *
 *     node build-native.mjs [--required] [directory of sources, addon]
 *     node build-native.mjs --prebuilt
 *
 * `CXX` names another compiler than c++, `CXXFLAGS` adds to its flags; either means that it is compiled. `--required`: failing is
 * an error. `--prebuilt` fills prebuilds/ for `npm pack`: for this architecture, and for the other one where Debian's
 * cross compiler is installed. What it makes needs the C library of the machine that it was made on, or a newer one.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(fileURLToPath(import.meta.url));
const SOURCES = 'relay/planes/native/addon';
const ADDON = 'build/native/turnpike.node';
const FLAGS = ['-std=c++17', '-O2', '-fPIC', '-shared', '-pthread', '-fvisibility=hidden', '-Wall', '-Wextra'];
/** The addon then runs on every Linux of its architecture that is not older, whatever libraries it has. */
const SELF_CONTAINED = ['-static-libstdc++', '-static-libgcc'];
const STRIPPED = '-s';
/** By what Node calls an architecture: the prefix of the compilers for it. */
const CROSS_COMPILERS = { x64: 'x86_64-linux-gnu-g++', arm64: 'aarch64-linux-gnu-g++' };

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');
const filesOf = (sources) => readdirSync(sources).toSorted();
const fingerprintOf = (sources) =>
  sha256(...filesOf(sources).flatMap((name) => [`${name}\n`, readFileSync(join(sources, name))]));
const prebuiltFor = (arch) => join(ROOT, 'prebuilds', `linux-${arch}`);

/** Writes all of a file or nothing. */
function place(path, write) {
  const unfinished = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  try {
    write(unfinished);
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/** Compiles every .cpp of a directory into one addon. */
function compile(sources, addon, compiler, flags) {
  const { include_dir: headers } = createRequire(import.meta.url)('node-api-headers');
  const units = filesOf(sources).filter((name) => name.endsWith('.cpp'));
  const files = units.map((name) => join(sources, name));
  place(addon, (unfinished) => {
    const run = spawnSync(compiler, [...FLAGS, ...flags, `-I${headers}`, '-o', unfinished, ...files], {
      encoding: 'utf8',
    });
    if (run.error !== undefined) throw new Error(`there is no C++ compiler (${run.error.code} ${compiler})`);
    if (run.status === 0) return;
    throw new Error(
      `${compiler} failed: ${run.stderr.split('\n').find((line) => line.includes('error')) ?? run.stderr}`,
    );
  });
}

/** Takes the prebuilt addon if it is whole, of these sources, and this Node can load it: tried in a process of its own. */
function takePrebuilt(sources, addon) {
  const directory = prebuiltFor(process.arch);
  try {
    const made = JSON.parse(readFileSync(join(directory, 'made.json'), 'utf8'));
    const bytes = readFileSync(join(directory, 'turnpike.node'));
    if (made.addon !== sha256(bytes) || made.sources !== fingerprintOf(sources)) return false;
    place(addon, (unfinished) => {
      writeFileSync(unfinished, bytes, { mode: 0o755 });
      const load = 'process.dlopen({ exports: {} }, process.argv[1])';
      if (spawnSync(process.execPath, ['-e', load, unfinished]).status !== 0) throw new Error('it does not load');
    });
    return true;
  } catch {
    return false;
  }
}

/** Unless what is there is newer than its sources. */
function build(sources, addon) {
  if (process.platform !== 'linux') throw new Error(`it needs Linux, and this is ${process.platform}`);
  const newest = Math.max(...filesOf(sources).map((name) => statSync(join(sources, name)).mtimeMs));
  if ((statSync(addon, { throwIfNoEntry: false })?.mtimeMs ?? 0) > newest) return;
  const { CXX, CXXFLAGS } = process.env;
  const isOrdinary = CXX === undefined && CXXFLAGS === undefined && sources === join(ROOT, SOURCES);
  if (isOrdinary && takePrebuilt(sources, addon)) return;
  compile(sources, addon, CXX ?? 'c++', CXXFLAGS?.split(/\s+/).filter((flag) => flag !== '') ?? SELF_CONTAINED);
}

/** For this architecture it must succeed, for the other one a line says why it did not. */
function prebuild() {
  const sources = join(ROOT, SOURCES);
  for (const [arch, cross] of Object.entries(CROSS_COMPILERS)) {
    const directory = prebuiltFor(arch);
    const addon = join(directory, 'turnpike.node');
    const isOwn = arch === process.arch;
    rmSync(directory, { recursive: true, force: true });
    try {
      compile(sources, addon, isOwn ? (process.env.CXX ?? 'c++') : cross, [...SELF_CONTAINED, STRIPPED]);
      const made = { sources: fingerprintOf(sources), addon: sha256(readFileSync(addon)) };
      writeFileSync(join(directory, 'made.json'), `${JSON.stringify(made)}\n`);
      process.stdout.write(`prebuilds/linux-${arch}\n`);
    } catch (error) {
      if (isOwn) throw error;
      rmSync(directory, { recursive: true, force: true });
      process.stdout.write(`not for linux-${arch}: ${error.message}\n`);
    }
  }
}

const isPrebuild = process.argv.includes('--prebuilt');
const [sources = SOURCES, addon = ADDON] = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
try {
  if (isPrebuild) prebuild();
  else build(join(ROOT, sources), join(ROOT, addon));
} catch (error) {
  const consequence = isPrebuild ? '' : ', the dgram plane is used';
  process.stderr.write(`The native plane was not built${consequence}: ${error.message}\n`);
  if (isPrebuild || process.argv.includes('--required')) process.exitCode = 1;
}
