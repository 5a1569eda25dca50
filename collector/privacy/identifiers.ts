/**
 * How participants and customers are named in the store: as the app names them, or by a keyed hash, for apps that want their own ids
 * nowhere but with themselves. One key of an app for ever, so that rows of clients, relays and SFUs still meet, a statement is of the
 * same customers each month, and who knows an id finds its rows.
 */
import { createHmac, hkdfSync } from 'node:crypto';
import { Recent } from '../intake/recent.ts';
import type { Row, StoreWriter } from '../store/store.ts';
import type { TableName } from '../store/tables.ts';

export const identifierPolicies = ['keep', 'hash'] as const;
export type IdentifierPolicy = (typeof identifierPolicies)[number];

export interface IdentifiersOptions {
  /** What keys are derived from; absent where no app's identifiers are hashed, nor were. */
  readonly secret: string | undefined;
  readonly policyOf: (app: string) => IdentifierPolicy;
}

/** Hashes that need not be made again. */
const MOST = 20_000;

const COLUMNS = ['participant_id', 'custom_id'] as const;

export class Identifiers {
  readonly #options: IdentifiersOptions;
  readonly #keys = new Map<string, Buffer>();
  readonly #recent = new Recent<string>(MOST);

  constructor(options: IdentifiersOptions) {
    this.#options = options;
  }

  areHashed(app: string): boolean {
    return this.#options.policyOf(app) === 'hash';
  }

  /** As it is stored from now on. One character tells nobody from anybody, and stays. */
  stored(app: string, identifier: string): string {
    if (identifier.length < 2 || !this.areHashed(app)) return identifier;
    return this.#recent.use(`${app} ${identifier}`, () => this.#hashed(app, identifier) ?? identifier);
  }

  /** Every form in which it may stand in the store: what is configured now may have been otherwise. */
  forms(app: string, identifier: string): string[] {
    const hashed = this.#hashed(app, identifier);
    return hashed === undefined ? [identifier] : [identifier, hashed];
  }

  /** `h-` and the first 22 characters of base64url of HMAC-SHA256, under HKDF-SHA256 of the secret (no salt, 32 bytes). */
  #hashed(app: string, identifier: string): string | undefined {
    const { secret } = this.#options;
    if (secret === undefined) return undefined;
    const known = this.#keys.get(app);
    const key = known ?? Buffer.from(hkdfSync('sha256', secret, '', `turnpike identifiers ${app}`, 32));
    if (known === undefined) this.#keys.set(app, key);
    return `h-${createHmac('sha256', key).update(identifier).digest('base64url').slice(0, 22)}`;
  }
}

/** The way into the store for everything that names people: reports, recordings, usage of relays, and what sources count. */
export class IdentifyingWriter implements StoreWriter {
  readonly #writer: StoreWriter;
  readonly #identifiers: Identifiers;

  constructor(writer: StoreWriter, identifiers: Identifiers) {
    this.#writer = writer;
    this.#identifiers = identifiers;
  }

  insert(table: TableName, rows: readonly Row[]): Promise<void> {
    return this.#writer.insert(
      table,
      rows.map((row) => this.#named(row)),
    );
  }

  #named(row: Row): Row {
    const { app_id: app } = row;
    if (typeof app !== 'string' || !this.#identifiers.areHashed(app)) return row;
    const named: Record<string, Row[string]> = { ...row };
    for (const column of COLUMNS) {
      const given = row[column];
      if (typeof given === 'string') named[column] = this.#identifiers.stored(app, given);
    }
    return named;
  }
}
