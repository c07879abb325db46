/**
 * Student's t distribution, for intervals over few replicates.
 *
 * @module
 */

import jStat from "jstat";

/** The functions of the package that are used; it carries no types. */
interface StudentT {
  readonly inv: (probability: number, degreesOfFreedom: number) => number;
  readonly cdf: (t: number, degreesOfFreedom: number) => number;
}
/** More is no different from a normal distribution, and overflows the package's gamma function. */
const MOST_FREEDOM = 1e6;
const { studentt } = jStat as { readonly studentt: StudentT };

/**
 * The t that a two-sided interval of this coverage reaches to.
 *
 * @param coverage 0 to 1, for instance 0.95.
 * @param degreesOfFreedom At least 1; fractions are allowed (Satterthwaite).
 * @example
 * ```ts
 * import { studentQuantile } from "./student.ts";
 * console.log(studentQuantile(0.95, 4).toFixed(3)); // 2.776
 * ```
 */
export function studentQuantile(coverage: number, degreesOfFreedom: number): number {
  return studentt.inv(1 - (1 - coverage) / 2, Math.min(degreesOfFreedom, MOST_FREEDOM));
}

/** The probability of a |t| at least this large where there is no difference (two-sided). */
export function studentPValue(t: number, degreesOfFreedom: number): number {
  // The lower tail: near 1 the upper one has no digits left.
  return Math.min(1, 2 * studentt.cdf(-Math.abs(t), Math.min(degreesOfFreedom, MOST_FREEDOM)));
}
