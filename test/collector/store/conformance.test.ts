import { afterAll, describe } from 'vitest';
import { storeConformance } from '../../conformance/store.ts';
import { freshEndpoint, hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';

describe.skipIf(!hasEmbeddedStore)('embedded', () => {
  storeConformance('embedded ClickHouse', () => testDatabase());
});

const url = process.env['TURNPIKE_TEST_CLICKHOUSE_URL'];
describe.skipIf(url === undefined)('server by URL (TURNPIKE_TEST_CLICKHOUSE_URL)', () => {
  let store: TestDatabase | undefined;
  storeConformance('ClickHouse by URL', async () => {
    const { origin, username, password } = new URL(url ?? '');
    const server = { url: origin, user: username || 'default', password: decodeURIComponent(password), database: '' };
    store = await testDatabase({ endpoint: freshEndpoint(server) });
    return store;
  });
  afterAll(() => store?.drop());
});
