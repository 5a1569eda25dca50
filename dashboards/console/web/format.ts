/** Numbers for people: units always (kept on the line of their number), a dash where nothing was measured. */

export const DASH = '–';
/** A space that does not break. */
const NBSP = '\u00a0';

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'] as const;

/** A decimal string of bytes, as JSON carries 64-bit counts: `14203112` → `14.2 MB` (GB = 10^9). Never a float before it is rounded. */
export function formatBytes(decimal: string | bigint): string {
  let unit = 0;
  let scaled = BigInt(decimal) * 1000n;
  while (scaled >= 1_000_000n && unit < BYTE_UNITS.length - 1) {
    scaled /= 1000n;
    unit += 1;
  }
  const value = Number(scaled) / 1000;
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2)}${NBSP}${BYTE_UNITS[unit]}`;
}

/** 0.031 → `3.1 %` */
export function formatRatio(ratio: number | null): string {
  if (ratio === null) return DASH;
  const percent = ratio * 100;
  return `${percent > 0 && percent < 0.1 ? `<${NBSP}0.1` : percent.toFixed(percent >= 10 || percent === 0 ? 0 : 1)}${NBSP}%`;
}

export function formatMs(milliseconds: number | null): string {
  if (milliseconds === null) return DASH;
  if (milliseconds < 0.05) return `<${NBSP}1${NBSP}ms`; // browsers tell many of them to the millisecond
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)}${NBSP}ms`;
}

/** 420 → `0.42 s` */
export function formatSeconds(milliseconds: number | null): string {
  if (milliseconds === null) return DASH;
  const seconds = milliseconds / 1000;
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)}${NBSP}s`;
}

/** How long something took, in the unit that a person would say it in: `80 ms`, `4.20 s`. */
export function formatTook(milliseconds: number | null): string {
  return milliseconds === null || milliseconds < 1_000 ? formatMs(milliseconds) : formatSeconds(milliseconds);
}

export function formatBitrate(bitsPerSecond: number | null): string {
  if (bitsPerSecond === null) return DASH;
  if (bitsPerSecond < 999_500) return `${Math.round(bitsPerSecond / 1000)}${NBSP}kbps`;
  return `${(bitsPerSecond / 1e6).toFixed(bitsPerSecond < 1e7 ? 2 : 1)}${NBSP}Mbps`;
}

export function formatMos(mos: number | null): string {
  return mos === null ? DASH : mos.toFixed(1);
}

const MODELS: Readonly<Record<string, string>> = {
  g107: 'ITU-T G.107',
  'g107.1': 'ITU-T G.107.1',
  'g107.2': 'ITU-T G.107.2',
};

export function formatModel(model: string | null): string {
  return model === null ? '' : (MODELS[model] ?? model);
}

const CURRENCY_SIGNS: Readonly<Record<string, string>> = { USD: '$', EUR: '€', GBP: '£' };

/** Decimal text as billing writes it, rounded half up to cents for reading: `$0.00`; what is less than a cent says so. */
export function formatMoney(decimal: string, currency: string): string {
  const [, whole = '0', fraction = ''] = /^(\d+)(?:\.(\d*))?$/.exec(decimal) ?? [];
  const digits = fraction.padEnd(3, '0');
  const cents = BigInt(whole) * 100n + BigInt(digits.slice(0, 2)) + (Number(digits[2]) >= 5 ? 1n : 0n);
  const sign = CURRENCY_SIGNS[currency] ?? `${currency} `;
  if (cents === 0n && /[1-9]/.test(fraction)) return `<${NBSP}${sign}0.01`;
  return `${sign}${group(cents / 100n)}.${String(cents % 100n).padStart(2, '0')}`;
}

/** 1000 → `1,000` */
export function group(value: bigint): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Part of a whole, both decimal strings of bytes, to a number good for a meter. */
export function ratioOf(part: string, whole: string): number {
  const total = BigInt(whole);
  return total === 0n ? 0 : Number((BigInt(part) * 10n ** 12n) / total) / 1e12;
}

/** `2 min 14 s` */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  if (hours > 0) return `${hours}${NBSP}h ${minutes}${NBSP}min`;
  return minutes > 0 ? `${minutes}${NBSP}min ${seconds % 60}${NBSP}s` : `${seconds}${NBSP}s`;
}

/** Clock time of an ISO moment, with the day where it is not today's. */
export function formatWhen(iso: string, now: Date, locale?: string): string {
  const moment = new Date(iso);
  const time = moment.toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit' });
  if (moment.toDateString() === now.toDateString()) return time;
  return `${moment.toLocaleDateString(locale, { day: 'numeric', month: 'short' })}, ${time}`;
}

export function formatClock(iso: string | number, locale?: string): string {
  return new Date(iso).toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
