/** What Grafana reads at its start: the ClickHouse data source, and where the dashboards lie. */
import { stringify } from 'yaml';
import { CLICKHOUSE_PLUGIN } from './clickhouse-query.ts';

export const DATASOURCE_UID = 'turnpike';

/**
 * Grafana fills the names in from its own environment. The user needs to read our tables and nothing else: Grafana runs
 * what its editors write.
 */
export const datasourceEnv = {
  CLICKHOUSE_HOST: 'Host of the ClickHouse server.',
  CLICKHOUSE_HTTP_PORT: 'Its HTTP port.',
  CLICKHOUSE_HTTP_PATH:
    'Path of its HTTP interface: / of a server, /clickhouse/ of the collector before the embedded store.',
  CLICKHOUSE_DATABASE: 'Database that holds the tables.',
  CLICKHOUSE_READER: 'User that may only read it.',
  CLICKHOUSE_READER_PASSWORD: "That user's password.",
} as const satisfies Record<`CLICKHOUSE_${string}`, string>;

const env = (name: keyof typeof datasourceEnv): string => `\${${name}}`;

export function renderDatasources(): string {
  return stringify({
    apiVersion: 1,
    datasources: [
      {
        name: 'Turnpike',
        uid: DATASOURCE_UID,
        type: CLICKHOUSE_PLUGIN,
        access: 'proxy',
        isDefault: true,
        editable: false,
        jsonData: {
          protocol: 'http',
          host: env('CLICKHOUSE_HOST'),
          port: env('CLICKHOUSE_HTTP_PORT'),
          path: env('CLICKHOUSE_HTTP_PATH'),
          username: env('CLICKHOUSE_READER'),
          defaultDatabase: env('CLICKHOUSE_DATABASE'),
        },
        secureJsonData: { password: env('CLICKHOUSE_READER_PASSWORD') },
      },
    ],
  });
}

/** `path` is where Grafana finds the dashboards' JSON. */
export function renderDashboardProvider(path: string): string {
  return stringify({
    apiVersion: 1,
    providers: [
      {
        name: 'Turnpike',
        folder: 'Turnpike',
        type: 'file',
        disableDeletion: true,
        allowUiUpdates: false,
        options: { path },
      },
    ],
  });
}
