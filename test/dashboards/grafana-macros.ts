/**
 * What Grafana and its ClickHouse plugin do to a panel's SQL before it is sent: variables first (in the browser), then
 * macros (in the plugin's backend, pkg/macros). Anything left over is a fault.
 */
export interface DashboardState {
  /** Unix milliseconds of the time range. */
  readonly from: number;
  readonly to: number;
  /** Grafana's interval for the panel's width, in seconds. */
  readonly intervalSeconds: number;
  readonly apps: readonly string[];
  readonly call: string;
}

/** Grafana's `sqlstring` format: quotes doubled, several values with commas between. */
const sqlString = (values: readonly string[]): string =>
  values.map((value) => `'${value.replaceAll("'", "''")}'`).join(',');

const dateTime = (time: number): string => `toDateTime(${Math.floor(time / 1000)})`;

export function expandGrafana(sql: string, state: DashboardState): string {
  const expanded = sql
    .replaceAll('${app:sqlstring}', sqlString(state.apps))
    .replaceAll('${call:sqlstring}', sqlString([state.call]))
    .replace(
      /\$__timeFilter\((\w+)\)/g,
      (_, column: string) => `${column} >= ${dateTime(state.from)} AND ${column} <= ${dateTime(state.to)}`,
    )
    .replace(
      /\$__timeInterval\((\w+)\)/g,
      (_, column: string) => `toStartOfInterval(toDateTime(${column}), INTERVAL ${state.intervalSeconds} second)`,
    )
    .replaceAll('$__toTime', dateTime(state.to));
  const left = /\$[\w{][^\s)]*/.exec(expanded);
  if (left !== null) throw new Error(`nothing expands ${left[0]}`);
  return expanded;
}
