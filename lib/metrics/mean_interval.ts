/**
 * A mean and how well it is known.
 *
 * @module
 */

import { mean, stddev } from "./intervals.ts";
import { studentQuantile } from "./student.ts";

/** A mean with its 95 % interval. */
export interface MeanInterval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

/** Fewer values than this say little, whatever interval they give. */
export const LEAST_VALUES = 6;

/**
 * The mean of independent values with Student's 95 % interval.
 *
 * @returns `undefined` of fewer than {@linkcode LEAST_VALUES}.
 */
export function meanInterval(values: readonly number[]): MeanInterval | undefined {
  const [centre, spread] = [mean(values), stddev(values)];
  if (values.length < LEAST_VALUES || centre === undefined || spread === undefined) {
    return undefined;
  }
  const half = studentQuantile(0.95, values.length - 1) * spread / Math.sqrt(values.length);
  return { mean: centre, low: centre - half, high: centre + half, count: values.length };
}
