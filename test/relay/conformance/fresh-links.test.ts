import { describe, expect, it } from 'vitest';
import type { Link } from '../../../relay/client/link.ts';
import { freshLinks } from '../../../relay/conformance/fresh-links.ts';

/** Links from these ports, one after the other, the last again and again; and what was closed. */
function system(...ports: readonly number[]): { open: () => Promise<Link>; closed: number[] } {
  const closed: number[] = [];
  let next = 0;
  const open = (): Promise<Link> => {
    const port = ports[Math.min(next, ports.length - 1)] ?? 0;
    next += 1;
    return Promise.resolve({
      transport: 'udp',
      local: { address: '127.0.0.1', port },
      remote: { address: '127.0.0.1', port: 3478 },
      send: () => undefined,
      listen: () => undefined,
      close: () => closed.push(port),
    });
  };
  return { open, closed };
}

describe('fresh links', () => {
  it('never come from a port that came before, even of a link that is closed', async () => {
    const { open, closed } = system(50_000, 50_001, 50_000, 50_001, 50_002);
    const fresh = freshLinks(open);
    const ports = [(await fresh()).local.port, (await fresh()).local.port, (await fresh()).local.port];
    expect(ports).toEqual([50_000, 50_001, 50_002]);
    expect(closed).toEqual([50_000, 50_001]);
  });

  it('say so when the system has no other port to give', async () => {
    const fresh = freshLinks(system(50_000).open);
    await fresh();
    await expect(fresh()).rejects.toThrow('no port in 100 tries');
  });
});
