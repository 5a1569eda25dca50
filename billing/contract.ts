/** Billing's door: statements, costs and alerts as readers get them. Schemas and types, no behaviour. */
import { z } from 'zod';
import { u64 } from '../kernel/bytes.ts';

export const meters = ['turn', 'sfu'] as const;
export type Meter = (typeof meters)[number];

/** Bytes sent to clients in a period, for one app, customer, call and participant on one meter. */
export interface MeteredUsage {
  readonly app: string;
  readonly meter: Meter;
  readonly customId: string;
  readonly call: string;
  readonly participant: string;
  /** Bytes sent to the client, whatever the peer. */
  readonly bytes: bigint;
  /** Of these, bytes whose peer is a configured SFU: the SFU counted them too. */
  readonly viaSfuBytes: bigint;
}

/** One line of a statement: one app and customer on one meter. Bytes are decimal strings, money is decimal text. */
export interface StatementLine {
  readonly app: string;
  readonly customId: string;
  readonly meter: Meter;
  /** Bytes metered. */
  readonly bytes: string;
  /** Bytes not charged because the call went through SFU and TURN, and is charged once. */
  readonly overlapBytes: string;
  /** Bytes covered by the free allowance, and those that cost. */
  readonly freeBytes: string;
  readonly chargedBytes: string;
  readonly cost: string;
}

/** GET /v1/statements/:period, and `turnpike statement PERIOD --format json`. */
export interface Statement {
  readonly period: { readonly name: string; readonly start: string; readonly end: string };
  /** Unix time of the newest reading in it, ISO 8601; null when nothing was metered. */
  readonly asOf: string | null;
  /** Only this app's lines, when one was asked for; the allowance is still the account's. */
  readonly app: string | null;
  readonly rateCard: {
    readonly id: string;
    readonly provider: string;
    readonly currency: string;
    /** Bytes per GB on this card. */
    readonly gbBytes: string;
    readonly source: string;
    readonly asOf: string;
  };
  readonly allowance: { readonly bytes: string; readonly usedBytes: string };
  readonly lines: readonly StatementLine[];
  readonly totals: {
    readonly bytes: string;
    readonly overlapBytes: string;
    readonly freeBytes: string;
    readonly chargedBytes: string;
    readonly cost: string;
  };
}

/** One alert as GET /v1/alerts lists it. */
export interface AlertView {
  readonly rule: string;
  readonly severity: 'warning' | 'critical';
  readonly state: 'pending' | 'firing' | 'resolved';
  readonly app: string;
  readonly since: string;
  readonly value: number;
  readonly threshold: number;
  readonly samples: number;
  readonly summary: string;
}

/** A rate card as its JSON file holds it: data with source and date. Prices are decimal text, quantities decimal strings. */
export const rateCard = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9-]*$/),
  provider: z.string().min(1),
  currency: z.string().regex(/^[A-Z]{3}$/),
  source: z.url(),
  asOf: z.iso.date(),
  /** Bytes per GB: 10^9 or 2^30. */
  gbBytes: u64,
  /** Meters that share the allowance and the tiers. */
  pool: z.array(z.enum(meters)).min(1),
  /** Free GB in a period. */
  allowanceGb: z.string().regex(/^(0|[1-9]\d*)$/),
  /** Graduated: each price holds up to `upToGb` beyond the allowance; the last tier has null. */
  tiers: z
    .array(
      z.strictObject({
        upToGb: z
          .string()
          .regex(/^[1-9]\d*$/)
          .nullable(),
        pricePerGb: z.string().regex(/^(0|[1-9]\d*)(\.\d+)?$/),
      }),
    )
    .min(1),
  /** A call through both SFU and TURN: charged once, or on both meters. */
  overlap: z.enum(['charge_once', 'sum']),
});
export type RateCard = z.output<typeof rateCard>;
