/**
 * What the collector has told this relay, in memory for the asking and on disk (LMDB) for the next start: a relay that comes
 * up while its collector is away keeps out whom it kept out before.
 */
import { mkdirSync } from 'node:fs';
import { open } from 'lmdb';
import type { Database, RootDatabase } from 'lmdb';
import type { ControlAnswer } from '../contract.ts';

export class ControlState {
  readonly #root: RootDatabase<string, string>;
  readonly #disk: Database<string, string>;
  /** Username → Unix milliseconds. */
  readonly #revoked = new Map<string, number>();

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#root = open<string, string>({ path: directory, encoding: 'string', maxDbs: 2 });
    this.#disk = this.#root.openDB({ name: 'revocations', encoding: 'string' });
    for (const { key, value } of this.#disk.getRange()) this.#revoked.set(key, Number(value));
  }

  get size(): number {
    return this.#revoked.size;
  }

  usernames(): IterableIterator<string> {
    return this.#revoked.keys();
  }

  /** Whether this username was revoked. */
  has(username: string): boolean {
    return this.#revoked.has(username);
  }

  /**
   * Takes an answer in. Gives the usernames that are revoked now and were not before, and a promise that rejects when they
   * are not on disk; they are kept out either way.
   */
  take({ revocations }: ControlAnswer): { readonly revoked: readonly string[]; readonly kept: Promise<void> } {
    const news = revocations.filter(({ username, until }) => this.#revoked.get(username) !== until);
    const revoked = news.flatMap(({ username }) => (this.#revoked.has(username) ? [] : [username]));
    for (const { username, until } of news) this.#revoked.set(username, until);
    return { revoked, kept: news.length === 0 ? Promise.resolve() : this.#keep(news) };
  }

  /** Forgets the revocations that are past their time, but for those of a username that still has an allocation. */
  async forget(now: number, isAlive: (username: string) => boolean): Promise<void> {
    const past = [...this.#revoked].flatMap(([name, until]) => (until <= now && !isAlive(name) ? [name] : []));
    if (past.length === 0) return;
    for (const username of past) this.#revoked.delete(username);
    await this.#root.transaction(() => {
      for (const username of past) void this.#disk.remove(username);
    });
  }

  /** Waits for what was taken in to be on disk. */
  async close(): Promise<void> {
    await this.#root.flushed;
    await this.#root.close();
  }

  async #keep(revocations: ControlAnswer['revocations']): Promise<void> {
    await this.#root.transaction(() => {
      for (const { username, until } of revocations) void this.#disk.put(username, String(until));
    });
  }
}
