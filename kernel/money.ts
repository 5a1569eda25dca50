/** Money is decimal, never a float. One currency per statement; a price is rounded once, when it is divided. */
import { Big } from 'big.js';

export type Money = Big;

/** Half-up at 12 decimal places for the rare division; additions and products are exact. */
const Decimal = Big();
Decimal.DP = 12;
Decimal.RM = Big.roundHalfUp;
Decimal.strict = true;

/** An exact decimal from text or a bigint. */
export function decimal(value: string | bigint): Money {
  return new Decimal(value.toString());
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
