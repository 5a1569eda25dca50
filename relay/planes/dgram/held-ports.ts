/** Relay ports that are bound for somebody who has not come yet (EVEN-PORT's reservation, RFC 8656 §7.2). */
import type { Family } from '../../../kernel/address.ts';
import { ignoreAll, type UdpSocket } from './datagram-socket.ts';
import { Deadline, type ExpiryWheel } from './expiry-wheel.ts';

interface Held {
  readonly socket: UdpSocket;
  readonly deadline: Deadline;
}

export class HeldPorts {
  readonly #wheel: ExpiryWheel;
  readonly #onLapsed: (family: Family, port: number) => void;
  readonly #ports = { 4: new Map<number, Held>(), 6: new Map<number, Held>() };

  /** `onLapsed`: nobody came, and the port is closed. */
  constructor(wheel: ExpiryWheel, onLapsed: (family: Family, port: number) => void) {
    this.#wheel = wheel;
    this.#onLapsed = onLapsed;
  }

  hold(socket: UdpSocket, until: number): void {
    const { family, local } = socket;
    const deadline = new Deadline(() => {
      this.#ports[family].delete(local.port);
      socket.close();
      this.#onLapsed(family, local.port);
    });
    this.#ports[family].set(local.port, { socket, deadline });
    this.#wheel.set(deadline, until);
  }

  has(port: number): boolean {
    return this.#ports[4].has(port) || this.#ports[6].has(port);
  }

  /** The socket, which is the caller's from now on; undefined when none is held there any more. */
  take(family: Family, port: number, now: number): UdpSocket | undefined {
    const held = this.#ports[family].get(port);
    if (held === undefined || held.deadline.at <= now) return undefined;
    this.#wheel.cancel(held.deadline);
    this.#ports[family].delete(port);
    return held.socket;
  }

  async close(): Promise<void> {
    const sockets = Object.values(this.#ports).flatMap((ports) => [...ports.values()]);
    await Promise.all(
      sockets.map(({ socket, deadline }) => {
        this.#wheel.cancel(deadline);
        return new Promise<void>((resolve) => {
          socket.handlers = { ...ignoreAll, closed: resolve };
          socket.close();
        });
      }),
    );
    this.#ports[4].clear();
    this.#ports[6].clear();
  }
}
