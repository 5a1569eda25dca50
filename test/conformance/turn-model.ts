/**
 * What a TURN server must do (RFC 8656), told a second time and as plainly as it can be: maps, deadlines and the rules in the order in
 * which the RFC has them. It shares nothing with the relay, and decides from what clients mean, not from octets.
 */

export type Family = 4 | 6;

export interface Party {
  readonly address: string;
  readonly port: number;
  readonly family: Family;
}

export interface AllocateRequest {
  readonly method: 'allocate';
  readonly transport: 'udp' | 'tcp' | undefined;
  readonly lifetime: number | undefined;
  readonly family: Family | 'other' | undefined;
  readonly additional: Family | undefined;
  readonly port: 'any' | 'even' | 'pair';
  /** A token that this model knows by its name, or one that was made up. */
  readonly token: string | undefined;
  readonly dontFragment: boolean;
}
export interface RefreshRequest {
  readonly method: 'refresh';
  readonly lifetime: number | undefined;
  readonly family: Family | undefined;
}
export interface PermissionRequest {
  readonly method: 'permission';
  readonly peers: readonly Party[];
}
export interface ChannelRequest {
  readonly method: 'channel';
  readonly number: number;
  readonly peer: Party;
}
export type Asked = AllocateRequest | RefreshRequest | PermissionRequest | ChannelRequest;

export interface Signed {
  readonly user: string;
  readonly password: 'right' | 'wrong' | 'none';
  /** When the nonce in it was given. */
  readonly nonceFrom: number;
  /** Tells one request from the next, and a repeated one from none. */
  readonly transaction: number;
}

export type Expected =
  | { readonly code: number }
  /** The very answer of that transaction once more. */
  | { readonly repeats: number }
  | { readonly success: 'refresh' | 'permission' | 'channel'; readonly lifetime?: number }
  | {
      readonly success: 'allocate';
      readonly lifetime: number;
      readonly families: readonly Family[];
      readonly addressError: { readonly family: Family; readonly code: number } | undefined;
      readonly even: boolean;
      /** Whether a token comes with it; and the one that it is paid for with. */
      readonly givesToken: boolean;
      readonly redeems: string | undefined;
    };

export interface ModelRules {
  readonly families: readonly Family[];
  readonly allocationsPerUser: number;
  readonly permissions: number;
  readonly channels: number;
  readonly nonceLifetime: number;
  /** From when on this user's credentials begin nothing any more. */
  endOf(user: string): number;
  isDenied(address: string): boolean;
}

interface Half {
  readonly family: Family;
  deadline: number;
  readonly permissions: Map<string, number>;
  readonly channels: Map<number, { readonly peer: Party; readonly deadline: number }>;
}

interface Allocation {
  readonly user: string;
  readonly transaction: number;
  readonly createdAt: number;
  readonly halves: Half[];
}

interface Reservation {
  readonly user: string;
  readonly family: Family;
  readonly deadline: number;
}

const SECOND = 1000;
const same = (one: Party, other: Party) => one.address === other.address && one.port === other.port;

/** §7.2: no less than the default of 600 s, no more than an hour. */
const granted = (asked: number | undefined) => Math.min(Math.max(asked ?? 0, 600), 3600);

export class TurnModel {
  readonly #rules: ModelRules;
  readonly #allocations = new Map<number, Allocation>();
  readonly #reservations = new Map<string, Reservation>();

  constructor(rules: ModelRules) {
    this.#rules = rules;
  }

  /** Forgets what is over by now; what it forgets decides nothing any more. */
  pass(now: number): void {
    for (const [client, allocation] of this.#allocations) {
      for (const half of allocation.halves.filter(({ deadline }) => deadline <= now)) {
        allocation.halves.splice(allocation.halves.indexOf(half), 1);
      }
      if (allocation.halves.length === 0) this.#allocations.delete(client);
    }
    for (const [token, { deadline }] of this.#reservations) if (deadline <= now) this.#reservations.delete(token);
  }

  families(client: number): readonly Family[] {
    return this.#allocations.get(client)?.halves.map(({ family }) => family) ?? [];
  }

  /** The token that the relay has given for the latest pair of this client. */
  name(token: string, client: number, now: number): void {
    const allocation = this.#allocations.get(client);
    const [half] = allocation?.halves ?? [];
    if (allocation === undefined || half === undefined) throw new Error('a token for nothing');
    // At least 30 s (§7.2); this relay says 40.
    this.#reservations.set(token, { user: allocation.user, family: half.family, deadline: now + 40 * SECOND });
  }

  ask(client: number, asked: Asked, signed: Signed, now: number): Expected {
    const allocation = this.#allocations.get(client);
    // RFC 8489 §6.3.1: the same Allocate, sent again within 40 s, is answered as it was.
    if (allocation?.transaction === signed.transaction && now < allocation.createdAt + 40 * SECOND) {
      return { repeats: signed.transaction };
    }
    if (signed.password === 'none') return { code: 401 };
    if (now >= signed.nonceFrom + this.#rules.nonceLifetime) return { code: 438 };
    if (signed.password === 'wrong') return { code: 401 };
    // Credentials that are over open nothing; what was made with them goes on in its owner's hands.
    if (allocation?.user !== signed.user && now >= this.#rules.endOf(signed.user)) return { code: 401 };
    // §5: who made it, or nobody.
    if (allocation !== undefined && allocation.user !== signed.user && asked.method !== 'allocate')
      return { code: 441 };
    switch (asked.method) {
      case 'allocate':
        return this.#allocate(client, asked, signed, now);
      case 'refresh':
        return this.#refresh(client, asked, now);
      case 'permission':
        return this.#permit(client, asked, now);
      default:
        return this.#bind(client, asked, now);
    }
  }

  /** Whether a Send indication reaches its peer (§11.3). */
  sends(client: number, peer: Party, now: number): boolean {
    const half = this.#half(client, peer.family);
    return half !== undefined && isPermitted(half, peer.address, now);
  }

  /** Where ChannelData comes out (§12.6). */
  channel(client: number, number: number, now: number): Party | undefined {
    for (const half of this.#allocations.get(client)?.halves ?? []) {
      const bound = half.channels.get(number);
      if (bound === undefined || bound.deadline <= now) continue;
      return isPermitted(half, bound.peer.address, now) ? bound.peer : undefined;
    }
    return undefined;
  }

  /** As what a peer's datagram to this client's address arrives (§11.5, §12.7). */
  receives(client: number, peer: Party, now: number): number | 'indication' | undefined {
    const half = this.#half(client, peer.family);
    if (half === undefined || !isPermitted(half, peer.address, now)) return undefined;
    for (const [number, bound] of half.channels) if (same(bound.peer, peer) && bound.deadline > now) return number;
    return 'indication';
  }

  #half(client: number, family: Family): Half | undefined {
    return this.#allocations.get(client)?.halves.find((half) => half.family === family);
  }

  #allocate(client: number, asked: AllocateRequest, { user, transaction }: Signed, now: number): Expected {
    const { additional, dontFragment, family, port, token, transport } = asked;
    if (this.#allocations.has(client)) return { code: 437 };
    if (transport === undefined) return { code: 400 };
    if (transport !== 'udp') return { code: 442 };
    if (dontFragment) return { code: 420 };
    const saysWhere = port !== 'any' || family !== undefined || additional !== undefined;
    if (token !== undefined && saysWhere) return { code: 400 };
    if (port === 'pair' && additional !== undefined) return { code: 400 };
    if (family !== undefined && additional !== undefined) return { code: 400 };
    if (additional === 4) return { code: 400 };
    const has = (one: Family) => this.#rules.families.includes(one);
    if (token === undefined && additional === undefined && (family === 'other' || !has(family ?? 4)))
      return { code: 440 };
    const reservation = token === undefined ? undefined : this.#reservations.get(token);
    if (token !== undefined && reservation?.user !== user) return { code: 508 };

    const held = this.#heldBy(user);
    const most = this.#rules.allocationsPerUser;
    const needs = reservation === undefined ? (port === 'pair' ? 2 : 1) : 0;
    if (held + needs > most) return { code: 486 };
    if (token !== undefined) this.#reservations.delete(token);

    const wanted: readonly Family[] = additional === 6 ? [4, 6] : [reservation?.family ?? (family === 6 ? 6 : 4)];
    const given = wanted.filter(has);
    const hasRoomForBoth = held + 2 <= most;
    const kept = given.length === 2 && !hasRoomForBoth ? given.slice(0, 1) : given;
    const missing = wanted.find((one) => !kept.includes(one));
    const lifetime = granted(asked.lifetime);
    const halves = kept.map((one): Half => {
      return { family: one, deadline: now + lifetime * SECOND, permissions: new Map(), channels: new Map() };
    });
    this.#allocations.set(client, { user, transaction, createdAt: now, halves });
    return {
      success: 'allocate',
      lifetime,
      families: kept,
      addressError: missing === undefined ? undefined : { family: missing, code: has(missing) ? 486 : 440 },
      even: port !== 'any',
      givesToken: port === 'pair',
      redeems: token,
    };
  }

  #heldBy(user: string): number {
    const halves = [...this.#allocations.values()].filter((one) => one.user === user).flatMap((one) => one.halves);
    return halves.length + [...this.#reservations.values()].filter((one) => one.user === user).length;
  }

  #refresh(client: number, { family, lifetime }: RefreshRequest, now: number): Expected {
    const allocation = this.#allocations.get(client);
    if (allocation === undefined) return { code: 437 };
    const meant = allocation.halves.filter((half) => family === undefined || half.family === family);
    if (meant.length === 0) return { code: 443 };
    const seconds = lifetime === 0 ? 0 : granted(lifetime);
    for (const half of meant) half.deadline = now + seconds * SECOND;
    this.pass(now);
    return { success: 'refresh', lifetime: seconds };
  }

  #permit(client: number, { peers }: PermissionRequest, now: number): Expected {
    const allocation = this.#allocations.get(client);
    if (allocation === undefined) return { code: 437 };
    if (peers.length === 0) return { code: 400 };
    if (peers.some(({ family }) => this.#half(client, family) === undefined)) return { code: 443 };
    if (peers.some(({ address }) => this.#rules.isDenied(address))) return { code: 403 };
    for (const half of allocation.halves) {
      const mine = peers.filter(({ family }) => family === half.family).map(({ address }) => address);
      if (!this.#fits(half, mine, now)) return { code: 508 };
    }
    for (const { address, family } of peers) {
      this.#half(client, family)?.permissions.set(address, now + 300 * SECOND);
    }
    return { success: 'permission' };
  }

  #bind(client: number, { number, peer }: ChannelRequest, now: number): Expected {
    const allocation = this.#allocations.get(client);
    if (allocation === undefined) return { code: 437 };
    if (number < 0x4000 || number > 0x4fff) return { code: 400 };
    // §12: for five minutes after it ended a binding keeps its number and its peer from every other.
    const held = allocation.halves.flatMap((half) =>
      [...half.channels].filter(([, bound]) => bound.deadline + 300 * SECOND > now),
    );
    if (held.some(([other, bound]) => (other === number) !== same(bound.peer, peer))) return { code: 400 };
    const half = this.#half(client, peer.family);
    if (half === undefined) return { code: 443 };
    if (this.#rules.isDenied(peer.address)) return { code: 403 };
    if (!this.#fits(half, [peer.address], now)) return { code: 508 };
    const ofHalf = [...half.channels].filter(([, bound]) => bound.deadline + 300 * SECOND > now);
    if (!ofHalf.some(([other]) => other === number) && ofHalf.length >= this.#rules.channels) return { code: 508 };
    for (const one of allocation.halves) {
      for (const [other, bound] of one.channels) {
        if (other === number || same(bound.peer, peer)) one.channels.delete(other);
      }
    }
    half.channels.set(number, { peer, deadline: now + 600 * SECOND });
    half.permissions.set(peer.address, now + 300 * SECOND);
    return { success: 'channel' };
  }

  #fits(half: Half, addresses: readonly string[], now: number): boolean {
    const alive = [...half.permissions].filter(([, deadline]) => deadline > now).map(([address]) => address);
    return new Set([...alive, ...addresses]).size <= this.#rules.permissions;
  }
}

/** §9: 300 s from the last CreatePermission or ChannelBind, by address alone, and nothing else prolongs it. */
function isPermitted(half: Half, address: string, now: number): boolean {
  return (half.permissions.get(address) ?? 0) > now;
}
