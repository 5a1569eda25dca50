/**
 * What tsc does not do: bundles the browser's code and copies what is not TypeScript, into dist/.
 * `npm run build` runs it after `tsc -p tsconfig.build.json`.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import { build } from 'esbuild';

const ROOMS = ['kernel', 'relay', 'collector', 'billing', 'dashboards', 'cli'];
const COPIED = new Set(['.mjs', '.cjs', '.json', '.html', '.css', '.sql', '.svg']);

const browser = {
  bundle: true,
  platform: 'browser',
  minify: true,
  sourcemap: true,
  legalComments: 'none',
  logLevel: 'warning',
};

/** An app's users: browsers with connectionState and listeners that end with a signal. */
const appBrowsers = ['chrome90', 'firefox113', 'safari15'];
/** An operator's own browser. */
const consoleBrowsers = ['chrome110', 'firefox115', 'safari16.4'];

async function bundleClient() {
  const entry = { ...browser, target: appBrowsers, entryPoints: ['collector/client/index.ts'] };
  await build({ ...entry, format: 'iife', globalName: 'turnpike', outfile: 'dist/collector/client/turnpike.js' });
  await build({ ...entry, format: 'esm', outfile: 'dist/collector/client/turnpike.mjs' });
}

/** Types of what others import; their code is a bundle above, or what tsc has compiled. */
function declareTypes() {
  for (const entry of ['client', 'mediasoup', 'websocket-adapter']) {
    const project = `collector/${entry}/tsconfig.build.json`;
    execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', project], { stdio: 'inherit' });
  }
}

async function bundleConsole() {
  const outdir = 'dist/dashboards/console/web';
  rmSync(outdir, { recursive: true, force: true }); // chunks of an earlier build would be served too
  await build({
    ...browser,
    target: consoleBrowsers,
    entryPoints: ['overview', 'try'].map((page) => `dashboards/console/web/${page}.ts`),
    format: 'esm',
    splitting: true,
    chunkNames: 'shared-[hash]',
    outdir,
    // the pages load the SDK as any app does, from where the service serves it
    alias: { 'turnpike/client': '/turnpike.mjs' },
    external: ['/turnpike.mjs'],
  });
}

function copyFiles() {
  for (const room of ROOMS) {
    if (!existsSync(room)) continue;
    for (const entry of readdirSync(room, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !COPIED.has(extname(entry.name)) || entry.name.startsWith('tsconfig')) continue;
      const file = join(entry.parentPath ?? entry.path, entry.name);
      cpSync(file, join('dist', file));
    }
  }
}

await Promise.all([bundleClient(), bundleConsole()]);
declareTypes();
copyFiles();
