/** The rooms and what each may import, asserted from the imports that are really there. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What a room may import of the others: a whole room (`kernel/`) or single files of it. Downstream last. */
const mayImport = {
  kernel: [],
  relay: ['kernel/'],
  collector: ['kernel/', 'relay/contract.ts'],
  billing: ['kernel/', 'collector/contract.ts', 'collector/store/store.ts', 'collector/store/tables.ts'],
  dashboards: [
    'kernel/',
    'collector/contract.ts',
    'collector/store/tables.ts',
    'collector/store/histogram.ts',
    'billing/contract.ts',
  ],
  cli: ['kernel/', 'relay/', 'collector/', 'billing/', 'dashboards/'],
} as const satisfies Record<string, readonly string[]>;
type Room = keyof typeof mayImport;
const rooms = Object.keys(mayImport) as Room[];

/** Code for browsers has no Node and no server packages: it may share types with the doors and nothing else. */
const browserDirectories = ['collector/client/', 'dashboards/console/web/'];
/** Plain tables without imports, which browsers may share as values too. */
const browserTables = ['dashboards/quality-steps.ts'];

interface Import {
  readonly file: string;
  /** A path from the root for our own files, else the package or `node:` name. */
  readonly target: string;
  readonly own: boolean;
  readonly typeOnly: boolean;
}

function importsOf(file: string): Import[] {
  const source = readFileSync(join(root, file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '');
  const found = source.matchAll(
    /(?:^|[;\n])\s*(?:import|export)\s+(?<type>type\s)?(?:[\w*\s{},$]+?\sfrom\s*)?['"](?<from>[^'"\n]+)['"]|\bimport\(\s*['"](?<dynamic>[^'"\n]+)['"]\s*\)/g,
  );
  return [...found].map(({ groups = {} }) => {
    const specifier = groups['from'] ?? groups['dynamic'] ?? '';
    const own = specifier.startsWith('.');
    const target = own ? normalize(join(dirname(file), specifier)) : specifier;
    return { file, target, own, typeOnly: groups['type'] !== undefined };
  });
}

const filesOf = (room: Room): string[] =>
  readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.m?tsx?$/.test(name) && !name.endsWith('.d.ts') && !name.includes('node_modules'))
    .map((name) => `${room}/${name}`);
const imports = new Map(rooms.map((room) => [room, filesOf(room).flatMap(importsOf)]));
const ownImports = (room: Room): Import[] => (imports.get(room) ?? []).filter(({ own }) => own);
const roomOf = (path: string): string => path.split('/')[0] ?? '';
const inBrowser = ({ file }: Import): boolean => browserDirectories.some((directory) => file.startsWith(directory));
const told = ({ file, target }: Import): string => `${file} imports ${target}`;

describe('room boundaries', () => {
  it.each(rooms)('finds files and imports in %s', (room) => {
    expect(filesOf(room).length).toBeGreaterThan(0);
    expect(imports.get(room)?.length).toBeGreaterThan(0);
  });

  it('overlooks no import statement', () => {
    const statements = (file: string): number =>
      readFileSync(join(root, file), 'utf8').match(/^(import [^(]|export .* from )/gm)?.length ?? 0;
    const overlooked = rooms.flatMap(filesOf).filter((file) => importsOf(file).length < statements(file));
    expect(overlooked).toEqual([]);
  });

  it.each(rooms)('keeps %s to what it may import', (room) => {
    const allowed: readonly string[] = mayImport[room];
    const faults = ownImports(room)
      .filter(({ target }) => roomOf(target) !== room)
      .filter(
        ({ target }) => !allowed.some((door) => (door.endsWith('/') ? target.startsWith(door) : target === door)),
      );
    expect(faults.map(told)).toEqual([]);
  });

  it('points one way: a room imports only rooms before it', () => {
    const backwards = rooms.flatMap((room, index) => {
      const upstream = new Set<string>(rooms.slice(0, index + 1));
      return ownImports(room).filter(({ target }) => !upstream.has(roomOf(target)));
    });
    expect(backwards.map(told)).toEqual([]);
  });

  it('imports test/ from nowhere but test/', () => {
    const faults = rooms.flatMap(ownImports).filter(({ target }) => roomOf(target) === 'test');
    expect(faults.map(told)).toEqual([]);
  });

  it('imports files that exist, by their own names', () => {
    const known = new Set(rooms.flatMap(filesOf));
    const faults = rooms.flatMap(ownImports).filter(({ target }) => !known.has(target));
    expect(faults.map(told)).toEqual([]);
  });

  it('imports packages only when they are dependencies of the product', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      name: string;
      dependencies: Record<string, string>;
      optionalDependencies: Record<string, string>;
    };
    const { name: ownName, dependencies, optionalDependencies } = manifest;
    const declared = new Set([ownName, ...Object.keys({ ...dependencies, ...optionalDependencies })]);
    const packages = rooms
      .flatMap((room) => imports.get(room) ?? [])
      .filter(({ own, target }) => !own && !target.startsWith('node:'));
    expect(packages.length).toBeGreaterThan(0);
    const undeclared = packages.filter(({ target }) => {
      const name = target
        .split('/')
        .slice(0, target.startsWith('@') ? 2 : 1)
        .join('/');
      return !declared.has(name);
    });
    expect(undeclared.map(told)).toEqual([]);
  });

  it('lets browser code share nothing but types with the rest', () => {
    const faults = rooms
      .flatMap((room) => imports.get(room) ?? [])
      .filter(inBrowser)
      .filter((found) => !browserDirectories.some((directory) => found.target.startsWith(directory)))
      .filter(({ typeOnly }) => !typeOnly)
      // the pages load the SDK as any app does, by the package's own name
      .filter(({ own, target }) => (own ? !browserTables.includes(target) : target !== 'turnpike/client'));
    expect(faults.map(told)).toEqual([]);
    expect(browserTables.flatMap(importsOf)).toEqual([]);
  });
});
