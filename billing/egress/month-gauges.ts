/** Keeps the gauges of the running month: bytes, cost so far, share of the free allowance. */
import type { StoreReader } from '../../collector/store/store.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import { monthOf } from '../../kernel/period.ts';
import type { RateCard } from '../contract.ts';
import { statementFor } from './statement.ts';

export interface MonthGaugeOptions {
  readonly reader: StoreReader;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
  readonly card: RateCard;
  /** Milliseconds between refreshes; more when one takes long, so that they take at most a tenth of the time. */
  readonly interval?: number;
}

export interface MonthGauges {
  /** Reads the store once. Never rejects: a failure is logged and the gauges keep their last value. */
  refresh(): Promise<void>;
  /** Refreshes now and then on the interval. */
  start(): void;
  /** Resolves once no refresh is running any more. */
  stop(): Promise<void>;
}

const DEFAULT_INTERVAL = 30_000;

export function createMonthGauges(options: MonthGaugeOptions): MonthGauges {
  const { clock, interval = DEFAULT_INTERVAL } = options;
  let timer: NodeJS.Timeout | undefined;
  let started = false;
  let running: Promise<void> | undefined;
  const refresh = (): Promise<void> => {
    running ??= update(options).finally(() => {
      running = undefined;
    });
    return running;
  };
  const again = async (): Promise<void> => {
    const began = clock.monotonic();
    await refresh();
    const took = clock.monotonic() - began;
    if (started) timer = setTimeout(() => void again(), Math.max(interval, 9 * took)).unref();
  };
  return {
    refresh,
    start() {
      if (started) return;
      started = true;
      void again();
    },
    async stop() {
      started = false;
      clearTimeout(timer);
      await running;
    },
  };
}

async function update({ reader, metrics, clock, log, card }: MonthGaugeOptions): Promise<void> {
  try {
    const { totals, allowance } = await statementFor({ reader, period: monthOf(clock.now()), card });
    // Prometheus holds floats: here, and only for the gauges, exactness ends.
    metrics.gauge('turnpike_billing_month_egress_bytes').set(Number(totals.bytes));
    metrics.gauge('turnpike_billing_month_cost').set({ currency: card.currency }, Number(totals.cost));
    const used = allowance.bytes === '0' ? 1 : Number(allowance.usedBytes) / Number(allowance.bytes);
    metrics.gauge('turnpike_billing_free_tier_used_ratio').set(used);
  } catch (error) {
    log.error({ err: error }, "the month's egress could not be read");
  }
}
