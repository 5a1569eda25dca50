/** Every source of egress under the one suite. A kind that the configuration knows and that is not here fails it. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sourceSettings } from '../../../collector/sources/source-settings.ts';
import { sourceConformance } from '../../conformance/source.ts';
import { hasEmbeddedStore, testDatabase } from '../../embedded-store.ts';
import type { TestDatabase } from '../../embedded-store.ts';
import { cloudflareSources } from './cloudflare-scene.ts';
import { coturnRedisSource } from './coturn-redis-scene.ts';
import { pulledSources } from './pulled-scene.ts';
import { janusSource, postedSources } from './pushed-scenes.ts';

const sources = [...pulledSources, janusSource, ...postedSources, coturnRedisSource, ...cloudflareSources];

/** The last cell of a kind's row in docs/config.md; what is told by the configuration or by who posts is taken for exact. */
function documentedGrade(kind: string): string | undefined {
  const docs = readFileSync(new URL('../../../docs/config.md', import.meta.url), 'utf8');
  const row = docs.split('\n').find((line) => line.startsWith(`| \`${kind}\` `));
  const grade = row?.split('|').at(-2)?.trim().replaceAll('`', '');
  return grade === 'as told' ? 'exact' : grade;
}

describe.skipIf(!hasEmbeddedStore)('every source', () => {
  let store: TestDatabase;
  beforeAll(async () => {
    store = await testDatabase();
  });
  afterAll(() => store.close());

  it('is here', () => {
    const here = sources.map(({ kind }) => kind.split(' ')[0]);
    expect(here).toEqual(expect.arrayContaining(sourceSettings.options.map(({ shape }) => shape.kind.value)));
  });

  for (const source of sources) {
    sourceConformance(
      source,
      () => documentedGrade(source.kind.split(' ')[0] ?? ''),
      () => store,
    );
  }
});
