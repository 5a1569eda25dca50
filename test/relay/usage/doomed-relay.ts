/**
 * A process that meters, and is killed for it (test/relay/usage/kill.test.ts). It counts up in two allocations, ends and
 * begins one now and then, and prints what it has been promised is on disk: `{ allocation: scale }`, one line a write.
 */
import { ManualClock } from '../../../kernel/clock.ts';
import { Meter } from '../../../relay/usage/meter.ts';
import { Spool } from '../../../relay/usage/spool.ts';
import { allocationId, counters, metered, scaleOf } from './samples.ts';

const [directory = '', bootId = '', first = '0'] = process.argv.slice(2);
const clock = new ManualClock(Date.UTC(2026, 10, 20, 12));
const spool = new Spool({ directory });
const meter = new Meter({ serverId: 'relay-1', bootId }, clock.now());
const at = () => ({ now: clock.now(), monotonic: clock.monotonic() });

let next = Number(first);
const scales = new Map<string, bigint>();
function open(): void {
  next += 1;
  scales.set(allocationId(next), 0n);
  meter.opened(metered(next), at());
}
open();
open();

for (let turn = 0; ; turn += 1) {
  for (const [id, scale] of scales) scales.set(id, scale + 1n);
  clock.advance(700);
  const due = meter.due(at(), (id) => counters(scales.get(id) ?? 0n));
  const [oldest] = scales.keys();
  const ended =
    turn % 20 === 19 && oldest !== undefined
      ? meter.closed(oldest, counters(scales.get(oldest) ?? 0n), at())
      : undefined;
  const written = [due, ...(ended === undefined ? [] : [ended])];
  for (const entries of written) {
    await spool.write(entries);
    const promised = [...entries.records, ...entries.checkpoints].map((each) => [
      each.allocation_id,
      `${scaleOf(each)}`,
    ]);
    if (promised.length > 0) process.stdout.write(`${JSON.stringify(Object.fromEntries(promised))}\n`);
  }
  if (ended !== undefined && oldest !== undefined) {
    scales.delete(oldest);
    open();
  }
}
