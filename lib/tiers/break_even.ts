/**
 * From which prefix length on loading from a tier beats computing.
 *
 * A hit saves the time to compute the prefix and costs the time to load it. Both grow with the
 * length; loading has a fixed part. So saved time = slope × length − fixed part, and the length at
 * which it is zero is where loading begins to pay.
 *
 * @module
 */

import type { BreakEven, MapTierName } from "../results/tier_map_file.ts";
import { formatCount, formatMs } from "../units.ts";

/** A prefix of some length that was once loaded and once computed. */
export interface SavedTime {
  readonly prefixTokens: number;
  /** TTFT of the recomputed prompt less TTFT of the hit. */
  readonly savedMs: number;
}

/** Lengths that a line with an error needs. */
const LEAST_LENGTHS = 3;

/** The break-even length of a tier from saved times at several lengths. */
export function breakEvenOf(tier: MapTierName, points: readonly SavedTime[]): BreakEven {
  const lengths = new Set(points.map((point) => Math.round(point.prefixTokens)));
  const shortest = points.reduce((a, b) => b.prefixTokens < a.prefixTokens ? b : a, {
    prefixTokens: Infinity,
    savedMs: NaN,
  });
  if (points.length === 0) return { tier, note: "no TTFT of a recomputed prompt to compare with" };
  const known = shortest.savedMs > 0
    ? `loading ${formatCount(shortest.prefixTokens)} tokens saves ${formatMs(shortest.savedMs)}`
    : `loading ${formatCount(shortest.prefixTokens)} tokens costs ${formatMs(-shortest.savedMs)}` +
      " more than computing them";
  if (lengths.size < LEAST_LENGTHS) {
    return {
      tier,
      note: `${known}; a break-even length needs ${LEAST_LENGTHS} prefix lengths (context sizes ` +
        `or hit rates), there ${lengths.size === 1 ? "is 1" : `are ${lengths.size}`}`,
    };
  }
  const zero = zeroOf(points);
  if (zero === undefined) {
    return { tier, note: `${known}; the time saved does not grow with the length` };
  }
  // How far one point moves the line: with a handful of points the honest interval.
  const others = points.map((_, i) => zeroOf(points.filter((_, j) => j !== i)) ?? zero);
  if (zero <= 0) {
    return { tier, note: `${known}; loading pays at every length that was measured` };
  }
  const beyond = zero < shortest.prefixTokens;
  return {
    tier,
    prefixTokens: Math.round(zero),
    low: Math.round(Math.max(0, Math.min(zero, ...others))),
    high: Math.round(Math.max(zero, ...others)),
    note: `${known}; a line through ${lengths.size} lengths, low and high with one of them left ` +
      `out${beyond ? "; below the shortest length that was measured" : ""}`,
  };
}

/** Where the least-squares line is zero; `undefined` if it does not rise. */
function zeroOf(points: readonly SavedTime[]): number | undefined {
  const n = points.length;
  const mean = (of: (point: SavedTime) => number) => points.reduce((s, p) => s + of(p), 0) / n;
  const [x, y] = [mean((point) => point.prefixTokens), mean((point) => point.savedMs)];
  const spread = points.reduce((sum, point) => sum + (point.prefixTokens - x) ** 2, 0);
  const slope = points.reduce(
    (sum, point) => sum + (point.prefixTokens - x) * (point.savedMs - y),
    0,
  ) / spread;
  return slope > 0 && Number.isFinite(slope) ? x - y / slope : undefined;
}
