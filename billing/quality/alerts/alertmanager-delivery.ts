/**
 * Prometheus Alertmanager, API v2 (POST /api/v2/alerts). Alertmanager forgets an alert that is not repeated before its
 * endsAt, so whatever fires is posted with every batch; it recognises a repetition by the labels.
 */
import type { AlertDelivery, AlertNotice } from './delivery.ts';
import { poster } from './post-json.ts';
import type { PostOptions } from './post-json.ts';

/** `url` is Alertmanager's own, with its path prefix if it has one: `http://alertmanager:9093`. */
export function alertmanagerDelivery({ url, ...options }: PostOptions): AlertDelivery {
  const post = poster({ ...options, url: `${url.replace(/\/+$/, '')}/api/v2/alerts` });
  return {
    name: 'alertmanager',
    async deliver({ changed, firing, validUntil }) {
      // One entry for each alert, the newest: two ends of the same alert in one request would race.
      const newest = new Map([...changed, ...firing].map((notice) => [notice.fingerprint, notice]));
      if (newest.size > 0) await post([...newest.values()].map((notice) => postable(notice, validUntil)));
    },
  };
}

function postable(notice: AlertNotice, validUntil: number): object {
  return {
    labels: { alertname: notice.rule, severity: notice.severity, app: notice.app },
    annotations: {
      summary: notice.summary,
      value: String(notice.value),
      threshold: String(notice.threshold),
      samples: String(notice.samples),
    },
    startsAt: new Date(notice.startsAt).toISOString(),
    endsAt: new Date(notice.endsAt ?? validUntil).toISOString(),
  };
}
