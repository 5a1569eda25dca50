/** Runs checks against one server over one transport: each by itself, on five-tuples of its own, a few at a time. */
import type { Clock } from '../../kernel/clock.ts';
import { seededRandom } from '../../kernel/random.ts';
import type { OpenLink } from '../client/open-link.ts';
import type { Credentials } from '../client/requests.ts';
import type { Transport } from '../client/server-url.ts';
import { pause, type Timer } from '../client/timer.ts';
import { type Check, type CheckClass, type Topic, Unable } from './check.ts';
import { Context, type Ground, type PeerKind } from './context.ts';
import type { Pace, Subject } from './subject.ts';
import { outcomeOf, tell } from './finding.ts';

export type Verdict = 'pass' | 'fail' | 'skip';

export interface CheckResult {
  readonly name: string;
  readonly topic: Topic;
  readonly class: CheckClass;
  readonly section: string;
  readonly expected: string;
  /** What came; of a skipped check, why. */
  readonly got: string;
  readonly verdict: Verdict;
}

export interface RunOptions {
  readonly checks: readonly Check[];
  readonly transport: Transport;
  /** Opens one more link to the server, on a five-tuple that no earlier one had: see `freshLinks`. */
  readonly open: OpenLink;
  readonly credentials: Credentials;
  /** Another user of the same server, for the checks that need one. */
  readonly other?: Credentials | undefined;
  /** Transaction ids and payloads come from it. */
  readonly seed: string;
  readonly clock: Clock;
  readonly timer: Timer;
  /** Lets time pass for a slow check. */
  readonly wait?: (milliseconds: number) => Promise<void>;
  /** Checks at a time. */
  readonly together: number;
  readonly pace?: Pace;
  /** After each check, in the order in which they end. */
  readonly onResult?: (result: CheckResult, done: number) => void;
}

/** For a server some hundred milliseconds away. */
export const defaultPace: Pace = { patience: { rto: 500, giveUp: 2_500 }, grace: 60, repeat: 400, repeats: 4 };

/** Milliseconds that a quick check may take. */
const CHECK_WITHIN = 30_000;

/** The results in the order of the checks. Rejects only when no link can be opened before the first check. */
export async function runChecks(options: RunOptions): Promise<readonly CheckResult[]> {
  const { checks, transport, seed, onResult } = options;
  (await options.open()).close();
  const ground = groundOf(options);
  const results = new Map<Check, CheckResult>();
  const queue = checks.values();
  const work = async (): Promise<void> => {
    for (const check of queue) {
      const context = new Context(ground, seededRandom(`${seed} ${transport} ${check.name}`));
      const result = await runCheck(check, context, options.timer);
      results.set(check, result);
      onResult?.(result, results.size);
    }
  };
  await Promise.all(Array.from({ length: options.together }, work));
  return checks.flatMap((check) => results.get(check) ?? []);
}

function groundOf(options: RunOptions): Ground {
  const { transport, open, credentials, other, clock, timer, seed, pace = defaultPace } = options;
  let peerKind: Promise<PeerKind> | undefined;
  const ground: Ground = {
    transport,
    open,
    credentials,
    other,
    clock,
    timer,
    wait: options.wait ?? ((milliseconds) => pause(timer, milliseconds)),
    pace,
    peerKind: () => (peerKind ??= findPeerKind(new Context(ground, seededRandom(`${seed} ${transport} peer`)))),
  };
  return ground;
}

async function runCheck(check: Check, context: Context, timer: Timer): Promise<CheckResult> {
  const { name, topic, section, expected } = check;
  const base = { name, topic, class: check.class, section, expected };
  if (!check.transports.includes(context.transport)) {
    return { ...base, got: `not over ${context.transport}`, verdict: 'skip' };
  }
  try {
    const { conforms, got } = await within(check.slow ? undefined : CHECK_WITHIN, timer, check.run(context));
    return { ...base, got, verdict: conforms ? 'pass' : 'fail' };
  } catch (error) {
    return { ...base, got: reasonOf(error), verdict: error instanceof Unable ? 'skip' : 'fail' };
  } finally {
    await context.close();
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function within<T>(milliseconds: number | undefined, timer: Timer, promise: Promise<T>): Promise<T> {
  if (milliseconds === undefined) return promise;
  let cancel = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    cancel = timer.after(milliseconds, () => reject(new Error(`no end within ${milliseconds / 1000} s`)));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}

/** A socket of ours where the server relays to it; else a second allocation where it lets two of them meet. */
async function findPeerKind(context: Context): Promise<PeerKind> {
  const refusals: string[] = [];
  try {
    const subject = await context.allocated();
    for (const [kind, what] of peerKinds) {
      const refusal = await whyNot(context, subject, kind);
      if (refusal === undefined) return kind;
      refusals.push(`${what}: ${refusal}`);
    }
  } catch (error) {
    refusals.push(reasonOf(error));
  } finally {
    await context.close();
  }
  return { none: `no peer to talk with (${refusals.join('; ')})` };
}

const peerKinds = [
  ['socket', 'our own address'],
  ['relayed', 'another allocation'],
] as const;

/** Why such a peer does not do here; undefined when data goes both ways, under the addresses that are expected. */
async function whyNot(context: Context, subject: Subject, kind: 'socket' | 'relayed'): Promise<string | undefined> {
  try {
    const peer = await (kind === 'socket' ? context.socketPeer(subject) : context.relayedPeer(subject));
    const permission = await subject.ask(subject.requests.createPermission([peer.endpoint]));
    if (outcomeOf(permission) !== 'success') return tell(permission);
    const payload = context.payload(16);
    const there = await peer.hears(() => subject.client.sendTo(peer.endpoint, payload));
    if (there?.payload.equals(payload) !== true) return 'nothing arrives there';
    const back = await subject.hears(() => peer.send(payload, subject.relayed));
    if (back?.type !== 'indication') return 'nothing comes from there';
    const isItself = back.peer.address === peer.endpoint.address && back.peer.port === peer.endpoint.port;
    return isItself ? undefined : 'a NAT shows it under another address each time';
  } catch (error) {
    if (error instanceof Unable) return error.message;
    throw error;
  }
}
