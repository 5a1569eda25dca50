/** Cumulative readings as rows of egress_samples. Readings go in as they were counted; differences are the reader's. */
import type { Issue } from '../../kernel/errors.ts';
import { peerClassNames } from '../../relay/contract.ts';
import type { UsageRecord } from '../../relay/contract.ts';
import type { EgressReading } from '../contract.ts';
import type { Meter } from '../sources/source-settings.ts';
import type { Row } from '../store/store.ts';

/** Name under which our own relays meter; no SFU source may take it. */
export const RELAY_SOURCE = 'turnpike';

const DAY_MS = 86_400_000;
/** Readings wait in a relay's spool while the collector is away; older ones would be past any open billing period. */
const OLDEST_DAYS = 400;
const NEWEST_DAYS = 1;

/**
 * One row for each peer class, also when it carried nothing, so that each class has a reading at each window's end. STUN
 * answers are a class of their own that appears with their first byte.
 */
export function usageRows(record: UsageRecord): Row[] {
  const shared = {
    app_id: record.app_id,
    meter: 'turn',
    source: RELAY_SOURCE,
    server_id: record.server_id,
    boot_id: record.boot_id,
    object_id: record.allocation_id,
    seq: record.seq,
    window_end: record.window_end,
    key_id: record.key_id,
    custom_id: record.custom_id,
    call_id: record.call_id,
    participant_id: record.participant_id,
    transport: record.transport,
    client_family: record.client_family,
    relay_family: record.relay_family,
    final: record.final,
  };
  const rows: Row[] = peerClassNames.map((name) => ({ ...shared, peer_class: name, ...record.classes[name] }));
  const control = record.client_control_tx_bytes;
  return control === 0n ? rows : [...rows, { ...shared, peer_class: 'control', client_tx_bytes: control }];
}

/** What a source other than our relays counted: an SFU, or a TURN server that is not ours. */
export function egressRow(source: string, reading: EgressReading, meter: Meter = 'sfu'): Row {
  const { egress_bytes: client_tx_bytes, egress_packets: client_tx_packets, ...identity } = reading;
  return { ...identity, meter, source, peer_class: 'none', client_tx_bytes, client_tx_packets };
}

/** Readings whose time cannot be true: they would open partitions without end, or land outside every billing period. */
export function windowIssues(readings: readonly { readonly window_end: number }[], path: string, now: number): Issue[] {
  return readings.flatMap(({ window_end: end }, index) =>
    end >= now - OLDEST_DAYS * DAY_MS && end <= now + NEWEST_DAYS * DAY_MS
      ? []
      : [{ path: `${path}.${index}.window_end`, message: `is not of the last ${OLDEST_DAYS} days` }],
  );
}
