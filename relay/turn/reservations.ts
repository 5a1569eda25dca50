/**
 * Ports promised with EVEN-PORT's R bit (RFC 8656 §7.2): each is one user's for a while, and counts as an allocation until it is
 * used or lapses, so that no quota is got round by promises.
 */
import type { Family } from '../../kernel/address.ts';
import { userKey } from './allocation-table.ts';
import { Tally } from './groups.ts';

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
  readonly #usernames = new Tally();
  readonly #users = new Tally();
  readonly #apps = new Tally();
  readonly #sources = new Tally();

  get size(): number {
    return this.#byToken.size;
  }

  ofUsername(username: string): number {
    return this.#usernames.of(username);
  }
  ofUser(user: string): number {
    return this.#users.of(user);
  }
  ofApp(app: string): number {
    return this.#apps.of(app);
  }
  ofSource(source: string): number {
    return this.#sources.of(source);
  }

  add(reservation: Reservation): void {
    const { app, customId, source, token, username } = reservation;
    this.#byToken.set(token, reservation);
    this.#usernames.add(username);
    this.#users.add(userKey(app, customId, username));
    this.#apps.add(app);
    this.#sources.add(source);
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
    if (!this.#byToken.delete(token)) return;
    this.#usernames.remove(username);
    this.#users.remove(userKey(app, customId, username));
    this.#apps.remove(app);
    this.#sources.remove(source);
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
