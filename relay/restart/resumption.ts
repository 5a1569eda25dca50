/**
 * The start of a relay whose predecessor left allocations: each goes on, or is let go for a reason that is counted. What a
 * predecessor had counted is on its way to the collector as its last readings; here every counter begins at 0, under a new boot.
 */
import type { Logger } from '../../kernel/log.ts';
import type { Metrics } from '../../kernel/metrics.ts';
import type { AllocationId, Command } from '../planes/plane.ts';
import type { Instant } from '../turn/authenticator.ts';
import type { TurnCore } from '../turn/core.ts';
import type { LeftAllocation } from '../usage/spool.ts';

export interface ResumptionOptions {
  readonly core: Pick<TurnCore, 'resume'>;
  readonly apply: (command: Command) => void;
  /** Forgets what was written of allocations that do not go on. */
  readonly forget: (allocations: readonly AllocationId[]) => void;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class Resumption {
  readonly #options: ResumptionOptions;
  readonly #counted: Record<string, number> = {};
  /** Those whose port the plane has not answered for. */
  readonly #waiting = new Set<AllocationId>();

  constructor(options: ResumptionOptions) {
    this.#options = options;
  }

  /** Gives the plane everything that goes on. In one go, so that nobody is answered by a relay that knows half of it. */
  begin(left: readonly LeftAllocation[], at: Instant): void {
    const gone: AllocationId[] = [];
    for (const { allocation, text, spent } of left) {
      const resumed = this.#options.core.resume(parsed(text), spent, at);
      if (resumed.ok) {
        this.#waiting.add(resumed.id);
        for (const command of resumed.commands) this.#options.apply(command);
      } else {
        gone.push(allocation);
        this.#count(resumed.reason);
      }
    }
    if (gone.length > 0) this.#options.forget(gone);
    if (left.length > 0 && this.#waiting.size === 0) this.#tell();
  }

  /** The plane has opened a port, or could not. */
  answered(id: AllocationId, isOpen: boolean): void {
    if (!this.#waiting.delete(id)) return;
    if (!isOpen) this.#options.forget([id]);
    this.#count(isOpen ? 'resumed' : 'port');
    if (this.#waiting.size === 0) this.#tell();
  }

  #count(result: string): void {
    this.#counted[result] = (this.#counted[result] ?? 0) + 1;
    this.#options.metrics.counter('turnpike_relay_resumed_allocations_total').inc({ result });
  }

  #tell(): void {
    this.#options.log.info({ allocations: this.#counted }, 'allocations of the last run were taken up');
  }
}

/** Undefined when it is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
