/**
 * Many values as a few statistics. Nothing in, nothing out: an absent figure is `undefined`.
 *
 * @module
 */

import type { RequestRecord } from "../record.ts";
import { readGapsMs } from "./durations.ts";
import { mean, percentile, sortedCopy, sum } from "./intervals.ts";
import type { LatencySpread, RateSpread } from "./summary.ts";

/** Statistics of durations in milliseconds. */
export function latencySpread(values: ArrayLike<number>): LatencySpread {
  const sorted = sortedCopy(values);
  return {
    count: sorted.length,
    ...optional("meanMs", mean(sorted)),
    ...optional("minMs", sorted[0]),
    ...optional("medianMs", percentile(sorted, 50)),
    ...optional("p95Ms", percentile(sorted, 95)),
    ...optional("p99Ms", percentile(sorted, 99)),
    ...optional("maxMs", sorted.at(-1)),
  };
}

/** Statistics of rates: what the slow requests get is at the low end. */
export function rateSpread(values: readonly number[]): RateSpread {
  const sorted = sortedCopy(values);
  return {
    count: sorted.length,
    ...optional("meanPerSec", mean(sorted)),
    ...optional("p5PerSec", percentile(sorted, 5)),
    ...optional("p10PerSec", percentile(sorted, 10)),
  };
}

/** Statistics of one duration of each request that has it. */
export function spreadOf(
  records: readonly RequestRecord[],
  durationMs: (record: RequestRecord) => number | undefined,
): LatencySpread {
  return latencySpread(records.flatMap((record) => durationMs(record) ?? []));
}

/** The gaps between reads of all requests. */
export function pooledGaps(records: readonly RequestRecord[]): Float64Array {
  const gaps = records.map(readGapsMs);
  const pooled = new Float64Array(gaps.reduce((count, one) => count + one.length, 0));
  let at = 0;
  for (const one of gaps) {
    pooled.set(one, at);
    at += one.length;
  }
  return pooled;
}

/** Σ of one number of each item. */
export function total<T>(items: readonly T[], of: (item: T) => number): number {
  return sum(items.map(of));
}

/** True if there are values and none of them is missing. */
export function isComplete(values: readonly (number | undefined)[]): values is readonly number[] {
  return values.length > 0 && values.every((value) => value !== undefined);
}

/** Lowest and highest of the values that are there. */
export function extremes(
  values: readonly (number | undefined)[],
): { readonly low: number; readonly high: number } | undefined {
  const sorted = sortedCopy(values.filter((value) => value !== undefined));
  const [low, high] = [sorted[0], sorted.at(-1)];
  return low === undefined || high === undefined ? undefined : { low, high };
}

/** How often each text occurs. */
export function tally(texts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
}

/** A property that is there only if its value is. */
export function optional<const Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { readonly [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [K in Key]?: Value };
}
