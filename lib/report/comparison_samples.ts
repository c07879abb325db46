/**
 * The figures of a configuration as its runs have them: one value a run, with those of its repeats.
 *
 * @module
 */

import type { RunFigure, Sample } from "../metrics/compare.ts";
import {
  type ComparedMetric,
  type ComparedRequest,
  figureOfRequests,
} from "../metrics/compared_metrics.ts";
import type { DetailRow, ExperimentKind, RunData, SummaryRow } from "../results/schema.ts";
import type { TierMap } from "../results/tier_map_file.ts";
import {
  arrangeRows,
  type CellKey,
  cellName,
  distinct,
  isSuccess,
  isWarmup,
  meanOf,
  measuredRequests,
  type Period,
  periodsAtPeak,
  periodThroughput,
  type Point,
  ttftLimit,
} from "./points.ts";
import { type SinglePromptPoint, singlePromptPoints } from "./single_prompt_points.ts";
import { formatParameter } from "./tables.ts";

/** One configuration of a comparison. */
export interface ComparedRun {
  readonly label: string;
  /** The folder as given; of several runs the first. */
  readonly dir: string;
  /** The folders of its runs; absent where it has one. */
  readonly replicates?: readonly string[];
  readonly kind: ExperimentKind;
  readonly writtenBy: "kvmark" | "python";
  readonly model?: string;
  readonly server?: string;
  readonly startedAt?: string;
  readonly kvmarkVersion?: string;
  readonly kvBytesPerToken?: number;
  readonly ttftLimitSec?: number;
  /** Options of the run, as text. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly points: readonly Point[];
  readonly tierMap?: TierMap;
  readonly problems: readonly string[];
}

/** A sample, and the concurrency that its runs had. */
export interface PlacedSample {
  readonly sample: Sample;
  readonly concurrency?: number;
}

/** A configuration whose rows are at hand. */
export interface ComparedSource {
  readonly compared: ComparedRun;
  /** A figure at the peak of each run, as the summary has it. */
  readonly atPeak: (key: CellKey, metric: ComparedMetric) => PlacedSample | undefined;
  /** A latency at one concurrency, from the requests of all periods that ran at it. */
  readonly at: (key: CellKey, level: number, metric: ComparedMetric) => PlacedSample | undefined;
  /** Concurrencies that every run of the configuration ran a cell at, ascending. */
  readonly levels: (key: CellKey) => readonly number[];
  /** The lowest peak of a cell over the runs. */
  readonly lowestPeak: (key: CellKey) => number | undefined;
}

/** The rows of one run. */
interface RunSource {
  readonly run: RunData;
  readonly points: readonly Point[];
  readonly pointOf: (key: CellKey) => Point | undefined;
  readonly periodsOf: (key: CellKey) => readonly Period[];
  readonly single?: readonly SinglePromptPoint[];
}

/** A configuration, from the runs that measured it. */
export function sourceOf(label: string, runs: readonly RunData[]): ComparedSource {
  const sources = runs.map(runSource);
  const having = (key: CellKey) => sources.filter((one) => one.pointOf(key) !== undefined);
  return {
    compared: comparedRun(label, sources),
    atPeak: (key, metric) => placed(having(key).map((one) => peakFigure(one, key, metric))),
    at: (key, level, metric) =>
      placed(having(key).map((one) => ({ ...levelFigure(one, key, level, metric), level }))),
    levels: (key) => {
      const each = having(key).map((one) => levelsOf(one, key));
      return (each[0] ?? []).filter((level) => each.every((levels) => levels.includes(level)));
    },
    lowestPeak: (key) =>
      distinct(having(key).map((one) => one.pointOf(key)?.row.peak_concurrency))[0],
  };
}

/**
 * The concurrency to compare latencies of a cell at: the highest that every run of both sides ran,
 * and that is beyond no run's peak; if there is none of these, the lowest that all of them ran.
 */
export function sharedLevel(
  base: ComparedSource,
  other: ComparedSource,
  key: CellKey,
): number | undefined {
  const theirs = other.levels(key);
  const shared = base.levels(key).filter((level) => theirs.includes(level));
  const peak = Math.min(base.lowestPeak(key) ?? Infinity, other.lowestPeak(key) ?? Infinity);
  return shared.filter((level) => level <= peak).at(-1) ?? shared[0];
}

function runSource(run: RunData): RunSource {
  const rows = arrangeRows(run);
  const single = run.kind === "single-prompt" ? singlePromptPoints(run.singlePrompt) : undefined;
  const points = single?.map((one) => one.point) ?? rows.points;
  const byName = new Map(points.map((point) => [cellName(point), point]));
  return {
    run,
    points,
    pointOf: (key) => byName.get(cellName(key)),
    periodsOf: (key) => rows.periodsOf(key).filter((period) => !isWarmup(period)),
    ...(single === undefined ? {} : { single }),
  };
}

function levelsOf(source: RunSource, key: CellKey): number[] {
  return distinct(source.periodsOf(key).map((period) => period.concurrency));
}

interface PlacedFigure {
  readonly figure?: RunFigure;
  readonly level?: number;
}

function placed(figures: readonly PlacedFigure[]): PlacedSample | undefined {
  const sample: Sample = figures.flatMap(({ figure }) => figure ?? []);
  if (sample.length === 0) return undefined;
  const concurrency = meanOf(figures.flatMap(({ level }) => level ?? []));
  return { sample, ...(concurrency === undefined ? {} : { concurrency }) };
}

/** The value is the summary's; the repeats are those that it pools. */
function peakFigure(source: RunSource, key: CellKey, metric: ComparedMetric): PlacedFigure {
  const row = source.pointOf(key)?.row;
  const value = row?.[columnOf(metric)];
  if (row === undefined || typeof value !== "number") return {};
  const level = row.peak_concurrency === undefined ? {} : { level: row.peak_concurrency };
  if (source.single !== undefined) return { figure: singleFigure(source, key, metric, value) };
  const periods = periodsAtPeak(row, source.periodsOf(key));
  const requests = periods.flatMap(requestsOf);
  const repeats = periods.flatMap((period) => repeatOf(period, metric) ?? []);
  const count = figureOfRequests(metric, requests)?.requests;
  return { figure: figureWith(value, repeats, count), ...level };
}

/** TTFT at equal load is the mean TTFT, wherever it is looked at. */
function columnOf(metric: ComparedMetric): keyof SummaryRow {
  return (metric.name === "equal_load_ttft" ? "avg_ttft" : metric.name) as keyof SummaryRow;
}

function repeatOf(period: Period, metric: ComparedMetric): number | undefined {
  if (metric.name === "input_tokens_per_sec") return periodThroughput(period).input;
  if (metric.name === "output_tokens_per_sec") return periodThroughput(period).output;
  const figure = figureOfRequests(metric, requestsOf(period));
  return figure?.isSound ? figure.value : undefined;
}

function levelFigure(
  source: RunSource,
  key: CellKey,
  level: number,
  metric: ComparedMetric,
): PlacedFigure {
  // At the peak of the run the summary row is the figure, so that no page has two of them.
  const row = source.pointOf(key)?.row;
  if (row?.peak_concurrency === level && typeof row[columnOf(metric)] === "number") {
    return peakFigure(source, key, metric);
  }
  const periods = source.periodsOf(key).filter((period) => period.concurrency === level);
  const pooled = figureOfRequests(metric, periods.flatMap(requestsOf));
  if (pooled === undefined || !pooled.isSound) return {};
  const repeats = periods.flatMap((period) => repeatOf(period, metric) ?? []);
  return { figure: figureWith(pooled.value, repeats, pooled.requests) };
}

/** Prompts of a single-prompt run are sent one after the other: each is a repeat. */
function singleFigure(
  source: RunSource,
  key: CellKey,
  metric: ComparedMetric,
  value: number,
): RunFigure {
  const found = source.single?.find((one) => cellName(one.point) === cellName(key));
  const { statistic } = metric;
  const repeats = statistic?.kind !== "mean"
    ? []
    : (found?.requests ?? []).flatMap((one) => one[statistic.of] ?? []);
  return figureWith(value, repeats, found?.requests.length);
}

function figureWith(
  value: number,
  repeats: readonly number[],
  requests: number | undefined,
): RunFigure {
  return { value, repeats, ...(requests === undefined ? {} : { requests }) };
}

/** The answered requests of a period as the statistics take them. */
function requestsOf(period: Period): ComparedRequest[] {
  const measured = new Set(measuredRequests(period));
  return period.requests.filter(isSuccess).map((row) => comparedRequest(row, measured.has(row)));
}

function comparedRequest(row: DetailRow, measured: boolean): ComparedRequest {
  const fields = {
    ttft: row.ttft,
    ttlt: row.ttlt,
    itl: row.itl,
    tpot: row.tpot,
    decodeRate: row.tpot === undefined || row.tpot <= 0 ? undefined : 1 / row.tpot,
  };
  return {
    measured,
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  };
}

function comparedRun(label: string, sources: readonly RunSource[]): ComparedRun {
  const runs = sources.map((source) => source.run);
  const [first] = runs;
  if (first === undefined) throw new RangeError(`${label} has no run`);
  const { config } = first;
  const known = {
    model: config.model ?? first.summary.find((row) => row.model !== undefined)?.model,
    server: config.server,
    startedAt: config.startedAt,
    kvmarkVersion: config.kvmarkVersion,
    kvBytesPerToken: config.kvBytesPerToken ?? first.tierMap?.kvBytesPerToken,
    ttftLimitSec: ttftLimit(first),
    tierMap: first.tierMap,
  };
  return {
    label,
    dir: first.dir,
    ...(runs.length > 1 ? { replicates: runs.map((run) => run.dir) } : {}),
    kind: first.kind,
    writtenBy: first.writtenBy,
    ...Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)),
    parameters: Object.fromEntries(
      Object.entries(config.parameters ?? {})
        .map(([name, value]) => [name, formatParameter(value)]),
    ),
    points: mergedPoints(sources),
    problems: runs.flatMap((run) => [
      ...(run.damage ?? []).map((one) => `incomplete: ${one}`),
      ...run.problems.map((one) => `not read: ${one}`),
    ]),
  };
}

/** The points of all replicates; where several have one, the mean of their rows. */
function mergedPoints(sources: readonly RunSource[]): Point[] {
  const groups = Map.groupBy(sources.flatMap((source) => source.points), cellName);
  return [...groups.values()].flatMap((points): Point[] => {
    const [first] = points;
    if (first === undefined) return [];
    if (points.length === 1) return [first];
    const inputSpan = spanOf(points, "input_tokens_per_sec");
    const outputSpan = spanOf(points, "output_tokens_per_sec");
    return [{
      ...first,
      row: meanRow(points.map((point) => point.row)),
      ...(inputSpan === undefined ? {} : { inputSpan }),
      ...(outputSpan === undefined ? {} : { outputSpan }),
    }];
  });
}

function meanRow(rows: readonly SummaryRow[]): SummaryRow {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))] as (keyof SummaryRow)[];
  return Object.fromEntries(names.flatMap((name) => {
    const values = rows.map((row) => row[name]).filter((value) => value !== undefined);
    const numbers = values.filter((value) => typeof value === "number");
    if (numbers.length > 0) return [[name, meanOf(numbers)]];
    // What only some of the runs were warned of holds for the configuration.
    return [[name, values.find((value) => value === "yes") ?? values[0]]];
  }));
}

/** The lowest and the highest replicate. */
function spanOf(
  points: readonly Point[],
  column: "input_tokens_per_sec" | "output_tokens_per_sec",
) {
  const values = distinct(points.map((point) => point.row[column]));
  const [low, high] = [values[0], values.at(-1)];
  return low === undefined || high === undefined ? undefined : { low, high };
}
