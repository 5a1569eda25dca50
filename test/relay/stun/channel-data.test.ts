import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CHANNEL_DATA_HEADER_LENGTH,
  channelDataLength,
  channelNumberOf,
  isChannelData,
  isChannelNumber,
  writeChannelDataHeader,
} from '../../../relay/stun/channel-data.ts';

const frame = (channel: number, length: number, present: number) => {
  const bytes = new Uint8Array(CHANNEL_DATA_HEADER_LENGTH + present);
  writeChannelDataHeader(bytes, 0, channel, length);
  return bytes;
};

describe('ChannelData (RFC 8656 §12)', () => {
  it('is told from STUN by its first octet, 0x40 to 0x4F', () => {
    for (let first = 0; first < 256; first += 1) {
      expect(isChannelData(Uint8Array.of(first, 0, 0, 0))).toBe(first >= 0x40 && first <= 0x4f);
    }
    expect(isChannelData(new Uint8Array(0))).toBe(false);
  });

  it('has channel numbers from 0x4000 to 0x4FFF and no others', () => {
    expect([0x3fff, 0x4000, 0x4fff, 0x5000, 0x7ffe].map(isChannelNumber)).toEqual([false, true, true, false, false]);
  });

  it('carries a payload of zero octets', () => {
    expect(channelDataLength(frame(0x4000, 0, 0))).toBe(0);
  });

  it('may be padded to a multiple of four over UDP, and no further', () => {
    expect(channelDataLength(frame(0x4001, 5, 5))).toBe(5);
    expect(channelDataLength(frame(0x4001, 5, 8))).toBe(5);
    expect(channelDataLength(frame(0x4001, 5, 9))).toBe(-1);
  });

  it('is malformed when shorter than it says or than a header', () => {
    expect(channelDataLength(frame(0x4001, 5, 4))).toBe(-1);
    expect(channelDataLength(Uint8Array.of(0x40, 0, 0))).toBe(-1);
  });

  it('reads back the number and length it was written with', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0x4000, max: 0x4fff }), fc.integer({ min: 0, max: 1500 }), (channel, length) => {
        const bytes = frame(channel, length, length);
        expect([channelNumberOf(bytes), channelDataLength(bytes)]).toEqual([channel, length]);
      }),
    );
  });
});
