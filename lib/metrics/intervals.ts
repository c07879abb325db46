/**
 * Statistics of samples, tokens spread over time, and bootstrap intervals.
 *
 * @module
 */

import type { RandomStream } from "../random.ts";

/** A stretch of time on the run's clock, `fromMs` included and `toMs` not. */
export interface TimeWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A statistic with its interval. */
export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/** How an interval is made. */
export interface BootstrapOptions {
  /** Samples drawn with replacement. 2,000 by default. */
  readonly resamples?: number;
  /** Coverage, 0 to 1. 0.95 by default. */
  readonly confidence?: number;
  /** What is computed of each sample. The mean by default. */
  readonly statistic?: (sample: Float64Array) => number;
}

/** The values in ascending order, as a copy. */
export function sortedCopy(values: Iterable<number> | ArrayLike<number>): Float64Array {
  return Float64Array.from(values as Iterable<number>).sort();
}

/**
 * A percentile by linear interpolation between closest ranks, NumPy's default.
 *
 * @param sorted Ascending, see {@linkcode sortedCopy}.
 * @param percent 0 to 100.
 * @returns `undefined` of no values.
 * @example
 * ```ts
 * import { percentile, sortedCopy } from "./intervals.ts";
 * console.log(percentile(sortedCopy([40, 10, 20, 30]), 50)); // 25
 * ```
 */
export function percentile(sorted: Float64Array, percent: number): number | undefined {
  if (sorted.length === 0) return undefined;
  const rank = (sorted.length - 1) * percent / 100;
  const below = Math.min(Math.max(Math.floor(rank), 0), sorted.length - 1);
  const low = sorted[below] ?? NaN;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? NaN;
  const share = rank - below;
  // From the nearer end, as NumPy does it: exact at both ends, never beyond them.
  return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
}

/** Arithmetic mean; `undefined` of no values. */
export function mean(values: ArrayLike<number>): number | undefined {
  return values.length === 0 ? undefined : sum(values) / values.length;
}

/** Standard deviation of a sample (divisor n - 1); `undefined` of fewer than two values. */
export function stddev(values: ArrayLike<number>): number | undefined {
  const centre = mean(values);
  if (centre === undefined || values.length < 2) return undefined;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += ((values[i] ?? NaN) - centre) ** 2;
  return Math.sqrt(squares / (values.length - 1));
}

/** Median; `undefined` of no values. */
export function median(values: Iterable<number>): number | undefined {
  return percentile(sortedCopy(values), 50);
}

/** Sum with Neumaier's compensation: the error does not grow with the number of values. */
export function sum(values: ArrayLike<number>): number {
  let total = 0;
  let lost = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? NaN;
    const next = total + value;
    lost += Math.abs(total) >= Math.abs(value) ? (total - next) + value : (value - next) + total;
    total = next;
  }
  return total + lost;
}

/**
 * The part of `tokens`, spread evenly from `startAtMs` to `endAtMs`, that falls into a window.
 *
 * Over adjacent windows the parts add up to `tokens`. Tokens of an instant (`startAtMs` equals
 * `endAtMs`) belong to the window that the instant is in.
 */
export function tokensInWindow(
  tokens: number,
  startAtMs: number,
  endAtMs: number,
  window: TimeWindow,
): number {
  const { fromMs, toMs } = window;
  if (!(endAtMs > startAtMs)) return startAtMs >= fromMs && startAtMs < toMs ? tokens : 0;
  const overlapMs = Math.min(endAtMs, toMs) - Math.max(startAtMs, fromMs);
  return overlapMs > 0 ? tokens * (overlapMs / (endAtMs - startAtMs)) : 0;
}

/**
 * A bootstrap interval of the mean (or another statistic) of independent values, by the percentile
 * method: the statistic of samples drawn with replacement, cut at both tails.
 *
 * Requests of one period wait for each other, so their values are not quite independent and the
 * true interval is somewhat wider.
 *
 * @param stream From `randomStream`: the same seed gives the same interval.
 * @returns `undefined` of fewer than two values.
 */
export function bootstrapMean(
  values: ArrayLike<number>,
  stream: RandomStream,
  options: BootstrapOptions = {},
): Interval | undefined {
  if (values.length < 2) return undefined;
  const statistic = options.statistic ?? meanOfSample;
  const draw = resampler(values, stream);
  return interval(statistic(Float64Array.from(values)), () => statistic(draw()), options);
}

/**
 * A bootstrap interval of the ratio of a statistic of two independent groups, by the percentile
 * method; each group is resampled on its own.
 *
 * @returns `undefined` if a group has fewer than two values, or where the ratio is not finite.
 * @example A difference that is more than noise: the interval does not hold 1
 * ```ts
 * import { bootstrapRatio } from "./intervals.ts";
 * import { randomStream, seedFor } from "../random.ts";
 * const cold = [2.1, 2.0, 2.2, 2.1];
 * const cached = [0.30, 0.29, 0.31, 0.30];
 * console.log(bootstrapRatio(cold, cached, randomStream(seedFor("speed-up")))?.estimate); // 7
 * ```
 */
export function bootstrapRatio(
  numerator: ArrayLike<number>,
  denominator: ArrayLike<number>,
  stream: RandomStream,
  options: BootstrapOptions = {},
): Interval | undefined {
  if (numerator.length < 2 || denominator.length < 2) return undefined;
  const statistic = options.statistic ?? meanOfSample;
  const [drawAbove, drawBelow] = [resampler(numerator, stream), resampler(denominator, stream)];
  const estimate = statistic(Float64Array.from(numerator)) /
    statistic(Float64Array.from(denominator));
  return interval(estimate, () => statistic(drawAbove()) / statistic(drawBelow()), options);
}

/** The statistic of a percentile, for {@linkcode BootstrapOptions}. Sorts the sample in place. */
export function percentileStatistic(percent: number): (sample: Float64Array) => number {
  return (sample) => percentile(sample.sort(), percent) ?? NaN;
}

function meanOfSample(sample: Float64Array): number {
  let total = 0;
  for (let i = 0; i < sample.length; i++) total += sample[i] ?? NaN;
  return total / sample.length;
}

/** Fills one buffer again and again with values drawn with replacement. */
function resampler(values: ArrayLike<number>, stream: RandomStream): () => Float64Array {
  const source = Float64Array.from(values);
  const sample = new Float64Array(source.length);
  return () => {
    for (let i = 0; i < sample.length; i++) {
      sample[i] = source[stream.nextBelow(source.length)] ?? 0;
    }
    return sample;
  };
}

function interval(
  estimate: number,
  next: () => number,
  options: BootstrapOptions,
): Interval | undefined {
  const { resamples = 2000, confidence = 0.95 } = options;
  const results = new Float64Array(resamples);
  for (let i = 0; i < resamples; i++) results[i] = next();
  if (!Number.isFinite(estimate) || !results.every(Number.isFinite)) return undefined;
  results.sort();
  const tail = (1 - confidence) / 2 * 100;
  const low = percentile(results, tail);
  const high = percentile(results, 100 - tail);
  return low === undefined || high === undefined ? undefined : { estimate, low, high };
}
