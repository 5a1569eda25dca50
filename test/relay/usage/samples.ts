/** Allocations and counters for the usage tests. */
import type { UsageRecord } from '../../../relay/contract.ts';
import type { ClassCounters, Counters } from '../../../relay/planes/plane.ts';
import type { MeteredAllocation } from '../../../relay/usage/reading.ts';

export const identity = { serverId: 'relay-1', bootId: '019a0000-0000-7000-8000-000000000b01' };

/** The id of the n-th allocation; ids sort as the allocations began. */
export function allocationId(index: number): string {
  return `019a0000-0000-7000-8000-${index.toString(16).padStart(12, '0')}`;
}

export function metered(index: number): MeteredAllocation {
  return {
    allocation: allocationId(index),
    app: 'shop',
    keyId: 'main',
    customId: 'customer',
    call: 'room',
    participant: `p${index}`,
    transport: 'udp',
    clientFamily: 4,
    relayFamily: 4,
  };
}

/** Counters in which every field differs from every other one and grows with `scale`. */
export function counters(scale: bigint): Counters {
  const ofClass = (offset: bigint): ClassCounters => ({
    clientRxBytes: scale * (offset + 1n),
    clientTxBytes: scale * (offset + 2n),
    peerRxBytes: scale * (offset + 3n),
    peerTxBytes: scale * (offset + 4n),
    clientRxPackets: scale * (offset + 5n),
    clientTxPackets: scale * (offset + 6n),
    peerRxPackets: scale * (offset + 7n),
    peerTxPackets: scale * (offset + 8n),
  });
  return {
    classes: { internet: ofClass(0n), own_relay: ofClass(10n), sfu: ofClass(20n) },
    clientControlTxBytes: scale * 100n,
  };
}

/** The `scale` that a record's totals were made of. */
export function scaleOf(record: Pick<UsageRecord, 'client_control_tx_bytes'>): bigint {
  return record.client_control_tx_bytes / 100n;
}

export function identityOf(record: UsageRecord): string {
  return `${record.server_id}/${record.boot_id}/${record.allocation_id}/${record.seq}`;
}

/** A promise that the test resolves when it likes. */
export function gate(): { readonly promise: Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}
