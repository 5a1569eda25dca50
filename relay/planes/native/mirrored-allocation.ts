/** What one allocation permits, told to the thread that moves its packets, with the verdicts on its peers for every port. */
import { canonicalAddress, familyOf } from '../../../kernel/address.ts';
import type { Endpoint } from '../../../kernel/address.ts';
import type { Mirror } from '../dgram/allocation.ts';
import type { PlaneOptions } from '../plane.ts';
import { NEVER } from './records.ts';
import type { CommandWriter, PortSpan } from './records.ts';

const verdicts = { denied: -1, internet: 0, own_relay: 1, sfu: 2 } as const;

/** How an address is one of this relay's (addon/allocation.hpp). */
const OWN = { no: 0, address: 1, relayed: 2 } as const;

/** What is known of addresses beside who may reach them. */
export class Neighbourhood {
  readonly #options: PlaneOptions;
  readonly #own: ReadonlySet<string>;

  constructor(options: PlaneOptions, own: ReadonlySet<string>) {
    this.#options = options;
    this.#own = own;
  }

  ownness(address: string): number {
    const { relayAddress, externalAddress } = this.#options;
    const family = familyOf(address);
    const relayed = [relayAddress[family], externalAddress?.[family]].map((own) => own && canonicalAddress(own));
    if (relayed.includes(address)) return OWN.relayed;
    return this.#own.has(address) ? OWN.address : OWN.no;
  }

  spans(address: string, app: string): PortSpan[] {
    const spans = this.#options.policy.judgePorts(address, app);
    return spans.map(({ last, verdict }) => ({ last, verdict: verdicts[verdict] }));
  }
}

export class MirroredAllocation implements Mirror {
  readonly #slot: number;
  readonly #app: string;
  readonly #neighbourhood: Neighbourhood;
  readonly #writer: CommandWriter;
  readonly #tell: (record: Uint8Array) => void;

  constructor(
    slot: number,
    app: string,
    neighbourhood: Neighbourhood,
    writer: CommandWriter,
    tell: (record: Uint8Array) => void,
  ) {
    this.#slot = slot;
    this.#app = app;
    this.#neighbourhood = neighbourhood;
    this.#writer = writer;
    this.#tell = tell;
  }

  extend(deadline: number): void {
    this.#tell(this.#writer.slot('extend', this.#slot, deadline));
  }

  permit(address: string, deadline: number): void {
    const own = this.#neighbourhood.ownness(address);
    const spans = this.#neighbourhood.spans(address, this.#app);
    this.#tell(this.#writer.permit(this.#slot, own, address, deadline, spans));
  }

  revoke(address: string): void {
    this.#tell(this.#writer.revoke(this.#slot, address));
  }

  bind(channel: number, peer: Endpoint, deadline: number): void {
    // A peer without a permission is judged, and stays without.
    this.permit(peer.address, NEVER);
    this.#tell(this.#writer.channel('bind', this.#slot, channel, peer, deadline));
  }

  unbind(channel: number): void {
    this.#tell(this.#writer.channel('unbind', this.#slot, channel, undefined));
  }
}
