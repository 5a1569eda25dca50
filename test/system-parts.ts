/**
 * The programs that some tests need beside Node: Debian's packages. A missing one skips its tests, each by name and with
 * the command that installs it; with TURNPIKE_TEST_INSTALL=1 it is installed, with CI=true its absence is a failure.
 *
 *   const coturn = requirePart('coturn');
 *   coturn.describe('relays for turnutils_uclient', () => { … execFile(coturn.path('turnutils_uclient'), …) });
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
// The runner's own functions are handed on here; nothing in this file is a test.
/* oxlint-disable vitest/valid-describe-callback, vitest/no-disabled-tests, vitest/expect-expect */
import { describe, it } from 'vitest';

const parts = {
  chromium: { packages: ['chromium'], programs: ['chromium'] },
  coturn: {
    packages: ['coturn'],
    programs: ['turnutils_uclient', 'turnutils_stunclient', 'turnutils_natdiscovery', 'turnutils_peer', 'turnserver'],
  },
  prometheus: { packages: ['prometheus'], programs: ['promtool', 'prometheus'] },
  alertmanager: { packages: ['prometheus-alertmanager'], programs: ['prometheus-alertmanager', 'amtool'] },
  janus: { packages: ['janus'], programs: ['janus'] },
  redis: { packages: ['redis-server'], programs: ['redis-server'] },
  networking: { packages: ['iproute2', 'nftables'], programs: ['ip', 'nft'] },
} as const satisfies Record<string, { packages: readonly string[]; programs: readonly string[] }>;

export type PartName = keyof typeof parts;
type Program<N extends PartName> = (typeof parts)[N]['programs'][number];

export interface Part<N extends PartName> {
  /** Whether its programs are here. */
  readonly present: boolean;
  /** Absolute path of one of its programs; throws when the part is missing. */
  path(program: Program<N>): string;
  /** vitest's own, or their skipping forms with the missing part in the name. */
  readonly describe: (name: string, body: () => void) => void;
  readonly it: (name: string, body: () => Promise<void> | void) => void;
}

/** `refusal`: why this machine cannot run what is there, if it cannot: a reason to skip in CI too, said in the name of each test. */
export function requirePart<N extends PartName>(
  name: N,
  refusal: (part: Pick<Part<N>, 'path'>) => string | undefined = () => undefined,
): Part<N> {
  let paths = findPrograms(name);
  if (paths === undefined && process.env['TURNPIKE_TEST_INSTALL'] === '1') {
    install(parts[name].packages);
    paths = findPrograms(name);
  }
  const command = `apt-get install -y ${parts[name].packages.join(' ')}`;
  if (paths === undefined && process.env['CI'] === 'true') throw new Error(`${name} is missing: ${command}`);
  const path = (program: Program<N>): string => {
    const found = paths?.get(program);
    if (found === undefined) throw new Error(`${program} is missing: ${command}`);
    return found;
  };
  const refused = paths === undefined ? `needs ${name}: ${command}` : refusal({ path });
  const named = (test: string) => (refused === undefined ? test : `${test} [${refused}]`);
  const suite = describe.skipIf(refused !== undefined);
  const test = it.skipIf(refused !== undefined);
  return {
    present: paths !== undefined,
    path,
    describe: (name, body) => suite(named(name), body),
    it: (name, body) => test(named(name), body),
  };
}

/** The path of each program of the part, or undefined when one is not on PATH. */
function findPrograms(name: PartName): Map<string, string> | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/sbin'];
  const found = new Map<string, string>();
  for (const program of parts[name].programs) {
    const path = directories.map((directory) => join(directory, program)).find(isExecutable);
    if (path === undefined) return undefined;
    found.set(program, path);
  }
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function install(packages: readonly string[]): void {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = { stdio: 'inherit', env: environment } as const;
  execFileSync('apt-get', ['update', '-qq'], options);
  execFileSync(
    'apt-get',
    ['install', '-y', '-qq', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', ...packages],
    options,
  );
}
