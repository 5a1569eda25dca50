/** 300 Try Alternate (RFC 8489 §10, RFC 8656 §7.2): where to go when this relay takes no more. */
import { familyOf, type FiveTuple } from '../../kernel/address.ts';
import { randomBelow } from '../../kernel/random.ts';
import { plainAddress } from '../stun/address-attributes.ts';
import { attributes } from '../stun/attributes.ts';
import { text } from '../stun/text-attributes.ts';
import type { Limit } from './observer.ts';
import { limited, type Outcome } from './request.ts';
import type { Settings } from './settings.ts';

/** Another relay, as its clients reach it. */
export interface Alternate {
  /** Canonical. */
  readonly address: string;
  /** For UDP and TCP. */
  readonly port: number;
  /** For TLS, with the name in its certificate: without both, clients on TLS are not sent there. */
  readonly tls?: { readonly port: number; readonly domain: string };
}

/** 300 with an alternate in the client's own family (§10), one of several by lot; 508 where there is none. */
export function redirection(
  limit: Limit,
  { transport, client }: FiveTuple,
  { alternates, random }: Pick<Settings, 'alternates' | 'random'>,
): Outcome {
  const family = familyOf(client.address);
  const fitting = alternates.filter(({ address, tls }) => {
    return familyOf(address) === family && (transport !== 'tls' || tls !== undefined);
  });
  const alternate = fitting.length > 1 ? fitting[randomBelow(random, fitting.length)] : fitting[0];
  if (alternate === undefined) return limited(limit, 'INSUFFICIENT_CAPACITY');
  const { address, tls } = alternate;
  if (transport !== 'tls' || tls === undefined) {
    const { port } = alternate;
    return limited(limit, 'TRY_ALTERNATE', plainAddress(attributes.ALTERNATE_SERVER, { address, port }));
  }
  return limited(
    limit,
    'TRY_ALTERNATE',
    plainAddress(attributes.ALTERNATE_SERVER, { address, port: tls.port }),
    text(attributes.ALTERNATE_DOMAIN, tls.domain),
  );
}
