/** Where frames for clients go out: a UDP listener for all of its clients, a TCP or TLS connection for the one it has. */
import type { Endpoint, Transport } from '../../kernel/address.ts';

/** Called once for each send: with the error, or with none once the kernel has taken the bytes. */
export type Sent = (error?: Error | null) => void;

/** Something that bytes are handed to and that may hold so many of them while the kernel takes none. */
export interface Sender {
  /** Whether its scratch memory may be used again after each send. Where much can wait, each frame has memory of its own size. */
  readonly waitsBriefly: boolean;
  /** Whether no more may wait. Answers to requests have room of their own, so that media never crowds out a Refresh. */
  isFull(cargo: 'data' | 'answer'): boolean;
  /**
   * `bytes` must stay untouched until `sent` is called, which never happens before this returns. A connection has one
   * other end only and ignores address and port.
   */
  send(bytes: Buffer, address: string, port: number, sent: Sent): void;
  /** To be told of every `sent`: makes room again. Returns why the bytes were not sent after all, null when they were. */
  settled(bytes: number, error: Error | null | undefined): Error | null;
}

export interface ClientLeg extends Sender {
  readonly transport: Transport;
  /** The relay's own end, as the five-tuples of its clients have it. */
  readonly local: Endpoint;
  /** Octets of the largest frame that it carries. */
  readonly largestFrame: number;
  /** Whether ChannelData is padded to four octets, so that the next frame's beginning is known (RFC 8656 §12.5). */
  readonly padsFrames: boolean;
  /** An allocation of a client on this leg begins, ends: what is kept open for it, and how long what has none may stay. */
  begin(): void;
  end(): void;
}
