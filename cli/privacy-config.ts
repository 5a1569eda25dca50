/** The keys under `collector.privacy`: what is kept of people who report. */
import { z } from 'zod';
import { addressPolicies } from '../collector/privacy/client-network.ts';

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
  })
  .prefault({});
