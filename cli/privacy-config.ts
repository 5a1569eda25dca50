/** The keys under `collector.privacy`: what is kept of people who report. */
import { z } from 'zod';
import { addressPolicies } from '../collector/privacy/client-network.ts';
import { Identifiers, identifierPolicies } from '../collector/privacy/identifiers.ts';
import { TurnpikeError } from '../kernel/errors.ts';
import type { Config } from './config.ts';

export const privacySettings = z
  .strictObject({
    addresses: z
      .enum(addressPolicies)
      .default('truncate')
      .describe('What is kept of a client’s address: its /24 or /48, a hash that is good for a day, or nothing.'),
    geoDatabase: z
      .string()
      .min(1)
      .optional()
      .describe('File in MaxMind’s format that says countries and regions of addresses.'),
    asnDatabase: z
      .string()
      .min(1)
      .optional()
      .describe('File in MaxMind’s format that says the autonomous systems of addresses.'),
    customIdentifiers: z
      .enum(identifierPolicies)
      .default('keep')
      .describe('Whether participants and customers are named as the app names them, or by a keyed hash.'),
    identifierSecret: z
      .string()
      .min(16, 'must be at least 16 characters')
      .max(256)
      .optional()
      .describe('Secret that those hashes are made with: the same at every collector, and for ever.'),
  })
  .prefault({});

/** How people are named in the store. Throws TP_KERNEL_CONFIG where identifiers are to be hashed and there is no secret. */
export function identifiersOf({ apps, collector: { privacy } }: Pick<Config, 'apps' | 'collector'>): Identifiers {
  const own = new Map(apps.map(({ id, privacy: ofApp }) => [id, ofApp?.customIdentifiers]));
  const policyOf = (app: string) => own.get(app) ?? privacy.customIdentifiers;
  const isHashing = privacy.customIdentifiers === 'hash' || [...own.values()].includes('hash');
  if (isHashing && privacy.identifierSecret === undefined) {
    const issues = [
      { path: 'collector.privacy.identifierSecret', message: 'must be given where identifiers are hashed' },
    ];
    throw new TurnpikeError('TP_KERNEL_CONFIG', undefined, { issues });
  }
  return new Identifiers({ secret: privacy.identifierSecret, policyOf });
}
