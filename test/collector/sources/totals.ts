/** What readings come to, as statements sum them: per object and run the most that was counted, and the runs together. */
import type { EgressReading } from '../../../collector/contract.ts';

export function totalOf(readings: readonly EgressReading[]): bigint {
  const most = new Map<string, bigint>();
  for (const { boot_id: boot, egress_bytes: bytes, object_id: object, server_id: server } of readings) {
    const key = JSON.stringify([server, boot, object]);
    if (bytes > (most.get(key) ?? -1n)) most.set(key, bytes);
  }
  return [...most.values()].reduce((sum, bytes) => sum + bytes, 0n);
}
