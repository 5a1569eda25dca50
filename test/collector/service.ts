/** A collector's HTTP side with two apps, for tests: tokens as their names say. */
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../../kernel/clock.ts';
import { createHttp } from '../../kernel/http.ts';
import { silentLog } from '../../kernel/log.ts';
import { createAuthority, hashToken } from '../../kernel/principals.ts';
import type { Authority } from '../../kernel/principals.ts';
import { issueReportToken } from '../../kernel/report-token.ts';
import type { ReportClaims } from '../../kernel/report-token.ts';
import type { Row, StoreWriter } from '../../collector/store/store.ts';
import type { TableName } from '../../collector/store/tables.ts';

const secrets = { demo: 'secret-of-the-demo-app', shop: 'secret-of-the-shop-app' };

export interface Service {
  readonly http: FastifyInstance;
  readonly authority: Authority;
}

export function service(clock: Clock): Service {
  const app = (id: 'demo' | 'shop', origins: string[]) => ({
    id,
    tokenHashes: [hashToken(`${id}-token`)],
    keys: [{ id: `${id}-key`, secrets: [secrets[id]] }],
    origins,
  });
  const authority = createAuthority(
    {
      apps: [app('demo', ['https://demo.example']), app('shop', ['https://shop.example'])],
      relayTokenHash: hashToken('relay-token'),
      sourceTokenHash: hashToken('source-token'),
      operatorTokenHash: hashToken('operator-token'),
    },
    clock,
  );
  return { authority, http: createHttp({ log: silentLog, authority, host: '0.0.0.0' }) };
}

export function reportToken(app: 'demo' | 'shop', now: number, change: Partial<ReportClaims> = {}): string {
  const claims: ReportClaims = {
    keyId: `${app}-key`,
    app,
    call: '',
    participant: '',
    customId: '',
    maxConnections: 4,
    expiresAt: Math.floor(now / 1_000) + 3_600,
    ...change,
  };
  return issueReportToken(claims, secrets[app]);
}

/** Remembers what was inserted; `fault` decides about failures. */
export class FakeWriter implements StoreWriter {
  readonly inserts: { readonly table: TableName; readonly rows: readonly Row[] }[] = [];
  fault: (table: TableName, rows: readonly Row[]) => Error | undefined = () => undefined;
  /** Inserts wait for it. */
  gate: Promise<void> = Promise.resolve();

  async insert(table: TableName, rows: readonly Row[]): Promise<void> {
    await this.gate;
    const fault = this.fault(table, rows);
    if (fault !== undefined) throw fault;
    this.inserts.push({ table, rows });
  }

  rowsOf(table: TableName): Row[] {
    return this.inserts.flatMap((insert) => (insert.table === table ? insert.rows : []));
  }
}
