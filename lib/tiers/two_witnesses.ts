/**
 * The end of the cache by two witnesses: TTFT at one concurrency, and throughput under load. What
 * only one of them sees is claimed with its name; where they contradict each other, that is said.
 *
 * @module
 */

import { formatMs, formatShort } from "../units.ts";
import type { CellSeries } from "./cells.ts";
import type { Boundary, Shape } from "./plateaus.ts";
import { fitThroughput, type LoadPoint, type ThroughputFit } from "./throughput_law.ts";

/** Estimates within this factor agree, whatever their intervals. */
const AGREEMENT = 1.15;
/** Points that a fit needs under load before those at concurrency 1 are left out. */
const LEAST_LOADED = 8;
/** A fall of throughput from the smaller sizes to the larger ones that still counts as none. */
const MOST_FALL = 1.15;

/** The shape with what throughput says about it. */
export function withThroughput(series: CellSeries, shape: Shape): Shape {
  const { boundaries, plateaus, evidence } = shape;
  if (boundaries.length > 1 || plateaus.length > 2) return shape;
  const { fit, isLoaded } = fitOf(series);
  const [knee] = boundaries;
  if (fit === undefined) {
    const fall = throughputFall(series);
    return knee === undefined || fall === undefined || fall > MOST_FALL ? shape : {
      ...shape,
      evidence: [...evidence, "Throughput over all sizes does not show this end."],
    };
  }
  if (knee === undefined) return claimed(series, shape, fit);
  // At the same concurrency both look at the same requests: no second witness.
  if (!isLoaded) return shape;
  const agrees = overlap(knee, fit) || within(knee.capacityTokens, fit.capacityTokens);
  const signals = knee.signals.includes("throughput")
    ? knee.signals
    : [...knee.signals, "throughput" as const];
  return {
    ...shape,
    boundaries: [agrees ? { ...knee, signals } : widened(knee, fit)],
    evidence: [...evidence, secondText(fit, agrees)],
  };
}

/** By how much throughput falls from the smaller half of the sizes to the larger; 1 is not at all. */
export function throughputFall({ loads }: CellSeries): number | undefined {
  const best = new Map<number, number>();
  for (const { prompts, inputTokensPerSec } of loads) {
    best.set(prompts, Math.max(best.get(prompts) ?? 0, inputTokensPerSec));
  }
  const rates = [...best].sort(([a], [b]) => a - b).map(([, rate]) => rate);
  if (rates.length < 4) return undefined;
  const half = Math.floor(rates.length / 2);
  const mean = (values: readonly number[]) =>
    Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
  // The last sizes count for themselves: the end may lie right before them.
  const tail = rates.slice(-Math.max(2, Math.floor(rates.length / 5)));
  return mean(rates.slice(0, half)) / Math.min(mean(rates.slice(-half)), mean(tail));
}

function fitOf(series: CellSeries): { fit: ThroughputFit | undefined; isLoaded: boolean } {
  const { loads, accessOrder, contextSizeTokens: contextTokens } = series;
  const loaded = loads.filter((point) => point.concurrency > 1);
  const isLoaded = loaded.length >= LEAST_LOADED && spansAll(loaded, loads);
  if (accessOrder !== "random" && accessOrder !== "cyclic") return { fit: undefined, isLoaded };
  const repeats = series.uniqueTokens <= 0;
  const fit = fitThroughput(isLoaded ? loaded : loads, {
    order: accessOrder,
    contextTokens,
    footprint: {
      keptTokens: series.sharedTokens + (repeats ? series.outputTokens : 0),
      passingTokens: series.uniqueTokens + (repeats ? 0 : series.outputTokens),
    },
  });
  return { fit, isLoaded };
}

/** Whether most sizes, and those of both ends, have a period among these. */
function spansAll(some: readonly LoadPoint[], all: readonly LoadPoint[]): boolean {
  const sizes = (points: readonly LoadPoint[]) => new Set(points.map((point) => point.prompts));
  const [own, whole] = [sizes(some), sizes(all)];
  return own.size >= 0.7 * whole.size;
}

/** Only throughput shows an end. */
function claimed(series: CellSeries, shape: Shape, fit: ThroughputFit): Shape {
  const isCyclic = series.accessOrder === "cyclic";
  const boundary: Boundary = {
    method: isCyclic ? "step" : "fit",
    signals: ["throughput"],
    capacityTokens: fit.capacityTokens,
    low: fit.low,
    high: fit.high,
  };
  const byServer = (ms: number) => ({ requests: [], sizeMediansMs: [ms] });
  return {
    plateaus: shape.plateaus.length === 2
      ? shape.plateaus
      : [byServer(fit.hitMs), byServer(fit.missMs)],
    boundaries: [boundary],
    evidence: [
      // That there is no knee was said of TTFT alone.
      ...shape.evidence.filter((text) => !text.startsWith("No knee")),
      `${lawText(fit)}. TTFT at one concurrency does not show this end by itself` +
      (shape.plateaus.length === 2 ? "." : ": the times of the tiers are server time per prompt."),
    ],
  };
}

function widened(knee: Boundary, fit: ThroughputFit): Boundary {
  return { ...knee, low: Math.min(knee.low, fit.low), high: Math.max(knee.high, fit.high) };
}

function overlap(a: { low: number; high: number }, b: { low: number; high: number }): boolean {
  return a.low <= b.high && b.low <= a.high;
}

function within(a: number, b: number): boolean {
  return Math.max(a / b, b / a) <= AGREEMENT;
}

function secondText(fit: ThroughputFit, agrees: boolean): string {
  return agrees
    ? `${lawText(fit)}, which agrees.`
    : `${lawText(fit)}. The two do not agree: the interval holds both.`;
}

function lawText(fit: ThroughputFit): string {
  const { leastConcurrency: from, mostConcurrency: to } = fit;
  const levels = from === to ? `${from}` : `${from} to ${to}`;
  return `Throughput of ${fit.points} periods at concurrency ${levels} falls as ` +
    `context / (h × ${formatMs(fit.hitMs)} + (1 − h) × ${formatMs(fit.missMs)}) with an end at ` +
    `${formatShort(fit.capacityTokens)} tokens (${formatShort(fit.low)} to ${
      formatShort(fit.high)
    })`;
}
