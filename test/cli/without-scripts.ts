/** The scripts that the build makes are not beside the sources, and what is in them does not matter to a route: each is read as empty. */
type Files = typeof import('node:fs/promises');

/** For `vi.mock('node:fs/promises', …)`, which each test file must say for itself. */
export function withoutScripts(files: Files): Files {
  const readFile = (path: string, encoding?: BufferEncoding) =>
    /\.m?js$/.test(path) ? Promise.resolve(Buffer.alloc(0)) : files.readFile(path, encoding);
  return { ...files, readFile: readFile as Files['readFile'] };
}
