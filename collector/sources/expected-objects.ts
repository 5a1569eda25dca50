/** What a source that pushes should tell of: so that its silence can be told from its having nothing to say. */
import { Recent } from '../intake/recent.ts';

/** The one that was told of least lately gives way. */
const MOST = 100_000;

export class ExpectedObjects {
  readonly #silence: number;
  /** When each was last told of, Unix milliseconds. */
  #told = new Recent<{ readonly object: string; readonly at: number }>(MOST);

  /** `silence`: milliseconds after which a source is missed. */
  constructor(silence: number) {
    this.#silence = silence;
  }

  told(object: string, at: number): void {
    this.#told.set(object, { object, at });
  }

  /** Nothing more is expected of it. */
  ended(object: string): void {
    this.#told.delete(object);
  }

  /** Nothing is expected of any. */
  clear(): void {
    this.#told = new Recent(MOST);
  }

  /** Whether nothing is told any more. An object that is missing while others are told of has ended without our hearing of it. */
  areMissing(now: number): boolean {
    const all = [...this.#told.values()];
    const last = all.reduce((latest, { at }) => Math.max(latest, at), 0);
    for (const { at, object } of all) if (at < last - this.#silence) this.#told.delete(object);
    return all.length > 0 && last < now - this.#silence;
  }
}
