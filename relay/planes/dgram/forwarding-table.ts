/** Who is reachable under which address: allocations by id, by client and by relayed address, and the verdicts on their peers. */
import type { ClientLeg } from '../client-leg.ts';
import type { AllocationId, PeerPolicy } from '../plane.ts';
import { peerClasses } from '../plane.ts';
import { DENIED } from './allocation.ts';
import type { Allocation, Peer, Verdict } from './allocation.ts';
import { INTERNET, OWN_RELAY, SFU } from './counters.ts';
import { EndpointMap } from './endpoint-map.ts';

/** Verdicts remembered for one peer address; a client that sends to more ports of it pays for judging them. */
const VERDICTS_KEPT = 16;
const classIndexes = { internet: INTERNET, own_relay: OWN_RELAY, sfu: SFU, denied: DENIED } as const satisfies Record<
  (typeof peerClasses)[number] | 'denied',
  Verdict
>;

export interface OwnPlaces {
  /** Addresses under which this relay itself may be reached, canonical. */
  readonly addresses: ReadonlySet<string>;
  /** Whether a port of an own address serves something of ours, so that no peer is there even where the policy is lifted. */
  isService(port: number): boolean;
}

export class ForwardingTable {
  readonly #policy: PeerPolicy;
  readonly #own: OwnPlaces;
  /** Allocations until their `closed` is sent. */
  readonly #byId = new Map<AllocationId, Allocation>();
  readonly #byClient = new Map<ClientLeg, EndpointMap<Allocation>>();
  readonly #byRelayed = new EndpointMap<Allocation>();

  constructor(policy: PeerPolicy, own: OwnPlaces) {
    this.#policy = policy;
    this.#own = own;
  }

  get size(): number {
    return this.#byId.size;
  }

  all(): Allocation[] {
    return [...this.#byId.values()];
  }

  get(id: AllocationId): Allocation | undefined {
    return this.#byId.get(id);
  }

  /** The allocation of a client; where it has two, the other is its `sibling`. */
  client(leg: ClientLeg, address: string, port: number): Allocation | undefined {
    return this.#byClient.get(leg)?.get(address, port);
  }

  /** The live allocation with this relayed transport address, in the world's eyes or behind NAT. */
  relayed(address: string, port: number): Allocation | undefined {
    return this.#byRelayed.get(address, port);
  }

  add(allocation: Allocation): void {
    const { id, client, leg, relay, relayed } = allocation;
    this.#byId.set(id, allocation);
    const clients = this.#byClient.get(leg) ?? new EndpointMap<Allocation>();
    this.#byClient.set(leg, clients);
    const { address, port } = client.client;
    const sibling = clients.get(address, port);
    allocation.sibling = sibling;
    if (sibling === undefined) clients.set(address, port, allocation);
    else sibling.sibling = allocation;
    this.#byRelayed.set(relayed.address, relayed.port, allocation);
    if (relay.local.address !== relayed.address) this.#byRelayed.set(relay.local.address, relay.local.port, allocation);
  }

  /** No packet finds the allocation any more; its id is known until `forget`. */
  unlist(allocation: Allocation): void {
    const { client, leg, relay, relayed, sibling } = allocation;
    const { address, port } = client.client;
    const clients = this.#byClient.get(leg);
    allocation.sibling = undefined;
    if (sibling === undefined) clients?.delete(address, port);
    else {
      sibling.sibling = undefined;
      clients?.set(address, port, sibling);
    }
    if (clients?.isEmpty === true) this.#byClient.delete(leg);
    this.#byRelayed.delete(relayed.address, relayed.port);
    this.#byRelayed.delete(relay.local.address, relay.local.port);
  }

  forget(allocation: Allocation): void {
    this.#byId.delete(allocation.id);
  }

  /**
   * The class under which packets between an allocation and this peer endpoint are counted. OWN_RELAY only where a live
   * allocation that may be reached stands there; every other place on this relay is denied, unless an operator's range
   * covers it and nothing of ours is there.
   */
  judge(allocation: Allocation, peer: Peer, port: number): Verdict {
    const verdict = this.#verdict(allocation.app, peer, port);
    if (verdict === DENIED || (verdict !== OWN_RELAY && !this.#own.addresses.has(peer.address))) return verdict;
    const neighbour = this.#byRelayed.get(peer.address, port);
    if (neighbour !== undefined) return this.#mayMeet(allocation, neighbour) ? OWN_RELAY : DENIED;
    return verdict === OWN_RELAY || this.#own.isService(port) ? DENIED : verdict;
  }

  #mayMeet(one: Allocation, other: Allocation): boolean {
    const { hairpin } = this.#policy;
    return hairpin === 'any' || (hairpin === 'app' && one.app === other.app);
  }

  #verdict(app: string, peer: Peer, port: number): Verdict {
    const known = peer.verdicts.get(port);
    if (known !== undefined) return known;
    const verdict = classIndexes[this.#policy.judge({ address: peer.address, port }, app)];
    if (peer.verdicts.size >= VERDICTS_KEPT) peer.verdicts.clear();
    peer.verdicts.set(port, verdict);
    return verdict;
  }
}
