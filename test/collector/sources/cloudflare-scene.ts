/** Cloudflare's analytics, for the conformance suite. */
import { CloudflarePoller } from '../../../collector/sources/cloudflare-poller.ts';
import type { Dataset } from '../../../collector/sources/cloudflare-usage.ts';
import { gradeOf, sourceSettings } from '../../../collector/sources/source-settings.ts';
import type { StoreReader } from '../../../collector/store/store.ts';
import { silentLog } from '../../../kernel/log.ts';
import { systemSleep } from '../../../kernel/sleep.ts';
import type { SourceParts, SourceScene, SourceUnderTest } from '../../conformance/source.ts';
import { ACCOUNT, FakeCloudflare, fault, TOKEN } from './fake-cloudflare.ts';

const HALF_HOUR = 1_800_000;

export const cloudflareSources: readonly SourceUnderTest[] = [
  under('turn', { customId: 'acme' }),
  under('sfu', { participant: 'acme' }),
];

function under(dataset: Dataset, names: SourceUnderTest['names']): SourceUnderTest {
  const settingsFor = (name: string) => {
    const parsed = sourceSettings.parse({ kind: 'cloudflare', name, dataset, account: ACCOUNT, token: TOKEN });
    if (parsed.kind !== 'cloudflare') throw new Error('another kind');
    return parsed;
  };
  return {
    kind: `cloudflare ${dataset}`,
    grade: gradeOf(settingsFor('any')),
    names,
    isAsked: true,
    // An account has one ledger, whatever its source is called: here each test has an app of its own.
    open: (parts) => sceneOf(parts, { ...settingsFor('any'), name: parts.name, app: parts.name }, dataset),
  };
}

async function sceneOf(
  { clock, metrics, store }: SourceParts,
  settings: ConstructorParameters<typeof CloudflarePoller>[0]['settings'],
  dataset: Dataset,
): Promise<SourceScene> {
  const cloudflare = await FakeCloudflare.open();
  const collector = (reader: StoreReader = store) =>
    new CloudflarePoller({
      settings,
      ask: cloudflare.ask,
      reader,
      writer: store,
      sleep: systemSleep,
      clock,
      log: silentLog,
      metrics,
    });
  let poller = collector();
  let due = 0n;
  const pass = () => {
    const bytes = BigInt(clock.now() % 99_991) + 7n;
    cloudflare.sent.push({ dataset, owner: 'k1', party: 'acme', at: clock.now(), bytes });
    due += bytes;
    clock.advance(HALF_HOUR);
  };
  /** Takes every window that is due. */
  const takeAll = async () => {
    while ((await poller.tick()) === 1_500);
    const taken = due;
    due = 0n;
    return taken;
  };
  const carry = async () => {
    pass();
    return takeAll();
  };
  const nonsense = (status: number, body: string) => async () => {
    cloudflare.instead = () => ({ status, body });
    await poller.tick();
  };
  // From now on it is asked for: what was before is nobody's bill.
  await poller.tick();
  return {
    carry,
    // It has sums of a time, and no counter that could begin anew.
    restart: async () => undefined,
    disappear: async () => {
      cloudflare.instead = () => ({ status: 503, body: '' });
      for (let times = 0; times < 3; times += 1) {
        pass();
        await poller.tick();
      }
    },
    appear: () => {
      cloudflare.instead = () => undefined;
      return carry();
    },
    // Another collector, to which the store says nothing of the last window.
    repeat: async () => {
      const from = clock.now() - HALF_HOUR - (clock.now() % 900_000);
      const other = collector({ select: async (row) => [row.parse({ windows: '1', at: `${from}` })] });
      while ((await other.tick()) === 1_500);
    },
    nonsense: {
      'nothing at all': nonsense(200, ''),
      'another page': nonsense(200, '<html>'),
      null: nonsense(200, 'null'),
      'an error': nonsense(200, JSON.stringify(fault('internal server error'))),
      'no account': nonsense(200, JSON.stringify({ data: { viewer: { accounts: [] } }, errors: null })),
      'no answer': nonsense(502, ''),
    },
    restartCollector: async () => {
      poller = collector();
    },
    close: () => cloudflare.close(),
  };
}
