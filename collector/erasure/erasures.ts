/**
 * The erasures in force, and the way into the store past them: reports of somebody who was erased since are dropped, metering gets
 * the name that stands for them.
 *
 * An erasure is written down first and carried out then. Whoever writes rows looks for new ones every few seconds and, when it finds
 * one, waits for its own inserts and looks once more for rows that came in before it knew. So each row was removed by who decided,
 * or by who wrote it, or is not let in; rows that wait on a disk come by here as well.
 */
import type { Clock } from '../../kernel/clock.ts';
import { TurnpikeError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Sleep } from '../../kernel/sleep.ts';
import type { ClickHouseStore } from '../store/clickhouse.ts';
import type { Place } from '../store/ddl.ts';
import type { Row, StoreWriter } from '../store/store.ts';
import type { TableName } from '../store/tables.ts';
import {
  erasedName,
  erasingSql,
  erasureOf,
  erasureRow,
  erasuresIn,
  fateOf,
  pendingIn,
  personalRows,
  UNDER_WAY_MS,
} from './erasure.ts';
import type { Erasure, Extent, Person, PersonalRows } from './erasure.ts';

export interface ErasuresOptions {
  readonly store: Pick<ClickHouseStore, 'select' | 'insert' | 'command'>;
  readonly place: Place;
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly log: Logger;
  /** Every form in which a participant may stand in the store. Default: as it is. */
  readonly formsOf?: (app: string, participant: string) => readonly string[];
}

const LOOK_MS = 5_000;
const POLL_MS = 200;
/** Milliseconds after which whoever waits is told that the store is still at it. */
const PATIENCE_MS = 600_000;

export class Erasures implements StoreWriter {
  readonly #options: ErasuresOptions;
  readonly #stop = new AbortController();
  /** App → name → when it was decided. */
  readonly #inForce = new Map<string, Map<string, number>>();
  readonly #carriedOut = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();
  #hasLooked = false;
  #running: Promise<void> | undefined;

  constructor(options: ErasuresOptions) {
    this.#options = options;
  }

  /** Looks for those that others decide, until it is stopped. To be called when a first look has shown what is in force. */
  start(): void {
    this.#running ??= this.#goRound();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async insert(table: TableName, rows: readonly Row[]): Promise<void> {
    const kept = this.#inForce.size === 0 ? rows : this.#past(table, rows);
    if (kept.length === 0) return;
    const inserted = this.#options.store.insert(table, kept);
    const settled = inserted.then(noop, noop).finally(() => this.#underWay.delete(settled));
    this.#underWay.add(settled);
    await inserted;
  }

  /** What there is of somebody. */
  async count(person: Person): Promise<PersonalRows[]> {
    const { store } = this.#options;
    return sumOf(await inTurn(this.#erasuresOf(person), (erasure) => personalRows(store, erasure)));
  }

  /** Resolves when nothing of them is left, and answers what there was. Throws TP_COLLECTOR_ERASURE while the store is still at it. */
  async erase(person: Person): Promise<PersonalRows[]> {
    const erasures = this.#erasuresOf(person);
    await this.#options.store.insert('control', erasures.map(erasureRow));
    for (const erasure of erasures) this.#learn(erasure);
    const found = await inTurn(erasures, (erasure) => this.#carryOut(erasure, {}));
    for (const erasure of erasures) this.#carriedOut.add(keyOf(erasure));
    return sumOf(found);
  }

  /**
   * Learns all that are in force, and removes what got in before this was known here. Nothing may be inserted before the first look,
   * which needs only care for what this process's forerunner may have left under way.
   */
  async look(): Promise<void> {
    const all = await erasuresIn(this.#options.store);
    const since = this.#hasLooked ? 0 : this.#options.clock.now() - UNDER_WAY_MS;
    for (const erasure of all) this.#learn(erasure);
    for (const erasure of all) {
      if (this.#carriedOut.has(keyOf(erasure))) continue;
      if (erasure.at >= since) await this.#carryOut(erasure, { late: true });
      this.#carriedOut.add(keyOf(erasure));
    }
    this.#hasLooked = true;
  }

  #erasuresOf(person: Person): Erasure[] {
    const { clock, formsOf } = this.#options;
    const forms = formsOf?.(person.app, person.participant) ?? [person.participant];
    return forms.map((participant) => erasureOf({ ...person, participant }, clock.now()));
  }

  async #goRound(): Promise<void> {
    const { log, sleep } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sleep(LOOK_MS, signal);
      if (!signal.aborted)
        await this.look().catch((error: unknown) => log.warn({ err: error }, 'erasures could not be looked for'));
    }
  }

  #learn({ app, name, at }: Erasure): void {
    const ofApp = this.#inForce.get(app) ?? new Map<string, number>();
    this.#inForce.set(app, ofApp.set(name, at));
  }

  #past(table: TableName, rows: readonly Row[]): readonly Row[] {
    const names = new Map<string, { readonly name: string; readonly at: number } | undefined>();
    return rows.flatMap((row) => {
      const { app_id: app, call_id: call, participant_id: participant, ts } = row;
      if (typeof app !== 'string' || typeof participant !== 'string' || participant === '') return [row];
      const key = JSON.stringify([app, participant, call]);
      if (!names.has(key)) names.set(key, this.#erased({ app, participant, call: String(call) }));
      const erased = names.get(key);
      if (erased === undefined) return [row];
      if (fateOf(table) === 'renamed') return [{ ...row, participant_id: erased.name }];
      return typeof ts === 'number' && ts <= erased.at ? [] : [row];
    });
  }

  #erased({ app, participant, call }: Person): { name: string; at: number } | undefined {
    for (const person of [
      { app, participant },
      { app, participant, call },
    ]) {
      const name = erasedName(person);
      const at = this.#inForce.get(app)?.get(name);
      if (at !== undefined) return { name, at };
    }
    return undefined;
  }

  async #carryOut(erasure: Erasure, extent: Extent): Promise<PersonalRows[]> {
    const { place, store } = this.#options;
    await Promise.all(this.#underWay);
    const found = await personalRows(store, erasure, extent);
    const concerned = found.filter(({ rows }) => rows > 0).map(({ table }) => table);
    for (const table of concerned) await store.command(erasingSql(table, erasure, extent, place), { app: erasure.app });
    for (const table of concerned) await this.#finished(table);
    return found;
  }

  async #finished(table: TableName): Promise<void> {
    const { clock, place, sleep, store } = this.#options;
    const until = clock.monotonic() + PATIENCE_MS;
    for (;;) {
      const { fault, pending } = await pendingIn(store, table, place);
      if (pending === 0) return;
      if (clock.monotonic() > until || this.#stop.signal.aborted) {
        throw new TurnpikeError('TP_COLLECTOR_ERASURE', undefined, { cause: new Error(fault) });
      }
      await sleep(POLL_MS, this.#stop.signal);
    }
  }
}

async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const done: R[] = [];
  for (const item of items) done.push(await work(item));
  return done;
}

/** Of several forms of one person, table by table. */
function sumOf([first = [], ...others]: readonly PersonalRows[][]): PersonalRows[] {
  return first.map((one, index) => ({
    ...one,
    rows: others.reduce((sum, other) => sum + (other[index]?.rows ?? 0), one.rows),
  }));
}

const noop = (): void => undefined;
const keyOf = ({ app, at, name }: Erasure): string => `${app} ${name} ${at}`;
