/** A key's secret is replaced while calls go on: issued over HTTP, used at a relay, through both restarts that it takes. */
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../kernel/clock.ts';
import { createHttp } from '../../../kernel/http.ts';
import { silentLog } from '../../../kernel/log.ts';
import { Metrics } from '../../../kernel/metrics.ts';
import { type Authority, createAuthority, hashToken } from '../../../kernel/principals.ts';
import { systemRandom } from '../../../kernel/random.ts';
import type { IceServersAnswer } from '../../../relay/contract.ts';
import { createAuthenticator } from '../../../relay/credentials/authenticator.ts';
import { credentialRoutes } from '../../../relay/credentials/routes.ts';
import { TurnCore } from '../../../relay/turn/core.ts';
import { Bench, START, tuple } from '../turn/bench.ts';

/** The configuration with these secrets of its one key, newest first. */
function configured(...secrets: string[]): Authority {
  const apps = [{ id: 'shop', tokenHashes: [hashToken('shop-token')], keys: [{ id: 'main', secrets }], origins: [] }];
  return createAuthority(
    { apps, relayTokenHash: '', sourceTokenHash: '', operatorTokenHash: '' },
    new ManualClock(START),
  );
}

/** A credential as a customer's backend gets it from a service with this configuration. */
async function issued(authority: Authority): Promise<{ username: string; credential: string }> {
  const http = createHttp({ log: silentLog, authority, host: '127.0.0.1' });
  await http.register(credentialRoutes, {
    authority,
    urls: () => ({ stunUrls: [], turnUrls: ['turn:relay.test'], reportUrl: 'http://relay.test' }),
    revoke: async () => undefined,
    metrics: new Metrics(),
    clock: new ManualClock(START),
    random: systemRandom,
  });
  const url = '/v1/turn/keys/main/credentials/generate-ice-servers';
  const response = await http.inject({ method: 'POST', url, headers: { authorization: 'Bearer shop-token' } });
  const { username = '', credential = '' } = response.json<IceServersAnswer>().iceServers[0] ?? {};
  return { username, credential };
}

const relayWith = (authority: Authority, create?: (options: Bench['options']) => TurnCore) =>
  new Bench({ authenticator: createAuthenticator(authority) }, create);

/** What an Allocate with this credential comes to. */
function outcome(
  relay: Bench,
  { username, credential }: Awaited<ReturnType<typeof issued>>,
  port: number,
): number | string {
  const from = tuple(`198.51.100.7:${port}`);
  const client = relay.client(username, credential, from);
  const { answer } = relay.send(client.allocate(), from);
  return answer?.code ?? answer?.messageClass ?? 'silence';
}

describe('a key whose secret is replaced', () => {
  const before = configured('old');
  const between = configured('new', 'old');
  const after = configured('new');

  it('has no moment at which a credential that was issued is refused, while both secrets are there', async () => {
    const [old, fresh] = [await issued(before), await issued(between)];
    expect(outcome(relayWith(before), old, 1)).toBe('success');
    const relay = relayWith(between);
    expect([outcome(relay, old, 1), outcome(relay, fresh, 2)]).toEqual(['success', 'success']);
    expect([outcome(relayWith(after), old, 1), outcome(relayWith(after), fresh, 1)]).toEqual([401, 'success']);
  });

  it('signs with the newest as soon as it is there, so that a relay must be told before the issuer is', async () => {
    expect(outcome(relayWith(before), await issued(between), 1)).toBe(401);
    expect(outcome(relayWith(configured('old', 'new')), await issued(between), 1)).toBe('success');
  });

  it('keeps live allocations through the restarts for as long as the secret behind them is there', async () => {
    const old = await issued(before);
    const relay = relayWith(before);
    const client = relay.client(old.username, old.credential);
    const { commands } = relay.send(client.allocate());
    const [open] = commands;
    const written: unknown = JSON.parse(JSON.stringify(relay.core.written(String(open?.allocation), relay.at())));
    const next = (authority: Authority) =>
      new TurnCore({ ...relay.options, authenticator: createAuthenticator(authority) });
    const rotated = next(between);
    expect(rotated.resume(written, 0n, relay.at())).toMatchObject({ ok: true });
    expect(rotated.handleControl(client.refresh(600), tuple(), relay.at())[0]).toMatchObject({ type: 'extend' });
    expect(next(after).resume(written, 0n, relay.at())).toEqual({ ok: false, reason: 'credential' });
  });
});
