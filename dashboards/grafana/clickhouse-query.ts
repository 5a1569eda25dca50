/** A query target of Grafana's ClickHouse data source (`grafana-clickhouse-datasource`), which the SDK has no builder for. */
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import type { DataSourceRef } from '@grafana/grafana-foundation-sdk/common';

export const CLICKHOUSE_PLUGIN = 'grafana-clickhouse-datasource';
/** Version of the plugin that the queries are written for; it also keeps the plugin from migrating them as version 3. */
export const CLICKHOUSE_PLUGIN_VERSION = '4.20.0';

/** Follows the dashboard's `datasource` variable. */
export const clickhouse: DataSourceRef = { type: CLICKHOUSE_PLUGIN, uid: '${datasource}' };

/** SQL with Grafana's macros, and what its rows are: `timeseries` has a `time` column, labels as text, values as numbers. */
export interface PanelQuery {
  readonly shape: 'timeseries' | 'table';
  readonly sql: string;
}

/** The plugin's own query object; `format` is 0 for time series and 1 for a table. */
interface ClickHouseTarget extends Dataquery {
  refId: string;
  datasource: DataSourceRef;
  editorType: 'sql';
  queryType: PanelQuery['shape'];
  format: 0 | 1;
  pluginVersion: string;
  rawSql: string;
}

export class ClickHouseQuery implements Builder<Dataquery> {
  readonly #query: PanelQuery;
  readonly #refId: string;
  constructor(query: PanelQuery, refId = 'A') {
    this.#query = query;
    this.#refId = refId;
  }

  build(): ClickHouseTarget {
    return {
      refId: this.#refId,
      datasource: clickhouse,
      editorType: 'sql',
      queryType: this.#query.shape,
      format: this.#query.shape === 'timeseries' ? 0 : 1,
      pluginVersion: CLICKHOUSE_PLUGIN_VERSION,
      rawSql: this.#query.sql,
      // The SDK's mark of a query; JSON leaves functions out.
      _implementsDataqueryVariant() {},
    };
  }
}
