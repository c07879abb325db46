/**
 * Several configurations side by side, each measured by one run or more: their points, and each
 * point against the same point of the baseline.
 *
 * @module
 */

import {
  type Basis,
  compareFigures,
  type ComparisonVerdict,
  type Estimate,
  familyVerdicts,
  type FigureComparison,
  type Sample,
} from "../metrics/compare.ts";
import { COMPARED_METRICS, type ComparedMetric, EQUAL_LOAD } from "../metrics/compared_metrics.ts";
import type { ExperimentKind, RunData } from "../results/schema.ts";
import {
  type ComparedRun,
  type ComparedSource,
  type PlacedSample,
  sharedLevel,
  sourceOf,
} from "./comparison_samples.ts";
import { type CellKey, cellName, isOutputAsAsked, type Point } from "./points.ts";

/** One figure at one point, against the same figure of the baseline. */
export interface CellComparison extends CellKey {
  /** Index of the configuration. */
  readonly run: number;
  /** Column of the summary, or that of `EQUAL_LOAD`. */
  readonly metric: string;
  readonly value: Estimate;
  readonly baseline: Estimate;
  readonly difference: Estimate;
  readonly ratio?: Estimate;
  readonly verdict: ComparisonVerdict;
  /** What the interval of the ratio is made of. */
  readonly basis: Basis;
  readonly pValue?: number;
  /** Runs that the figure is made of. */
  readonly runs: number;
  readonly baselineRuns: number;
  /** Requests that it is made of. */
  readonly requests?: number;
  readonly baselineRequests?: number;
  /** Concurrency that each side ran at: the same for latencies at equal load. */
  readonly concurrency?: number;
  readonly baselineConcurrency?: number;
}

/** Where latencies are compared. */
export type LatencyAt = "equal-load" | "own-peak";

/** Configurations side by side: all that the pages, the tables and the limits are made from. */
export interface Comparison {
  readonly version: 1;
  readonly kind: ExperimentKind;
  /** Index of the configuration that the others are compared with. */
  readonly baseline: number;
  readonly runs: readonly ComparedRun[];
  readonly cells: readonly CellComparison[];
  /** Why these runs should not be compared; empty unless it was forced. */
  readonly forced: readonly string[];
  readonly latencyAt: LatencyAt;
}

/** A run with its label, as it is read. Runs of one label are replicates of one configuration. */
export interface LabelledRun {
  readonly label: string;
  readonly run: RunData;
}

/** Options of {@linkcode compareRuns}. */
export interface ComparisonOptions {
  /** Reasons against the comparison that were overruled. */
  readonly forced?: readonly string[];
  /** @default {"equal-load"} */
  readonly latencyAt?: LatencyAt;
}

/**
 * Compares configurations of one kind with one of them.
 *
 * @param labelled Runs; those of one label are replicates.
 * @param baseline Index into the distinct labels, in the order in which they first occur.
 */
export function compareRuns(
  labelled: readonly LabelledRun[],
  baseline: number,
  options: ComparisonOptions = {},
): Comparison {
  const { forced = [], latencyAt = "equal-load" } = options;
  const groups = Map.groupBy(labelled, (one) => one.label);
  const sources = [...groups].map(([label, runs]) => sourceOf(label, runs.map(({ run }) => run)));
  const base = sources[baseline];
  if (base === undefined) throw new RangeError("The baseline is none of the runs");
  return {
    version: 1,
    kind: base.compared.kind,
    baseline,
    runs: sources.map((source) => source.compared),
    cells: sources.flatMap((source, index) =>
      source === base ? [] : compareWith(base, source, index, latencyAt)
    ),
    forced,
    latencyAt,
  };
}

/** A comparison before the verdict, which the points of a figure share. */
interface Pending {
  readonly metric: ComparedMetric;
  readonly figures: FigureComparison;
  readonly cell: Omit<CellComparison, "verdict">;
}

function compareWith(
  base: ComparedSource,
  other: ComparedSource,
  run: number,
  latencyAt: LatencyAt,
): CellComparison[] {
  const shared = new Set(base.compared.points.map(cellName));
  const pending = other.compared.points.filter((point) => shared.has(cellName(point)))
    .flatMap((point) => pendingOf(base, other, point, run, latencyAt));
  const sides = [base.compared, other.compared];
  const [odd, sound] = [true, false].map((is) =>
    pending.filter(({ cell }) => isOddPoint(sides, cell) === is)
  );
  const verdicts = new Map<Pending, ComparisonVerdict>();
  for (const family of Map.groupBy(sound!, (one) => one.metric.name).values()) {
    const better = family[0]?.metric.better ?? "higher";
    const found = familyVerdicts(family.map((one) => one.figures), better);
    family.forEach((one, at) => verdicts.set(one, found[at] ?? "unknown"));
  }
  const withoutRatios = new Set(odd);
  return pending.map((one) => ({
    ...(withoutRatios.has(one) ? withoutRatio(one.cell) : one.cell),
    verdict: verdicts.get(one) ?? "unknown",
  }));
}

/** True where one of the runs got other outputs than it asked for: less work, or more of it. */
export function isOddPoint(runs: readonly ComparedRun[], key: CellKey): boolean {
  const name = cellName(key);
  return runs.some(({ points }) =>
    points.some((point: Point) => cellName(point) === name && !isOutputAsAsked(point.row))
  );
}

/** The figures stand side by side; nothing is concluded from them. */
function withoutRatio(cell: Pending["cell"]): Pending["cell"] {
  const { ratio: _ratio, pValue: _pValue, ...left } = cell;
  return { ...left, basis: "none" };
}

function pendingOf(
  base: ComparedSource,
  other: ComparedSource,
  key: CellKey,
  run: number,
  latencyAt: LatencyAt,
): Pending[] {
  const level = sharedLevel(base, other, key);
  return COMPARED_METRICS.flatMap((metric): Pending[] => {
    const equal = metric.statistic !== undefined && base.compared.kind !== "single-prompt" &&
      (latencyAt === "equal-load" || metric.name === EQUAL_LOAD.name);
    if (equal && level === undefined) return [];
    const [a, b] = [base, other].map((source) =>
      equal && level !== undefined ? source.at(key, level, metric) : source.atPeak(key, metric)
    );
    if (a === undefined || b === undefined) return [];
    return [pendingOne(key, run, metric, a, b)];
  });
}

function pendingOne(
  { contextSizeTokens, workingSetTokens, hitRatePercent }: CellKey,
  run: number,
  metric: ComparedMetric,
  base: PlacedSample,
  other: PlacedSample,
): Pending {
  const figures = compareFigures(base.sample, other.sample, metric);
  const { pValue, ratio } = figures;
  const cell = {
    run,
    contextSizeTokens,
    hitRatePercent,
    ...(workingSetTokens === undefined ? {} : { workingSetTokens }),
    metric: metric.name,
    value: figures.value,
    baseline: figures.base,
    difference: figures.difference,
    ...(ratio === undefined ? {} : { ratio }),
    basis: figures.basis,
    ...(pValue === undefined ? {} : { pValue }),
    runs: other.sample.length,
    baselineRuns: base.sample.length,
    ...requestsOf("requests", other.sample),
    ...requestsOf("baselineRequests", base.sample),
    ...(other.concurrency === undefined ? {} : { concurrency: other.concurrency }),
    ...(base.concurrency === undefined ? {} : { baselineConcurrency: base.concurrency }),
  };
  return { metric, figures, cell };
}

function requestsOf(name: "requests" | "baselineRequests", sample: Sample) {
  const counts = sample.map((run) => run.requests ?? 0);
  const total = counts.reduce((sum, count) => sum + count, 0);
  return (total === 0 ? {} : { [name]: total }) as { readonly [K in typeof name]?: number };
}
