/**
 * What to add to this browser's clock to get the collector's, learnt as NTP does (RFC 5905 §8): an answer that says when
 * the request arrived bounds the offset to half the round trip on either side of the midpoint, and the answer with the
 * shortest round trip bounds it best.
 */
export interface ClockOffset {
  /** All in Unix milliseconds: `sentAt` and `answeredAt` on this clock, `serverTime` on the collector's. */
  learn(sentAt: number, answeredAt: number, serverTime: number): void;
  /** Milliseconds, or null before the first answer. */
  value(): number | null;
}

interface Reading {
  readonly offset: number;
  readonly roundTrip: number;
}

/** Answers kept: about a minute of them. */
const WINDOW = 12;

export function createClockOffset(): ClockOffset {
  let readings: Reading[] = [];
  return {
    learn(sentAt, answeredAt, serverTime) {
      if (!Number.isFinite(serverTime) || answeredAt < sentAt) return;
      const newest = { offset: serverTime - (sentAt + answeredAt) / 2, roundTrip: answeredAt - sentAt };
      // Bounds that no longer overlap mean that a clock has stepped (a suspended laptop): what came before is void.
      readings = [...readings.filter((earlier) => overlap(earlier, newest)), newest].slice(-WINDOW);
    },
    value() {
      const best = readings.reduce<Reading | undefined>(
        (found, reading) => (found === undefined || reading.roundTrip <= found.roundTrip ? reading : found),
        undefined,
      );
      return best === undefined ? null : Math.round(best.offset * 10) / 10;
    },
  };
}

/** Clocks are read to the millisecond at best. */
const RESOLUTION_MS = 2;

function overlap(one: Reading, other: Reading): boolean {
  return Math.abs(one.offset - other.offset) <= (one.roundTrip + other.roundTrip) / 2 + RESOLUTION_MS;
}
