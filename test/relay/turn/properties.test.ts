/** What holds for the core in every conversation (conversation.ts). */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { noEntries } from './bench.ts';
import { Conversation, drain, steps } from './conversation.ts';
import { MAX_LIFETIME } from './ledger.ts';

const LIMIT = 40;

describe('the core, whatever it is told and whenever', () => {
  it('obeys the ledger and leaves nothing behind', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(...steps), { maxLength: LIMIT }), fc.nat(4 * LIMIT), (list, drainAt) => {
        const talk = new Conversation();
        for (const [index, step] of list.entries()) {
          if (index === drainAt) drain(talk);
          step(talk);
        }
        talk.bench.ports = 'open';
        talk.bench.clock.advance(MAX_LIFETIME);
        talk.judged(talk.bench.expire());
        expect(talk.ledger.alive.size).toBe(0);
        expect(talk.bench.core.entries).toEqual(noEntries);
        expect(talk.bench.core.nextDeadline()).toBeUndefined();
      }),
      { numRuns: 400 },
    );
  });

  it('decides the same for the same conversation', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(...steps.slice(0, 5)), { maxLength: LIMIT }), (list) => {
        const transcript = () => {
          const talk = new Conversation();
          for (const step of list) step(talk);
          return talk.bench.observed;
        };
        expect(transcript()).toEqual(transcript());
      }),
      { numRuns: 30 },
    );
  });
});
