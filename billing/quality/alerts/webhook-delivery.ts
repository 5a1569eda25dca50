/** A webhook: each change once, as JSON `{ "version": 1, "alerts": [ … ] }`. Nothing is posted when nothing changed. */
import type { AlertDelivery, AlertNotice } from './delivery.ts';
import { poster } from './post-json.ts';
import type { PostOptions } from './post-json.ts';

export function webhookDelivery(options: PostOptions): AlertDelivery {
  const post = poster(options);
  return {
    name: 'webhook',
    async deliver({ changed }) {
      if (changed.length > 0) await post({ version: 1, alerts: changed.map(asJson) });
    },
  };
}

function asJson({ startsAt, endsAt, ...notice }: AlertNotice): object {
  return {
    ...notice,
    startsAt: new Date(startsAt).toISOString(),
    endsAt: endsAt === null ? null : new Date(endsAt).toISOString(),
  };
}
