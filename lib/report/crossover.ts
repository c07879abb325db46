/**
 * Where two configurations break even along a sweep, and what lies on either side.
 *
 * @module
 */

import type { ComparisonVerdict, Estimate } from "../metrics/compare.ts";

/** A ratio at one place of the sweep, turned so that above 1 is better. */
export interface GainPoint {
  /** Where: a working set, a context size or a hit rate. */
  readonly x: number;
  readonly gain: Estimate;
  readonly verdict: ComparisonVerdict;
}

/** Neighbouring points that say the same. */
export interface Stretch {
  readonly side: "ahead" | "behind" | "even";
  readonly points: readonly GainPoint[];
}

/** A place between two points at which the gain goes through 1. */
export interface Crossover {
  readonly x: number;
  /** Absent where the interval of the gain holds 1 up to that end of the sweep. */
  readonly low?: number;
  readonly high?: number;
}

/** Points whose gain is within this of 1 are even, whatever their verdict. */
const EVEN = 0.01;

/**
 * Cuts a sweep into stretches. A point within noise is even; one without a verdict counts by its
 * value, so that one run a side still says where it saw what.
 *
 * @param points In ascending order of `x`.
 */
export function stretchesOf(points: readonly GainPoint[]): Stretch[] {
  const stretches: { side: Stretch["side"]; points: GainPoint[] }[] = [];
  for (const point of points) {
    const side = sideOf(point);
    const last = stretches.at(-1);
    if (last?.side === side) last.points.push(point);
    else stretches.push({ side, points: [point] });
  }
  return stretches;
}

function sideOf({ gain: { estimate }, verdict }: GainPoint): Stretch["side"] {
  if (verdict === "within noise" || Math.abs(estimate - 1) < EVEN) return "even";
  return estimate > 1 ? "ahead" : "behind";
}

/**
 * Where the gain goes through 1. Between two points the logarithm of the gain is taken to be
 * straight in the logarithm of `x` (in `x` itself where that holds 0). The interval runs from where
 * one end of the gains' intervals goes through 1 to where the other one does, by the same lines.
 *
 * @param points In ascending order of `x`, with positive gains.
 */
export function crossoversOf(points: readonly GainPoint[]): Crossover[] {
  const at = zerosOf(points, (gain) => gain.estimate);
  const edges = [
    ...zerosOf(points, (gain) => gain.low),
    ...zerosOf(points, (gain) => gain.high),
  ].sort((a, b) => a - b);
  return at.map((x): Crossover => {
    const low = edges.filter((edge) => edge <= x).at(-1);
    const high = edges.find((edge) => edge >= x);
    return {
      x,
      ...(low === undefined ? {} : { low }),
      ...(high === undefined ? {} : { high }),
    };
  });
}

function zerosOf(
  points: readonly GainPoint[],
  of: (gain: Estimate) => number | undefined,
): number[] {
  const linear = points.some((point) => point.x <= 0);
  const place = (x: number) => linear ? x : Math.log(x);
  const known = points.flatMap((point) => {
    const gain = of(point.gain);
    return gain === undefined || !(gain > 0) ? [] : [{ at: place(point.x), log: Math.log(gain) }];
  });
  return known.slice(1).flatMap((b, i) => {
    const a = known[i];
    if (a === undefined || (a.log < 0) === (b.log < 0) || a.log === b.log) return [];
    const zero = a.at + (b.at - a.at) * (-a.log / (b.log - a.log));
    return [linear ? zero : Math.exp(zero)];
  });
}
