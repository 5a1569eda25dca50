/** Billing's door: statements, costs and alerts as readers get them. Schemas and types, no behaviour. */
import { z } from 'zod';
import type { Answer } from '../kernel/answer.ts';
import { bytesText, u64 } from '../kernel/bytes.ts';

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

const money = z.string().describe('Decimal text, in the currency of the rate card.');
const charged = {
  bytes: bytesText.describe('Bytes metered, as a decimal string.'),
  overlapBytes: bytesText.describe('Not charged: the call went through SFU and TURN, and is charged once.'),
  freeBytes: bytesText.describe('Covered by the free allowance.'),
  chargedBytes: bytesText.describe('What costs.'),
  cost: money,
};

/** One line of a statement: one app and customer on one meter. */
export const statementLine = z
  .object({ app: z.string(), customId: z.string(), meter: z.enum(meters), ...charged })
  .meta({ id: 'StatementLine' });
export type StatementLine = Answer<typeof statementLine>;

/** GET /v1/statements/:period, and `turnpike statement PERIOD --format json`. */
export const statement = z
  .object({
    period: z.object({ name: z.string(), start: z.iso.datetime(), end: z.iso.datetime() }),
    asOf: z.iso.datetime().nullable().describe('Time of the newest reading in it; null when nothing was metered.'),
    app: z
      .string()
      .nullable()
      .describe('Only this app’s lines, when one was asked for; the allowance is still the account’s.'),
    rateCard: z.object({
      id: z.string(),
      provider: z.string(),
      currency: z.string(),
      gbBytes: bytesText.describe('Bytes per GB on this card, as a decimal string.'),
      source: z.string(),
      asOf: z.string(),
    }),
    allowance: z.object({ bytes: bytesText, usedBytes: bytesText }),
    lines: z.array(statementLine),
    totals: z.object(charged),
  })
  .meta({ id: 'Statement' });
export type Statement = Answer<typeof statement>;

const severity = z.enum(['warning', 'critical']);
export const alertStates = ['pending', 'firing', 'resolved'] as const;

export const alertView = z
  .object({
    rule: z.string(),
    severity,
    state: z.enum(alertStates),
    app: z.string(),
    since: z.iso.datetime(),
    value: z.number(),
    threshold: z.number(),
    samples: z.number(),
    summary: z.string(),
  })
  .meta({ id: 'Alert' });
export type AlertView = Answer<typeof alertView>;

/** GET /v1/alerts */
export const alertsAnswer = z.object({ alerts: z.array(alertView) });

export const alertRuleView = z
  .object({
    name: z.string().describe('Alertmanager’s `alertname`, and the identity of the rule.'),
    severity,
    measure: z.string().describe('What the value is, as a sentence begins: `Packet loss`.'),
    unit: z.enum(['%', 'ms', 's', '']),
    breach: z.enum(['above', 'below']).describe('On which side of the threshold it is bad.'),
    threshold: z.number(),
    resolveAt: z.number().describe('Hysteresis: a firing alert resolves only at this value or better.'),
    windowSeconds: z.number(),
    forSeconds: z.number().describe('How long the breach must hold before the alert fires.'),
    staleSeconds: z.number().describe('How long an alert outlives its last measurement.'),
    minSamples: z.number(),
    sampleName: z.string().describe('What is counted in `samples`.'),
  })
  .meta({ id: 'AlertRule' });
export type AlertRuleView = Answer<typeof alertRuleView>;

/** GET /v1/alert-rules */
export const alertRulesAnswer = z.object({ rules: z.array(alertRuleView) });

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
