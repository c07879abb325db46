/**
 * Clusters of TTFTs: hits and misses of a random-access run are two (or more) clear groups.
 *
 * @module
 */

/** What makes two groups out of one. */
const LEAST_SHARE = 0.03;
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
 * A split has to leave a gap that is at least as wide as the groups beside it and all but empty,
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
  return split(logs, Math.max(LEAST_REQUESTS, LEAST_SHARE * logs.length)).map(Math.exp);
}

function split(logs: readonly number[], fewest: number): number[] {
  const at = bestSplit(logs, fewest);
  if (at === undefined) return [];
  const [below, above] = [logs.slice(0, at), logs.slice(at)];
  const bound = gapOf(below, above);
  if (bound === undefined) return [];
  return [...split(below, fewest), bound, ...split(above, fewest)];
}

/** The split with the largest variance between the groups (Otsu), each of at least `fewest`. */
function bestSplit(logs: readonly number[], fewest: number): number | undefined {
  const total = logs.reduce((sum, one) => sum + one, 0);
  let [best, at, sum]: [number, number | undefined, number] = [-Infinity, undefined, 0];
  for (let i = 1; i < logs.length; i++) {
    sum += logs[i - 1] ?? NaN;
    if (i < fewest || logs.length - i < fewest) continue;
    const apart = sum / i - (total - sum) / (logs.length - i);
    const between = i * (logs.length - i) * apart * apart;
    if (between > best) [best, at] = [between, i];
  }
  return at;
}

/** The middle of the gap between two groups, if it is one. */
function gapOf(below: readonly number[], above: readonly number[]): number | undefined {
  const at = (of: readonly number[], share: number) =>
    of[Math.round(share * (of.length - 1))] ?? NaN;
  const [low, high] = [at(below, 0.9), at(above, 0.1)];
  const width = Math.max(low - at(below, 0.1), at(above, 0.9) - high);
  const apart = at(above, 0.5) - at(below, 0.5);
  if (!(high - low >= LEAST_GAP * width) || apart < LEAST_RATIO) return undefined;
  const [from, to] = [low + (high - low) / 4, high - (high - low) / 4];
  const between = [...below, ...above].filter((one) => one > from && one < to).length;
  return between <= MOST_BETWEEN * (below.length + above.length) ? (low + high) / 2 : undefined;
}
