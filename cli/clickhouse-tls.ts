/** The certificates that ClickHouse is spoken to with, from the files that the configuration names. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { StoreTls } from '../collector/store/store.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import type { Config } from './config.ts';

type Files = Config['clickhouse']['tls'];

/** Nothing where no file is named. Throws TP_COLLECTOR_STORE_CERTIFICATE, with the key's path, for what cannot be used. */
export function readTls(files: Files): { readonly tls?: StoreTls } {
  const { caFile, certFile, keyFile } = files;
  const ca = caFile === undefined ? {} : { ca: usable('caFile', caFile, checkCertificates) };
  if (certFile === undefined || keyFile === undefined) return caFile === undefined ? {} : { tls: ca };
  const cert = usable('certFile', certFile, checkCertificates);
  const key = usable('keyFile', keyFile, (pem) => createSecureContext({ cert, key: pem }));
  return { tls: { ...ca, cert, key } };
}

function usable(name: keyof Files, path: string, checkPem: (pem: string) => unknown): string {
  try {
    const pem = readFileSync(path, 'utf8');
    checkPem(pem);
    return pem;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const issues = [{ path: `clickhouse.tls.${name}`, message: reason }];
    throw new TurnpikeError('TP_COLLECTOR_STORE_CERTIFICATE', `The file ${path} cannot be used.`, {
      issues,
      cause: error,
    });
  }
}

/** TLS itself passes over what it cannot read among CAs, and then trusts nobody. */
function checkCertificates(pem: string): void {
  const texts = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const certificates = texts.map((text) => new X509Certificate(text));
  if (certificates.length === 0) throw new Error('there is no certificate in it');
}
