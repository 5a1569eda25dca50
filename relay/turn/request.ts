/** What the five methods take and give: an authenticated request in, an outcome out, which the core turns into an answer. */
import type { FiveTuple } from '../../kernel/address.ts';
import type { Command } from '../planes/plane.ts';
import { unknownAttributeTypes } from '../stun/error-code.ts';
import type { ErrorName } from '../stun/error-codes.ts';
import { isWellFormed, type StunMessage, unknownAttributes } from '../stun/message.ts';
import type { Setter } from '../stun/message-writer.ts';
import type { AllocationRecord } from './allocation.ts';
import type { AllocationTable } from './allocation-table.ts';
import type { Identity } from './authentication.ts';
import type { Instant } from './authenticator.ts';
import type { Limit } from './observer.ts';
import type { Reservations } from './reservations.ts';
import type { Settings } from './settings.ts';
import type { SpentBytes } from './spent-bytes.ts';

export interface TurnRequest {
  /** Valid only during the call, as every view of it. */
  readonly message: StunMessage;
  readonly from: FiveTuple;
  readonly at: Instant;
  readonly identity: Identity;
  /** The allocation on this five-tuple, opening or live; one of the two where there are two. */
  readonly allocation: AllocationRecord | undefined;
}

/** What a method may look at and change. */
export interface State {
  readonly settings: Settings;
  readonly table: AllocationTable;
  readonly spent: SpentBytes;
  readonly reservations: Reservations;
  /** Whether no new allocation is given any more. */
  draining: boolean;
}

export type Outcome =
  | {
      readonly type: 'success';
      readonly attributes: readonly Setter[];
      /** Obeyed before the answer leaves, so that what it promises is true when it arrives. */
      readonly before?: readonly Command[];
      readonly after?: readonly Command[];
    }
  | {
      readonly type: 'error';
      readonly error: ErrorName;
      readonly attributes: readonly Setter[];
      /** What there was too much of, where that is why. */
      readonly limit?: Limit;
    }
  /** No answer: a client on UDP asks again, and later is better than never. */
  | { readonly type: 'ignored'; readonly limit: Limit }
  /** The answer waits for the plane. */
  | { readonly type: 'pending'; readonly commands: readonly Command[] };

export function failure(error: ErrorName, ...attributes: readonly Setter[]): Outcome {
  return { type: 'error', error, attributes };
}

/** A failure because there is too much of something. */
export function limited(limit: Limit, error: ErrorName, ...attributes: readonly Setter[]): Outcome {
  return { type: 'error', error, attributes, limit };
}

/** What stands against a request before its method looks at it (RFC 8489 §6.3, §6.3.1); undefined when nothing does. */
export function objection(message: StunMessage): Outcome | undefined {
  const unknown = unknownAttributes(message);
  if (unknown.length > 0) return failure('UNKNOWN_ATTRIBUTE', unknownAttributeTypes(unknown));
  return isWellFormed(message) ? undefined : failure('BAD_REQUEST');
}
