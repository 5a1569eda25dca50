/**
 * What people's own queries (Grafana, clickhouse-client, curl) may do, as data: the embedded server's user, the user of
 * docker-compose.yml and the statements for any other server are made of it.
 *
 * `readonly = 1`: no setting may be changed, by URL or SETTINGS, but those that stand here as changeable, within their
 * bounds. A list of forbidden settings would never be complete: some take SQL (`additional_result_filter`), some take
 * paths (`format_template_row`), and every version brings new ones.
 */

/** A setting's value and, where it has bounds, how far a query may change it. */
export interface ReaderSetting {
  readonly name: string;
  /** Absent: the server's default. */
  readonly value?: number | string;
  readonly min?: number;
  readonly max?: number;
  readonly isChangeable?: true;
}

const GIGABYTE = 1_000_000_000;

const limit = (name: string, value: number, max: number): ReaderSetting => ({
  name,
  value,
  min: 1,
  max,
  isChangeable: true,
});
const fixed = (name: string, value: number | string): ReaderSetting => ({ name, value });
const free = (names: string): ReaderSetting[] => names.split(' ').map((name) => ({ name, isChangeable: true }));

export const readerSettings: readonly ReaderSetting[] = [
  fixed('readonly', 1),
  // Seconds. Grafana's plugin asks for its own timeout and five more: 65 unless told otherwise.
  limit('max_execution_time', 30, 120),
  limit('max_result_rows', 1_000_000, 10_000_000),
  limit('max_result_bytes', 256_000_000, GIGABYTE),
  limit('max_memory_usage', GIGABYTE, GIGABYTE),
  // Of all queries together: half of what the embedded server has unless configured otherwise; intake needs the rest.
  fixed('max_memory_usage_for_user', GIGABYTE),
  fixed('max_temporary_data_on_disk_size_for_user', 4 * GIGABYTE),
  fixed('max_concurrent_queries_for_user', 100),
  fixed('cancel_http_readonly_queries_on_client_close', 1),
  fixed('allow_introspection_functions', 0),
  // What narrows a query, or changes how its answer is written. Nothing that cuts an answer short without an error
  // (`result_overflow_mode`): it would cut what `EXPLAIN AST` says of a query, too.
  ...free('max_rows_to_read max_bytes_to_read limit final session_timezone log_comment enable_http_compression'),
  ...free('date_time_output_format join_use_nulls group_by_use_nulls aggregate_functions_null_for_empty'),
  ...free('output_format_json_quote_64bit_integers output_format_json_quote_64bit_floats'),
  ...free('output_format_json_quote_decimals output_format_json_quote_denormals'),
  ...free('output_format_json_named_tuples_as_objects output_format_native_write_json_as_string'),
  ...free('output_format_native_use_flattened_dynamic_and_json_serialization'),
  ...free('output_format_native_encode_types_in_binary_format'),
];

/** What it may read: our tables, and what those and their columns are called. */
export function readerGrants(database: string): string[] {
  return [`${database}.*`, 'system.tables', 'system.columns', 'system.databases'].map(
    (table) => `GRANT SELECT ON ${table}`,
  );
}

/** The profile as it stands in ClickHouse's users.xml, without the element around it. */
export function readerProfileXml(indent: string): string {
  const values = readerSettings.flatMap(({ name, value }) =>
    value === undefined ? [] : [`<${name}>${value}</${name}>`],
  );
  const constraints = readerSettings.flatMap(({ name, min, max, isChangeable }) => {
    if (isChangeable !== true) return [];
    const bounds = `${min === undefined ? '' : `<min>${min}</min>`}${max === undefined ? '' : `<max>${max}</max>`}`;
    return [`  <${name}>${bounds}<changeable_in_readonly/></${name}>`];
  });
  return [...values, '<constraints>', ...constraints, '</constraints>'].map((line) => `${indent}${line}\n`).join('');
}

/**
 * The statements that make the user on a server of one's own. They are for somebody who may manage access, which the
 * collector's user need not; where a password belongs stands `<password>`.
 */
export function readerSql(options: { readonly database: string; readonly user: string }): string {
  const { database, user } = options;
  const settings = readerSettings.map(({ name, value, min, max, isChangeable }) => {
    const bounds = `${min === undefined ? '' : ` MIN ${min}`}${max === undefined ? '' : ` MAX ${max}`}`;
    const text = `${name}${value === undefined ? '' : ` = ${value}`}${bounds}`;
    return isChangeable === true ? `${text} CHANGEABLE_IN_READONLY` : text;
  });
  const statements = [
    `CREATE SETTINGS PROFILE OR REPLACE ${user} SETTINGS\n  ${settings.join(',\n  ')}`,
    `CREATE USER IF NOT EXISTS ${user} IDENTIFIED WITH sha256_password BY '<password>' SETTINGS PROFILE ${user}`,
    ...readerGrants(database).map((grant) => `${grant} TO ${user}`),
  ];
  return statements.map((statement) => `${statement};\n`).join('');
}
