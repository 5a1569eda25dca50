/** Money is decimal, never a float. One currency per statement; rounding happens only where a statement line is written. */
import { Big } from 'big.js';
import { z } from 'zod';

export type Money = Big;

/** Half-up at 12 decimal places for the rare division; additions and products are exact. */
const Decimal = Big();
Decimal.DP = 12;
Decimal.RM = Big.roundHalfUp;
Decimal.strict = true;

/** A decimal written as text (`"0.05"`), as rate cards write their prices. */
export const decimalText = z
  .string()
  .regex(/^-?(0|[1-9]\d*)(\.\d+)?$/, 'must be a decimal number in a string, such as "0.05"');

/** An exact decimal from text or a bigint. */
export function decimal(value: string | bigint): Money {
  return new Decimal(value.toString());
}

/** Plain notation, never an exponent: `0`, `12.5`, `0.000000001`. */
export function decimalToText(value: Money): string {
  return value.toFixed();
}

/** Rounds half up to the currency's minor unit for a statement line: `45.215` → `45.22`. */
export function roundMoney(value: Money, digits = 2): Money {
  return value.round(digits, Big.roundHalfUp);
}

/** dividend ÷ divisor, rounded half up once, to `digits` decimal places. */
export function quotient(dividend: Money, divisor: bigint, digits: number): Money {
  const Rounded = Big();
  Rounded.DP = digits;
  Rounded.RM = Big.roundHalfUp;
  return decimal(new Rounded(dividend).div(divisor.toString()).toFixed());
}

/** Decimal places of a currency's minor unit (ISO 4217): 2 for USD, 0 for JPY. */
export function minorDigits(currency: string): number {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2;
}
