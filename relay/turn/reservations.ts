/**
 * Ports promised with EVEN-PORT's R bit (RFC 8656 §7.2): each is one user's for a while, and counts as an allocation until it is
 * used or lapses, so that no quota is got round by promises.
 */
import type { Family } from '../../kernel/address.ts';
import { userKey } from './allocation-table.ts';
import { Groups } from './groups.ts';

/** Milliseconds from the Allocate on: the 30 seconds of the RFC, and what its answer may take. */
export const RESERVATION_LIFETIME = 40_000;
/** Octets of a RESERVATION-TOKEN (RFC 8656 §18.9), all of them random. */
export const TOKEN_OCTETS = 8;

export interface Reservation {
  /** The RESERVATION-TOKEN in hexadecimal. */
  readonly token: string;
  readonly username: string;
  readonly app: string;
  readonly customId: string;
  readonly source: string;
  readonly family: Family;
  /** Monotonic milliseconds. */
  readonly deadline: number;
  /** Undefined while the even port below it is being opened. */
  port: number | undefined;
}

export class Reservations {
  /** All have the same lifetime, so the first made is the first to lapse. */
  readonly #byToken = new Map<string, Reservation>();
  readonly #byUsername = new Groups<Reservation>();
  readonly #byUser = new Groups<Reservation>();
  readonly #byApp = new Groups<Reservation>();
  readonly #bySource = new Groups<Reservation>();

  get size(): number {
    return this.#byToken.size;
  }

  ofUsername(username: string): number {
    return this.#byUsername.of(username).size;
  }
  ofUser(user: string): number {
    return this.#byUser.of(user).size;
  }
  ofApp(app: string): number {
    return this.#byApp.of(app).size;
  }
  ofSource(source: string): number {
    return this.#bySource.of(source).size;
  }

  add(reservation: Reservation): void {
    const { app, customId, source, token, username } = reservation;
    this.#byToken.set(token, reservation);
    this.#byUsername.add(username, reservation);
    this.#byUser.add(userKey(app, customId, username), reservation);
    this.#byApp.add(app, reservation);
    this.#bySource.add(source, reservation);
  }

  /** The reservation behind a token, for the user it was given to and nobody else. */
  find(token: string, username: string, now: number): (Reservation & { readonly port: number }) | undefined {
    const found = this.#byToken.get(token);
    return found !== undefined && isUsable(found) && found.username === username && found.deadline > now
      ? found
      : undefined;
  }

  remove(reservation: Reservation): void {
    const { app, customId, source, token, username } = reservation;
    this.#byToken.delete(token);
    this.#byUsername.remove(username, reservation);
    this.#byUser.remove(userKey(app, customId, username), reservation);
    this.#byApp.remove(app, reservation);
    this.#bySource.remove(source, reservation);
  }

  /** Forgets those that have lapsed. Costs nothing when none has. */
  sweep(now: number): void {
    for (const reservation of this.#byToken.values()) {
      if (reservation.deadline > now) return;
      this.remove(reservation);
    }
  }

  /** For a snapshot, in the order in which they lapse. */
  entries(): Reservation[] {
    return [...this.#byToken.values()];
  }
}

function isUsable(reservation: Reservation): reservation is Reservation & { port: number } {
  return reservation.port !== undefined;
}
