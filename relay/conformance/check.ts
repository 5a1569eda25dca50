/** A conformance check: what a client does, what the RFC says comes of it, and what came. */
import type { Transport } from '../client/server-url.ts';
import type { Context } from './context.ts';

export const topics = [
  'stun',
  'authentication',
  'allocate',
  'refresh',
  'permissions',
  'channels',
  'data',
  'security',
] as const;
export type Topic = (typeof topics)[number];

/**
 * `protocol`: a rule of an RFC that a client can count on. `security`: a rule, of an RFC or of good practice, whose breach
 * exposes somebody; what it finds about another's server is for that server's operator.
 */
export type CheckClass = 'protocol' | 'security';

export interface Finding {
  readonly conforms: boolean;
  /** In few words. */
  readonly got: string;
}

export interface Check {
  readonly name: string;
  readonly topic: Topic;
  /** `RFC 8656 §7.2`; `practice` where no RFC has the rule. */
  readonly section: string;
  readonly expected: string;
  readonly class: CheckClass;
  readonly transports: readonly Transport[];
  /** Waits for minutes, for something to expire. */
  readonly slow: boolean;
  /** Throws Unable when the check cannot be made here. */
  run(context: Context): Promise<Finding>;
}

/** Why a check cannot be made: the server or the network lacks what it needs. Its verdict is a skip. */
export class Unable extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'Unable';
  }
}

type Row = Pick<Check, 'name' | 'section' | 'expected' | 'run'> & Partial<Pick<Check, 'class' | 'transports' | 'slow'>>;

const everyTransport = ['udp', 'tcp', 'tls'] as const;
export const streams = ['tcp', 'tls'] as const;

/** Rows with what most of them have in common: a protocol check, over every transport, quick. */
export function checksOf(topic: Topic, rows: readonly Row[]): readonly Check[] {
  return rows.map((row) => ({
    class: topic === 'security' ? 'security' : 'protocol',
    transports: everyTransport,
    slow: false,
    topic,
    ...row,
  }));
}
