/** A client of one ClickHouse server: over which connections, as whom, and the settings that every statement has. */
import { Agent } from 'node:https';
import * as zlib from 'node:zlib';
import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import type { ClickHouseClient, ClickHouseClientConfigOptions, ClickHouseSettings } from '@clickhouse/client';
import { bigintAsString } from '../../kernel/bytes.ts';
import type { StoreEndpoint } from './store.ts';

/** Content codings of ClickHouse's HTTP interface that its client speaks. */
export const codecs = ['none', 'gzip', 'br', 'zstd'] as const;
export type Codec = (typeof codecs)[number];

/** Whether this Node has the codec: zstd came with 22.15. */
export const hasCodec = (codec: Codec): boolean => codec !== 'zstd' || 'createZstdCompress' in zlib;

export interface ConnectionOptions {
  readonly compression?: {
    /** Of rows on their way to the server. */
    readonly request: Codec;
    /** Of answers. */
    readonly response: Codec;
  };
  /** Milliseconds without an answer after which an exchange is given up. Default 30 s. */
  readonly timeoutMs?: number;
}

const SETTINGS: ClickHouseSettings = {
  output_format_json_quote_64bit_integers: 1,
  date_time_output_format: 'iso',
  date_time_input_format: 'best_effort',
  // A whole answer or an error with its status: never rows followed by a failure.
  wait_end_of_query: 1,
  // On a cluster: rows are with their shard before they are acknowledged, and a subquery sees all shards.
  distributed_foreground_insert: 1,
  distributed_product_mode: 'global',
};

const MAX_CONNECTIONS = 16;

export function connect(
  endpoint: StoreEndpoint,
  database: string | undefined,
  { compression = { request: 'none', response: 'none' }, timeoutMs = 30_000 }: ConnectionOptions,
): ClickHouseClient {
  const { request, response } = compression;
  return createClient({
    url: endpoint.url,
    ...loginOf(endpoint),
    ...(database === undefined ? {} : { database }),
    application: 'turnpike',
    request_timeout: timeoutMs,
    max_open_connections: MAX_CONNECTIONS,
    compression: { request: requestCompression(request), response: response === 'none' ? false : { codec: response } },
    log: { level: ClickHouseLogLevel.OFF }, // failures are thrown; whoever catches them logs them
    json: { stringify: (value) => JSON.stringify(value, bigintAsString) },
    clickhouse_settings: SETTINGS,
  });
}

/** The quickest level of each: rows wait for their compression, and the server is seldom far. */
function requestCompression(codec: Codec) {
  if (codec === 'none') return false;
  return codec === 'br' ? ({ codec, quality: 1 } as const) : ({ codec, level: 1 } as const);
}

/**
 * The agent is our own where there are certificates: with those the client would send no Basic login, and would ask to be known
 * by its certificate beside any password, which ClickHouse refuses. So a certificate is the login where no password is
 * given, and else what some proxy wants to see.
 */
function loginOf({ user, password, tls }: StoreEndpoint): ClickHouseClientConfigOptions {
  if (tls === undefined) return { username: user, password };
  const http_agent = new Agent({ ...tls, keepAlive: true, maxSockets: MAX_CONNECTIONS });
  if (tls.cert === undefined || password !== '') return { username: user, password, http_agent };
  const http_headers = { 'X-ClickHouse-User': user, 'X-ClickHouse-SSL-Certificate-Auth': 'on' };
  return { http_agent, set_basic_auth_header: false, http_headers };
}
