/** `turnpike check`: any STUN or TURN server from here, as a client: can it be used, and how well; or does it keep to the RFCs. */
import type { Command } from 'commander';
import { systemClock } from '../kernel/clock.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import { systemRandom } from '../kernel/random.ts';
import { type Link, LinkError } from '../relay/client/link.ts';
import { openLink, resolveRoute } from '../relay/client/open-link.ts';
import { hintOf, reach, type Reach } from '../relay/client/reach.ts';
import type { Credentials } from '../relay/client/requests.ts';
import { parseServerUrl, type Route, type ServerUrl } from '../relay/client/server-url.ts';
import { systemTimer } from '../relay/client/timer.ts';
import { tellFailure, TurnClient } from '../relay/client/turn-client.ts';
import { freshLinks } from '../relay/conformance/fresh-links.ts';
import { type CheckResult, runChecks } from '../relay/conformance/run.ts';
import { suite } from '../relay/conformance/suite.ts';
import type { CheckVariable } from './config.ts';
import { conformanceText, isUsable, reachText } from './check-report.ts';
import { Progress } from './progress.ts';

type Environment = Readonly<Partial<Record<CheckVariable, string | undefined>>>;

interface Options {
  readonly username?: string;
  readonly credential?: string;
  readonly otherUsername?: string;
  readonly otherCredential?: string;
  readonly conformance?: boolean;
  readonly slow?: boolean;
  readonly seed?: string;
  readonly insecure?: boolean;
  readonly json?: boolean;
}

/** Checks at a time: few enough not to look like a flood. */
const TOGETHER = 4;
const CONNECT_WITHIN = 5_000;

export async function check(url: string, command: Command, env: Environment): Promise<void> {
  const options = command.opts<Options>();
  const server = parseServerUrl(url);
  if (server === undefined) {
    const detail = `${url} is no stun:, turn: or turns: URL, such as turn:turn.example.org:3478?transport=udp.`;
    throw new TurnpikeError('TP_CLI_USAGE', detail);
  }
  const isOk =
    options.conformance === true ? await conform(url, server, options, env) : await tryOut(url, server, options, env);
  if (!isOk) process.exitCode = 1;
}

/** A flag wins over its variable. Both or neither. */
function credentialsOf(
  username: string | undefined,
  credential: string | undefined,
  names: string,
): Credentials | undefined {
  if (username === undefined && credential === undefined) return undefined;
  if (username !== undefined && credential !== undefined) return { username, credential };
  throw new TurnpikeError('TP_CLI_USAGE', `${names} go together.`);
}

function ownCredentials(options: Options, env: Environment): Credentials | undefined {
  return credentialsOf(
    options.username ?? env.TURNPIKE_CHECK_USERNAME,
    options.credential ?? env.TURNPIKE_CHECK_CREDENTIAL,
    '--username and --credential',
  );
}

async function tryOut(url: string, server: ServerUrl, options: Options, env: Environment): Promise<boolean> {
  const credentials = ownCredentials(options, env);
  const progress = new Progress(process.stderr);
  const results: Reach[] = [];
  for (const route of server.routes) {
    results.push(
      await reach(route, {
        credentials,
        relays: server.relays,
        clock: systemClock,
        timer: systemTimer,
        random: systemRandom,
        insecure: options.insecure === true,
        onProgress: (text) => progress.show(`${route.transport}: ${text}`),
      }),
    );
  }
  progress.end();
  // A URL that leaves the transport open works when one of them does: a client tries them all.
  const isOk = results.some(isUsable);
  const text =
    options.json === true ? `${JSON.stringify({ url, ok: isOk, routes: results }, null, 2)}\n` : reachText(results);
  process.stdout.write(text);
  return isOk;
}

async function conform(url: string, server: ServerUrl, options: Options, env: Environment): Promise<boolean> {
  const credentials = ownCredentials(options, env);
  const [route] = server.routes;
  if (!server.relays || route === undefined) {
    throw new TurnpikeError('TP_CLI_USAGE', 'Conformance is checked of a TURN server: give a turn: or turns: URL.');
  }
  if (credentials === undefined) {
    throw new TurnpikeError('TP_CLI_USAGE', 'Conformance needs an allocation: give --username and --credential.');
  }
  const other = credentialsOf(
    options.otherUsername ?? env.TURNPIKE_CHECK_OTHER_USERNAME,
    options.otherCredential ?? env.TURNPIKE_CHECK_OTHER_CREDENTIAL,
    '--other-username and --other-credential',
  );
  const seed = options.seed ?? systemRandom.bytes(6).toString('hex');
  const results = await runSuite(route, {
    credentials,
    other,
    seed,
    slow: options.slow === true,
    insecure: options.insecure === true,
  });
  const text =
    options.json === true
      ? `${JSON.stringify({ url, transport: route.transport, seed, checks: results }, null, 2)}\n`
      : conformanceText(results, { url, transport: route.transport, seed });
  process.stdout.write(text);
  return results.every(({ class: of, verdict }) => of !== 'protocol' || verdict !== 'fail');
}

interface SuiteOptions {
  readonly credentials: Credentials;
  readonly other: Credentials | undefined;
  readonly seed: string;
  readonly slow: boolean;
  readonly insecure: boolean;
}

/** The quick checks a few at a time; beside them the slow ones, which only wait, all at once. */
async function runSuite(route: Route, { slow, insecure, ...rest }: SuiteOptions): Promise<readonly CheckResult[]> {
  const progress = new Progress(process.stderr);
  const [quick, waiting] = [suite.filter((one) => !one.slow), suite.filter((one) => one.slow && slow)];
  const total = quick.length + waiting.length;
  let done = 0;
  try {
    const remote = await resolveRoute(route);
    const open = freshLinks(() =>
      openLink(route, remote, { timer: systemTimer, connectWithin: CONNECT_WITHIN, insecure }),
    );
    await requireAnswer(await open(), rest.credentials);
    const common = {
      ...rest,
      transport: route.transport,
      open,
      clock: systemClock,
      timer: systemTimer,
      onResult: ({ name }: CheckResult) => {
        done += 1;
        progress.show(`${done} of ${total}: ${name}`);
      },
    };
    const runs = [runChecks({ ...common, checks: quick, together: TOGETHER })];
    if (waiting.length > 0) runs.push(runChecks({ ...common, checks: waiting, together: waiting.length }));
    const results = (await Promise.all(runs)).flat();
    const order = new Map(suite.map(({ name }, index) => [name, index]));
    return results.toSorted((left, right) => (order.get(left.name) ?? 0) - (order.get(right.name) ?? 0));
  } catch (error) {
    if (error instanceof LinkError) throw new TurnpikeError('TP_CLI_CHECK', `${error.message}.`, { cause: error });
    throw error;
  } finally {
    progress.end();
  }
}

/** Without an answer, or with a credential that is not accepted, the table would only say so a hundred times. */
async function requireAnswer(link: Link, credentials: Credentials): Promise<void> {
  const client = new TurnClient({ link, credentials, clock: systemClock, timer: systemTimer, random: systemRandom });
  const allocation = await client.allocate();
  await client.close();
  if (allocation.ok) return;
  const { failure } = allocation;
  if (failure.type === 'silence' || failure.type === 'ended' || (failure.type === 'refused' && failure.code === 401)) {
    const hint = hintOf(failure, link.transport, true);
    throw new TurnpikeError('TP_CLI_CHECK', `Allocate: ${tellFailure(failure)}. ${hint}`);
  }
}
