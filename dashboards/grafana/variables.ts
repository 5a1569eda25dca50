/** The dashboards' variables: which store, which apps, which call. */
import {
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { clickhouse, CLICKHOUSE_PLUGIN } from './clickhouse-query.ts';
import { variableQueries } from './queries.ts';

export const datasourceVariable = (): DatasourceVariableBuilder =>
  new DatasourceVariableBuilder('datasource').label('Store').type(CLICKHOUSE_PLUGIN);

/** One app, several, or all of those that the query finds in the range. */
export const appVariable = (query: string = variableQueries.app): QueryVariableBuilder =>
  new QueryVariableBuilder('app')
    .label('App')
    .datasource(clickhouse)
    .query(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .current({ selected: true, text: ['All'], value: ['$__all'] });

/** The newest 500 calls of the range; an older one's id can be typed in. */
export const callVariable = (): QueryVariableBuilder =>
  new QueryVariableBuilder('call')
    .label('Call')
    .datasource(clickhouse)
    .query(variableQueries.call)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.Disabled)
    .allowCustomValue(true);
