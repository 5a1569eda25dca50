/**
 * Hosts on networks of their own (Linux network namespaces), joined by cables (veth pairs) and by routers that translate
 * addresses (nftables). Nothing in them sees this machine's network, nor is seen by it.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { Part } from '../system-parts.ts';

export type Program = ChildProcessByStdio<Writable, Readable, Readable>;
type Tools = Pick<Part<'networking'>, 'path'>;

/** Names of namespaces and cables are the machine's: those of one run must not be those of another. */
const PREFIX = `tp${process.pid}`;

/** What `ip` and `nft` say where it is not for us to have networks. */
const REFUSALS = /Operation not permitted|Permission denied|(?:Operation|Protocol) not supported|Read-only file system/;

export class Network {
  readonly #tools: Tools;
  readonly #hosts = new Set<string>();
  readonly #programs = new Set<Program>();

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  /** Why there can be no networks here, if there can be none: a user who is not root, or a kernel without them. */
  static refusal(tools: Tools): string | undefined {
    const network = new Network(tools);
    try {
      network.addHost('probe');
      network.translate('probe', 'chain leaving { type nat hook postrouting priority srcnat; }');
      return undefined;
    } catch (error) {
      const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
      const reason = REFUSALS.exec(said)?.[0];
      if (reason === undefined) throw error;
      return `no networks of its own here: ${reason}`;
    } finally {
      network.removeHosts();
    }
  }

  addHost(host: string): void {
    this.#ip('netns', 'add', nameOf(host));
    this.#hosts.add(host);
    this.#ipOn(host, 'link', 'set', 'lo', 'up');
  }

  /** A cable; each end is `[host, interface, address/prefix]`. */
  join(...ends: readonly [end: readonly [string, string, string], other: readonly [string, string, string]]): void {
    const [[one, oneName], [other, otherName]] = ends;
    const to = ['peer', 'name', otherName, 'netns', nameOf(other)];
    this.#ip('link', 'add', oneName, 'netns', nameOf(one), 'type', 'veth', ...to);
    for (const [host, name, address] of ends) {
      this.addAddress(host, name, address);
      this.#ipOn(host, 'link', 'set', name, 'up');
    }
  }

  addAddress(host: string, name: string, address: string): void {
    this.#ipOn(host, 'address', 'add', address, 'dev', name);
  }

  setGateway(host: string, gateway: string): void {
    this.#ipOn(host, 'route', 'replace', 'default', 'via', gateway);
  }

  /** Makes the host forward packets that are not its own. */
  forward(host: string): void {
    this.execute(host, '/bin/sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  }

  /** Replaces the host's translation of addresses by these chains, in nftables' own words. */
  translate(host: string, chains: string): void {
    const rules = `table ip nat {}\nflush table ip nat\ndelete table ip nat\ntable ip nat {\n${chains}\n}\n`;
    const nft = this.#tools.path('nft');
    execFileSync(this.#tools.path('ip'), ['netns', 'exec', nameOf(host), nft, '-f', '-'], {
      input: rules,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
  }

  /** Takes the interface down and up again, with which its host forgets every translation made for it, and the way out. */
  reconnect(host: string, name: string, gateway: string): void {
    this.#ipOn(host, 'link', 'set', name, 'down');
    this.#ipOn(host, 'link', 'set', name, 'up');
    this.setGateway(host, gateway);
  }

  /** What a program on that host prints, once it has ended. */
  execute(host: string, program: string, ...args: readonly string[]): string {
    return execFileSync(this.#tools.path('ip'), ['netns', 'exec', nameOf(host), program, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    });
  }

  /** Starts a program on that host; `close` ends it. */
  start(host: string, program: string, args: readonly string[], env: Record<string, string> = {}): Program {
    const started = spawn(this.#tools.path('ip'), ['netns', 'exec', nameOf(host), program, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], ...env },
    });
    this.#programs.add(started);
    return started;
  }

  /** Ends every program that was started and removes every host. */
  async close(): Promise<void> {
    const running = [...this.#programs].filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    await Promise.all(
      running.map(async (program) => {
        const exited = once(program, 'exit');
        program.kill('SIGTERM');
        await exited;
      }),
    );
    this.removeHosts();
  }

  removeHosts(): void {
    for (const host of this.#hosts) this.#ip('netns', 'delete', nameOf(host));
    this.#hosts.clear();
  }

  #ip(...args: readonly string[]): void {
    execFileSync(this.#tools.path('ip'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
  }

  #ipOn(host: string, ...args: readonly string[]): void {
    this.#ip('-n', nameOf(host), ...args);
  }
}

function nameOf(host: string): string {
  return `${PREFIX}-${host}`;
}
