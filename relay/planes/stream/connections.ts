/** All client connections of a plane: who may still come in, who is where, and how they ended. */
import { fiveTupleKey } from '../../../kernel/address.ts';
import type { FiveTuple } from '../../../kernel/address.ts';
import { sourceOf } from '../../source.ts';
import { connectionEnds } from '../plane.ts';
import type { ConnectionCounts, ConnectionEnd, StreamTransport } from '../plane.ts';
import type { StreamConnection } from './stream-connection.ts';
import type { StreamLimits } from './stream-limits.ts';

export class Connections {
  readonly #limits: StreamLimits;
  readonly #byTuple = new Map<string, StreamConnection>();
  readonly #bySource = new Map<string, number>();
  readonly #open: Record<StreamTransport, number> = { tcp: 0, tls: 0 };
  readonly #ended: Record<StreamTransport, Record<ConnectionEnd, number>> = { tcp: noneEnded(), tls: noneEnded() };

  constructor(limits: StreamLimits) {
    this.#limits = limits;
  }

  /** Whether one more connection from this address is within the limits. */
  hasRoomFor(address: string): boolean {
    if (this.#byTuple.size >= this.#limits.connections) return false;
    return (this.#bySource.get(sourceOf(address)) ?? 0) < this.#limits.connectionsPerSource;
  }

  add(connection: StreamConnection): void {
    const { fiveTuple, transport } = connection;
    this.#byTuple.set(fiveTupleKey(fiveTuple), connection);
    const source = sourceOf(fiveTuple.client.address);
    this.#bySource.set(source, (this.#bySource.get(source) ?? 0) + 1);
    this.#open[transport] += 1;
  }

  remove(connection: StreamConnection, how: ConnectionEnd): void {
    const { fiveTuple, transport } = connection;
    this.#byTuple.delete(fiveTupleKey(fiveTuple));
    const source = sourceOf(fiveTuple.client.address);
    const left = (this.#bySource.get(source) ?? 1) - 1;
    if (left > 0) this.#bySource.set(source, left);
    else this.#bySource.delete(source);
    this.#open[transport] -= 1;
    this.ended(transport, how);
  }

  /** Counts an end, also of a connection that was never added. */
  ended(transport: StreamTransport, how: ConnectionEnd): void {
    this.#ended[transport][how] += 1;
  }

  find(fiveTuple: FiveTuple): StreamConnection | undefined {
    return this.#byTuple.get(fiveTupleKey(fiveTuple));
  }

  all(): StreamConnection[] {
    return [...this.#byTuple.values()];
  }

  counts(): ConnectionCounts {
    return { open: { ...this.#open }, ended: { tcp: { ...this.#ended.tcp }, tls: { ...this.#ended.tls } } };
  }

  /** Entries of every map, for those who watch memory: all zero when nobody is connected. */
  get entries(): Readonly<Record<'connections' | 'sources', number>> {
    return { connections: this.#byTuple.size, sources: this.#bySource.size };
  }
}

function noneEnded(): Record<ConnectionEnd, number> {
  return Object.fromEntries(connectionEnds.map((how) => [how, 0])) as Record<ConnectionEnd, number>;
}
