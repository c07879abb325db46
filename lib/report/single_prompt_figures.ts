/**
 * Graphs of a single-prompt run: cold against cached.
 *
 * @module
 */

import type { RunData } from "../results/schema.ts";
import { type ColdAndCached, coldAndCached, type Spread } from "./cold_and_cached.ts";
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
import { contextName } from "./sweep_figures.ts";

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
    about: "Means and sample standard deviations over the answered requests of each context size." +
      " The speedup is the mean cold TTFT over the mean cached TTFT, with its 95 % bootstrap" +
      " interval; the saved time is the difference of these means.",
    table: {
      columns: [
        { label: "Context size", kind: "count" },
        { label: "Unique TTFT (mean)", kind: "seconds" },
        { label: "Unique TTFT (std)", kind: "seconds" },
        { label: "Cached TTFT (mean)", kind: "seconds" },
        { label: "Cached TTFT (std)", kind: "seconds" },
        { label: "Cache speedup", kind: "ratio" },
        { label: "Speedup, from", kind: "ratio" },
        { label: "Speedup, to", kind: "ratio" },
        { label: "Prefill cold, tokens/s", kind: "rate" },
        { label: "Saved per 1,000 tokens", kind: "seconds" },
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
        point.speedupInterval?.low,
        point.speedupInterval?.high,
        point.coldPrefillTokensPerSec,
        point.savedSecondsPer1000Tokens,
        point.iterations,
        point.coldTtft.count,
        point.cachedTtft.count,
        point.failed,
      ]),
    },
  };
}
