/** What a relay hands its client of what peers sent: Data indications and ChannelData. */
import type { Endpoint } from '../../kernel/address.ts';
import { CHANNEL_DATA_HEADER_LENGTH, channelDataLength, channelNumberOf, isChannelData } from '../stun/channel-data.ts';
import { attributes } from '../stun/attributes.ts';
import { methods } from '../stun/methods.ts';
import { Answer, readAnswer } from './answer.ts';

export type Delivery =
  | { readonly type: 'channel'; readonly channel: number; readonly payload: Buffer; readonly frame: Buffer }
  | { readonly type: 'indication'; readonly peer: Endpoint; readonly payload: Buffer }
  /** A Data indication about an ICMP error instead of data (RFC 8656 §11.5). */
  | { readonly type: 'icmp'; readonly peer: Endpoint }
  /** Neither: a response nobody waits for, or something malformed. */
  | { readonly type: 'stray'; readonly frame: Buffer };

export function readDelivery(frame: Buffer): Delivery {
  if (isChannelData(frame)) {
    const length = channelDataLength(frame);
    if (length < 0) return { type: 'stray', frame };
    const end = CHANNEL_DATA_HEADER_LENGTH + length;
    return {
      type: 'channel',
      channel: channelNumberOf(frame),
      payload: frame.subarray(CHANNEL_DATA_HEADER_LENGTH, end),
      frame,
    };
  }
  const answer = readAnswer(frame);
  if (!(answer instanceof Answer) || answer.method !== methods.DATA.code || answer.messageClass !== 'indication') {
    return { type: 'stray', frame };
  }
  const { peer, data } = answer;
  if (peer === undefined) return { type: 'stray', frame };
  if (data !== undefined) return { type: 'indication', peer, payload: Buffer.from(data) };
  return answer.has(attributes.ICMP) ? { type: 'icmp', peer } : { type: 'stray', frame };
}
