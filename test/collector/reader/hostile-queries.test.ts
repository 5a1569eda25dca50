/** What a reader must not be able to do, tried on the real engine through the door. */
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { readerSettings } from '../../../collector/store/reader-profile.ts';
import { hasEmbeddedStore } from '../../embedded-store.ts';
import { streamRow } from '../../conformance/store.ts';
import { basic, openDoor } from './door.ts';
import type { Answer, Door } from './door.ts';

const named = z.object({ name: z.string() });

/** `'` and `\` as ClickHouse reads them in a string. */
const quoted = (text: string) => `'${text.replace(/['\\]/g, '\\$&')}'`;

describe.skipIf(!hasEmbeddedStore)('a hostile query', () => {
  let door: Door;
  let file: string;
  beforeAll(async () => {
    door = await openDoor();
    file = quoted(door.secret.file);
    await door.store.insert('stream_intervals', [streamRow()]);
    await door.store.command('CREATE DATABASE hidden ENGINE = Atomic');
    await door.store.command(
      `CREATE TABLE hidden.t ENGINE = MergeTree ORDER BY s AS SELECT '${door.secret.text}' AS s`,
    );
  });
  afterAll(() => door.close());

  const expectRefused = async (sql: string | Buffer, search = '', init: RequestInit = {}) => {
    const answer: Answer = await door.ask(sql, search, init);
    const what = { sql: String(sql), search, refused: answer.status >= 400 };
    expect(what).toEqual({ ...what, refused: true });
    expect(answer.text).not.toContain(door.secret.text);
  };

  it('does not read a file by any way to call the function', async () => {
    const ways = [
      `SELECT file(${file})`,
      `SELECT \`file\`(${file})`,
      `SELECT "file"(${file})`,
      `SELECT "fi\\x6ce"(${file})`,
      `SELECT file(${file}, 'default')`,
      `SELECT file(path) FROM (SELECT ${file} AS path)`,
      `SELECT length(file(${file})) > 0`,
      `SELECT 1 WHERE startsWith(file(${file}), 'w')`,
      `SELECT throwIf(1, file(${file}))`,
      `SELECT * APPLY file FROM (SELECT ${file})`,
      `SELECT * APPLY(file) FROM (SELECT ${file})`,
      `SELECT * APPLY(x -> file(x)) FROM (SELECT ${file})`,
      `SELECT COLUMNS('.') APPLY file FROM (SELECT ${file} AS a)`,
      `SELECT t.* APPLY file FROM (SELECT ${file} AS a) AS t`,
      `SELECT * REPLACE (file(a) AS a) FROM (SELECT ${file} AS a)`,
      `SELECT arrayMap(file, [${file}])`,
      `SELECT arrayMap("fi\\x6ce", [${file}])`,
      `SELECT arrayMap(x -> file(x), [${file}])`,
      `WITH (x -> file(x)) AS f SELECT f(${file})`,
      `WITH file AS f SELECT arrayMap(f, [${file}])`,
      `WITH t AS (SELECT file(${file}) AS a) SELECT a FROM t`,
      `SELECT (SELECT file(${file}))`,
      `SELECT 1 UNION ALL SELECT length(file(${file}))`,
      `SELECT number FROM numbers(3) ORDER BY file(${file})`,
      `SELECT number FROM numbers(3) GROUP BY number, file(${file})`,
      `SELECT number FROM numbers(3) LIMIT length(file(${file}))`,
      `SELECT count() OVER (PARTITION BY file(${file}))`,
      `SELECT count() OVER w WINDOW w AS (ORDER BY file(${file}))`,
      `SELECT 1 AS a ORDER BY a WITH FILL FROM length(file(${file})) TO 3`,
      `SELECT b FROM (SELECT 1) ARRAY JOIN [file(${file})] AS b`,
      `SELECT * FROM numbers(1) AS a JOIN numbers(1) AS b ON a.number = b.number AND file(${file}) != ''`,
      `SELECT * FROM view(SELECT file(${file}))`,
      `SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file(${file})))`,
      `SELECT * FROM (EXPLAIN SELECT file(${file}))`,
      `EXPLAIN SELECT file(${file})`,
      `EXPLAIN AST SELECT file(${file})`,
      `EXPLAIN QUERY TREE SELECT file(${file})`,
      `EXPLAIN SYNTAX run_query_tree_passes = 1 SELECT file(${file})`,
      `DESCRIBE (SELECT file(${file}))`,
      `SHOW TABLES WHERE throwIf(1, file(${file}))`,
      `SHOW TABLES FROM turnpike WHERE throwIf(1, file(${file}))`,
      `SHOW COLUMNS FROM alerts FROM turnpike WHERE throwIf(1, file(${file}))`,
      `SHOW INDEXES FROM alerts FROM turnpike WHERE throwIf(1, file(${file}))`,
      `SELECT * FROM (SELECT * FROM eval('SELECT 1') SETTINGS allow_experimental_eval_table_function = 1)`,
      `SELECT * FROM eval('SELECT file(' || ${quoted(file)} || ')')`,
      // where the tree's lines could be cut off, or made to look like others
      `SELECT 1 AS \`x\n Function plus\`, file(${file}) SETTINGS max_result_rows = 6, result_overflow_mode = 'break'`,
      `SELECT 1 AS \`x\n Function plus\`, file(${file}) SETTINGS limit = 5`,
      `SELECT 1 AS \`x\n Function plus\`, file(${file}) SETTINGS offset = 7`,
      `SELECT 1, file(${file}) FORMAT Null`,
      `SELECT 1, file(${file}) FORMAT JSON SETTINGS limit = 1`,
      `(SELECT file(${file})) FORMAT TSV`,
    ];
    for (const sql of ways) await expectRefused(sql);
  });

  it('does not read a file by a name that comes as a parameter', async () => {
    const target = encodeURIComponent(door.secret.file);
    await expectRefused(`SELECT arrayMap({f:Identifier}, [${file}])`, 'param_f=file');
    await expectRefused('SELECT file({p:String})', `param_p=${target}`);
    await expectRefused('SELECT * FROM {t:Identifier}', `param_t=${target}`);
    await expectRefused('SELECT * FROM {d:Identifier}.{t:Identifier}', `param_d=default&param_t=${target}`);
  });

  it('does not read a file however it is written, in the body or in the URL', async () => {
    const blank = fc.constantFrom(
      ' ',
      '\n',
      '\t',
      '\r\n',
      '/**/',
      '/* file */',
      '-- x\n',
      '# x\n',
      '\u00a0',
      '\f',
      '\v',
    );
    const spelling = fc.constantFrom(
      'file',
      '`file`',
      '"file"',
      '"\\x66ile"',
      '`fil\\e`',
      'FILE',
      'File',
      '"\\146ile"',
    );
    const around = fc.constantFrom<(call: string) => string>(
      (call) => call,
      (call) => `upper(lower(${call}))`,
      (call) => `arrayMap(x -> ${call}, [1])`,
      (call) => `(SELECT ${call})`,
      (call) => `if(1, ${call}, '')`,
      (call) => `${call} || ''`,
      (call) => `CAST(${call} AS String)`,
    );
    const where = fc.constantFrom('body', 'url', 'both');
    await fc.assert(
      fc.asyncProperty(
        fc.array(blank, { minLength: 5, maxLength: 5 }),
        spelling,
        around,
        where,
        async (gaps, name, wrap, at) => {
          const [a, b, c, d, e] = gaps;
          const call = wrap(`${name}${b}(${c}${file}${d})`);
          const sql = `${a}SELECT${e}${call}`;
          const half = sql.indexOf('SELECT') + 6;
          const [url, body] =
            { body: ['', sql], url: [sql, ''], both: [sql.slice(0, half), sql.slice(half)] }[at] ?? [];
          await expectRefused(body ?? '', url === '' ? '' : `query=${encodeURIComponent(url ?? '')}`);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('finds one function in the whole engine that reads a file, and that is the one refused', async () => {
    const functions = await door.store.select(named, `SELECT name FROM system.functions WHERE is_aggregate = 0`);
    expect(functions.length).toBeGreaterThan(1_000);
    const { url, user, password } = door.server.reader();
    const readers: string[] = [];
    const names = functions.map(({ name }) => name);
    const tryAll = async () => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        const body = `SELECT \`${name}\`(${file})`;
        const answer = await fetch(url, { method: 'POST', body, headers: basic(user, password) });
        if ((await answer.text()).includes(door.secret.text)) readers.push(name);
      }
    };
    await Promise.all(Array.from({ length: 8 }, tryAll));
    expect(readers).toEqual(['file']);
  }, 120_000);

  it('makes no file by any table function, in FROM or in IN', async () => {
    const functions = await door.store.select(named, 'SELECT name FROM system.table_functions');
    const made = path.join(path.dirname(door.secret.file), 'made');
    await mkdir(made);
    for (const { name } of functions) {
      const target = quoted(path.join(made, name));
      for (const form of [`${name}(${target}, 't')`, `${name}(${target})`, `${name}(${target}, 'CSV', 'a Int8')`]) {
        await door.ask(`SELECT * FROM ${form}`);
        await door.ask(`SELECT 1 IN ${form}`);
        await door.ask(`DESCRIBE TABLE ${form}`);
        await door.ask(`SELECT * FROM view(SELECT * FROM ${form})`);
      }
    }
    expect(await readdir(made)).toEqual([]);
  }, 60_000);

  it('reaches nothing outside by any table function', async () => {
    const functions = await door.store.select(named, 'SELECT name FROM system.table_functions');
    const answered: string[] = [];
    const outside = `http://127.0.0.1:${new URL(door.origin).port}/healthz`;
    for (const { name } of functions) {
      const forms = [
        `${name}(${file}, 'LineAsString', 'line String')`,
        `${name}(${file})`,
        `${name}('${outside}', 'LineAsString', 'line String')`,
        `${name}('127.0.0.1:1', 'db', 'table', 'user', 'password')`,
        `${name}('127.0.0.1:1', 'hidden', 't')`,
        `${name}('hidden', 't')`,
        `${name}('default', hidden.t)`,
      ];
      for (const form of forms) {
        const answer = await door.ask(`SELECT * FROM ${form} LIMIT 3`);
        expect(answer.text).not.toContain(door.secret.text);
        if (answer.status === 200) answered.push(form.replaceAll(file, '…'));
      }
    }
    // It only gives back what the query itself says.
    expect(answered.filter((form) => !form.startsWith('values('))).toEqual([]);
  });

  it('reads no table but ours', async () => {
    const tables = await door.store.select(
      z.object({ database: z.string(), name: z.string() }),
      `SELECT database, name FROM system.tables WHERE database NOT IN ('turnpike', 'system')`,
    );
    expect(tables).toContainEqual({ database: 'hidden', name: 't' });
    for (const { database, name } of tables) await expectRefused(`SELECT * FROM \`${database}\`.\`${name}\` LIMIT 1`);
    await expectRefused('SELECT * FROM t', 'database=hidden');
    await expectRefused('SELECT * FROM t', '', { headers: { 'x-clickhouse-database': 'hidden' } });
    await expectRefused(`SELECT * FROM merge('hidden', '.*')`);
    await expectRefused(`SELECT * FROM \`${door.secret.file}\``);
    await expectRefused(`SELECT * FROM default.\`${door.secret.file}\``);
    await expectRefused(`SELECT dictGet('hidden.d', 's', 1)`);
    await expectRefused(`SELECT joinGet('hidden.t', 's', 1)`);
  });

  it('learns nothing of users, processes, logs and secrets from system tables', async () => {
    const about = [
      'users',
      'grants',
      'roles',
      'processes',
      'query_log',
      'text_log',
      'server_settings',
      'disks',
      'parts',
    ];
    for (const table of [...about, 'named_collections', 'settings_profiles', 'quotas', 'user_processes', 'clusters']) {
      await expectRefused(`SELECT * FROM system.${table}`);
    }
    const seen = await door.ask('SELECT DISTINCT database FROM system.tables ORDER BY database');
    expect(seen.text).toBe('system\nturnpike\n');
  });

  it('changes nothing', async () => {
    const statements = [
      'INSERT INTO alerts (rule) VALUES (1)',
      `INSERT INTO FUNCTION file('/tmp/x', 'CSV', 'a Int8') VALUES (1)`,
      'DROP TABLE alerts',
      'TRUNCATE TABLE alerts',
      'ALTER TABLE alerts DELETE WHERE 1',
      'DELETE FROM alerts WHERE 1',
      'UPDATE alerts SET rule = 1 WHERE 1',
      'OPTIMIZE TABLE alerts FINAL',
      'CREATE TABLE turnpike.mine (n UInt8) ENGINE = Memory',
      'CREATE TEMPORARY TABLE mine (n UInt8)',
      'CREATE VIEW turnpike.mine AS SELECT 1',
      'CREATE FUNCTION mine AS x -> file(x)',
      `CREATE DICTIONARY turnpike.mine (k UInt64) PRIMARY KEY k SOURCE(FILE(PATH '/tmp/x' FORMAT 'CSV')) LAYOUT(FLAT()) LIFETIME(1)`,
      'CREATE USER mine',
      'CREATE DATABASE mine',
      'CREATE NAMED COLLECTION mine AS a = 1',
      'GRANT ALL ON *.* TO reader',
      'SET ROLE ALL',
      'SET readonly = 0',
      'SET max_threads = 1',
      'USE hidden',
      'ATTACH TABLE turnpike.mine',
      'DETACH TABLE alerts',
      'RENAME TABLE alerts TO mine',
      'EXCHANGE TABLES alerts AND control',
      `KILL QUERY WHERE throwIf(1, file(${file}))`,
      'KILL MUTATION WHERE 1',
      'SYSTEM SHUTDOWN',
      'SYSTEM FLUSH LOGS',
      'SYSTEM STOP LISTEN HTTP',
      'SYSTEM RELOAD CONFIG',
      'CHECK TABLE alerts',
      `BACKUP TABLE turnpike.alerts TO File('/tmp/backup')`,
      `RESTORE TABLE turnpike.alerts FROM File('/tmp/backup')`,
      'BEGIN TRANSACTION',
      'EXECUTE AS turnpike SELECT 1',
      `SELECT 1 INTO OUTFILE '/tmp/x'`,
      `SELECT 1 INTO OUTFILE '/tmp/x' TRUNCATE FORMAT CSV`,
      'SELECT 1 PARALLEL WITH SELECT 2',
    ];
    for (const sql of statements) await expectRefused(sql);
    expect((await door.ask('SELECT count() FROM stream_intervals')).text).toBe('1\n');
  });

  it('is one statement', async () => {
    for (const sql of [
      'SELECT 1; SELECT 2',
      'SELECT 1;\nDROP TABLE alerts',
      `SELECT 1;;SELECT file(${file})`,
      `SELECT 1 -- \n; SELECT file(${file})`,
      `SHOW TABLES; SELECT file(${file})`,
      'SELECT 1 FORMAT TSV\nDROP TABLE alerts',
      '',
      ' \n ',
      ';',
      '-- nothing',
      '\u0000',
      'SELECT 1\u0000; SELECT 2',
      Buffer.from(`SELECT file(${file})`, 'utf16le'),
      Buffer.concat([Buffer.from('SELECT '), Buffer.from([0xff, 0xfe]), Buffer.from(`file(${file})`)]),
    ]) {
      await expectRefused(sql);
    }
    await expectRefused('', `query=SELECT+1&query=${encodeURIComponent(`, file(${file})`)}`);
    await expectRefused(`, file(${file})`, 'query=SELECT+1');
  });

  it('changes no setting but those that the profile lists, by URL or SETTINGS', async () => {
    const listed = new Set(readerSettings.filter(({ isChangeable }) => isChangeable).map(({ name }) => name));
    const open = await door.ask('SELECT name FROM system.settings WHERE NOT readonly FORMAT JSONCompactColumns');
    const [changeable = []] = JSON.parse(open.text) as string[][];
    expect(new Set(changeable)).toEqual(listed);
    const attempts = {
      readonly: '0',
      max_threads: '64',
      max_memory_usage: '0',
      max_memory_usage_for_user: '0',
      max_execution_time: '0',
      max_result_rows: '0',
      max_result_bytes: '0',
      max_concurrent_queries_for_user: '0',
      max_query_size: '0',
      max_parser_depth: '0',
      max_ast_depth: '0',
      result_overflow_mode: 'break',
      timeout_overflow_mode: 'break',
      compatibility: '18.1',
      dialect: 'prql',
      allow_introspection_functions: '1',
      allow_experimental_eval_table_function: '1',
      allow_experimental_ai_functions: '1',
      allow_get_client_http_header: '1',
      use_query_cache: '1',
      add_http_cors_header: '1',
      http_response_headers: "{'x':'y'}",
      additional_result_filter: `throwIf(1, file(${file}))`,
      additional_table_filters: `{'turnpike.stream_intervals':'throwIf(1, file(${file.replaceAll("'", "\\'")}))'}`,
      format_template_row: door.secret.file,
      format_template_resultset: door.secret.file,
      format_schema: `${door.secret.file}:X`,
      format_schema_source: 'query',
    };
    for (const [name, value] of Object.entries(attempts)) {
      await expectRefused('SELECT * FROM stream_intervals', `${name}=${encodeURIComponent(value)}`);
      await expectRefused(`SELECT * FROM stream_intervals SETTINGS ${name} = ${quoted(value)}`);
      await expectRefused(`SELECT * FROM (SELECT * FROM stream_intervals SETTINGS ${name} = ${quoted(value)})`);
      await expectRefused(`SELECT * FROM view(SELECT * FROM stream_intervals SETTINGS ${name} = ${quoted(value)})`);
      await expectRefused(`SELECT (SELECT ssrc FROM stream_intervals SETTINGS ${name} = ${quoted(value)})`);
      await expectRefused(`WITH t AS (SELECT 1 SETTINGS ${name} = ${quoted(value)}) SELECT * FROM t`);
      await expectRefused(`SELECT 1 SETTINGS ${name} = ${quoted(value)} UNION ALL SELECT 1`);
      await expectRefused(`SELECT 1 SETTINGS ${name} = ${quoted(value)} EXCEPT SELECT 2`);
      await expectRefused(`SELECT 1 SETTINGS ${name} = ${quoted(value)} FORMAT TSV SETTINGS log_comment = 'x'`);
      await expectRefused(`SELECT 1 SETTINGS log_comment = 'x' FORMAT TSV SETTINGS ${name} = ${quoted(value)}`);
      await expectRefused(`DESCRIBE (SELECT 1 SETTINGS ${name} = ${quoted(value)})`);
      await expectRefused(`DESCRIBE alerts SETTINGS ${name} = ${quoted(value)}`);
      await expectRefused(`SELECT * FROM stream_intervals SETTINGS profile = 'default', ${name} = ${quoted(value)}`);
    }
  });

  it('is nobody else', async () => {
    const { user, password } = door.server.endpoint();
    const login = `user=${user}&password=${encodeURIComponent(password)}`;
    expect((await door.ask('SELECT currentUser()', login)).text).toBe('reader\n');
    expect((await door.ask('SELECT currentUser()', 'user=default')).text).toBe('reader\n');
    await expectRefused('SELECT 1', 'role=admin');
    await expectRefused('SELECT 1', 'session_id=mine');
    await expectRefused('SELECT 1', 'decompress=1');
    await expectRefused("SELECT getClientHTTPHeader('Authorization')");
    const form = new FormData();
    form.set('query', `SELECT file(${file})`);
    await expectRefused('', '', { body: form });
    await expectRefused('SELECT 1', '', { headers: { 'content-encoding': 'gzip' } });
  });

  it('costs a bounded amount of rows, bytes, time and memory', async () => {
    const tooMuch = {
      'SELECT number FROM numbers(1000001)': '396',
      'SELECT number FROM numbers(10000001) SETTINGS max_result_rows = 10000000': '396',
      [`SELECT repeat(toString(number % 10), 1000) FROM numbers(400000)`]: '396',
      'SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3 SETTINGS max_execution_time = 1': '159',
      'SELECT groupArray(number) FROM numbers(1000000000)': '241',
      [`SELECT repeat('x', 4000000000)`]: '131',
      'SELECT * FROM numbers(1000000) AS a CROSS JOIN numbers(1000000) AS b ORDER BY rand() SETTINGS max_execution_time = 2':
        '',
      'WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count() FROM t SETTINGS max_execution_time = 2':
        '',
      [`SELECT ${'('.repeat(5_000)}1${')'.repeat(5_000)}`]: '',
      [`SELECT ${'1 + '.repeat(60_000)}1`]: '',
    };
    for (const [sql, code] of Object.entries(tooMuch)) {
      const answer = await door.ask(sql, 'wait_end_of_query=1');
      expect([sql.slice(0, 80), answer.status]).not.toEqual([sql.slice(0, 80), 200]);
      if (code !== '') expect([sql, answer.headers.get('x-clickhouse-exception-code')]).toEqual([sql, code]);
    }
    await expectRefused(`SELECT 1 -- ${'x'.repeat(300_000)}`);
    await expectRefused('SELECT 1', `query=${'+'.repeat(10_000)}`, { method: 'POST', body: ' '.repeat(300_000) });
    expect((await door.ask('SELECT 1')).text).toBe('1\n');
  }, 60_000);
});
