/**
 * Meters the egress of mediasoup, from inside the process that runs it: mediasoup tells its counters to nobody else.
 *
 *     import { meterMediasoup } from 'turnpike/mediasoup';
 *
 *     const meter = meterMediasoup({
 *       url: 'https://turnpike.example.org',
 *       token: process.env.TURNPIKE_SOURCE_TOKEN,
 *       app: 'default',
 *       serverId: 'sfu-1',
 *     });
 *     meter.add(router); // each router, once, before its transports
 *     // for a transport of ann's in the room "standup": appData: { call: 'standup', participant: 'ann' }
 *     await meter.stop(); // before the process ends
 *
 * What is billed is `bytesSent` of WebRTC transports: RTP with retransmissions and probes, SCTP, STUN and DTLS. Transports between
 * routers and to recorders (Pipe, Plain, Direct) are no client's egress and are left out. A transport is asked every few seconds,
 * because it cannot be asked once it is closed; what it sends between the last look and its end is not counted.
 */

import { EgressTeller } from '../in-process/egress-teller.ts';
import type { Identity, TellerOptions } from '../in-process/egress-teller.ts';

export type { Identity };

/** As much of mediasoup's (3.x) `Router` as is used here. */
export interface MeteredRouter {
  readonly observer: {
    on(event: 'newtransport', listener: (transport: MeteredTransport) => void): unknown;
  };
}

/** As much of mediasoup's `Transport`. */
export interface MeteredTransport {
  readonly id: string;
  readonly closed: boolean;
  readonly appData: Readonly<Record<string, unknown>>;
  readonly observer: { once(event: 'close', listener: () => void): unknown };
  getStats(): Promise<readonly { readonly type: string; readonly bytesSent?: number }[]>;
}

export interface MeterOptions extends TellerOptions {
  /** Default: `call`, `participant` and `customId` of `appData`, where they are strings. */
  readonly identify?: (transport: MeteredTransport) => Identity;
}

export interface MediasoupMeter {
  /** Meters every WebRTC transport that the router has from now on. */
  add(router: MeteredRouter): void;
  /** One look at every transport, and one attempt to tell. On its interval this happens by itself. */
  tick(): Promise<void>;
  /** A last look, and all that is not told yet in one attempt. */
  stop(): Promise<void>;
}

export function meterMediasoup(options: MeterOptions): MediasoupMeter {
  return new Meter(options);
}

class Meter implements MediasoupMeter {
  readonly #identify: (transport: MeteredTransport) => Identity;
  readonly #transports = new Map<string, MeteredTransport>();
  readonly #teller: EgressTeller;

  constructor({ identify = namesIn, ...options }: MeterOptions) {
    this.#identify = identify;
    this.#teller = new EgressTeller({ source: 'mediasoup', ...options }, () => this.#lookAtAll());
  }

  add(router: MeteredRouter): void {
    router.observer.on('newtransport', (transport) => {
      this.#transports.set(transport.id, transport);
      transport.observer.once('close', () => {
        this.#transports.delete(transport.id);
        this.#teller.end(transport.id);
      });
    });
  }

  tick(): Promise<void> {
    return this.#teller.tick();
  }

  stop(): Promise<void> {
    return this.#teller.stop();
  }

  async #lookAtAll(): Promise<void> {
    await Promise.all([...this.#transports.values()].map((transport) => this.#look(transport)));
  }

  async #look(transport: MeteredTransport): Promise<void> {
    try {
      const stats = await transport.getStats();
      const counted = stats.find(({ type }) => type === 'webrtc-transport')?.bytesSent;
      if (counted === undefined) this.#transports.delete(transport.id);
      // A transport may close, or another look overtake this one, while it answers.
      else if (!transport.closed) this.#teller.keep(transport.id, Math.trunc(counted), this.#identify(transport));
    } catch (error) {
      if (!transport.closed) this.#teller.failed(error);
    }
  }
}

function namesIn({ appData }: MeteredTransport): Identity {
  const named = (name: string) => {
    const value = appData[name];
    return typeof value === 'string' ? value : undefined;
  };
  return { call: named('call'), participant: named('participant'), customId: named('customId') };
}
