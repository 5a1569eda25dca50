/** The `clickhouse` part of the configuration: which server has the tables, and how it is spoken to. */
import { z } from 'zod';
import { codecs, hasCodec } from '../collector/store/connect.ts';
import { httpUrl } from './config-values.ts';

const file = z.string().min(1).optional();
const codec = z
  .enum(codecs)
  .default('none')
  .refine(hasCodec, 'must be another than zstd: this Node does not have it before 22.15');

export const clickhouseSettings = z
  .strictObject({
    url: httpUrl.optional().describe('ClickHouse server. Absent: the embedded one.'),
    user: z.string().default('default').describe('User at that server.'),
    password: z.string().default('').describe('Password at that server.'),
    tls: z
      .strictObject({
        caFile: file.describe('PEM file of the CAs that its certificate may come from, in place of the system’s.'),
        certFile: file.describe('PEM file of the certificate that it is shown, with its chain.'),
        keyFile: file.describe('PEM file of that certificate’s private key.'),
      })
      .refine(({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined), {
        path: ['keyFile'],
        message: 'must be given together with certFile',
      })
      .prefault({}),
    compression: z
      .strictObject({
        request: codec.describe('Compression of rows on their way to it: none, gzip, br, or zstd from Node 22.15 on.'),
        response: codec.describe('The same of its answers.'),
      })
      .prefault({}),
    timeoutSeconds: z
      .int()
      .min(1)
      .max(3_600)
      .default(30)
      .describe('Seconds without an answer after which a statement is given up.'),
    database: z
      .string()
      .regex(/^[a-z][a-z0-9_]{0,31}$/, 'must be a lower-case identifier')
      .default('turnpike')
      .describe('Database that holds the tables.'),
    cluster: z
      .string()
      .regex(/^[A-Za-z_]\w{0,63}$/, 'must be an identifier')
      .optional()
      .describe('Cluster of that server on which the tables are made: replicated and distributed.'),
    memoryBytes: z.int().min(500_000_000).default(2_000_000_000).describe('Memory that the embedded server may use.'),
  })
  .refine(({ url, cluster }) => cluster === undefined || url !== undefined, {
    path: ['cluster'],
    message: 'must be given together with clickhouse.url: the embedded server is no cluster',
  })
  .refine(({ url, tls }) => Object.values(tls).length === 0 || url?.startsWith('https:') === true, {
    path: ['tls'],
    message: 'must be given together with a clickhouse.url of https',
  })
  .prefault({});
