/** Every allocation of one core, found by what a request brings, and ordered by what comes due. */
import { fiveTupleKey } from '../../kernel/address.ts';
import type { FiveTuple } from '../../kernel/address.ts';
import type { AllocationId } from '../planes/plane.ts';
import { type AllocationRecord, siblings } from './allocation.ts';
import { DeadlineHeap } from './deadline-heap.ts';
import { Groups, Tally } from './groups.ts';

/** The user whose quota an allocation counts against; unlike the username it outlives a credential. */
export function userKey(app: string, customId: string, username: string): string {
  return customId === '' ? `username ${username}` : `customer ${app} ${customId}`;
}

export class AllocationTable {
  /** Opening, live and closing. */
  readonly #byId = new Map<AllocationId, AllocationRecord>();
  /** Opening and live: a closing one has given its five-tuple back. Of two on one five-tuple, either. */
  readonly #byTuple = new Map<string, AllocationRecord>();
  readonly #byUsername = new Groups<AllocationRecord>();
  readonly #users = new Tally();
  readonly #apps = new Tally();
  readonly #sources = new Tally();
  readonly #deadlines = new DeadlineHeap<AllocationRecord>();

  /** Opening and live. */
  get size(): number {
    return this.#deadlines.size;
  }

  /** Entries of every map, for those who watch memory: all zero when nothing is left. */
  get entries(): Readonly<Record<'ids' | 'tuples' | 'usernames' | 'users' | 'apps' | 'sources' | 'deadlines', number>> {
    return {
      ids: this.#byId.size,
      tuples: this.#byTuple.size,
      usernames: this.#byUsername.size,
      users: this.#users.size,
      apps: this.#apps.size,
      sources: this.#sources.size,
      deadlines: this.#deadlines.size,
    };
  }

  get(id: AllocationId): AllocationRecord | undefined {
    return this.#byId.get(id);
  }
  /** The allocation on a five-tuple; where there are two, the other is its `sibling`. */
  of(fiveTuple: FiveTuple): AllocationRecord | undefined {
    return this.#byTuple.get(fiveTupleKey(fiveTuple));
  }
  ofUsername(username: string): ReadonlySet<AllocationRecord> {
    return this.#byUsername.of(username);
  }
  /** How many a user, an app, a place has. */
  countOfUser(user: string): number {
    return this.#users.of(user);
  }
  countOfApp(app: string): number {
    return this.#apps.of(app);
  }
  countOfSource(source: string): number {
    return this.#sources.of(source);
  }
  /** Opening, live and closing. */
  known(): IterableIterator<AllocationRecord> {
    return this.#byId.values();
  }
  /** Opening and live. */
  *all(): IterableIterator<AllocationRecord> {
    for (const record of this.#byTuple.values()) yield* siblings(record);
  }
  /** The opening or live allocation that ends first. */
  first(): AllocationRecord | undefined {
    return this.#deadlines.first();
  }

  /** A closing one, of a snapshot, is known by its id alone. */
  add(record: AllocationRecord): void {
    this.#byId.set(record.id, record);
    if (record.state === 'closing') return;
    const tuple = fiveTupleKey(record.fiveTuple);
    const sibling = this.#byTuple.get(tuple);
    record.sibling = sibling;
    if (sibling === undefined) this.#byTuple.set(tuple, record);
    else sibling.sibling = record;
    this.#byUsername.add(record.username, record);
    this.#users.add(userKey(record.app, record.claims.customId, record.username));
    this.#apps.add(record.app);
    this.#sources.add(record.source);
    this.#deadlines.add(record);
  }

  postpone(record: AllocationRecord, deadline: number): void {
    this.#deadlines.move(record, deadline);
  }

  /** Gives back everything but the id, by which the plane's last word will name it. */
  end(record: AllocationRecord): void {
    if (record.state === 'closing') return;
    record.state = 'closing';
    const { sibling } = record;
    record.sibling = undefined;
    if (sibling === undefined) this.#byTuple.delete(fiveTupleKey(record.fiveTuple));
    else {
      sibling.sibling = undefined;
      this.#byTuple.set(fiveTupleKey(record.fiveTuple), sibling);
    }
    this.#byUsername.remove(record.username, record);
    this.#users.remove(userKey(record.app, record.claims.customId, record.username));
    this.#apps.remove(record.app);
    this.#sources.remove(record.source);
    this.#deadlines.remove(record);
  }

  /** Ends it if need be, and gives the id back too. */
  forget(id: AllocationId): void {
    const record = this.#byId.get(id);
    if (record !== undefined) this.end(record);
    this.#byId.delete(id);
  }
}
