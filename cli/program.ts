/**
 * Every command with its options, in one place; docs/cli.md is tested against it. A command's file is loaded only when
 * it runs, so that `turnpike mos` does not wait for a database client.
 */
import { createRequire } from 'node:module';
import { Command, Option } from 'commander';
import { usageGroups } from '../collector/contract.ts';
import type { ConfigFlag } from './config.ts';
import { withConfig } from './settings.ts';

const STORE: ConfigFlag[] = ['--data <dir>', '--clickhouse <url>', '--log-level <level>'];
const HTTP: ConfigFlag[] = ['--host <host>', '--port <port>'];
const TURN: ConfigFlag[] = [
  '--turn-host <ip>',
  '--turn-port <port>',
  '--turn-tls-port <port>',
  '--turn-tls-cert <file>',
  '--turn-tls-key <file>',
  '--external-ip <ip>',
  '--relay-ports <range>',
  '--plane <plane>',
  '--allow-peer <cidr...>',
  '--metrics-port <port>',
];
/** `up` hands its own flags on to the roles it starts, so each role takes all of them. */
const ALL: ConfigFlag[] = [...STORE, '--cluster <name>', ...HTTP, ...TURN, '--collector <url>'];

const manifest = createRequire(import.meta.url)('turnpike/package.json') as { version: string };

export function createProgram(argv: readonly string[] = process.argv): Command {
  const program = new Command('turnpike')
    .description('A TURN/STUN relay that knows what it carried, how it sounded and what it cost')
    .version(manifest.version)
    .showHelpAfterError('(run with --help to see what is accepted)')
    .exitOverride();
  roles(program, argv);
  tools(program);
  return program;
}

function roles(program: Command, argv: readonly string[]): void {
  withConfig(
    program.command('up').description('the whole service on this machine: relay, collector, console, store'),
    ALL,
  ).action(async (_options: unknown, command: Command) => {
    const { up } = await import('./up.ts');
    await up(command, argv.slice(argv.indexOf('up') + 1));
  });
  withConfig(program.command('relay').description('a relay node; reports usage to --collector'), ALL).action(
    async (_options: unknown, command: Command) => {
      const { relay } = await import('./relay.ts');
      await relay(command);
    },
  );
  withConfig(
    program.command('collector').description('API, intake, billing and console on a ClickHouse server'),
    ALL,
  ).action(async (_options: unknown, command: Command) => {
    const { collector } = await import('./collector.ts');
    await collector(command);
  });
  withConfig(program.command('migrate').description('create or upgrade the tables'), [...STORE, '--cluster <name>'])
    .option('--print-reader <user>', 'only print the statements that make a user for people’s queries')
    .action(async (_options: unknown, command: Command) => {
      const { migrateTables } = await import('./migrate.ts');
      await migrateTables(command);
    });
}

function tools(program: Command): void {
  withConfig(program.command('credentials').description('print ICE servers with a fresh credential, as JSON'), [
    '--data <dir>',
    ...HTTP,
    ...TURN,
  ])
    .requiredOption('--key <id>', 'TURN key that signs')
    .option('--ttl <seconds>', 'how long it may be used', '3600')
    .option('--id <customer>', 'customIdentifier that its bytes are counted under')
    .option('--call <call>', 'call that it belongs to')
    .option('--participant <participant>', 'participant that it belongs to')
    .action(async (_options: unknown, command: Command) => {
      const { credentials } = await import('./credentials.ts');
      credentials(command);
    });
  withConfig(
    program
      .command('import')
      .description('read call recordings into the store')
      .argument(
        '<file...>',
        'recordings of webrtc-internals, rtcstats, ObserveRTC, peermetrics or the SDK; gzip and zstd too',
      ),
    STORE,
  )
    .option('--app <app>', 'app that the calls belong to, where there are several')
    .option('--call <call>', 'name of the call, instead of what the recording says')
    .option('--participant <participant>', 'who recorded it, instead of what the recording says')
    .option('--json', 'print JSON instead of text')
    .action(async (files: string[], _options: unknown, command: Command) => {
      const { importRecordings } = await import('./import.ts');
      await importRecordings(files, command);
    });
  withConfig(
    program
      .command('statement')
      .description('egress cost statement of a month')
      .argument('<period>', 'a month, such as 2026-11'),
    STORE,
  )
    .option('--app <app>', "only this app's lines")
    .option('--rate-card <card>', 'rate card instead of the configured one')
    .addOption(new Option('--format <format>', 'how to print it').choices(['table', 'json']).default('table'))
    .option('--json', 'the same as --format json')
    .action(async (period: string, _options: unknown, command: Command) => {
      const { statement } = await import('./statement.ts');
      await statement(period, command);
    });
  withConfig(
    program
      .command('usage')
      .description('bytes sent to clients in a month, by call or customer')
      .argument('<period>', 'a month, such as 2026-11'),
    STORE,
  )
    .option('--app <app>', "only this app's")
    .addOption(new Option('--group <group>', 'what the lines are').choices(usageGroups).default('call'))
    .option('--json', 'print JSON instead of a table')
    .action(async (period: string, _options: unknown, command: Command) => {
      const { usage } = await import('./usage.ts');
      await usage(period, command);
    });
  withConfig(program.command('erase').description('remove what is kept of a participant; what was billed stays'), [
    ...STORE,
    '--cluster <name>',
  ])
    .requiredOption('--participant <participant>', 'who is to be erased')
    .option('--app <app>', 'app that they are of, where there are several')
    .option('--call <call>', 'only what is of this call')
    .option('--dry-run', 'only say what there is')
    .option('--json', 'print JSON instead of a table')
    .action(async (_options: unknown, command: Command) => {
      const { erase } = await import('./erase.ts');
      await erase(command);
    });
  program
    .command('mos')
    .description('the E-model by hand')
    .addOption(new Option('--model <model>', 'ITU-T model').choices(['g107', 'g107.1', 'g107.2']).makeOptionMandatory())
    .option('--codec <codec>', 'take Ie and Bpl from this codec')
    .option('--param <name=value...>', 'a parameter by its ITU name (repeatable): Ppl=5, Ta=150, …')
    .option('--json', 'print JSON instead of a table')
    .action(async (_options: unknown, command: Command) => {
      const { mos } = await import('./mos.ts');
      mos(command);
    });
  program
    .command('check')
    .description('test any STUN or TURN server from here, as a client')
    .argument('<url>', 'stun:, turn: or turns: URL')
    .option('--username <username>', 'of the credentials')
    .option('--credential <credential>', 'password of the credentials')
    .option('--conformance', 'check the server against the RFCs instead, and print what is expected and what came')
    .option('--other-username <username>', 'of a second user, for the conformance checks that need one')
    .option('--other-credential <credential>', 'password of the second user')
    .option('--slow', 'with --conformance: also the checks that wait for something to expire (about 20 minutes)')
    .option('--seed <seed>', 'with --conformance: repeats a run with the transaction ids and payloads it had')
    .option('--insecure', 'take any TLS certificate')
    .option('--json', 'print JSON instead of a table')
    .action(async (url: string, _options: unknown, command: Command) => {
      const { check } = await import('./check.ts');
      await check(url, command, process.env);
    });
  withConfig(
    program.command('dashboards').description('write Grafana dashboards, their provisioning and Prometheus rules'),
    [],
  )
    .requiredOption('--out <dir>', 'directory to write to')
    .action(async (_options: unknown, command: Command) => {
      const { dashboards } = await import('./dashboards.ts');
      dashboards(command);
    });
}
