/** Whether anybody has a UDP port open, by the ICMP error that a connected socket is told of. */
import type { Link } from '../client/link.ts';
import { pause, type Timer } from '../client/timer.ts';
import type { Pace } from './subject.ts';

export class PortProbe {
  readonly #link: Link;
  readonly #timer: Timer;
  readonly #pace: Pace;
  #ended = false;

  constructor(link: Link, timer: Timer, pace: Pace) {
    this.#link = link;
    this.#timer = timer;
    this.#pace = pace;
    link.listen({
      frame: () => undefined,
      ended: () => {
        this.#ended = true;
      },
    });
  }

  /** Asks for as long as data is given to arrive. False when no error has come back, which some networks never let through. */
  async isRefused(): Promise<boolean> {
    const { repeat, repeats } = this.#pace;
    for (let count = 0; count < repeats && !this.#ended; count += 1) {
      this.#link.send(Buffer.alloc(1));
      await pause(this.#timer, repeat);
    }
    return this.#ended;
  }
}
