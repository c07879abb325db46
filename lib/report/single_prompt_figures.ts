/**
 * Graphs of a single-prompt run: cold against cached.
 *
 * @module
 */

import type { RunData, SinglePromptRow } from "../results/schema.ts";
import {
  COLOURS,
  type Figure,
  type Graph,
  line,
  type PlotlyObject,
  rounded,
  stackPanels,
  timeUnit,
} from "./figure.ts";
import { distinct, meanOf } from "./points.ts";
import { contextName } from "./sweep_figures.ts";

/** Mean and sample standard deviation of one quantity, in seconds. */
export interface Spread {
  readonly count: number;
  readonly mean?: number;
  /** Absent for fewer than two values. */
  readonly deviation?: number;
}

/** One context size of a single-prompt run. */
export interface ColdAndCached {
  readonly contextSizeTokens: number;
  readonly iterations: number;
  readonly failed: number;
  readonly coldTtft: Spread;
  readonly cachedTtft: Spread;
  readonly coldTtlt: Spread;
  readonly cachedTtlt: Spread;
  /** Mean cold TTFT over mean cached TTFT. */
  readonly speedup?: number;
}

/** Cold and cached requests of each context size. Failed requests are only counted. */
export function coldAndCached(rows: readonly SinglePromptRow[]): ColdAndCached[] {
  return distinct(rows.map((row) => row.context_size)).map((context) => {
    const here = rows.filter((row) => row.context_size === context);
    const answered = here.filter((row) => (row.error_kind ?? "") === "" && (row.ttft ?? 0) > 0);
    const cold = answered.filter((row) => row.prompt_type === "unique");
    const cached = answered.filter((row) => row.prompt_type?.startsWith("cached"));
    const coldTtft = spreadOf(cold.map((row) => row.ttft));
    const cachedTtft = spreadOf(cached.map((row) => row.ttft));
    const speedup = coldTtft.mean === undefined || cachedTtft.mean === undefined
      ? undefined
      : coldTtft.mean / cachedTtft.mean;
    return {
      contextSizeTokens: context,
      iterations: distinct(here.map((row) => row.iteration)).length,
      failed: here.length - answered.length,
      coldTtft,
      cachedTtft,
      coldTtlt: spreadOf(cold.map(ttltOf)),
      cachedTtlt: spreadOf(cached.map(ttltOf)),
      ...(speedup === undefined ? {} : { speedup }),
    };
  });
}

/** TTLT of a row; the Python suite has TTFT and the generation time after it. */
function ttltOf(row: SinglePromptRow): number | undefined {
  if (row.ttlt !== undefined) return row.ttlt;
  return row.ttft === undefined || row.generation_time === undefined
    ? undefined
    : row.ttft + row.generation_time;
}

function spreadOf(values: readonly (number | undefined)[]): Spread {
  const present = values.filter((value) => value !== undefined);
  const mean = meanOf(present);
  if (mean === undefined) return { count: 0 };
  if (present.length < 2) return { count: present.length, mean };
  const squares = present.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { count: present.length, mean, deviation: Math.sqrt(squares / (present.length - 1)) };
}

/** `single_prompt_performance` and `summary_table`. */
export function singlePromptGraphs(run: RunData): Graph[] {
  const points = coldAndCached(run.singlePrompt);
  return points.length === 0 ? [] : [performance(points), summaryTable(points)];
}

function bars(
  name: string,
  color: string,
  pattern: string,
  points: readonly ColdAndCached[],
  of: (point: ColdAndCached) => Spread,
  time: ReturnType<typeof timeUnit>,
): PlotlyObject {
  return {
    type: "bar",
    name,
    x: points.map((point) => contextName(point.contextSizeTokens)),
    y: points.map((point) => time.of(of(point).mean)),
    error_y: {
      type: "data",
      array: points.map((point) => time.of(of(point).deviation)),
      thickness: 1.5,
      width: 4,
    },
    marker: { color, pattern: { shape: pattern, fgopacity: 0.5, size: 6 } },
    hovertemplate: `%{y:.3~r} ${time.unit}`,
  };
}

function performanceFigure(points: readonly ColdAndCached[]): Figure {
  const ttft = timeUnit(points.flatMap((point) => [point.coldTtft.mean, point.cachedTtft.mean]));
  const ttlt = timeUnit(points.flatMap((point) => [point.coldTtlt.mean, point.cachedTtlt.mean]));
  const cold = "cold (all unique)";
  const cached = "cached (100 % hit)";
  return stackPanels([
    {
      title: `TTFT, ${ttft.unit}`,
      heightPx: 260,
      traces: [
        bars(cold, COLOURS.vermillion, "", points, (point) => point.coldTtft, ttft),
        bars(cached, COLOURS.green, "/", points, (point) => point.cachedTtft, ttft),
      ],
    },
    {
      title: "Speedup of TTFT, mean cold / mean cached",
      heightPx: 150,
      traces: [line({
        name: "speedup",
        x: points.map((point) => contextName(point.contextSizeTokens)),
        y: points.map((point) => rounded(point.speedup)),
        color: COLOURS.blue,
        unit: "×",
        format: ".2f",
      })],
      yaxis: { ticksuffix: "×" },
    },
    {
      title: `TTLT, ${ttlt.unit}`,
      heightPx: 220,
      traces: [
        bars(cold, COLOURS.vermillion, "", points, (point) => point.coldTtlt, ttlt),
        bars(cached, COLOURS.green, "/", points, (point) => point.cachedTtlt, ttlt),
      ],
    },
  ], { xTitle: "Context size", xaxis: { type: "category" }, barmode: "group" });
}

function performance(points: readonly ColdAndCached[]): Graph {
  return {
    name: "single_prompt_performance",
    title: "Cold against cached",
    group: "key",
    about: "Mean over the iterations; whiskers are one sample standard deviation. The same prompt" +
      " is sent cold, then again.",
    figure: performanceFigure(points),
    table: {
      columns: [
        { label: "Context", kind: "count" },
        { label: "TTFT cold", kind: "seconds" },
        { label: "TTFT cached", kind: "seconds" },
        { label: "Speedup", kind: "ratio" },
        { label: "TTLT cold", kind: "seconds" },
        { label: "TTLT cached", kind: "seconds" },
      ],
      rows: points.map((point) => [
        point.contextSizeTokens,
        point.coldTtft.mean,
        point.cachedTtft.mean,
        point.speedup,
        point.coldTtlt.mean,
        point.cachedTtlt.mean,
      ]),
    },
  };
}

function summaryTable(points: readonly ColdAndCached[]): Graph {
  return {
    name: "summary_table",
    title: "Summary table",
    group: "comparison",
    about: "Means and sample standard deviations over the answered requests of each context size.",
    table: {
      columns: [
        { label: "Context size", kind: "count" },
        { label: "Unique TTFT (mean)", kind: "seconds" },
        { label: "Unique TTFT (std)", kind: "seconds" },
        { label: "Cached TTFT (mean)", kind: "seconds" },
        { label: "Cached TTFT (std)", kind: "seconds" },
        { label: "Cache speedup", kind: "ratio" },
        { label: "Iterations", kind: "count" },
        { label: "Cold requests", kind: "count" },
        { label: "Cached requests", kind: "count" },
        { label: "Failed", kind: "count" },
      ],
      rows: points.map((point) => [
        point.contextSizeTokens,
        point.coldTtft.mean,
        point.coldTtft.deviation,
        point.cachedTtft.mean,
        point.cachedTtft.deviation,
        point.speedup,
        point.iterations,
        point.coldTtft.count,
        point.cachedTtft.count,
        point.failed,
      ]),
    },
  };
}
