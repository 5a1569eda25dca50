/**
 * A browser's call over each way that clients have to the relay, and through a change of the certificate: what a network that
 * lets no UDP out leaves.
 */
import { copyFile } from 'node:fs/promises';
import { connect } from 'node:tls';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freeTurnPort } from '../../cli/free-port.ts';
import type { IceServersAnswer } from '../../relay/contract.ts';
import { requirePart } from '../system-parts.ts';
import { launchChromium } from './chromium.ts';
import { foreignSite } from './foreign-site.ts';
import { keepPeerConnections, peerFigures } from './relayed-call.ts';
import { removeDirectory, startService, temporaryDirectory, until } from './service.ts';
import type { Service } from './service.ts';

const chromium = requirePart('chromium');
const vectors = join(import.meta.dirname, '../vectors/tls');

chromium.describe('a call of a browser', () => {
  let directory: string;
  let service: Service;
  let browser: Browser;
  let tlsPort: number;

  const certificate = async (name: 'first' | 'second') => {
    await copyFile(join(vectors, `${name}.certificate.pem`), join(directory, 'certificate.pem'));
    await copyFile(join(vectors, `${name}.key.pem`), join(directory, 'key.pem'));
  };

  beforeAll(async () => {
    directory = await temporaryDirectory();
    await certificate('first');
    tlsPort = await freeTurnPort(['127.0.0.1']);
    const files = ['--turn-tls-cert', join(directory, 'certificate.pem'), '--turn-tls-key', join(directory, 'key.pem')];
    service = await startService({ args: ['--turn-tls-port', `${tlsPort}`, ...files] });
    browser = await launchChromium(['--ignore-certificate-errors']);
  });

  afterAll(async () => {
    await browser?.close();
    await service?.stop();
    await removeDirectory(service.data);
    await removeDirectory(directory);
  });

  /** A call whose both sides know the relay by the URLs of this form alone. */
  async function call(form: RegExp): Promise<Page> {
    const token = await service.apiToken();
    const credential = async (participant: string) => {
      const response = await fetch(`${service.url}/v1/turn/keys/main/credentials/generate-ice-servers`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ttl: 600, call: String(form), participant }),
      });
      const { iceServers, reporting } = (await response.json()) as IceServersAnswer;
      const only = iceServers.flatMap(({ urls, ...rest }) => {
        const kept = urls.filter((url) => form.test(url));
        return kept.length > 0 ? [{ urls: kept, ...rest }] : [];
      });
      expect(only).toHaveLength(1);
      return { iceServers: only, reporting };
    };
    const site = await foreignSite(
      service.url,
      JSON.stringify({ peers: [await credential('ann'), await credential('bob')] }),
    );
    const page = await browser.newPage();
    await keepPeerConnections(page);
    await page.goto(site.url);
    site.close();
    await page.evaluate('start()');
    await flowing(page, 30);
    return page;
  }

  /** Waits until both sides have decoded so many more pictures. */
  async function flowing(page: Page, pictures: number): Promise<void> {
    const before = await peerFigures(page);
    await until(async () => {
      const now = await peerFigures(page);
      return (
        now.length === 2 &&
        now.every((peer, index) => peer.framesDecoded >= (before[index]?.framesDecoded ?? 0) + pictures)
      );
    }, 'pictures on both sides');
  }

  const protocols = (page: Page) => page.evaluate<string[]>('relayProtocols()');
  const shownCertificate = async () => {
    const socket = connect({
      host: '127.0.0.1',
      port: tlsPort,
      ALPNProtocols: ['stun.turn'],
      rejectUnauthorized: false,
    });
    await once(socket, 'secureConnect');
    const { subject } = socket.getPeerCertificate();
    const protocol = socket.alpnProtocol;
    socket.destroy();
    return { name: subject.CN, protocol };
  };

  it.each([
    ['UDP', /^turn:.*transport=udp$/, 'udp'],
    ['TCP', /^turn:.*transport=tcp$/, 'tcp'],
    ['TLS', /^turns:/, 'tls'],
  ] as const)('goes through the relay over %s', async (_name, form, protocol) => {
    const page = await call(form);
    expect(await protocols(page)).toEqual([protocol, protocol]);
    await page.evaluate('hangUp()');
    await page.close();
  });

  it('goes on while the certificate is replaced, which the next connection is shown', async () => {
    const page = await call(/^turns:/);
    expect(await shownCertificate()).toEqual({ name: 'turnpike test first', protocol: 'stun.turn' });
    await certificate('second');
    service.process.kill('SIGHUP');
    await until(async () => (await shownCertificate()).name === 'turnpike test second', 'the new certificate');
    await flowing(page, 30);
    expect(await protocols(page)).toEqual(['tls', 'tls']);
    await page.close();
  });
});
