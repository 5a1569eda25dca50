/** Revocation end to end: the built service, a client that speaks TURN to it over UDP, and parts that are killed in between. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Endpoint } from '../../kernel/address.ts';
import type { IceServersAnswer } from '../../relay/contract.ts';
import { RelayedClient, Wire } from '../relay/relay-bench.ts';
import { removeDirectory, startService, until } from './service.ts';
import type { Service } from './service.ts';

interface Issued {
  readonly username: string;
  readonly credential: string;
}

describe('a revoked credential', () => {
  let service: Service;
  let server: Endpoint;
  const wires: Wire[] = [];

  beforeAll(async () => {
    service = await startService();
    server = { address: '127.0.0.1', port: service.turnPort };
  });
  afterAll(async () => {
    for (const wire of wires) wire.close();
    await service?.stop();
    await removeDirectory(service.data);
  });

  const call = async (path: string, body?: object): Promise<Response> =>
    fetch(`${service.url}/v1/turn/keys/main/credentials/${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${await service.apiToken()}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const issue = async (): Promise<Issued> => {
    const answer = (await (await call('generate-ice-servers', { ttl: 600 })).json()) as IceServersAnswer;
    const { username = '', credential = '' } = answer.iceServers.at(-1) ?? {};
    return { username, credential };
  };
  const revoke = async ({ username }: Issued): Promise<void> => {
    expect((await call(`${encodeURIComponent(username)}/revoke`)).status).toBe(204);
  };
  const client = async (issued: Issued): Promise<RelayedClient> => {
    const wire = await Wire.open();
    wires.push(wire);
    return new RelayedClient(wire, issued, server);
  };
  const alive = async (): Promise<number> => {
    const text = await (await fetch(service.metricsUrl)).text();
    return Number(/^turnpike_relay_allocations (\d+)$/m.exec(text)?.[1]);
  };
  const parts = async (): Promise<Awaited<ReturnType<Service['parts']>>> => {
    let found: Awaited<ReturnType<Service['parts']>> | undefined;
    await until(async () => {
      found = await service.parts().catch(() => undefined);
      return found !== undefined;
    }, 'all parts to run');
    return found!;
  };

  const collectorAnswers = () =>
    until(async () => (await fetch(`${service.url}/readyz`).catch(() => undefined))?.status === 200, 'the collector');

  it('loses what it has and gets nothing more, while another goes on', async () => {
    const [revoked, other] = [await issue(), await issue()];
    const holder = await client(revoked);
    expect((await holder.allocate()).relayed).toBeDefined();
    const bystander = await client(other);
    expect((await bystander.allocate()).relayed).toBeDefined();

    await revoke(revoked);
    await until(async () => (await alive()) === 1, 'the allocation to end');
    expect((await holder.authenticated((turn) => turn.refresh(600))).code).toBe(401);
    expect((await (await client(revoked)).allocate()).code).toBe(401);
    expect((await bystander.authenticated((turn) => turn.refresh(0))).messageClass).toBe('success');
    await revoke(revoked);
  });

  it('stays out after the relay was killed, and while its collector is gone', async () => {
    const revoked = await issue();
    await revoke(revoked);
    // The relay hears of it a moment after the collector's 204.
    await until(async () => (await (await client(revoked)).allocate()).code === 401, 'the relay to refuse it');
    const before = (await parts()).relay;
    process.kill((await parts()).collector, 'SIGKILL');
    process.kill(before, 'SIGKILL');
    await until(async () => (await parts()).relay !== before && (await alive().catch(() => -1)) >= 0, 'the relay');
    expect((await (await client(revoked)).allocate()).code).toBe(401);
  });

  it('ends although relay and collector lost sight of each other: the collector was killed, and knows it again', async () => {
    await collectorAnswers();
    const [early, late] = [await issue(), await issue()];
    const holder = await client(late);
    expect((await holder.allocate()).relayed).toBeDefined();
    await revoke(early);
    const before = (await parts()).collector;
    process.kill(before, 'SIGKILL');
    await until(async () => (await parts()).collector !== before, 'another collector');
    await collectorAnswers();

    await revoke(late);
    await until(async () => (await alive()) === 0, 'the allocation to end');
    expect((await holder.authenticated((turn) => turn.refresh(600))).code).toBe(401);
    expect((await (await client(early)).allocate()).code).toBe(401);
  });
});
