/**
 * Steps in a curve: where it leaves one plateau for the next, and nothing else.
 *
 * A step has to stand out of what the curve does everywhere else (noise from size to size, and any
 * steady slope), has to be done within one size in between, and has to last: the sizes after it
 * stay above the sizes before it.
 *
 * @module
 */

import { median } from "../metrics/intervals.ts";

/** One point of a curve whose steps are looked for; higher is worse. */
export interface CurvePoint {
  /** Logarithm of the value. */
  readonly log: number;
  /** Standard error of that logarithm, as far as it is known. */
  readonly error: number;
}

/** A step: `before` is the last point of the plateau before it, `after` the first one after it. */
export interface Step {
  readonly before: number;
  readonly after: number;
  /** Level after over level before. */
  readonly ratio: number;
}

/** How large a step has to be. */
export interface StepLimits {
  /** Level after over level before. */
  readonly leastRatio: number;
  /** In units of the noise from point to point; more where few points tell the noise. */
  readonly leastNoise: number;
  /** Points that a plateau needs. */
  readonly leastPoints: number;
}

/** What {@linkcode findSteps} asks for by default; `docs/tier-map.md` has the error rates. */
export const STEP_LIMITS: StepLimits = { leastRatio: 1.15, leastNoise: 5, leastPoints: 2 };

/** Below this no clock and no server repeats itself from one size to the next. */
const LEAST_NOISE = 0.015;
/** How much more a rise has to stand out of the scatter of few differences than of many. */
const FEW_POINTS = 3;
/** A difference that may be part of a step, in units of the noise. */
const CANDIDATE_NOISE = 3;
/** Of two rises in a row, the share that each has in a step with a size in between. */
const SHARED_RISE = 0.2;
/** Of all pairs of a point before and a point after a step, the share that has to be in order. */
const ORDERED_SHARE = 0.95;

/** Why a rise is no step. */
export type Refusal =
  /** So few points lie on that side of it; `isEdge`: up to the end of the curve, not to a step. */
  | { readonly kind: "few"; readonly side: "before" | "after"; readonly isEdge: boolean }
  /** It does not stand out enough. */
  | { readonly kind: "noise" }
  /** It goes on over three differences or more. */
  | { readonly kind: "slope" }
  /** The points after it do not stay above those before it. */
  | { readonly kind: "passing" };

/** A rise that stands out somewhat, and is no step. */
export interface RefusedRise {
  readonly before: number;
  readonly after: number;
  readonly why: Refusal;
}

/** The steps of a curve, and rises that were looked at and refused. */
export interface StepSearch {
  readonly steps: readonly Step[];
  readonly refused: readonly RefusedRise[];
  /** What a rise has to be, and the noise it has to stand out of; absent for too few points. */
  readonly threshold?: { readonly leastRatio: number; readonly noise: number };
}

/**
 * The steps up in a curve.
 *
 * @param curve By ascending working-set size.
 * @returns None where the curve has fewer than two plateaus' worth of points.
 * @example
 * ```ts
 * import { findSteps } from "./steps.ts";
 * const curve = [10, 11, 10, 40, 41, 40].map((ms) => ({ log: Math.log(ms), error: 0 }));
 * console.log(findSteps(curve)); // [ { before: 2, after: 3, ratio: 4 } ]
 * ```
 */
export function findSteps(
  curve: readonly CurvePoint[],
  limits: StepLimits = STEP_LIMITS,
): readonly Step[] {
  return searchSteps(curve, limits).steps;
}

/**
 * As {@linkcode findSteps}, with what was refused: of the rises of at least `leastRatio`, why each
 * is no step. It has no part in what a step is.
 */
export function searchSteps(
  curve: readonly CurvePoint[],
  limits: StepLimits = STEP_LIMITS,
): StepSearch {
  if (curve.length < 2 * limits.leastPoints) return { steps: [], refused: [] };
  const { slope, noise } = background(curve);
  const rises = curve.slice(1).map((point, i) => point.log - (curve[i]?.log ?? NaN) - slope);
  const least = limits.leastNoise * (1 + FEW_POINTS / rises.length) * noise;
  const found = candidates(rises, noise);
  const refused: RefusedRise[] = [];
  const refuse = ({ before, after, rise }: Candidate, why: Refusal) => {
    if (rise >= Math.log(limits.leastRatio)) refused.push({ before, after, why });
  };
  for (const one of found.slopes) refuse(one, { kind: "slope" });
  for (const one of found.abrupt.filter(({ rise }) => rise < least)) {
    refuse(one, { kind: "noise" });
  }
  let steps = found.abrupt.filter(({ rise }) => rise >= least);
  for (;;) {
    const why = new Map(steps.map((step, i) => [step, lasting(curve, steps, i, limits)]));
    const failed = steps.filter((step) => why.get(step) !== undefined);
    if (failed.length === 0) break;
    // The least step goes first: without it the plateaus beside it become one.
    const smallest = failed.reduce((a, b) => b.rise < a.rise ? b : a);
    refuse(smallest, why.get(smallest) ?? { kind: "passing" });
    steps = steps.filter((step) => step !== smallest);
  }
  return {
    threshold: { leastRatio: Math.exp(least + slope), noise },
    refused: refused.sort((a, b) => a.before - b.before),
    steps: steps.map(({ before, after }, i) => {
      const [left, right] = plateausBeside(curve, steps, i);
      return { before, after, ratio: Math.exp(level(right) - level(left)) };
    }),
  };
}

interface Candidate {
  readonly before: number;
  readonly after: number;
  /** Logarithm of the rise, the slope taken off. */
  readonly rise: number;
}

/**
 * What the curve does where there is no step: the median of its differences, and their scatter by
 * the median absolute deviation, which a few steps do not change.
 */
function background(curve: readonly CurvePoint[]): { slope: number; noise: number } {
  const differences = curve.slice(1).map((point, i) => point.log - (curve[i]?.log ?? NaN));
  const slope = median(differences) ?? 0;
  const scatter = 1.4826 * (median(differences.map((one) => Math.abs(one - slope))) ?? 0);
  const errors = curve.slice(1).map((point, i) => Math.hypot(point.error, curve[i]?.error ?? 0));
  return { slope, noise: Math.max(LEAST_NOISE, scatter, median(errors) ?? 0) };
}

/**
 * Differences that stand out; two in a row are one step with a size in between, more are a slope
 * that begins.
 */
function candidates(
  rises: readonly number[],
  noise: number,
): { readonly abrupt: readonly Candidate[]; readonly slopes: readonly Candidate[] } {
  const abrupt: Candidate[] = [];
  const slopes: Candidate[] = [];
  for (let i = 0; i < rises.length; i++) {
    let end = i;
    while ((rises[end] ?? 0) > CANDIDATE_NOISE * noise) end++;
    if (end - i === 1 || end - i === 2) abrupt.push(candidate(rises, i, end));
    else if (end > i) slopes.push({ before: i, after: end, rise: sum(rises.slice(i, end)) });
    i = Math.max(i, end);
  }
  return { abrupt, slopes };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, one) => total + one, 0);
}

function candidate(rises: readonly number[], before: number, after: number): Candidate {
  const rise = sum(rises.slice(before, after));
  if (after - before === 1) return { before, after, rise };
  // Where one of the two is next to nothing, the other is the step.
  if ((rises[before] ?? 0) < SHARED_RISE * rise) return { before: before + 1, after, rise };
  if ((rises[after - 1] ?? 0) < SHARED_RISE * rise) return { before, after: after - 1, rise };
  return { before, after, rise };
}

function plateausBeside(
  curve: readonly CurvePoint[],
  steps: readonly Candidate[],
  index: number,
): [readonly CurvePoint[], readonly CurvePoint[]] {
  const step = steps[index];
  if (step === undefined) return [[], []];
  return [
    curve.slice(steps[index - 1]?.after ?? 0, step.before + 1),
    curve.slice(step.after, (steps[index + 1]?.before ?? curve.length - 1) + 1),
  ];
}

function level(points: readonly CurvePoint[]): number {
  return median(points.map((point) => point.log)) ?? NaN;
}

/** What speaks against a step lasting; `undefined` if nothing does. */
function lasting(
  curve: readonly CurvePoint[],
  steps: readonly Candidate[],
  index: number,
  limits: StepLimits,
): Refusal | undefined {
  const [left, right] = plateausBeside(curve, steps, index);
  if (left.length < limits.leastPoints) {
    return { kind: "few", side: "before", isEdge: index === 0 };
  }
  if (right.length < limits.leastPoints) {
    return { kind: "few", side: "after", isEdge: index === steps.length - 1 };
  }
  if (!(level(right) - level(left) >= Math.log(limits.leastRatio))) return { kind: "passing" };
  const inOrder = sum(left.map((before) => right.filter((after) => after.log > before.log).length));
  return inOrder >= ORDERED_SHARE * left.length * right.length ? undefined : { kind: "passing" };
}

/** Of `share` (0 to 1, falling): whether it falls from nearly all to nearly none in one go. */
export function shareStep(shares: readonly (number | undefined)[]): Step | undefined {
  const known = shares.every((one) => one !== undefined);
  if (!known || shares.length < 2) return undefined;
  const values = shares as readonly number[];
  const firstLow = values.findIndex((one) => one < HELD_SHARE);
  if (firstLow < 1) return undefined;
  // One size in between may be held in part.
  const after = (values[firstLow] ?? 1) <= LOST_SHARE ? firstLow : firstLow + 1;
  const rest = values.slice(after);
  if (rest.length === 0 || rest.some((one) => one > LOST_SHARE)) return undefined;
  return { before: firstLow - 1, after, ratio: Infinity };
}

/** From this share on a working set counts as held, and up to that one as lost. */
export const HELD_SHARE = 0.8;
/** See {@linkcode HELD_SHARE}. */
export const LOST_SHARE = 0.2;
