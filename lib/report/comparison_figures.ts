/**
 * The graphs of a comparison: comparison in, plotly figure JSON out. Pure.
 *
 * @module
 */

import { comparedMetric } from "../metrics/compared_metrics.ts";
import { formatPercent } from "../units.ts";
import type { CellComparison, Comparison } from "./comparison.ts";
import {
  COLOURS,
  type Graph,
  line,
  type Panel,
  type PlotlyObject,
  rounded,
  seriesStyle,
  stackPanels,
} from "./figure.ts";
import { type CellKey, distinct, type Point } from "./points.ts";
import { HIT_RATE_AXIS, type SweepAxis, WORKING_SET_AXIS } from "./sweep_axis.ts";
import {
  comparisonGraph,
  contextName,
  type Series,
  throughputComparison,
} from "./sweep_figures.ts";

/** Context size, in tokens. */
const CONTEXT_AXIS: SweepAxis = {
  title: "Context size, tokens",
  kind: "count",
  of: (point) => point.contextSizeTokens,
  xaxis: {
    rangemode: "tozero",
    tickformat: "~s",
    unifiedhovertitle: { text: "%{x:,} tokens context" },
  },
  linkedBy: "context",
};

const AXES = {
  "cache-rate": HIT_RATE_AXIS,
  "working-set": WORKING_SET_AXIS,
  "single-prompt": CONTEXT_AXIS,
} as const;

/** The axis that runs of a kind are drawn along. */
export function axisOf(comparison: Comparison): SweepAxis {
  return AXES[comparison.kind];
}

/** Every graph of a comparison. */
export function comparisonGraphs(comparison: Comparison): Graph[] {
  const points = comparison.runs.flatMap((run) => run.points);
  if (comparison.kind === "single-prompt") {
    const graphs = [ttftGraph(comparison, points, undefined)];
    return [...ratioGraph(comparison, undefined), ...graphs];
  }
  return distinct(points.map((point) => point.contextSizeTokens)).flatMap((context) => {
    const here = points.filter((point) => point.contextSizeTokens === context);
    return [
      ...ratioGraph(comparison, context),
      ...throughputGraphs(comparison, here, context),
      ttftGraph(comparison, here, context),
    ];
  });
}

/** One line for each run and, where the axis is not the hit rate, for each of its hit rates. */
function seriesOf(comparison: Comparison, points: readonly Point[]): Series[] {
  const here = new Set(points);
  const byRate = comparison.kind !== "cache-rate";
  const rates = byRate ? distinct(points.map((point) => point.hitRatePercent)) : [undefined];
  return comparison.runs.flatMap((run) =>
    rates.map((rate): Series => ({
      name: rate === undefined || rates.length < 2
        ? run.label
        : `${run.label}, ${rateName(comparison, rate)}`,
      points: run.points.filter((point) =>
        here.has(point) && (rate === undefined || point.hitRatePercent === rate)
      ),
    }))
  ).filter((series) => series.points.length > 0);
}

function rateName(comparison: Comparison, rate: number): string {
  if (comparison.kind !== "single-prompt") return formatPercent(rate);
  return rate === 0 ? "cold" : "cached";
}

function throughputGraphs(
  comparison: Comparison,
  points: readonly Point[],
  context: number,
): Graph[] {
  const series = seriesOf(comparison, points);
  return (["input", "output"] as const).filter((way) =>
    points.some((point) => point.row[`${way}_tokens_per_sec`] !== undefined)
  ).map((way) =>
    throughputComparison({
      name: `${way}_throughput_ctx${context}`,
      title: `${way === "input" ? "Input" : "Output"} throughput, context ${contextName(context)}`,
      axis: axisOf(comparison),
      series,
      of: (point) => point.row[`${way}_tokens_per_sec`],
      group: "key",
    })
  );
}

function ttftGraph(
  comparison: Comparison,
  points: readonly Point[],
  context: number | undefined,
): Graph {
  const panel = (title: string, key: "avg_ttft" | "p95_ttft" | "p99_ttft") => ({
    title,
    unit: "s",
    kind: "seconds" as const,
    of: (point: Point) => point.row[key],
  });
  const graph = comparisonGraph({
    name: context === undefined ? "ttft_comparison" : `ttft_comparison_ctx${context}`,
    title: context === undefined ? "TTFT" : `TTFT, context ${contextName(context)}`,
    about: comparison.kind === "single-prompt"
      ? "The first sending of a prompt (cold) and the same prompt again (cached)."
      : "At the peak of each run, whose concurrency stands beside each point: a run with a higher" +
        " TTFT here may simply have served more. The ratios of latencies are taken at equal load.",
    axis: axisOf(comparison),
    series: seriesOf(comparison, points),
    panels: [
      panel("TTFT, mean", "avg_ttft"),
      panel("TTFT, P95", "p95_ttft"),
      panel("TTFT, P99", "p99_ttft"),
    ],
  });
  return { ...graph, group: "key" };
}

/** Which ratios are drawn, each in a panel. */
const RATIO_METRICS: Readonly<Record<Comparison["kind"], readonly string[]>> = {
  "cache-rate": ["input_tokens_per_sec", "avg_ttft", "p95_ttft"],
  "working-set": ["input_tokens_per_sec", "avg_ttft", "p95_ttft"],
  "single-prompt": ["avg_ttft", "p95_ttft", "avg_output_tokens"],
};

/** The title of a metric. */
export function metricTitle(name: string): string {
  return comparedMetric(name)?.title ?? name;
}

/** Which way is better for a metric. */
export function metricBetter(name: string): "lower" | "higher" {
  return comparedMetric(name)?.better ?? "higher";
}

function ratioGraph(comparison: Comparison, context: number | undefined): Graph[] {
  const cells = comparison.cells.filter((cell) =>
    (context === undefined || cell.contextSizeTokens === context) && cell.ratio !== undefined &&
    RATIO_METRICS[comparison.kind].includes(cell.metric)
  );
  if (cells.length === 0) return [];
  const panels = RATIO_METRICS[comparison.kind].flatMap((metric) =>
    ratioPanel(comparison, cells, metric)
  );
  const base = comparison.runs[comparison.baseline]?.label ?? "";
  const axis = axisOf(comparison);
  return [{
    name: context === undefined ? "ratio_to_baseline" : `ratio_to_baseline_ctx${context}`,
    title: context === undefined
      ? "Ratio to the baseline"
      : `Ratio to the baseline, context ${contextName(context)}`,
    group: "key",
    about:
      `Each point over the same point of ${base}, latencies at equal concurrency; whiskers are` +
      " 95 % intervals (see Definitions for what they rest on). What touches the line at 1 is" +
      " within noise.",
    figure: stackPanels(panels, {
      xTitle: axis.title,
      xaxis: axis.xaxis,
      linkedBy: axis.linkedBy,
    }),
    table: {
      columns: [
        { label: "Run", kind: "text" },
        { label: axis.title.replace(/, .*/, ""), kind: axis.kind },
        { label: "Nominal hit rate", kind: "percent" },
        { label: "Figure", kind: "text" },
        { label: "Ratio", kind: "ratio" },
        { label: "from", kind: "ratio" },
        { label: "to", kind: "ratio" },
        { label: "Verdict", kind: "text" },
      ],
      rows: cells.map((cell) => [
        comparison.runs[cell.run]?.label,
        placeOf(comparison, cell),
        cell.hitRatePercent,
        metricTitle(cell.metric),
        cell.ratio?.estimate,
        cell.ratio?.low,
        cell.ratio?.high,
        cell.verdict,
      ]),
    },
  }];
}

/** Where a cell stands on the x axis. */
function placeOf(comparison: Comparison, key: CellKey): number {
  if (comparison.kind === "cache-rate") return key.hitRatePercent;
  return comparison.kind === "working-set" ? key.workingSetTokens ?? 0 : key.contextSizeTokens;
}

function ratioPanel(
  comparison: Comparison,
  cells: readonly CellComparison[],
  metric: string,
): Panel[] {
  const here = cells.filter((cell) => cell.metric === metric);
  if (here.length === 0) return [];
  const rates: readonly (number | undefined)[] = comparison.kind === "cache-rate"
    ? [undefined]
    : distinct(here.map((cell) => cell.hitRatePercent));
  const traces = comparison.runs.flatMap((run, index) =>
    rates.flatMap((rate) => {
      const own = here.filter((cell) =>
        cell.run === index && (rate === undefined || cell.hitRatePercent === rate)
      );
      const suffix = rate === undefined || rates.length < 2
        ? ""
        : `, ${rateName(comparison, rate)}`;
      const style = index * rates.length + Math.max(0, rates.indexOf(rate));
      return own.length === 0 ? [] : [ratioTrace(comparison, own, run.label + suffix, style)];
    })
  );
  const way = metricBetter(metric) === "higher" ? "higher is better" : "lower is better";
  return [{
    title: `${metricTitle(metric)} · ${way}`,
    heightPx: 200,
    traces,
    yaxis: { ticksuffix: "×", rangemode: "normal" },
    limit: { value: 1, label: comparison.runs[comparison.baseline]?.label ?? "baseline" },
  }];
}

function ratioTrace(
  comparison: Comparison,
  cells: readonly CellComparison[],
  name: string,
  index: number,
): PlotlyObject {
  const spread = (of: (cell: CellComparison) => number | undefined) =>
    cells.map((cell) => rounded(Math.max(0, of(cell) ?? 0)));
  const estimate = (cell: CellComparison) => cell.ratio?.estimate ?? NaN;
  return line({
    ...seriesStyle(index),
    name,
    x: cells.map((cell) => placeOf(comparison, cell)),
    y: cells.map((cell) => rounded(estimate(cell))),
    unit: "×",
    format: ".3f",
    more: {
      error_y: {
        type: "data",
        symmetric: false,
        array: spread((cell) => (cell.ratio?.high ?? estimate(cell)) - estimate(cell)),
        arrayminus: spread((cell) => estimate(cell) - (cell.ratio?.low ?? estimate(cell))),
        color: COLOURS.grey,
        thickness: 1.5,
        width: 4,
      },
    },
  });
}
