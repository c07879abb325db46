/**
 * Graphs of a working-set run that need only its summary rows.
 *
 * @module
 */

import type { RunData } from "../results/schema.ts";
import type { Graph } from "./figure.ts";
import { hitRateGraph } from "./cache_rate_figures.ts";
import { type RunRows, ttftLimit } from "./points.ts";
import { hasDecoding, WORKING_SET_AXIS } from "./sweep_axis.ts";
import {
  comparisonGraph,
  contextName,
  DECODING_PANELS,
  performanceGraph,
  type Series,
  throughputComparison,
} from "./sweep_figures.ts";

/** Every graph of the summary rows of a working-set run. */
export function workingSetGraphs(run: RunData, rows: RunRows): Graph[] {
  if (rows.points.length === 0) return [];
  return [
    ...rows.contexts.flatMap((context) =>
      rows.rates.flatMap((rate) => performance(run, rows, context, rate))
    ),
    ...rows.rates.flatMap((rate) => comparisons(rows, rate)),
    ...rows.contexts.flatMap((context) => rateComparison(rows, context)),
    ...hitRateGraph(rows).map((graph): Graph => ({ ...graph, group: "latency" })),
  ];
}

function performance(run: RunData, rows: RunRows, context: number, rate: number): Graph[] {
  const points = rows.points.filter((point) =>
    point.contextSizeTokens === context && point.hitRatePercent === rate
  );
  if (points.length === 0) return [];
  return [performanceGraph({
    name: `performance_vs_working_set_${context}_cache${rate}`,
    title: `Performance against working set, context ${contextName(context)}, ` +
      `nominal hit rate ${rate} %`,
    axis: WORKING_SET_AXIS,
    points,
    limitSeconds: ttftLimit(run),
  })];
}

function comparisons(rows: RunRows, rate: number): Graph[] {
  const series = rows.contexts.map((context): Series => ({
    name: contextName(context),
    points: rows.points.filter((point) =>
      point.contextSizeTokens === context && point.hitRatePercent === rate
    ),
  })).filter((one) => one.points.length > 0);
  if (series.length === 0) return [];
  const at = `nominal hit rate ${rate} %`;
  return [
    throughputComparison({
      name: `input_throughput_comparison_cache${rate}`,
      title: `Input throughput against working set, ${at}`,
      axis: WORKING_SET_AXIS,
      series,
      of: (point) => point.row.input_tokens_per_sec,
    }),
    ...(!hasDecoding(series.flatMap(({ points }) => points)) ? [] : [
      throughputComparison({
        name: `output_throughput_comparison_cache${rate}`,
        title: `Output throughput against working set, ${at}`,
        axis: WORKING_SET_AXIS,
        series,
        of: (point) => point.row.output_tokens_per_sec,
      }),
      comparisonGraph({
        name: `output_metrics_comparison_cache${rate}`,
        title: `Decoding against working set, ${at}`,
        about: "Means over the requests at the peak of each cell.",
        axis: WORKING_SET_AXIS,
        series,
        panels: DECODING_PANELS,
      }),
    ]),
  ];
}

function rateComparison(rows: RunRows, context: number): Graph[] {
  const series = rows.rates.map((rate): Series => ({
    name: `${rate} %`,
    points: rows.points.filter((point) =>
      point.contextSizeTokens === context && point.hitRatePercent === rate
    ),
  })).filter((one) => one.points.length > 0);
  if (series.length === 0) return [];
  return [comparisonGraph({
    name: `cache_comparison_ctx${context}`,
    title: `Hit rates compared, context ${contextName(context)}`,
    about: "One line for each nominal hit rate, at the peak of each cell.",
    axis: WORKING_SET_AXIS,
    series,
    panels: [
      {
        title: "Input throughput",
        unit: "tokens/s",
        kind: "rate",
        of: (point) => point.row.input_tokens_per_sec,
      },
      {
        title: "Output throughput",
        unit: "tokens/s",
        kind: "rate",
        of: (point) => point.row.output_tokens_per_sec,
      },
      { title: "TTFT, mean", unit: "s", kind: "seconds", of: (point) => point.row.avg_ttft },
      {
        title: "Decode rate of a request, mean",
        unit: "tokens/s",
        kind: "rate",
        of: (point) => point.row.avg_output_tokens,
      },
    ],
  })];
}
