/**
 * Several runs side by side: their points, and each point against the same point of the baseline.
 *
 * @module
 */

import {
  COMPARED_METRICS,
  type ComparedRequest,
  compareFigures,
  type ComparisonVerdict,
  drawMetrics,
  type Draws,
  EQUAL_LOAD,
  type Estimate,
  type Figure,
} from "../metrics/compare.ts";
import { randomStream, seedFor } from "../random.ts";
import type { DetailRow, ExperimentKind, RunData } from "../results/schema.ts";
import type { TierMap } from "../results/tier_map_file.ts";
import {
  arrangeRows,
  type CellKey,
  cellName,
  distinct,
  isSuccess,
  isWarmup,
  measuredRequests,
  type Period,
  periodsAtPeak,
  type Point,
  type RunRows,
} from "./points.ts";
import { singlePromptPoints } from "./single_prompt_points.ts";
import { formatParameter } from "./tables.ts";

/** One run of a comparison. */
export interface ComparedRun {
  readonly label: string;
  /** The folder as given. */
  readonly dir: string;
  readonly kind: ExperimentKind;
  readonly writtenBy: "kvmark" | "python";
  readonly model?: string;
  readonly server?: string;
  readonly startedAt?: string;
  readonly kvmarkVersion?: string;
  /** Options of the run, as text. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly points: readonly Point[];
  readonly tierMap?: TierMap;
  readonly problems: readonly string[];
}

/** One figure at one point, against the same figure of the baseline. */
export interface CellComparison extends CellKey {
  /** Index of the run. */
  readonly run: number;
  /** Column of the summary, or that of `EQUAL_LOAD`. */
  readonly metric: string;
  readonly value: Estimate;
  readonly baseline: Estimate;
  readonly difference: Estimate;
  readonly ratio?: Estimate;
  readonly verdict: ComparisonVerdict;
  /** Requests that the intervals are made of. */
  readonly requests?: number;
  readonly baselineRequests?: number;
  /** Concurrency of both, where the comparison is at one. */
  readonly concurrency?: number;
}

/** Runs side by side: all that the pages, the tables and the limits are made from. */
export interface Comparison {
  readonly version: 1;
  readonly kind: ExperimentKind;
  /** Index of the run that the others are compared with. */
  readonly baseline: number;
  readonly runs: readonly ComparedRun[];
  readonly cells: readonly CellComparison[];
  /** Why these runs should not be compared; empty unless it was forced. */
  readonly forced: readonly string[];
}

/** A run with its label, as it is read. */
export interface LabelledRun {
  readonly label: string;
  readonly run: RunData;
}

/**
 * Compares runs of one kind with one of them.
 *
 * @param baseline Index into `labelled`.
 * @param forced Reasons against the comparison that were overruled.
 */
export function compareRuns(
  labelled: readonly LabelledRun[],
  baseline: number,
  forced: readonly string[] = [],
): Comparison {
  const sources = labelled.map(({ label, run }) => sourceOf(label, run));
  const base = sources[baseline];
  if (base === undefined) throw new RangeError("The baseline is none of the runs");
  return {
    version: 1,
    kind: base.run.kind,
    baseline,
    runs: sources.map((source) => source.compared),
    cells: sources.flatMap((source, index) =>
      source === base ? [] : compareWith(base, source, index)
    ),
    forced,
  };
}

/** A run whose request rows are at hand. */
interface Source {
  readonly run: RunData;
  readonly compared: ComparedRun;
  readonly rows: RunRows;
  readonly draws: (point: Point) => Map<string, Draws>;
}

function sourceOf(label: string, run: RunData): Source {
  const rows = arrangeRows(run);
  const single = run.kind === "single-prompt" ? singlePromptPoints(run.singlePrompt) : undefined;
  const points = single?.map((one) => one.point) ?? rows.points;
  const kept = new Map<string, Map<string, Draws>>();
  const draws = (point: Point) => {
    const name = cellName(point);
    const known = kept.get(name);
    if (known !== undefined) return known;
    const requests = single?.find((one) => one.point === point)?.requests ??
      requestsOf(periodsAtPeak(point.row, rows.periodsOf(point)));
    const made = drawMetrics(requests, {
      // Each run of a comparison needs noise of its own.
      stream: randomStream(seedFor("compare", label, name)),
      concurrency: point.row.peak_concurrency ?? 1,
    });
    kept.set(name, made);
    return made;
  };
  return { run, rows, draws, compared: comparedRun(label, run, points) };
}

function comparedRun(label: string, run: RunData, points: readonly Point[]): ComparedRun {
  const { config } = run;
  const model = config.model ?? run.summary.find((row) => row.model !== undefined)?.model;
  const known = { model, server: config.server, startedAt: config.startedAt };
  return {
    label,
    dir: run.dir,
    kind: run.kind,
    writtenBy: run.writtenBy,
    ...Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)),
    ...(config.kvmarkVersion === undefined ? {} : { kvmarkVersion: config.kvmarkVersion }),
    parameters: Object.fromEntries(
      Object.entries(config.parameters ?? {}).map((
        [name, value],
      ) => [name, formatParameter(value)]),
    ),
    points,
    ...(run.tierMap === undefined ? {} : { tierMap: run.tierMap }),
    problems: run.problems,
  };
}

/** Request rows as the statistics take them. */
export function requestsOf(periods: readonly Period[]): ComparedRequest[] {
  return periods.flatMap((period) => {
    const measured = new Set(measuredRequests(period));
    return period.requests.filter(isSuccess).map((row) => comparedRequest(row, measured.has(row)));
  });
}

function comparedRequest(row: DetailRow, measured: boolean): ComparedRequest {
  const { cached_tokens: cached, unique_tokens: unique, reported_prompt_tokens: reported } = row;
  const input = reported ?? ((cached ?? 0) + (unique ?? 0) || undefined);
  const fields = {
    ttft: row.ttft,
    ttlt: row.ttlt,
    itl: row.itl,
    tpot: row.tpot,
    decodeRate: row.tpot === undefined || row.tpot <= 0 ? undefined : 1 / row.tpot,
    inputTokens: input,
    outputTokens: row.output_tokens,
    busySec: row.total_time,
  };
  return {
    sentAtSec: row.launch_time ?? 0,
    measured,
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  };
}

function compareWith(base: Source, other: Source, run: number): CellComparison[] {
  const byName = new Map(base.compared.points.map((point) => [cellName(point), point]));
  return other.compared.points.flatMap((point) => {
    const same = byName.get(cellName(point));
    if (same === undefined) return [];
    const metrics = COMPARED_METRICS.flatMap((metric): CellComparison[] => {
      const [a, b] = [figureOf(base, same, metric.name), figureOf(other, point, metric.name)];
      return a === undefined || b === undefined ? [] : [cellComparison(point, run, metric, a, b)];
    });
    return [...metrics, ...equalLoad(base, same, other, point, run)];
  });
}

function figureOf(source: Source, point: Point, metric: string): Figure | undefined {
  const value = point.row[metric as keyof typeof point.row];
  if (typeof value !== "number") return undefined;
  const draws = source.draws(point).get(metric);
  return { value, ...(draws === undefined ? {} : { draws }) };
}

function cellComparison(
  key: CellKey,
  run: number,
  metric: { readonly name: string; readonly better: "lower" | "higher" },
  base: Figure,
  other: Figure,
  concurrency?: number,
): CellComparison {
  const found = compareFigures(base, other, metric.better);
  return {
    run,
    ...keyOnly(key),
    metric: metric.name,
    value: found.value,
    baseline: found.base,
    difference: found.difference,
    ...(found.ratio === undefined ? {} : { ratio: found.ratio }),
    verdict: found.verdict,
    ...(other.draws === undefined ? {} : { requests: other.draws.requests }),
    ...(base.draws === undefined ? {} : { baselineRequests: base.draws.requests }),
    ...(concurrency === undefined ? {} : { concurrency }),
  };
}

function keyOnly({ contextSizeTokens, workingSetTokens, hitRatePercent }: CellKey): CellKey {
  return {
    contextSizeTokens,
    hitRatePercent,
    ...(workingSetTokens === undefined ? {} : { workingSetTokens }),
  };
}

function equalLoad(
  base: Source,
  a: Point,
  other: Source,
  b: Point,
  run: number,
): CellComparison[] {
  const levels = (source: Source, point: Point) =>
    distinct(
      source.rows.periodsOf(point).filter((one) => !isWarmup(one)).map((one) => one.concurrency),
    );
  const shared = levels(base, a).filter((level) => levels(other, b).includes(level));
  for (const level of shared) {
    const [first, second] = [ttftAt(base, a, level), ttftAt(other, b, level)];
    if (first === undefined || second === undefined) continue;
    return [cellComparison(b, run, EQUAL_LOAD, first, second, level)];
  }
  return [];
}

const MEAN_TTFT = COMPARED_METRICS.filter((metric) => metric.name === "avg_ttft");

function ttftAt(source: Source, point: Point, level: number): Figure | undefined {
  const periods = source.rows.periodsOf(point).filter((period) =>
    !isWarmup(period) && period.concurrency === level
  );
  const stream = randomStream(seedFor("equal load", source.compared.label, cellName(point)));
  const draws = drawMetrics(requestsOf(periods), { stream, concurrency: level }, MEAN_TTFT)
    .get("avg_ttft");
  return draws === undefined ? undefined : { value: draws.estimate, draws };
}
