import { describe, expect, it } from 'vitest';
import { attributes } from '../../../relay/stun/attributes.ts';
import { longTermKey } from '../../../relay/stun/integrity.ts';
import { methods } from '../../../relay/stun/methods.ts';
import { requestedTransport } from '../../../relay/stun/number-attributes.ts';
import { text } from '../../../relay/stun/text-attributes.ts';
import { AMPLIFICATION } from '../../../relay/turn/answer.ts';
import { attribute, endpoint, TurnClient } from '../turn-client.ts';
import { Bench, effects, REALM, START, tuple, noEntries } from './bench.ts';

const peer = endpoint('203.0.113.9:5000');

describe('somebody who looks for names', () => {
  it('is told the same of a name that nobody has, a wrong password and a name that is spoilt', () => {
    const bench = new Bench();
    const shown = [
      ['nobody', 'secret'],
      ['alice', 'a guess'],
      ['alicf', 'secret'],
    ].map(([name = '', password]) => {
      const { answer } = bench.send(bench.client(name, password).allocate());
      // But for what differs in any two answers, the transaction.
      return Buffer.from(answer?.bytes ?? [])
        .fill(0, 8, 20)
        .toString('hex');
    });
    expect(new Set(shown).size).toBe(1);
  });
});

describe('long-term credentials (RFC 8489 §9.2.4)', () => {
  it('answers 401 with realm and nonce, without integrity and SOFTWARE, to a request without credentials', () => {
    const bench = new Bench({ software: 'Turnpike' });
    const client = new TurnClient('alice', 'secret');
    for (const bytes of [
      client.allocate(),
      client.refresh(600),
      client.createPermission([peer]),
      client.channelBind(0x4000, peer),
    ]) {
      const { answer, commands } = bench.send(bytes);
      expect(answer).toMatchObject({ code: 401, messageClass: 'error', realm: REALM, hasIntegrity: false });
      expect(answer?.nonce).toMatch(/^obMatJos2AAAB[A-Za-z0-9_-]{15}$/);
      expect(answer?.algorithms).toEqual(Uint8Array.of(0, 2, 0, 0, 0, 1, 0, 0));
      expect(Buffer.from(answer?.bytes ?? []).includes('Turnpike')).toBe(false);
      expect(commands).toHaveLength(1);
    }
    expect(bench.core.size).toBe(0);
  });

  it('answers to where the question came from, with its transaction id and method', () => {
    const bench = new Bench();
    const client = new TurnClient('alice', 'secret');
    const transactionId = Uint8Array.from({ length: 12 }, (_, index) => index);
    const { answer, commands } = bench.send(client.refresh(60, { transactionId }));
    expect(answer).toMatchObject({ transactionId: '000102030405060708090a0b', method: methods.REFRESH.code });
    expect(commands[0]).toMatchObject({ type: 'send', to: tuple() });
    expect(commands[0]).not.toHaveProperty('allocation');
  });

  it('keeps nothing of the unauthenticated, however many come', () => {
    const bench = new Bench();
    const client = new TurnClient('mallory', 'guess');
    for (let port = 1; port <= 1000; port += 1) bench.send(client.allocate(), tuple(`198.51.100.9:${port}`));
    expect(bench.core.entries).toEqual(noEntries);
  });

  it('never answers the unauthenticated with more than 3.6 octets for one', () => {
    for (const realm of ['r', REALM, 'turn.example.org', 'a-long-realm.of.some-company.example']) {
      const bench = new Bench({ realm });
      const client = new TurnClient('alice', 'secret');
      for (const fingerprint of [false, true]) {
        const questions = [
          client.request(methods.ALLOCATE.code, [], { fingerprint }),
          client.allocate({}, { fingerprint }),
          client.refresh(600, { fingerprint }),
          client.binding({ fingerprint }),
          client.binding({ fingerprint, more: [attribute(0x7777)] }),
        ];
        for (const bytes of questions) {
          const { answer } = bench.send(bytes);
          expect((answer?.bytes.length ?? 0) / bytes.length).toBeLessThanOrEqual(AMPLIFICATION);
        }
      }
    }
  });

  it('drops what is too short for any client\u2019s beginning, over UDP only: a connection has an address that is true', () => {
    const bench = new Bench();
    const client = new TurnClient('alice', 'secret');
    for (const bytes of [client.request(methods.ALLOCATE.code, []), client.refresh()]) {
      expect(bench.send(bytes).commands).toEqual([]);
      expect(bench.send(bytes, tuple(undefined, 'tcp')).answer?.code).toBe(401);
    }
    expect(bench.observed.filter((line) => line.endsWith('too_short'))).toHaveLength(2);
  });

  it('answers a browser\u2019s first Allocate with the offer of SHA-256 up to a realm of 24 octets, and without it up to 48', () => {
    for (const [length, offered, answered] of [
      [24, true, true],
      [25, false, true],
      [48, false, true],
      [49, false, false],
    ] as const) {
      const bench = new Bench({ realm: 'r'.repeat(length) });
      const { answer } = bench.send(new TurnClient('alice', 'secret').allocate());
      expect(answer?.code).toBe(answered ? 401 : undefined);
      expect(answer?.algorithms !== undefined).toBe(offered);
      if (answered) expect(answer?.nonce?.startsWith('obMatJos2')).toBe(offered);
      const connected = bench.send(new TurnClient('alice', 'secret').allocate(), tuple(undefined, 'tls')).answer;
      expect(connected?.algorithms).toBeDefined();
    }
  });

  it('answers 400 without integrity when USERNAME, REALM or NONCE is missing', () => {
    for (const missing of ['USERNAME', 'REALM', 'NONCE'] as const) {
      const bench = new Bench();
      const { nonce } = bench.client();
      const values = { USERNAME: 'alice', REALM, NONCE: nonce ?? '' };
      const more = (['USERNAME', 'REALM', 'NONCE'] as const)
        .filter((name) => name !== missing)
        .map((name) => text(attributes[name], values[name]));
      const bytes = new TurnClient('alice', 'secret').request(methods.ALLOCATE.code, [
        requestedTransport(17),
        ...more,
        (writer) => writer.integrity(new Uint8Array(16)),
      ]);
      expect(bench.send(bytes).answer).toMatchObject({ code: 400, hasIntegrity: false, nonce: undefined });
      expect(bench.observed).toContain('auth incomplete');
    }
  });

  it('answers 401 to a wrong password and to an unknown user, alike', () => {
    const bench = new Bench();
    const wrong = bench.send(bench.client('alice', 'wrong').allocate()).answer;
    const unknown = bench.send(bench.client('nobody', 'x').allocate()).answer;
    expect(wrong).toMatchObject({ code: 401, realm: REALM, hasIntegrity: false });
    expect(unknown).toMatchObject({ code: 401, realm: REALM, hasIntegrity: false });
    expect(wrong?.bytes.length).toBe(unknown?.bytes.length);
    expect(bench.observed.filter((line) => line.startsWith('auth'))).toEqual(['auth integrity', 'auth unknown']);
  });

  it('answers 401 to a key made under another realm', () => {
    const bench = new Bench();
    const client = bench.client();
    client.realm = 'elsewhere';
    expect(bench.send(client.allocate()).answer?.code).toBe(401);
  });

  it('answers 401 to a REALM that is not ours, although the key is', () => {
    const bench = new Bench();
    const { nonce } = bench.client();
    const key = longTermKey('alice', REALM, 'secret');
    const bytes = new TurnClient('alice', 'secret').request(methods.ALLOCATE.code, [
      requestedTransport(17),
      text(attributes.USERNAME, 'alice'),
      text(attributes.REALM, 'elsewhere'),
      text(attributes.NONCE, nonce ?? ''),
      (writer) => writer.integrity(key),
    ]);
    expect(bench.send(bytes).answer?.code).toBe(401);
  });

  it('answers 401 to USERHASH, which it never offers, whatever the integrity', () => {
    const bench = new Bench();
    const client = bench.client();
    for (const hash of ['sha1', 'sha256'] as const) {
      const hashed = client.request(
        methods.ALLOCATE.code,
        [
          attribute(attributes.USERHASH.type, new Uint8Array(32)),
          text(attributes.REALM, REALM),
          text(attributes.NONCE, client.nonce ?? ''),
          (writer) => writer.integrity(new Uint8Array(16), hash),
        ],
        { bare: true },
      );
      expect(bench.send(hashed).answer?.code).toBe(401);
    }
  });

  it('answers 438 with a fresh nonce when the nonce is stale, and accepts that one', () => {
    const bench = new Bench();
    const client = bench.client();
    bench.clock.advance(600_000);
    const { answer } = bench.send(client.allocate());
    expect(answer).toMatchObject({ code: 438, realm: REALM, hasIntegrity: false });
    expect(client.learn(answer!)).toBe(true);
    expect(bench.send(client.allocate()).answer?.messageClass).toBe('success');
    expect(bench.observed).toContain('auth nonce_stale');
  });

  it('answers 438 to a forged nonce and to one issued to another address', () => {
    const bench = new Bench();
    const client = bench.client();
    expect(bench.send(client.allocate(), tuple('198.51.100.8:50000')).answer).toMatchObject({
      code: 438,
      hasIntegrity: false,
    });
    client.nonce = 'AAAAAAAAAAAAAAAA';
    expect(bench.send(client.allocate()).answer?.code).toBe(438);
    expect(bench.observed.filter((line) => line === 'auth nonce_forged')).toHaveLength(2);
  });

  it('answers 401 to an expired credential', () => {
    const bench = new Bench();
    const client = bench.client();
    bench.accounts.set('alice', { passwords: ['secret'], expiresAt: bench.clock.now() });
    expect(bench.send(client.allocate()).answer?.code).toBe(401);
    expect(bench.observed).toContain('auth expired');
  });

  it('answers 401 to a credential past its end even if the authenticator did not notice', () => {
    const claims = { customId: '', call: '', participant: '', limits: {} };
    const expired = { ok: true, app: 'app', keyId: 'key', passwords: ['secret'], claims, expiresAt: START } as const;
    const bench = new Bench({ authenticator: { lookup: () => expired } });
    expect(bench.send(bench.client().allocate()).answer?.code).toBe(401);
    expect(bench.core.size).toBe(0);
  });

  it('accepts any of the passwords that fit the username, and remembers which', () => {
    const bench = new Bench();
    bench.accounts.set('alice', { passwords: ['new', 'old'] });
    const client = bench.client('alice', 'old');
    expect(bench.send(client.allocate()).answer?.messageClass).toBe('success');
    const other = bench.client('alice', 'new');
    expect(bench.send(other.refresh()).answer?.code).toBe(401);
    const { answer } = bench.send(client.refresh());
    expect(answer?.messageClass).toBe('success');
    expect(client.verifies(answer!)).toBe(true);
  });

  it('answers 441, under the sender\u2019s own key, to another user on an allocation', () => {
    const bench = new Bench();
    bench.allocated('alice');
    const bob = bench.client('bob');
    for (const bytes of [bob.refresh(0), bob.createPermission([peer]), bob.channelBind(0x4000, peer)]) {
      const exchange = bench.send(bytes);
      expect(exchange.answer?.code).toBe(441);
      expect(bob.verifies(exchange.answer!)).toBe(true);
      expect(effects(exchange)).toEqual([]);
    }
    expect(bench.core.size).toBe(1);
    expect(bench.observed).toContain('auth wrong_username');
  });

  it('seals every other answer to an authenticated request, errors included', () => {
    const bench = new Bench();
    const { client } = bench.allocated();
    const questions = [
      client.refresh(),
      client.allocate(),
      client.createPermission([]),
      client.channelBind(0x3fff, peer),
      client.refresh(600, { more: [attribute(0x7777)] }),
    ];
    for (const bytes of questions) expect(client.verifies(bench.send(bytes).answer!)).toBe(true);
  });

  it('asks unknown attributes after authentication: 401 first, then 420 naming each', () => {
    const bench = new Bench();
    const client = bench.client();
    const more = [attribute(0x7777), attribute(0x7778, new Uint8Array(5)), attribute(0xff00)];
    expect(bench.send(client.allocate({}, { more, bare: true })).answer?.code).toBe(401);
    expect(bench.send(client.allocate({}, { more })).answer).toMatchObject({ code: 420, unknown: [0x7777, 0x7778] });
    expect(bench.core.size).toBe(0);
  });

  it('ignores attributes behind MESSAGE-INTEGRITY: no unknown one is answered, no LIFETIME obeyed', () => {
    const bench = new Bench();
    const { client } = bench.allocated();
    const honest = client.refresh(1200);
    const tail = [0x00, 0x0d, 0x00, 0x04, 0, 0, 0, 0, 0x77, 0x77, 0x00, 0x00];
    const tampered = Uint8Array.from([...honest, ...tail]);
    tampered[3] = (tampered[3] ?? 0) + tail.length;
    expect(bench.send(tampered).answer).toMatchObject({ messageClass: 'success', lifetime: 1200 });
  });

  it('answers 400 to an attribute of ours with an impossible length', () => {
    const bench = new Bench();
    const { client } = bench.allocated();
    const more = [attribute(attributes.LIFETIME.type, new Uint8Array(3))];
    expect(bench.send(client.refresh(undefined, { more })).answer?.code).toBe(400);
  });

  it('answers with FINGERPRINT whoever asks with it', () => {
    const bench = new Bench();
    const client = new TurnClient('alice', 'secret');
    expect(bench.send(client.allocate({}, { fingerprint: true })).answer?.hasFingerprint).toBe(true);
    expect(bench.send(client.allocate({}, { fingerprint: false })).answer?.hasFingerprint).toBe(false);
    const known = bench.client();
    const { answer } = bench.send(known.allocate({}, { fingerprint: true }));
    expect(answer).toMatchObject({ messageClass: 'success', hasFingerprint: true, hasIntegrity: true });
  });
});
