/**
 * What strangers and customers may write (USERNAME, REALM, NONCE, SOFTWARE, customIdentifier) on its way through a relay, its logs and
 * metrics, and the store: nothing in it is ever a command, a line or a label of its own.
 */
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { usageOf } from '../../collector/calls/usage.ts';
import { attributes } from '../../relay/stun/attributes.ts';
import { egressRow } from '../conformance/store.ts';
import { hasEmbeddedStore, keptOf, testDatabase } from '../embedded-store.ts';
import { relayBench, RelayedClient, Wire } from './relay-bench.ts';
import type { RelayBench } from './relay-bench.ts';
import { attribute, readAnswer, TurnClient } from './turn-client.ts';

/** Every one has this in it, so that it is found wherever it went and however it was escaped. */
const MARK = 'canary';
const hostile: Record<string, string> = {
  quotes: `'"\`${MARK}`,
  SQL: `${MARK}'); DROP TABLE egress_samples; -- `,
  'a placeholder': `{app:String} ${MARK} ? $1 :name`,
  'a format string': `${MARK} %s%n%x%p {} {0} \${jndi:ldap://x}`,
  'a backslash at the end': `${MARK}\\`,
  HTML: `<script>alert("${MARK}")</script>`,
  'a label': `${MARK}"} 1\nturnpike_fake{x="`,
  'line breaks': `${MARK}\r\n{"level":60,"msg":"forged"}`,
  'terminal escapes': `\u001b[2J\u001b]0;${MARK}\u0007`,
  'a NUL': `${MARK}\u0000tail`,
  'turned writing': `\u202e${MARK}\u2066`,
};
const hasControls = (text: string) => /\p{Cc}/u.test(text);

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

async function scene(): Promise<{ relay: RelayBench; wire: Wire; lines: string[] }> {
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
  log.info('this log is read');
  const relay = await relayBench(undefined, undefined, undefined, { log });
  const wire = await Wire.open();
  open.push(
    () => relay.close(),
    () => wire.close(),
  );
  return { relay, wire, lines };
}

describe('text from strangers', () => {
  it.each(Object.entries(hostile))('that is %s reaches neither logs nor metrics nor records', async (_what, text) => {
    const { relay, wire, lines } = await scene();
    const octets = (value: string) => new TextEncoder().encode(value);
    const software = attribute(attributes.SOFTWARE.type, octets(text));
    const client = new TurnClient(text, 'guess');
    const ask = async (request: Uint8Array) => {
      await wire.send(request, relay.server);
      return readAnswer(await wire.receive());
    };
    client.learn(await ask(client.allocate({}, { more: [software] })));
    const { realm = '', nonce = '' } = client;
    // Written by hand: a client would not put such a realm into a key.
    const signed = (username: string, inRealm: string, withNonce: string) => [
      software,
      attribute(attributes.USERNAME.type, octets(username)),
      attribute(attributes.REALM.type, octets(inRealm)),
      attribute(attributes.NONCE.type, octets(withNonce)),
      attribute(attributes.MESSAGE_INTEGRITY.type, new Uint8Array(20)),
    ];
    for (const more of [
      signed(text, realm, nonce),
      signed(text, text, nonce),
      signed(text, realm, text),
      signed(`1999999999:${text}`, realm, nonce),
      signed(`1999999999:main.${text}`, realm, nonce),
    ]) {
      const answer = await ask(client.allocate({}, { bare: true, more }));
      expect(answer.messageClass).toBe('error');
      expect(Buffer.from(answer.bytes).includes(MARK)).toBe(false);
    }
    expect((await ask(client.binding({ more: [software] }))).messageClass).toBe('success');
    expect(await relay.metrics.registry.metrics()).not.toContain(MARK);
    await relay.node.stop();
    expect(lines[0]).toContain('this log is read');
    expect(lines.join('')).not.toContain(MARK);
    expect(relay.acknowledged).toEqual([]);
  });
});

describe('a customer named by an app', () => {
  const names = Object.entries(hostile).filter(([, text]) => !hasControls(text));

  it.each(names)('with %s is that customer in the records, and nobody in logs and metrics', async (_what, name) => {
    const { relay, wire, lines } = await scene();
    const client = new RelayedClient(wire, relay.issue({ customIdentifier: name, call: name }), relay.server);
    expect((await client.allocate()).relayed).toBeDefined();
    expect(await relay.metrics.registry.metrics()).not.toContain(MARK);
    await relay.node.stop();
    expect(relay.acknowledged.map((record) => [record.custom_id, record.call_id])).toEqual([[name, name]]);
    expect(lines.join('')).not.toContain(MARK);
  });

  it.skipIf(!hasEmbeddedStore)('is a value to the store, as is an app, whatever is written in it', async () => {
    const store = await testDatabase();
    open.push(() => store.close());
    const at = Date.UTC(2026, 10, 20);
    const rows = Object.values(hostile).map((text, index) =>
      egressRow({ app_id: text, custom_id: text, object_id: text, window_end: at, client_tx_bytes: BigInt(index + 1) }),
    );
    await store.insert('egress_samples', rows);
    for (const [index, text] of Object.values(hostile).entries()) {
      const { usage } = await usageOf(
        { reader: store, keptOf },
        { app: text, from: at - 1, to: at, group: 'customer' },
      );
      expect(usage).toEqual([{ app: text, key: text, turnBytes: `${index + 1}`, sfuBytes: '0', grade: 'metered' }]);
    }
    const count = z.object({ n: z.string() });
    expect(await store.select(count, 'SELECT count() AS n FROM egress_samples')).toEqual([{ n: `${rows.length}` }]);
  });
});
