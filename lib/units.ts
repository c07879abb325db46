/**
 * Parse and print durations, tokens, bytes and rates.
 *
 * @module
 */

const DECIMAL: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
const BINARY: Readonly<Record<string, number>> = {
  b: 1,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
};
const TIME_MS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, "": 1e3, m: 6e4, h: 3.6e6 };

function scaled(
  text: string,
  factors: Readonly<Record<string, number>>,
  what: string,
  examples: string,
): number {
  const match = /^([0-9]+(?:\.[0-9]+)?(?:e[0-9]+)?)\s*([a-z]*)$/i.exec(text.trim());
  const factor = match?.[2] === undefined ? undefined : factors[match[2].toLowerCase()];
  const value = Number(match?.[1]) * (factor ?? NaN);
  if (!Number.isFinite(value)) {
    throw new RangeError(`Cannot read "${text}" as ${what}: write ${examples}`);
  }
  return value;
}

/** A number of tokens: `60000`, `60k`, `2M`. @throws {RangeError} If it is not one. */
export function parseTokens(text: string): number {
  const tokens = scaled(text, DECIMAL, "a number of tokens", "60000, 60k or 2M");
  if (!Number.isSafeInteger(tokens)) {
    throw new RangeError(`Cannot read "${text}" as a number of tokens: it is not a whole number`);
  }
  return tokens;
}

/** A size: `40GiB`, `512MB`, `100B`. The unit is required. @throws {RangeError} If it is not one. */
export function parseBytes(text: string): number {
  return Math.round(scaled(text, BINARY, "a size", "40GiB, 512MB or 100B"));
}

/** A duration in milliseconds; seconds without a unit, as in the Python suite: `60`, `250ms`. */
export function parseDurationMs(text: string): number {
  return scaled(text, TIME_MS, "a duration", "60, 90s, 250ms or 5m");
}

/** Milliseconds with three significant digits and the unit that fits: `84.2 ms`, `1.24 s`, `3m 20s`. */
export function formatMs(ms: number | undefined): string {
  if (ms === undefined || Number.isNaN(ms)) return "–";
  if (Math.abs(ms) < 0.9995) return `${digits(ms * 1000)} µs`;
  if (Math.abs(ms) < 999.5) return `${digits(ms)} ms`;
  if (Math.abs(ms) < 119_500) return `${digits(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}h ${m}m` : `${m}m ${s}s`;
}

/** A count with thousands separators: `60,000`. */
export function formatCount(count: number | undefined): string {
  return count === undefined || Number.isNaN(count)
    ? "–"
    : Math.round(count).toLocaleString("en-US");
}

/** A rate or large count with three significant digits: `8.23k`, `1.2M`. */
export function formatShort(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  for (const [suffix, factor] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]] as const) {
    if (Math.abs(value) >= factor * 0.9995) return `${digits(value / factor)}${suffix}`;
  }
  return digits(value);
}

/** A size in binary units: `1.50 GiB`. */
export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined || Number.isNaN(bytes)) return "–";
  for (const unit of ["TiB", "GiB", "MiB", "KiB"] as const) {
    const factor = BINARY[unit.toLowerCase()] ?? 1;
    if (Math.abs(bytes) >= factor * 0.9995) return `${digits(bytes / factor)} ${unit}`;
  }
  return `${digits(bytes)} B`;
}

/** A percentage from 0 to 100 with at most one decimal: `97.6 %`. */
export function formatPercent(percent: number | undefined): string {
  if (percent === undefined || Number.isNaN(percent)) return "–";
  return `${Number(percent.toFixed(1))} %`;
}

/** Three significant digits, without an exponent. */
function digits(value: number): string {
  if (value === 0) return "0";
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  const text = value.toFixed(Math.min(decimals, 20));
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
