/**
 * A against B: how far a figure of one configuration is from that of another, and whether that is
 * more than what varies without a cause.
 *
 * What varies has three levels: runs of one configuration differ (another day, another start), the
 * repeats within a run differ less, the requests within a repeat least. An interval has to be built
 * from the outermost level, or it is too narrow: requests of one run say how well that run is
 * known, not how the next one will come out. So each run is one value, on a log scale, and the
 * intervals are Student's t over the runs (a two-sample t test with a pooled variance where both
 * sides have as many runs, which then keeps its level for unequal variances too; else Welch's, with
 * Satterthwaite's degrees of freedom).
 *
 * Sources: B. L. Welch, "The generalization of 'Student's' problem when several different
 * population variances are involved", Biometrika 34 (1947); F. E. Satterthwaite, "An approximate
 * distribution of estimates of variance components", Biometrics Bulletin 2 (1946); S. Holm, "A
 * simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
 * (1979). Runs as the unit of replication: T. Kalibera and R. Jones, "Rigorous benchmarking in
 * reasonable time", ISMM 2013.
 *
 * @module
 */

import type { ComparedMetric } from "./compared_metrics.ts";
import { mean, sum } from "./intervals.ts";
import { studentPValue, studentQuantile } from "./student.ts";

/** One figure of one run, and of each of its repeats. */
export interface RunFigure {
  readonly value: number;
  /** The same figure of each period that `value` is made of; empty where they are not known. */
  readonly repeats: readonly number[];
  /** Requests that it is made of, where it is made of requests. */
  readonly requests?: number;
}

/** One figure of one configuration: of each of its runs. */
export type Sample = readonly RunFigure[];

/**
 * What an interval is made of. `replicates`: several runs on at least one side. `assumed`: one run
 * a side, with repeats; how much runs differ is assumed. `none`: there is nothing to tell a
 * difference by.
 */
export type Basis = "replicates" | "assumed" | "none";

/** `unknown`: nothing tells noise from a difference. */
export type ComparisonVerdict = "better" | "worse" | "within noise" | "unknown";

/** A value, with its 95 % interval where there is something to take it from. */
export interface Estimate {
  readonly estimate: number;
  readonly low?: number;
  readonly high?: number;
}

/** One figure of one configuration against that of another; intervals cover 95 %. */
export interface FigureComparison {
  readonly base: Estimate;
  readonly value: Estimate;
  /** Of the configuration, less that of the other one. */
  readonly difference: Estimate;
  /** Of the configuration, over that of the other one; absent where that is 0. */
  readonly ratio?: Estimate;
  readonly basis: Basis;
  /** How likely a ratio this far from 1 is without a cause; absent without an interval. */
  readonly pValue?: number;
}

const COVERAGE = 0.95;
/** A difference below this is not worth a word, however sure it is. */
export const LEAST_EFFECT = 0.01;

/** Compares a figure with that of the baseline. */
export function compareFigures(
  base: Sample,
  other: Sample,
  metric: Pick<ComparedMetric, "assumedDeviation">,
): FigureComparison {
  const [a, b] = [centre(base), centre(other)];
  const values = { base: sampleInterval(base), value: sampleInterval(other) };
  const difference = b - a;
  if (a === 0) return { ...values, difference: { estimate: difference }, basis: "none" };
  const ratio = b / a;
  const { error, basis } = ratioError(base, other, metric.assumedDeviation);
  if (error === undefined) {
    return {
      ...values,
      difference: { estimate: difference },
      ratio: { estimate: ratio },
      basis,
    };
  }
  const reach = halfWidth(error);
  const [low, high] = [ratio * Math.exp(-reach), ratio * Math.exp(reach)];
  return {
    ...values,
    difference: { estimate: difference, low: a * (low - 1), high: a * (high - 1) },
    ratio: { estimate: ratio, low, high },
    basis,
    pValue: error.deviation > 0
      ? studentPValue(Math.log(ratio) / error.deviation, error.freedom)
      : ratio === 1
      ? 1
      : 0,
  };
}

/**
 * The verdicts of a family of comparisons: one figure at all points that a configuration shares
 * with the baseline. By Holm's procedure the chance that *any* of them is marked without a cause is
 * at most 5 %; a difference below 1 % is never marked.
 */
export function familyVerdicts(
  family: readonly FigureComparison[],
  better: ComparedMetric["better"],
): ComparisonVerdict[] {
  const tested = family.filter((one) => one.pValue !== undefined)
    .sort((a, b) => (a.pValue ?? 1) - (b.pValue ?? 1));
  const marked = new Set<FigureComparison>();
  for (const [rank, one] of tested.entries()) {
    if ((one.pValue ?? 1) > (1 - COVERAGE) / (tested.length - rank)) break;
    marked.add(one);
  }
  return family.map((one): ComparisonVerdict => {
    const ratio = one.ratio?.estimate;
    if (one.pValue === undefined || ratio === undefined) {
      return one.difference.estimate === 0 ? "within noise" : "unknown";
    }
    if (!marked.has(one) || Math.abs(ratio - 1) < LEAST_EFFECT) return "within noise";
    return (ratio > 1) === (better === "higher") ? "better" : "worse";
  });
}

/**
 * A figure of a configuration: the geometric mean of its runs, with the interval over them. Of a
 * single run the interval over its repeats, which says how well that run is known.
 */
export function sampleInterval(sample: Sample): Estimate {
  const estimate = centre(sample);
  const only = sample.length === 1 ? sample[0] : undefined;
  const values = only === undefined ? sample.map((run) => run.value) : only.repeats;
  const spread = spreadOfLogs(values);
  if (spread === undefined) return { estimate };
  const reach = halfWidth({
    deviation: Math.sqrt(spread.variance / values.length),
    freedom: spread.freedom,
  });
  return { estimate, low: estimate * Math.exp(-reach), high: estimate * Math.exp(reach) };
}

/** The geometric mean; the arithmetic one where a value is not positive. */
function centre(sample: Sample): number {
  const values = sample.map((run) => run.value);
  if (values.length === 1) return values[0] ?? NaN;
  return values.every((value) => value > 0)
    ? Math.exp(mean(values.map(Math.log)) ?? NaN)
    : mean(values) ?? NaN;
}

/** The standard error of the log of a ratio. */
interface LogError {
  readonly deviation: number;
  readonly freedom: number;
}

function halfWidth({ deviation, freedom }: LogError): number {
  return deviation === 0 ? 0 : deviation * studentQuantile(COVERAGE, freedom);
}

/** A variance on the log scale, and on how many degrees of freedom it is known. */
interface Spread {
  readonly variance: number;
  readonly freedom: number;
}

function spreadOfLogs(values: readonly number[]): Spread | undefined {
  if (values.length < 2 || values.some((value) => !(value > 0))) return undefined;
  const logs = values.map(Math.log);
  const middle = mean(logs) ?? NaN;
  const freedom = values.length - 1;
  return { variance: sum(logs.map((log) => (log - middle) ** 2)) / freedom, freedom };
}

function ratioError(
  base: Sample,
  other: Sample,
  assumedDeviation: number | undefined,
): { readonly error?: LogError; readonly basis: Basis } {
  if ([...base, ...other].some((run) => !(run.value > 0))) return { basis: "none" };
  if (base.length > 1 || other.length > 1) {
    return { error: errorOfRuns(base, other), basis: "replicates" };
  }
  const error = assumedDeviation === undefined
    ? undefined
    : errorOfRepeats(base[0]?.repeats ?? [], other[0]?.repeats ?? [], assumedDeviation);
  return error === undefined ? { basis: "none" } : { error, basis: "assumed" };
}

/** At least one side has several runs; a single run is taken to vary as those of the other side. */
function errorOfRuns(base: Sample, other: Sample): LogError {
  const a = spreadOfLogs(base.map((run) => run.value));
  const b = spreadOfLogs(other.map((run) => run.value));
  if (a !== undefined && b !== undefined && base.length !== other.length) {
    return welch([[a, base.length], [b, other.length]]);
  }
  const { variance, freedom } = pooled([a, b]) ?? { variance: NaN, freedom: NaN };
  return { deviation: Math.sqrt(variance * (1 / base.length + 1 / other.length)), freedom };
}

/**
 * One run a side. The repeats say how well each run is known; that runs differ beyond this is not
 * in them, so an assumed variance of two runs is added, with Satterthwaite's degrees of freedom.
 */
function errorOfRepeats(
  base: readonly number[],
  other: readonly number[],
  assumedDeviation: number,
): LogError | undefined {
  if (base.length === 0 || other.length === 0) return undefined;
  const within = pooled([spreadOfLogs(base), spreadOfLogs(other)]);
  if (within === undefined) return undefined;
  const measured = within.variance * (1 / base.length + 1 / other.length);
  const variance = measured + 2 * assumedDeviation ** 2;
  return {
    deviation: Math.sqrt(variance),
    freedom: measured > 0 ? variance ** 2 / (measured ** 2 / within.freedom) : Infinity,
  };
}

function pooled(spreads: readonly (Spread | undefined)[]): Spread | undefined {
  const known = spreads.filter((one) => one !== undefined);
  const freedom = sum(known.map((one) => one.freedom));
  if (freedom === 0) return undefined;
  return { variance: sum(known.map((one) => one.variance * one.freedom)) / freedom, freedom };
}

function welch(sides: readonly (readonly [Spread, number])[]): LogError {
  const parts = sides.map(([spread, runs]) => spread.variance / runs);
  const variance = sum(parts);
  if (variance === 0) return { deviation: 0, freedom: 1 };
  const below = sum(
    sides.map(([spread], side) => (parts[side] ?? 0) ** 2 / spread.freedom),
  );
  return { deviation: Math.sqrt(variance), freedom: variance ** 2 / below };
}
