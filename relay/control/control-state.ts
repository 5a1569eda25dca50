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
  readonly #capsOnDisk: Database<string, string>;
  /** App → Unix milliseconds. */
  #caps = new Map<string, number>();

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#root = open<string, string>({ path: directory, encoding: 'string', maxDbs: 2 });
    this.#disk = this.#root.openDB({ name: 'revocations', encoding: 'string' });
    this.#capsOnDisk = this.#root.openDB({ name: 'caps', encoding: 'string' });
    for (const { key, value } of this.#capsOnDisk.getRange()) this.#caps.set(key, Number(value));
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

  /** Whether the collector said last that this app may carry nothing more before a moment that is still to come. */
  isCapped(app: string, now: number): boolean {
    return (this.#caps.get(app) ?? 0) > now;
  }

  /** Apps that the collector named, be their time past or not. */
  get cappedApps(): readonly string[] {
    return [...this.#caps.keys()];
  }

  /** Takes the caps of an answer in place of those before. Gives the apps that were not among them, and a promise as `take` does. */
  takeCaps({ caps }: ControlAnswer): {
    readonly capped: readonly string[];
    readonly changed: boolean;
    readonly kept: Promise<void>;
  } {
    const before = this.#caps;
    const after = new Map((caps ?? []).map(({ app, until }) => [app, until]));
    const isSame = after.size === before.size && [...after].every(([app, until]) => before.get(app) === until);
    if (caps === undefined || isSame) return { capped: [], changed: false, kept: Promise.resolve() };
    this.#caps = after;
    const kept = this.#root.transaction(() => {
      for (const app of before.keys()) if (!after.has(app)) void this.#capsOnDisk.remove(app);
      for (const [app, until] of after) void this.#capsOnDisk.put(app, String(until));
    });
    return { capped: [...after.keys()].filter((app) => before.get(app) !== after.get(app)), changed: true, kept };
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
