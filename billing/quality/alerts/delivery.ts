/** How alerts leave the service: one interface, implementations that post, and wrappers that add to any of them. */
import type { Logger } from '../../../kernel/log.ts';
import type { Metrics } from '../../../kernel/metrics.ts';
import type { AlertRuleView } from '../../contract.ts';

/** An alert as others hear of it. Times are Unix milliseconds. */
export interface AlertNotice {
  readonly fingerprint: string;
  readonly rule: string;
  readonly severity: AlertRuleView['severity'];
  readonly app: string;
  readonly state: 'firing' | 'resolved';
  readonly startsAt: number;
  /** Null while it fires. */
  readonly endsAt: number | null;
  readonly value: number;
  readonly threshold: number;
  readonly samples: number;
  readonly summary: string;
}

/** What one evaluation has to say. */
export interface AlertBatch {
  /** Began to fire, or resolved, since the last batch; in order. */
  readonly changed: readonly AlertNotice[];
  /** Everything that fires now, whenever it began. */
  readonly firing: readonly AlertNotice[];
  /** Until when the firing ones may be taken to fire, should nothing more be heard. Unix milliseconds. */
  readonly validUntil: number;
}

export interface AlertDelivery {
  /** A few words for log and metric, without address or secret. */
  readonly name: string;
  /** Resolves once the receiver has accepted the batch. */
  deliver(batch: AlertBatch): Promise<void>;
}

/** Delivers to each, whatever becomes of the others. Rejects when one of them did. */
export function everywhere(deliveries: readonly AlertDelivery[]): AlertDelivery {
  return {
    name: deliveries.map(({ name }) => name).join(', '),
    async deliver(batch) {
      const results = await Promise.allSettled(deliveries.map((delivery) => delivery.deliver(batch)));
      const failures = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason as unknown);
      if (failures.length > 0) throw new AggregateError(failures, 'some alerts were not delivered');
    },
  };
}

export interface RetryOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Changes kept while the receiver is away. Beyond it the oldest is given up, which is logged and counted. */
  readonly limit?: number;
}

/** Keeps changes that could not be delivered and puts them in front of the next batch, in order. Never rejects. */
export function retrying(delivery: AlertDelivery, { log, metrics, limit = 1_000 }: RetryOptions): AlertDelivery {
  const count = metrics.counter('turnpike_quality_alert_deliveries_total');
  const { name } = delivery;
  let kept: readonly AlertNotice[] = [];
  return {
    name,
    async deliver(batch) {
      const changed = [...kept, ...batch.changed];
      try {
        await delivery.deliver({ ...batch, changed });
        kept = [];
        count.inc({ delivery: name, result: 'ok' });
      } catch (error) {
        const lost = Math.max(0, changed.length - limit);
        kept = changed.slice(lost);
        count.inc({ delivery: name, result: 'failed' });
        log.warn({ err: error, delivery: name, kept: kept.length }, 'alerts were not delivered; they are kept');
        if (lost === 0) return;
        count.inc({ delivery: name, result: 'lost' }, lost);
        log.error({ delivery: name, lost }, 'too many undelivered alerts: the oldest were given up');
      }
    },
  };
}
