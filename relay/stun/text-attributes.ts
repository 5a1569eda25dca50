/** USERNAME, REALM, NONCE and SOFTWARE: UTF-8 text (RFC 8489 §14.3, §14.9, §14.10, §14.14). */
import type { StunMessage } from './message.ts';
import type { Setter } from './message-writer.ts';

interface TextAttribute {
  readonly type: number;
  readonly most: number;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function text(attribute: TextAttribute, value: string): Setter {
  const bytes = Buffer.from(value);
  return (writer) => {
    writer.into.set(bytes, writer.add(attribute.type, bytes.length));
  };
}

/** The text; undefined when the attribute is absent, longer than it may be, or not UTF-8. */
export function readText(message: StunMessage, attribute: TextAttribute): string | undefined {
  const value = message.value(attribute.type);
  if (value === undefined || value.length > attribute.most) return undefined;
  try {
    return decoder.decode(value);
  } catch {
    return undefined;
  }
}
