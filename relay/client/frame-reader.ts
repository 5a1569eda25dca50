/**
 * Frames out of a stream, however it was cut: STUN messages by their own length, ChannelData by its length and padding to four
 * octets (RFC 8656 §12.5). Holds at most one frame that is not whole, so at most 65,556 octets.
 */
import { CHANNEL_DATA_HEADER_LENGTH, isChannelData } from '../stun/channel-data.ts';
import { HEADER_LENGTH, padded, readU16 } from '../stun/header.ts';

export class FrameReader {
  #rest = Buffer.alloc(0);

  /** The frames that are whole now, each in memory of its own; undefined when the stream is not one of frames. */
  read(chunk: Buffer): Buffer[] | undefined {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Buffer[] = [];
    while (bytes.length >= CHANNEL_DATA_HEADER_LENGTH) {
      const length = frameLength(bytes);
      if (length === undefined) return undefined;
      if (bytes.length < length) break;
      frames.push(Buffer.from(bytes.subarray(0, length)));
      bytes = bytes.subarray(length);
    }
    this.#rest = Buffer.from(bytes);
    return frames;
  }
}

function frameLength(bytes: Buffer): number | undefined {
  if (isChannelData(bytes)) return CHANNEL_DATA_HEADER_LENGTH + padded(readU16(bytes, 2));
  return ((bytes[0] ?? 0) & 0xc0) === 0 ? HEADER_LENGTH + readU16(bytes, 2) : undefined;
}
