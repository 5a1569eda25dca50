/** What several parts of the configuration are made of. */
import { z } from 'zod';
import { canonicalAddress, parseCidr } from '../kernel/address.ts';

export const ipAddress = z
  .string()
  .refine((text) => canonicalAddress(text) !== undefined, 'must be an IPv4 or IPv6 address');
export const cidr = z.string().refine((text) => parseCidr(text) !== undefined, 'must be a range such as 10.0.0.0/8');
export const port = z.int().min(0).max(65_535);
export const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' });
