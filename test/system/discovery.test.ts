/** Debian's client of NAT behaviour discovery (RFC 5780) against the built service with two addresses. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freeTurnPort } from '../../cli/free-port.ts';
import { requirePart } from '../system-parts.ts';
import { removeDirectory, startService } from './service.ts';
import type { Service } from './service.ts';

const run = promisify(execFile);
const coturn = requirePart('coturn');

coturn.describe("coturn's turnutils_natdiscovery", () => {
  let service: Service;

  beforeAll(async () => {
    const [turnPort, second] = [
      await freeTurnPort(['127.0.0.1', '127.0.0.2']),
      await freeTurnPort(['127.0.0.1', '127.0.0.2']),
    ];
    const place = { TURNPIKE_TURN_DISCOVERY_HOST: '127.0.0.2', TURNPIKE_TURN_DISCOVERY_PORT: `${second}` };
    service = await startService({ turnPort, env: place });
  });

  afterAll(async () => {
    await service?.stop();
    await removeDirectory(service.data);
  });

  it('finds that there is no NAT in between, neither in its mapping nor in its filtering', async () => {
    const client = coturn.path('turnutils_natdiscovery');
    const at = ['-L', '127.0.0.1', '-p', `${service.turnPort}`, '127.0.0.1'];
    expect((await run(client, ['-m', ...at], { timeout: 30_000 })).stdout).toContain('No NAT!');
    expect((await run(client, ['-f', ...at], { timeout: 30_000 })).stdout).toContain('Endpoint Independent Filtering');
  });
});
