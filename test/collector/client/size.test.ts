/** What the SDK costs a page to load. */
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';
import { describe, expect, it } from 'vitest';

/** As build.mjs makes it, of what an app imports; bytes after gzip. */
function sizeOf(...names: string[]): number {
  const { outputFiles } = buildSync({
    stdin: { contents: `export { ${names.join(', ')} } from './collector/client/index.ts'`, resolveDir: '.' },
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'esm',
    target: ['chrome90', 'firefox113', 'safari15'],
    write: false,
  });
  return gzipSync(outputFiles[0]?.contents ?? '', { level: 9 }).length;
}

describe('the size of the SDK', () => {
  it('is at most 8 KB for what observes a connection', () => {
    expect(sizeOf('observe')).toBeLessThanOrEqual(8_000);
  });

  it('is at most 9 KB with all that finds connections and requests for devices in a page', () => {
    expect(sizeOf('observe', 'observeMedia', 'observePage')).toBeLessThanOrEqual(9_000);
  });
});
