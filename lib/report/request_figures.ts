/**
 * Graphs of the request rows: distributions, percentile bands, and the run over time.
 *
 * @module
 */

import type { DetailRow, RunData } from "../results/schema.ts";
import { formatCount } from "../units.ts";
import {
  band,
  COLOURS,
  type Graph,
  line,
  type PlotlyObject,
  plotlyText,
  rampColour,
  rounded,
  stackPanels,
  timeUnit,
} from "./figure.ts";
import {
  distinct,
  isSuccess,
  measuredRequests,
  percentileOf,
  type Period,
  periodsAtPeak,
  type RunRows,
} from "./points.ts";
import { HIT_RATE_AXIS, type SweepAxis, WORKING_SET_AXIS } from "./sweep_axis.ts";
import { contextName } from "./sweep_figures.ts";

/** The TTFTs of one cell at its peak, ascending, in seconds. */
interface Sample {
  readonly x: number;
  readonly name: string;
  readonly ttfts: readonly number[];
}

/** Distribution graphs of a run: by hit rate or, in a working-set run, by working set. */
export function distributionGraphs(run: RunData, rows: RunRows): Graph[] {
  if (run.kind === "working-set") {
    return rows.contexts.flatMap((context) =>
      rows.rates.flatMap((rate) =>
        pair(rows, WORKING_SET_AXIS, { context, rate }, `${context}_cache${rate}`)
      )
    );
  }
  return rows.contexts.flatMap((context) => pair(rows, HIT_RATE_AXIS, { context }, `${context}`));
}

function pair(
  rows: RunRows,
  axis: SweepAxis,
  where: { readonly context: number; readonly rate?: number },
  suffix: string,
): Graph[] {
  const samples = samplesAtPeak(rows, axis, where);
  if (samples.length === 0) return [];
  const title = `context ${contextName(where.context)}` +
    (where.rate === undefined ? "" : `, nominal hit rate ${where.rate} %`);
  return [
    cdfGraph(samples, axis, `ttft_cdf_${suffix}`, title),
    percentileGraph(samples, axis, `ttft_percentiles_${suffix}`, title),
  ];
}

function samplesAtPeak(
  rows: RunRows,
  axis: SweepAxis,
  where: { readonly context: number; readonly rate?: number },
): Sample[] {
  return rows.points.filter((point) =>
    point.contextSizeTokens === where.context &&
    (where.rate === undefined || point.hitRatePercent === where.rate)
  ).map((point) => {
    const periods = periodsAtPeak(point.row, rows.periodsOf(point));
    const ttfts = periods.flatMap((period) =>
      measuredRequests(period).map((request) => request.ttft ?? NaN)
    );
    const x = axis.of(point);
    const name = axis.kind === "percent" ? `${x} %` : contextName(x);
    return { x, name, ttfts: ttfts.sort((a, b) => a - b) };
  }).filter((sample) => sample.ttfts.length > 0);
}

const CDF_POINTS = 200;

/** Share of requests that had their first token by then, one line for each point of the axis. */
function cdfGraph(samples: readonly Sample[], axis: SweepAxis, name: string, title: string): Graph {
  const time = timeUnit(samples.map((sample) => sample.ttfts.at(-1)));
  const traces = samples.map((sample, index): PlotlyObject => {
    const steps = Math.min(CDF_POINTS, sample.ttfts.length);
    const shares = Array.from({ length: steps }, (_, i) => (i + 1) / steps);
    const color = rampColour(samples.length === 1 ? 0 : index / (samples.length - 1));
    return {
      type: "scatter",
      mode: "lines",
      name: sample.name,
      x: shares.map((share) => time.of(quantileAt(sample.ttfts, share))),
      y: shares.map((share) => rounded(share * 100)),
      line: { color, width: 2, shape: "hv", dash: ["solid", "dash", "dot"][index % 3] ?? "solid" },
      hovertemplate: `${sample.name}: %{y:.1f} % of requests within %{x:.3~r} ${time.unit}` +
        "<extra></extra>",
    };
  });
  return {
    name,
    title: `Distribution of TTFT, ${title}`,
    group: "latency",
    about: `Share of the requests at the peak of each cell whose first token came within the` +
      ` time on the x axis, by ${axis.kind === "percent" ? "nominal hit rate" : "working set"}.`,
    figure: stackPanels([{
      title: "Requests, %",
      traces,
      heightPx: 320,
      yaxis: { range: [0, 101], ticksuffix: " %" },
      log: false,
    }], {
      xTitle: `TTFT, ${time.unit}`,
      xaxis: { rangemode: "tozero" },
      hovermode: "closest",
      logX: true,
    }),
    table: percentileTable(samples, axis),
  };
}

/** The smallest value that at least `share` of the sample does not exceed. */
function quantileAt(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(share * sorted.length - 1e-9) - 1)];
}

const PERCENTS = [5, 25, 50, 75, 95, 99] as const;

function percentileGraph(
  samples: readonly Sample[],
  axis: SweepAxis,
  name: string,
  title: string,
): Graph {
  const time = timeUnit(samples.map((sample) => percentileOf(sample.ttfts, 99)));
  const x = samples.map((sample) => sample.x);
  const at = (percent: number) =>
    samples.map((sample) => time.of(percentileOf(sample.ttfts, percent)));
  const unit = time.unit;
  return {
    name,
    title: `TTFT percentiles, ${title}`,
    group: "latency",
    about: "Percentiles over the requests at the peak of each cell, pooled over its periods.",
    figure: stackPanels([{
      title: `TTFT, ${unit}`,
      heightPx: 320,
      traces: [
        band({ name: "P5–P95", x, low: at(5), high: at(95), color: COLOURS.blue, alpha: 0.14 }),
        band({ name: "P25–P75", x, low: at(25), high: at(75), color: COLOURS.blue, alpha: 0.28 }),
        line({ name: "median", x, y: at(50), color: COLOURS.blue, unit, format: ".3~r" }),
        line({
          name: "P99",
          x,
          y: at(99),
          color: COLOURS.vermillion,
          dash: "dot",
          symbol: "x",
          unit,
          format: ".3~r",
        }),
      ],
    }], { xTitle: axis.title, xaxis: axis.xaxis, linkedBy: axis.linkedBy }),
    table: percentileTable(samples, axis),
  };
}

function percentileTable(samples: readonly Sample[], axis: SweepAxis): Graph["table"] {
  return {
    columns: [
      { label: axis.title.replace(/, .*/, ""), kind: axis.kind },
      { label: "Requests", kind: "count" },
      ...PERCENTS.map((percent) => ({ label: `TTFT P${percent}`, kind: "seconds" as const })),
    ],
    rows: samples.map((sample) => [
      sample.x,
      sample.ttfts.length,
      ...PERCENTS.map((percent) => percentileOf(sample.ttfts, percent)),
    ]),
  };
}

/** Most dots that a graph of requests draws in one series. */
export const MOST_DOTS = 3000;
const MOST_FAILURES = 1000;

/** Requests over the run, failures marked, one graph for each context size. */
export function requestTimeGraphs(rows: RunRows): Graph[] {
  const graphs: Graph[] = [];
  for (const context of rows.contexts) {
    const periods = rows.periods.filter((period) => period.key.contextSizeTokens === context);
    const graph = requestTimeGraph(context, periods);
    if (graph !== undefined) graphs.push(graph);
  }
  return graphs;
}

function requestTimeGraph(context: number, periods: readonly Period[]): Graph | undefined {
  const requests = periods.flatMap((period) => period.requests)
    .filter((request) => request.launch_time !== undefined)
    .sort((a, b) => (a.launch_time ?? 0) - (b.launch_time ?? 0));
  const start = requests[0]?.launch_time;
  if (start === undefined) return undefined;
  const answered = requests.filter(isSuccess);
  const failed = requests.filter((request) => (request.error_kind ?? "") !== "");
  const dots = thinOut(answered, MOST_DOTS);
  const crosses = failed.length <= MOST_FAILURES ? failed : thinOut(failed, MOST_FAILURES);
  const time = timeUnit([
    ...dots.map((request) => request.ttft),
    ...crosses.map((request) => request.total_time),
  ]);
  const rates = distinct(requests.map((request) => request.cache_hit_rate));
  const traces = rates.map((rate, index) =>
    dotTrace(
      dots.filter((request) => request.cache_hit_rate === rate),
      start,
      time,
      { name: `${rate} %`, color: rampColour(rates.length === 1 ? 0 : index / (rates.length - 1)) },
    )
  ).filter((trace) => (trace.x as readonly unknown[]).length > 0);
  if (crosses.length > 0) traces.push(failureTrace(crosses, start, time));
  const drawn = dots.length === answered.length && crosses.length === failed.length
    ? `All ${formatCount(requests.length)} requests are drawn.`
    : `${formatCount(dots.length + crosses.length)} of ${formatCount(requests.length)} requests` +
      ` are drawn: of each stretch of time the fastest, the slowest and the one in the middle.`;
  return {
    name: `requests_over_time_${context}`,
    title: `Requests over time, context ${contextName(context)}`,
    group: "requests",
    about: `TTFT of each request against when it was sent, warm-up included, coloured by nominal` +
      ` hit rate; failures stand at the time after which they were seen. ${drawn}`,
    figure: stackPanels([{ title: `TTFT, ${time.unit}`, traces, heightPx: 340 }], {
      xTitle: "Time since the first request, s",
      xaxis: { rangemode: "tozero" },
      hovermode: "closest",
    }),
    table: periodTable(periods),
  };
}

function dotTrace(
  requests: readonly DetailRow[],
  start: number,
  time: ReturnType<typeof timeUnit>,
  style: { readonly name: string; readonly color: string },
): PlotlyObject {
  return {
    type: "scatter",
    mode: "markers",
    name: style.name,
    x: requests.map((request) => rounded((request.launch_time ?? start) - start)),
    y: requests.map((request) => time.of(request.ttft)),
    text: requests.map((request) => plotlyText(request.phase_id ?? "")),
    marker: { size: 5, color: style.color, opacity: 0.75 },
    hovertemplate: `%{y:.3~r} ${time.unit} after %{x:.1f} s, %{text}<extra>%{fullData.name}` +
      " hit rate</extra>",
  };
}

function failureTrace(
  requests: readonly DetailRow[],
  start: number,
  time: ReturnType<typeof timeUnit>,
): PlotlyObject {
  const seenAfter = (request: DetailRow) =>
    request.total_time ??
      (request.finish_time === undefined || request.launch_time === undefined
        ? undefined
        : request.finish_time - request.launch_time);
  return {
    type: "scatter",
    mode: "markers",
    name: "failed",
    x: requests.map((request) => rounded((request.launch_time ?? start) - start)),
    y: requests.map((request) => time.of(seenAfter(request) ?? 0)),
    text: requests.map((request) =>
      plotlyText(`${request.error_kind ?? ""}: ${request.error ?? ""}`, 100)
    ),
    marker: {
      size: 10,
      symbol: "x-thin",
      color: COLOURS.vermillion,
      line: { width: 2.5, color: COLOURS.vermillion },
    },
    hovertemplate: `failed after %{y:.3~r} ${time.unit}: %{text}<extra></extra>`,
  };
}

/**
 * At most `most` rows of a list that is sorted by time: of each stretch the fastest, the slowest
 * and the one in the middle, so that no outlier is lost.
 */
export function thinOut(requests: readonly DetailRow[], most: number): DetailRow[] {
  if (requests.length <= most) return [...requests];
  const stretches = Math.floor(most / 3);
  const kept: DetailRow[] = [];
  for (let i = 0; i < stretches; i++) {
    const from = Math.floor(i * requests.length / stretches);
    const to = Math.floor((i + 1) * requests.length / stretches);
    const stretch = requests.slice(from, to);
    const order = stretch.map((_, index) => index).sort((a, b) =>
      duration(stretch[a]) - duration(stretch[b])
    );
    const picked = [0, order.length >> 1, order.length - 1].map((at) => order[at] ?? 0);
    for (const index of [...new Set(picked)].sort((a, b) => a - b)) {
      const request = stretch[index];
      if (request !== undefined) kept.push(request);
    }
  }
  return kept;
}

function duration(request: DetailRow | undefined): number {
  return request?.ttft ?? request?.total_time ?? 0;
}

function periodTable(periods: readonly Period[]): Graph["table"] {
  return {
    columns: [
      { label: "Nominal hit rate", kind: "percent" },
      { label: "Period", kind: "text" },
      { label: "Concurrency", kind: "count" },
      { label: "Requests", kind: "count" },
      { label: "Failed", kind: "count" },
      { label: "Kinds of failure", kind: "text" },
      { label: "TTFT median", kind: "seconds" },
      { label: "TTFT P95", kind: "seconds" },
    ],
    rows: periods.map((period) => {
      const ttfts = measuredRequests(period).map((request) => request.ttft ?? NaN)
        .sort((a, b) => a - b);
      const failed = period.requests.filter((request) => (request.error_kind ?? "") !== "");
      return [
        period.key.hitRatePercent,
        period.periodId,
        period.concurrency,
        period.requests.length,
        failed.length,
        failureKinds(failed),
        percentileOf(ttfts, 50),
        percentileOf(ttfts, 95),
      ];
    }),
  };
}

/** `timeout 2, http_status 1`, most frequent first. */
export function failureKinds(failed: readonly DetailRow[]): string {
  const counts = new Map<string, number>();
  for (const { error_kind: kind = "unknown" } of failed) {
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .map(([kind, count]) => `${kind} ${count}`).join(", ");
}
