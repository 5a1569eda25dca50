/** Rows that a client's reports become, with everything a test does not care about filled in. */
import type { Row } from '../../../collector/store/store.ts';

const leading = { app_id: 'demo', call_id: 'c1', participant_id: 'p1', connection_id: 'connection-1', batch_seq: 0 };

export function streamInterval(row: Row): Row {
  return {
    ...leading,
    sample_index: 1,
    stream: 'inbound/audio/1',
    interval_ms: 5_000,
    direction: 'inbound',
    kind: 'audio',
    ssrc: 1,
    codec: 'opus',
    ...row,
  };
}

export function callEvent(row: Row): Row {
  return { ...leading, sample_index: 0, value: null, value_ms: null, detail: '{}', ...row };
}

/** `count` rows, 5 s apart, the last one at `until`. */
export function every5s(until: number, count: number, make: (ts: number, index: number) => Row): Row[] {
  return Array.from({ length: count }, (_, index) => make(until - (count - 1 - index) * 5_000, index));
}
