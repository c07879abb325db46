/**
 * Graphs of the ramp of a cell: what each concurrency gave, and why the peak is the peak.
 *
 * @module
 */

import type { RunData } from "../results/schema.ts";
import {
  COLOURS,
  type Graph,
  line,
  type Panel,
  type PlotlyObject,
  plotlyText,
  rounded,
  stackPanels,
  timeUnit,
} from "./figure.ts";
import {
  isWarmup,
  meanOf,
  measuredRequests,
  percentileOf,
  type Period,
  periodThroughput,
  type Point,
  type RunRows,
  ttftLimit,
} from "./points.ts";
import { contextName, limitOf } from "./sweep_figures.ts";

/** What one period gave, from its row or, where that is silent (Python), from its requests. */
interface Level {
  readonly periodId: string;
  readonly concurrency: number;
  readonly input: number | undefined;
  readonly output: number | undefined;
  readonly avgTtft: number | undefined;
  readonly p95Ttft: number | undefined;
  readonly maxTtft: number | undefined;
  readonly decision: string;
  readonly clientLimited: boolean;
  readonly repeat: boolean;
}

function levelOf(period: Period): Level {
  const ttfts = measuredRequests(period).map((request) => request.ttft ?? NaN)
    .sort((a, b) => a - b);
  const { input, output } = periodThroughput(period);
  const { phase } = period;
  const why = phase?.decision === undefined ? "" : `${phase.decision}: ${phase.decision_reason}`;
  return {
    periodId: period.periodId,
    concurrency: period.concurrency ?? 0,
    input,
    output,
    avgTtft: phase?.avg_ttft ?? meanOf(ttfts),
    p95Ttft: phase?.p95_ttft ?? percentileOf(ttfts, 95),
    maxTtft: phase?.max_ttft ?? ttfts.at(-1),
    decision: why,
    clientLimited: phase?.client_limited === "yes",
    repeat: period.periodId.includes("RETRY"),
  };
}

/**
 * The ramp of every cell, or its fixed levels. A sustained run has no ramps: its graphs over time
 * show the levels.
 */
export function rampGraphs(run: RunData, rows: RunRows): Graph[] {
  if (run.sustained.length > 0) return [];
  const limit = ttftLimit(run);
  return rows.points.flatMap((point) => {
    const levels = rows.periodsOf(point).filter((period) => !isWarmup(period)).map(levelOf);
    if (levels.length === 0) return [];
    return [rampGraph(point, levels, limit)];
  });
}

function rampGraph(point: Point, levels: readonly Level[], limit: number | undefined): Graph {
  const fixed = levels.every((level) => level.periodId.startsWith("FIXED"));
  const steps = levels.filter((level) => fixed || !level.repeat)
    .sort((a, b) => a.concurrency - b.concurrency);
  const repeats = levels.filter((level) => !fixed && level.repeat);
  const set = point.workingSetTokens === undefined ? "" : `_ws${point.workingSetTokens}`;
  const where = `context ${contextName(point.contextSizeTokens)}` +
    (point.workingSetTokens === undefined
      ? ""
      : `, working set ${contextName(point.workingSetTokens)}`) +
    `, nominal hit rate ${point.hitRatePercent} %`;
  const ctx = `ctx${point.contextSizeTokens}${set}_cache${point.hitRatePercent}`;
  return {
    name: `${fixed ? "fixed" : "ramp"}_${ctx}`,
    title: `${fixed ? "Fixed levels" : "Ramp"}, ${where}`,
    group: "ramp",
    about: `Each point is one period of this cell at one concurrency; the dotted vertical line is` +
      ` the concurrency that the cell is reported at` +
      (point.row.peak_reason === undefined ? "." : ` (${point.row.peak_reason}).`),
    figure: rampFigure(point, steps, repeats, limit),
    table: rampTable(levels),
  };
}

function rampFigure(
  point: Point,
  steps: readonly Level[],
  repeats: readonly Level[],
  limit: number | undefined,
) {
  const time = timeUnit([...steps.map((level) => level.maxTtft), limit]);
  const x = steps.map((level) => level.concurrency);
  const ttft: Panel = {
    title: `TTFT, ${time.unit}`,
    ...limitOf(time.of(limit)),
    traces: ([
      ["avg", "avgTtft", COLOURS.blue, "solid", "circle"],
      ["P95", "p95Ttft", COLOURS.orange, "dot", "square"],
      ["max", "maxTtft", COLOURS.vermillion, "dashdot", "x"],
    ] as const).map(([name, key, color, dash, symbol]) =>
      line({
        name,
        x,
        y: steps.map((level) => time.of(level[key])),
        color,
        dash,
        symbol,
        unit: time.unit,
        format: ".3~r",
      })
    ),
  };
  const panels = [
    throughputPanel("Input throughput, tokens/s", "input", COLOURS.blue, steps, repeats),
    throughputPanel("Output throughput, tokens/s", "output", COLOURS.purple, steps, repeats),
    ttft,
  ];
  const peak = point.row.peak_concurrency;
  return stackPanels(panels, {
    xTitle: "Concurrency",
    xaxis: { rangemode: "tozero", unifiedhovertitle: { text: "concurrency %{x}" } },
    shapes: peak === undefined ? [] : panels.map((_, index) => peakLine(peak, index)),
  });
}

function peakLine(concurrency: number, panel: number): PlotlyObject {
  return {
    type: "line",
    x0: concurrency,
    x1: concurrency,
    yref: `y${panel === 0 ? "" : panel + 1} domain`,
    y0: 0,
    y1: 1,
    layer: "below",
    line: { color: COLOURS.grey, width: 1.5, dash: "dot" },
  };
}

function throughputPanel(
  title: string,
  key: "input" | "output",
  color: string,
  steps: readonly Level[],
  repeats: readonly Level[],
): Panel {
  const symbols = steps.map((level) => level.clientLimited ? "x" : "circle");
  const traces: PlotlyObject[] = [{
    ...line({
      name: "periods of the ramp",
      x: steps.map((level) => level.concurrency),
      y: steps.map((level) => rounded(level[key])),
      color,
      unit: "tokens/s",
      more: {
        customdata: steps.map((level) =>
          plotlyText(level.clientLimited ? "client-limited" : level.decision, 90)
        ),
        hovertemplate: "%{y:.3~s} tokens/s %{customdata}",
      },
    }),
    marker: { color, size: 8, symbol: symbols },
  }];
  if (repeats.length > 0) {
    traces.push(line({
      name: "repeats at the peak",
      x: repeats.map((level) => level.concurrency),
      y: repeats.map((level) => rounded(level[key])),
      color: COLOURS.grey,
      symbol: "diamond-open",
      unit: "tokens/s",
      more: { mode: "markers" },
    }));
  }
  return { title, traces, heightPx: 190, yaxis: { tickformat: "~s" } };
}

function rampTable(levels: readonly Level[]): Graph["table"] {
  return {
    columns: [
      { label: "Period", kind: "text" },
      { label: "Concurrency", kind: "count" },
      { label: "Input, tokens/s", kind: "rate" },
      { label: "Output, tokens/s", kind: "rate" },
      { label: "TTFT avg", kind: "seconds" },
      { label: "TTFT P95", kind: "seconds" },
      { label: "TTFT max", kind: "seconds" },
      { label: "Decision", kind: "text" },
      { label: "Client-limited", kind: "text" },
    ],
    rows: levels.map((level) => [
      level.periodId,
      level.concurrency,
      level.input,
      level.output,
      level.avgTtft,
      level.p95Ttft,
      level.maxTtft,
      level.decision,
      level.clientLimited ? "yes" : "",
    ]),
  };
}
