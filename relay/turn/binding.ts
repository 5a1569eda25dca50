/** Binding (RFC 8489 §12): anybody may ask from where their packets come. */
import type { FiveTuple } from '../../kernel/address.ts';
import { xorAddress } from '../stun/address-attributes.ts';
import { attributes } from '../stun/attributes.ts';
import type { Setter } from '../stun/message-writer.ts';

export function bindingAnswer(from: FiveTuple): readonly Setter[] {
  return [xorAddress(attributes.XOR_MAPPED_ADDRESS, from.client)];
}
