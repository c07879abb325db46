/**
 * Clusters of TTFTs: hits and misses of a random-access run are two (or more) clear groups.
 *
 * @module
 */

/** What makes two groups out of one. */
const LEAST_SHARE = 0.01;
const LEAST_REQUESTS = 8;
/** The gap between the groups over the width of the wider one (10 to 90 %). */
const LEAST_GAP = 1;
/** Logarithm: groups closer than this are one tier. */
const LEAST_RATIO = Math.log(1.15);
/** Of all requests, the share that may lie in the middle of the gap. */
const MOST_BETWEEN = 0.05;

/**
 * TTFTs that divide the requests into clusters, ascending; none where there is one cluster.
 *
 * A split has to leave a gap that is at least as wide as the clusters beside it and all but empty,
 * so that neither a slope nor a long tail is taken for two tiers.
 *
 * @param ttftsMs In any order.
 * @example
 * ```ts
 * import { clusterBounds } from "./clusters.ts";
 * const hits = Array.from({ length: 20 }, (_, i) => 100 + i % 5);
 * const misses = Array.from({ length: 20 }, (_, i) => 800 + i % 7);
 * console.log(clusterBounds([...hits, ...misses]).map(Math.round)); // [ 289 ]
 * ```
 */
export function clusterBounds(ttftsMs: readonly number[]): number[] {
  const logs = ttftsMs.map(Math.log).sort((a, b) => a - b);
  const fewest = Math.max(LEAST_REQUESTS, LEAST_SHARE * logs.length);
  let splits = candidateSplits(logs, 0, logs.length, fewest);
  for (;;) {
    // Without a split that is none, the clusters beside it are one, and wider.
    const gaps = splits.map((at, i) =>
      gapOf(
        logs.slice(splits[i - 1] ?? 0, at),
        logs.slice(at, splits[i + 1] ?? logs.length),
      )
    );
    const worst = gaps.reduce<number | undefined>(
      (least, gap, i) =>
        gap.isGap || (least !== undefined && (gaps[least]?.ratio ?? 0) <= gap.ratio) ? least : i,
      undefined,
    );
    if (worst === undefined) return gaps.map((gap) => Math.exp(gap.middle));
    splits = splits.filter((_, i) => i !== worst);
  }
}

/** Splits with the largest variance between two groups (Otsu), and again within each group. */
function candidateSplits(
  logs: readonly number[],
  from: number,
  to: number,
  fewest: number,
): number[] {
  const at = bestSplit(logs, from, to, fewest);
  if (at === undefined) return [];
  return [
    ...candidateSplits(logs, from, at, fewest),
    at,
    ...candidateSplits(logs, at, to, fewest),
  ];
}

function bestSplit(
  logs: readonly number[],
  from: number,
  to: number,
  fewest: number,
): number | undefined {
  let total = 0;
  for (let i = from; i < to; i++) total += logs[i] ?? NaN;
  let [best, at, sum]: [number, number | undefined, number] = [-Infinity, undefined, 0];
  for (let i = from + 1; i < to; i++) {
    sum += logs[i - 1] ?? NaN;
    const [below, above] = [i - from, to - i];
    if (below < fewest || above < fewest) continue;
    const between = below * above * (sum / below - (total - sum) / above) ** 2;
    if (between > best) [best, at] = [between, i];
  }
  return at;
}

/** What lies between two neighbouring groups. */
function gapOf(
  below: readonly number[],
  above: readonly number[],
): { readonly isGap: boolean; readonly middle: number; readonly ratio: number } {
  const at = (of: readonly number[], share: number) =>
    of[Math.round(share * (of.length - 1))] ?? NaN;
  const [low, high] = [at(below, 0.9), at(above, 0.1)];
  const width = Math.max(low - at(below, 0.1), at(above, 0.9) - high);
  const [from, to] = [low + (high - low) / 4, high - (high - low) / 4];
  const inside = (one: number) => one > from && one < to;
  const between = below.filter(inside).length + above.filter(inside).length;
  return {
    middle: (low + high) / 2,
    ratio: (high - low) / Math.max(width, 1e-9),
    isGap: high - low >= LEAST_GAP * width && at(above, 0.5) - at(below, 0.5) >= LEAST_RATIO &&
      between <= MOST_BETWEEN * (below.length + above.length),
  };
}
