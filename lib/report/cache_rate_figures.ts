/**
 * Graphs of a cache-rate run that need only its summary rows.
 *
 * @module
 */

import type { RunData } from "../results/schema.ts";
import { formatPercent } from "../units.ts";
import {
  COLOURS,
  type Graph,
  line,
  type PlotlyObject,
  rounded,
  seriesStyle,
  stackPanels,
  timeUnit,
} from "./figure.ts";
import { type Point, type RunRows, ttftLimit } from "./points.ts";
import { hasDecoding, HIT_RATE_AXIS, hitRateAxis } from "./sweep_axis.ts";
import {
  comparisonGraph,
  contextName,
  DECODING_PANELS,
  performanceGraph,
  type Series,
  throughputComparison,
} from "./sweep_figures.ts";

/** Every graph of the summary rows of a cache-rate run. */
export function cacheRateGraphs(run: RunData, rows: RunRows): Graph[] {
  if (rows.points.length === 0) return [];
  const series = rows.contexts.map((context): Series => ({
    name: contextName(context),
    points: rows.points.filter((point) => point.contextSizeTokens === context),
  })).filter((one) => one.points.length > 0);
  const axis = hitRateAxis(rows.points);
  const decodes = hasDecoding(rows.points);
  return [
    throughputComparison({
      name: "input_throughput_comparison",
      title: "Input throughput against hit rate",
      axis,
      series,
      of: (point) => point.row.input_tokens_per_sec,
      group: "key",
    }),
    ...series.map(({ name, points }) =>
      performanceGraph({
        name: `performance_vs_cache_rate_${points[0]?.contextSizeTokens}`,
        title: `Performance against hit rate, context ${name}`,
        axis,
        points,
        limitSeconds: ttftLimit(run),
      })
    ),
    ...hitRateGraph(rows),
    ...(!decodes ? [] : [
      throughputComparison({
        name: "output_throughput_comparison",
        title: "Output throughput against hit rate",
        axis,
        series,
        of: (point) => point.row.output_tokens_per_sec,
      }),
      comparisonGraph({
        name: "output_metrics_comparison",
        title: "Decoding against hit rate",
        about: "Means over the requests at the peak of each cell.",
        axis,
        series,
        panels: DECODING_PANELS,
      }),
    ]),
    ...(series.length > 1 ? [ttftHeatmap(rows)] : []),
    ...series.flatMap(itlGraph),
  ];
}

/** Mean TTFT of every cell, contexts down, rates across. */
export function ttftHeatmap(rows: RunRows): Graph {
  const { contexts, rates, points } = rows;
  const time = timeUnit(points.map((point) => point.row.avg_ttft));
  const at = (context: number, rate: number) =>
    points.find((p) => p.contextSizeTokens === context && p.hitRatePercent === rate)?.row.avg_ttft;
  const z = contexts.map((context) => rates.map((rate) => time.of(at(context, rate))));
  const digits = (value: number | null) => value === null ? "" : String(+value.toPrecision(3));
  const trace: PlotlyObject = {
    type: "heatmap",
    x: rates.map((rate) => `${rate} %`),
    y: contexts.map(contextName),
    z,
    text: z.map((row) => row.map(digits)),
    texttemplate: "%{text}",
    hovertemplate: `%{y}, %{x} nominal hit rate: %{z:.3~r} ${time.unit}<extra></extra>`,
    colorscale: "Cividis",
    hoverongaps: false,
    xgap: 2,
    ygap: 2,
    colorbar: { thickness: 10, outlinewidth: 0 },
  };
  const figure = stackPanels([{
    title: `TTFT, mean, ${time.unit}`,
    traces: [trace],
    heightPx: 90 + 44 * contexts.length,
    yaxis: { type: "category", rangemode: "normal" },
    log: false,
  }], {
    xTitle: "Nominal hit rate",
    xaxis: { type: "category" },
    hovermode: "closest",
  });
  return {
    name: "ttft_heatmap",
    title: "Mean TTFT by context size and hit rate",
    group: "comparison",
    about: "Mean TTFT at the peak of each cell.",
    figure,
    table: {
      columns: [
        { label: "Context", kind: "count" },
        ...rates.map((rate) => ({ label: formatPercent(rate), kind: "seconds" as const })),
      ],
      rows: contexts.map((context) => [context, ...rates.map((rate) => at(context, rate))]),
    },
  };
}

const VERDICTS = [
  { verdict: "confirmed", symbol: "circle" },
  { verdict: "differs", symbol: "x" },
  { verdict: "unchecked", symbol: "circle-open" },
] as const;

/** Observed against nominal hit rate: what was asked for, what was possible, what happened. */
export function hitRateGraph(rows: RunRows): Graph[] {
  const known = rows.points.filter((point) =>
    point.row.observed_hit_rate !== undefined || point.row.achievable_hit_rate !== undefined
  );
  if (known.length === 0) return [];
  const traces: PlotlyObject[] = [{
    type: "scatter",
    mode: "lines",
    name: "as intended",
    x: [0, 100],
    y: [0, 100],
    line: { color: COLOURS.grey, width: 1.5, dash: "dot" },
    hoverinfo: "skip",
  }];
  const contexts = rows.contexts.filter((c) => known.some((p) => p.contextSizeTokens === c));
  contexts.forEach((context, index) => {
    const points = known.filter((point) => point.contextSizeTokens === context);
    traces.push(...hitRateTraces(points, contextName(context), seriesStyle(index).color));
  });
  const figure = stackPanels([{
    title: "Tokens taken from the cache, % of prompt tokens",
    traces,
    heightPx: 340,
    yaxis: { range: [-4, 104], ticksuffix: " %" },
    log: false,
  }], { xTitle: HIT_RATE_AXIS.title, xaxis: HIT_RATE_AXIS.xaxis, linkedBy: "hit-rate" });
  return [{
    name: "observed_hit_rate",
    title: "Observed against nominal hit rate",
    group: "key",
    about: "Solid lines with markers: the share of prompt tokens that the server reported as" +
      " cached. Thin dashed lines: the share that whole chunks and blocks allow. A cross marks a" +
      " cell whose rate differs from the intended one, an open circle one that cannot be checked.",
    figure,
    table: hitRateTable(known),
  }];
}

function hitRateTraces(points: readonly Point[], name: string, color: string): PlotlyObject[] {
  const x = points.map(HIT_RATE_AXIS.of);
  const symbolOf = (point: Point) =>
    VERDICTS.find((one) => one.verdict === point.row.hit_rate_verdict)?.symbol ?? "circle-open";
  const observed = line({
    name: `${name}, observed`,
    x,
    y: points.map((point) => rounded(point.row.observed_hit_rate)),
    color,
    unit: "%",
    format: ".1f",
  });
  return [
    { ...observed, marker: { color, size: 9, symbol: points.map(symbolOf), line: { width: 2 } } },
    line({
      name: `${name}, achievable`,
      x,
      y: points.map((point) => rounded(point.row.achievable_hit_rate)),
      color,
      dash: "dash",
      unit: "%",
      format: ".1f",
      more: { mode: "lines", line: { color, width: 1, dash: "dash" } },
    }),
  ];
}

function hitRateTable(points: readonly Point[]): Graph["table"] {
  const withSets = points.some((point) => point.workingSetTokens !== undefined);
  return {
    columns: [
      { label: "Context", kind: "count" },
      ...(withSets ? [{ label: "Working set", kind: "count" as const }] : []),
      { label: "Nominal", kind: "percent" },
      { label: "Achievable", kind: "percent" },
      { label: "Observed", kind: "percent" },
      { label: "Verdict", kind: "text" },
      { label: "Likely cause", kind: "text" },
    ],
    rows: points.map((point) => [
      point.contextSizeTokens,
      ...(withSets ? [point.workingSetTokens] : []),
      point.hitRatePercent,
      point.row.achievable_hit_rate,
      point.row.observed_hit_rate,
      point.row.hit_rate_verdict ?? "unchecked",
      point.row.hit_rate_cause,
    ]),
  };
}

const ITL_LINES = [
  { name: "avg", key: "avg_itl", color: COLOURS.blue, dash: "solid", symbol: "circle" },
  { name: "median", key: "median_itl", color: COLOURS.green, dash: "dash", symbol: "diamond" },
  { name: "P95", key: "p95_itl", color: COLOURS.orange, dash: "dot", symbol: "square" },
  { name: "P99", key: "p99_itl", color: COLOURS.vermillion, dash: "dashdot", symbol: "x" },
] as const;

function itlGraph(series: Series): Graph[] {
  const { points } = series;
  if (points.every((point) => (point.row.avg_itl ?? 0) === 0)) return [];
  const x = points.map(HIT_RATE_AXIS.of);
  const several = points.some((point) => (point.row.multi_token_chunks ?? 0) > 0);
  const figure = stackPanels([{
    title: "ITL, ms",
    traces: ITL_LINES.map(({ key, ...style }) =>
      line({
        ...style,
        x,
        y: points.map((point) => rounded((point.row[key] ?? NaN) * 1000)),
        unit: "ms",
        format: ".3~r",
      })
    ),
    heightPx: 300,
  }], { xTitle: HIT_RATE_AXIS.title, xaxis: HIT_RATE_AXIS.xaxis, linkedBy: "hit-rate" });
  return [{
    name: `itl_vs_cache_rate_${points[0]?.contextSizeTokens}`,
    title: `Gaps between reads (ITL) against hit rate, context ${series.name}`,
    group: "latency",
    about: "Gaps between content-bearing reads at the peak of each cell." +
      (several
        ? " Chunks carried several tokens each: this is time per chunk, not per token."
        : ""),
    figure,
    table: {
      columns: [
        { label: "Nominal hit rate", kind: "percent" },
        ...ITL_LINES.map(({ name }) => ({ label: `ITL ${name}`, kind: "seconds" as const })),
      ],
      rows: points.map((point) => [
        point.hitRatePercent,
        ...ITL_LINES.map(({ key }) => point.row[key]),
      ]),
    },
  }];
}
