/**
 * Cuts a byte stream into the frames of TURN over TCP and TLS (RFC 8489 §6.2.2, RFC 8656 §12.5): STUN messages by their
 * length, ChannelData by its length padded to four. Where the chunks end does not matter. Bytes that can begin no frame are
 * told at once, not after the frame that they claim to be: a stream has no second beginning.
 */
import { CHANNEL_DATA_HEADER_LENGTH } from '../../stun/channel-data.ts';
import { HEADER_LENGTH, MAGIC_COOKIE, padded, readU16, readU32 } from '../../stun/header.ts';

/** Octets of the largest frame there is: a STUN message whose length field is as high as its alignment lets it be. */
export const LARGEST_FRAME = HEADER_LENGTH + 0xfffc;

/** `next` for bytes that are no beginning of a frame, or of one larger than allowed. */
export const MALFORMED = Symbol('malformed');
/** Of a frame whose length is still to come. */
const UNKNOWN = 0;

const LEAST_ROOM = 1024;
const EMPTY = Buffer.alloc(0);
/** Octets after which the length of any frame is known, and those after which the cookie of a STUN message is. */
const LENGTH_KNOWN = 4;
const COOKIE_KNOWN = 8;

export class FrameReader {
  /** What is being read; the frames that lie whole in it are given out as views of it. */
  #chunk: Buffer = EMPTY;
  #at = 0;
  /** The first octets of a frame that did not lie whole in one chunk. Grows with what has come, not with what is claimed. */
  #partial: Buffer = EMPTY;
  #have = 0;

  /** Adds what came, after `next` has given undefined for all that came before. The chunk is the reader's from now on. */
  push(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * The next whole frame, ChannelData with its padding; undefined when there is none yet. A frame is the caller's and is never
   * written to again. After MALFORMED, which is for good, there is nothing more.
   */
  next(largest: number = LARGEST_FRAME): Buffer | typeof MALFORMED | undefined {
    const frame = this.#have === 0 ? this.#nextInChunk(largest) : this.#nextInPieces(largest);
    if (this.#at === this.#chunk.length) this.push(EMPTY);
    return frame;
  }

  #nextInChunk(largest: number): Buffer | typeof MALFORMED | undefined {
    const start = this.#at;
    const length = frameLength(this.#chunk, start, this.#chunk.length - start, largest);
    if (length === MALFORMED) return MALFORMED;
    if (length !== UNKNOWN && start + length <= this.#chunk.length) {
      this.#at += length;
      return this.#chunk.subarray(start, this.#at);
    }
    this.#take(this.#chunk.length - start);
    return undefined;
  }

  #nextInPieces(largest: number): Buffer | typeof MALFORMED | undefined {
    for (;;) {
      const length = frameLength(this.#partial, 0, this.#have, largest);
      if (length === MALFORMED) return MALFORMED;
      if (length !== UNKNOWN && this.#have === length) {
        const frame = this.#partial.subarray(0, length);
        this.#partial = EMPTY;
        this.#have = 0;
        return frame;
      }
      const left = this.#chunk.length - this.#at;
      if (left === 0) return undefined;
      // Up to the next octet that tells something, so that no octet of the frame behind this one is taken.
      const goal = length !== UNKNOWN && this.#have >= COOKIE_KNOWN ? length : milestone(this.#have, length);
      this.#take(Math.min(left, goal - this.#have));
    }
  }

  /** Moves so many octets of the chunk to the frame in pieces. */
  #take(octets: number): void {
    if (octets === 0) return;
    const needed = this.#have + octets;
    if (needed > this.#partial.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, Math.min(2 * this.#partial.length, LARGEST_FRAME), LEAST_ROOM));
      grown.set(this.#partial.subarray(0, this.#have));
      this.#partial = grown;
    }
    this.#partial.set(this.#chunk.subarray(this.#at, this.#at + octets), this.#have);
    this.#have = needed;
    this.#at += octets;
  }
}

function milestone(have: number, length: number): number {
  if (have < LENGTH_KNOWN) return LENGTH_KNOWN;
  return Math.min(COOKIE_KNOWN, length);
}

/** Octets of the frame that begins at `at`, of which `present` are there; UNKNOWN while they do not tell. */
function frameLength(bytes: Buffer, at: number, present: number, largest: number): number | typeof MALFORMED {
  if (present === 0) return UNKNOWN;
  const kind = (bytes[at] ?? 0) >> 6;
  if (kind > 1) return MALFORMED;
  if (present < LENGTH_KNOWN) return UNKNOWN;
  const claimed = readU16(bytes, at + 2);
  if (kind === 0 && (claimed & 3) !== 0) return MALFORMED;
  if (kind === 0 && present >= COOKIE_KNOWN && readU32(bytes, at + 4) !== MAGIC_COOKIE) return MALFORMED;
  const length = kind === 0 ? HEADER_LENGTH + claimed : CHANNEL_DATA_HEADER_LENGTH + padded(claimed);
  return length > largest ? MALFORMED : length;
}
