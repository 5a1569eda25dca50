/** The certificate that TLS clients are shown. It may be replaced while the relay runs: connections go on with what they have. */
import { constants } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { TurnpikeError } from '../../../kernel/errors.ts';

/** PEM texts: the certificate with its chain, and its private key. */
export interface Certificate {
  readonly certificate: string | Buffer;
  readonly key: string | Buffer;
}

export class TlsIdentity {
  #context: SecureContext;

  /** Throws TP_RELAY_CERTIFICATE when the texts are no certificate and key that belong together. */
  constructor(certificate: Certificate) {
    this.#context = contextOf(certificate);
  }

  get context(): SecureContext {
    return this.#context;
  }

  /** Connections from now on are shown this one. When it throws, as the constructor does, the one before stays. */
  replace(certificate: Certificate): void {
    this.#context = contextOf(certificate);
  }
}

function contextOf({ certificate, key }: Certificate): SecureContext {
  try {
    return createSecureContext({
      cert: certificate,
      key,
      minVersion: 'TLSv1.2',
      // A TURN connection has no use for it, and each one costs the server a handshake.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TurnpikeError('TP_RELAY_CERTIFICATE', `The TLS certificate cannot be used: ${reason}`, { cause: error });
  }
}
