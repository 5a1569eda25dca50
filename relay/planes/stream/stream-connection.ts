/**
 * One client over TCP or TLS: frames in, frames out. What it may hold is bounded on both sides, in bytes by what the client
 * has sent and by what it does not read, in time by what it must have achieved.
 */
import type { Socket } from 'node:net';
import type { Endpoint, FiveTuple } from '../../../kernel/address.ts';
import type { Clock } from '../../../kernel/clock.ts';
import type { ClientLeg, Sent } from '../client-leg.ts';
import { Deadline } from '../dgram/expiry-wheel.ts';
import type { ExpiryWheel } from '../dgram/expiry-wheel.ts';
import type { ConnectionEnd, StreamTransport } from '../plane.ts';
import { FrameReader, LARGEST_FRAME, MALFORMED } from './frame-reader.ts';
import type { StreamLimits } from './stream-limits.ts';

/** Frames handled before other sockets get their turn: one chunk can hold thousands of empty ones. */
const FRAMES_PER_TURN = 128;
/** What a waiting frame costs beside its octets, roughly; without it a million empty frames would count as nothing. */
const FRAME_OVERHEAD = 256;

/** Octets waiting, for one client or for all. */
export interface Pending {
  octets: number;
}

export interface ConnectionParts {
  readonly clock: Clock;
  readonly wheel: ExpiryWheel;
  readonly limits: StreamLimits;
  /** Of all connections together. */
  readonly pending: Pending;
  readonly onFrame: (connection: StreamConnection, frame: Buffer) => void;
  /** The client will send no more. */
  readonly onGone: (connection: StreamConnection) => void;
  /** Nothing of the connection is left; every send has been or will be called back with an error. Called once, after `onGone`. */
  readonly onClosed: (connection: StreamConnection, how: ConnectionEnd) => void;
}

export class StreamConnection implements ClientLeg {
  readonly waitsBriefly = false;
  readonly padsFrames = true;
  readonly largestFrame = LARGEST_FRAME;
  readonly transport: StreamTransport;
  readonly fiveTuple: FiveTuple;
  readonly #socket: Socket;
  readonly #parts: ConnectionParts;
  readonly #reader = new FrameReader();
  readonly #deadline: Deadline;
  readonly #idleFrom: number;
  readonly #pending: Pending = { octets: 0 };
  #state: 'new' | 'greeted' | 'allocated' | 'gone' = 'new';
  #end: ConnectionEnd | undefined;
  /** False during a TLS handshake. */
  #isSecured: boolean;

  constructor(transport: StreamTransport, socket: Socket, fiveTuple: FiveTuple, parts: ConnectionParts) {
    this.transport = transport;
    this.#socket = socket;
    this.fiveTuple = fiveTuple;
    this.#isSecured = transport === 'tcp';
    this.#parts = parts;
    this.#idleFrom = parts.clock.monotonic();
    this.#deadline = new Deadline(() => this.close('timeout'));
    parts.wheel.set(this.#deadline, this.#idleFrom + parts.limits.greetWithin);
    socket.on('data', (chunk: Buffer) => {
      this.#reader.push(chunk);
      this.#read();
    });
    socket.once('secure', () => {
      this.#isSecured = true;
    });
    socket.once('end', () => this.#gone());
    // What comes after a handshake that failed, a reset or a broken record is `close`.
    socket.on('error', () => {
      this.#end ??= this.#isSecured ? 'failed' : 'handshake';
    });
    socket.once('close', () => {
      this.#gone();
      parts.wheel.cancel(this.#deadline);
      parts.onClosed(this, this.#end ?? 'client');
    });
  }

  get local(): Endpoint {
    return this.fiveTuple.server;
  }

  begin(): void {
    if (this.#state === 'gone') return;
    this.#state = 'allocated';
    this.#parts.wheel.cancel(this.#deadline);
  }

  end(): void {
    if (this.#state === 'allocated') this.#state = 'greeted';
    if (this.#socket.destroyed) return;
    const { clock, limits, wheel } = this.#parts;
    wheel.set(this.#deadline, clock.monotonic() + limits.idleWithin);
  }

  isFull(cargo: 'data' | 'answer'): boolean {
    const { limits, pending } = this.#parts;
    if (pending.octets >= limits.pendingBytesOfAll) return true;
    return this.#pending.octets >= limits.pendingBytes + (cargo === 'answer' ? limits.pendingAnswerBytes : 0);
  }

  send(bytes: Buffer, _address: string, _port: number, sent: Sent): void {
    this.#waits(bytes.length + FRAME_OVERHEAD);
    if (this.#socket.writable) this.#socket.write(bytes, sent);
    else process.nextTick(sent, disconnected());
  }

  /** Of a write under way when the socket is destroyed nobody knows how much left: Node calls it written, here it is not. */
  settled(bytes: number, error: Error | null | undefined): Error | null {
    this.#waits(-bytes - FRAME_OVERHEAD);
    return error ?? (this.#socket.destroyed ? disconnected() : null);
  }

  /** Closes at once; what waits is not sent. */
  close(how: ConnectionEnd): void {
    this.#end ??= how;
    this.#socket.destroy();
  }

  #waits(octets: number): void {
    this.#pending.octets += octets;
    this.#parts.pending.octets += octets;
  }

  #read(): void {
    for (let count = 0; count < FRAMES_PER_TURN; count += 1) {
      if (this.#socket.destroyed) return;
      const frame = this.#reader.next(this.#state === 'allocated' ? LARGEST_FRAME : this.#parts.limits.largestGreeting);
      if (frame === undefined) {
        if (this.#socket.isPaused()) this.#socket.resume();
        return;
      }
      if (frame === MALFORMED) {
        this.close('malformed');
        return;
      }
      if (this.#state === 'new' && (frame[0] ?? 0) >> 6 === 0) this.#greet();
      this.#parts.onFrame(this, frame);
    }
    this.#socket.pause();
    setImmediate(() => this.#read());
  }

  #greet(): void {
    this.#state = 'greeted';
    this.#parts.wheel.set(this.#deadline, this.#idleFrom + this.#parts.limits.idleWithin);
  }

  #gone(): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    this.#parts.onGone(this);
  }
}

function disconnected(): Error {
  return Object.assign(new Error('the client is gone'), { code: 'ECONNRESET' });
}
