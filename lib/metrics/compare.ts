/**
 * A against B: how far a figure of one run is from that of another, and whether that is more than
 * noise. The noise is taken from the request rows by a bootstrap.
 *
 * Requests that are in flight together wait for each other, so that their figures are not
 * independent. Whole blocks of neighbouring requests are drawn, not single ones. Blocks twice as long
 * as the concurrency keep most of such requests together, wherever a block begins.
 *
 * @module
 */

import type { RandomStream } from "../random.ts";
import { type Interval, percentile, sortedCopy } from "./intervals.ts";

/** What of one answered request is compared; times in seconds. */
export interface ComparedRequest {
  readonly sentAtSec: number;
  /** False for a request that the latencies of its period leave out. */
  readonly measured: boolean;
  readonly ttft?: number;
  readonly ttlt?: number;
  readonly itl?: number;
  readonly tpot?: number;
  readonly decodeRate?: number;
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  /** From sending to the end of the answer: how long it took a slot. */
  readonly busySec?: number;
}

type Latency = "ttft" | "ttlt" | "itl" | "tpot" | "decodeRate";

/** How a figure follows from requests. */
type Statistic =
  | { readonly kind: "mean"; readonly of: Latency }
  | { readonly kind: "percentile"; readonly of: Latency; readonly percent: number }
  /** Tokens over the time that their requests took a slot: throughput, up to a factor. */
  | { readonly kind: "rate"; readonly of: "inputTokens" | "outputTokens" };

/** A figure that runs are compared by; `name` is its column in `summary_*.csv`. */
export interface ComparedMetric {
  readonly name: string;
  readonly title: string;
  readonly unit: "s" | "tokens/s" | "%" | "";
  readonly better: "lower" | "higher";
  /** Absent where request rows give no interval. */
  readonly statistic?: Statistic;
}

/** Percentiles of too few requests are no more than their largest value. */
const LEAST_REQUESTS: Readonly<Record<number, number>> = { 50: 8, 95: 20, 99: 100 };
const LEAST_OF_MEAN = 8;

const PERCENTILES = [["median", "median", 50], ["p95", "P95", 95], ["p99", "P99", 99]] as const;

function latency(name: Exclude<Latency, "decodeRate">, title: string): readonly ComparedMetric[] {
  const common = { unit: "s", better: "lower" } as const;
  return [
    {
      ...common,
      name: `avg_${name}`,
      title: `${title} mean`,
      statistic: { kind: "mean", of: name },
    },
    ...PERCENTILES.map(([prefix, label, percent]): ComparedMetric => ({
      ...common,
      name: `${prefix}_${name}`,
      title: `${title} ${label}`,
      statistic: { kind: "percentile", of: name, percent },
    })),
  ];
}

/**
 * Mean TTFT at the lowest concurrency that both runs ran a cell at. At their peaks the loads differ,
 * and TTFT is near the limit by design.
 */
export const EQUAL_LOAD: ComparedMetric = {
  name: "equal_load_ttft",
  title: "TTFT at equal load",
  unit: "s",
  better: "lower",
};

/** Every figure that runs are compared by, the most telling first. */
export const COMPARED_METRICS: readonly ComparedMetric[] = [
  {
    name: "input_tokens_per_sec",
    title: "Input throughput",
    unit: "tokens/s",
    better: "higher",
    statistic: { kind: "rate", of: "inputTokens" },
  },
  {
    name: "output_tokens_per_sec",
    title: "Output throughput",
    unit: "tokens/s",
    better: "higher",
    statistic: { kind: "rate", of: "outputTokens" },
  },
  ...latency("ttft", "TTFT"),
  ...latency("ttlt", "TTLT"),
  ...latency("tpot", "TPOT"),
  // The mean gap of each request is all that its row holds: no percentiles of gaps follow from it.
  {
    name: "avg_itl",
    title: "ITL mean",
    unit: "s",
    better: "lower",
    statistic: { kind: "mean", of: "itl" },
  },
  {
    name: "avg_output_tokens",
    title: "Decode rate of a request, mean",
    unit: "tokens/s",
    better: "higher",
    statistic: { kind: "mean", of: "decodeRate" },
  },
  EQUAL_LOAD,
  { name: "observed_hit_rate", title: "Observed hit rate", unit: "%", better: "higher" },
  { name: "peak_concurrency", title: "Concurrency at the peak", unit: "", better: "higher" },
  { name: "failed_requests", title: "Failed requests", unit: "", better: "lower" },
];

/** The metric of this name. */
export function comparedMetric(name: string): ComparedMetric | undefined {
  return COMPARED_METRICS.find((metric) => metric.name === name);
}

/** What a statistic is in the rows, and in each of many resamples of them. */
export interface Draws {
  readonly estimate: number;
  readonly values: Float64Array;
  /** Requests that it is taken over. */
  readonly requests: number;
}

/** How resamples are drawn. */
export interface DrawOptions {
  readonly stream: RandomStream;
  /** Requests that were in flight together. */
  readonly concurrency: number;
  /** 1,000 by default. */
  readonly resamples?: number;
}

/** A run that was cut into fewer blocks than this would show too little of its noise. */
const LEAST_BLOCKS = 10;

/**
 * Resamples requests and computes each metric of every resample. Metrics that too few requests have
 * are left out.
 *
 * @param requests Of one cell at one concurrency, in any order.
 */
export function drawMetrics(
  requests: readonly ComparedRequest[],
  options: DrawOptions,
  metrics: readonly ComparedMetric[] = COMPARED_METRICS,
): Map<string, Draws> {
  const sorted = [...requests].sort((a, b) => a.sentAtSec - b.sentAtSec);
  const samplers = metrics.flatMap((metric) => {
    const sampler = samplerOf(metric.statistic, sorted);
    return sampler === undefined ? [] : [{ metric, sampler }];
  });
  const resamples = options.resamples ?? 1000;
  const values = samplers.map(() => new Float64Array(resamples));
  const counts = new Int32Array(sorted.length);
  if (samplers.length > 0) {
    for (let i = 0; i < resamples; i++) {
      drawBlocks(counts, options);
      samplers.forEach(({ sampler }, at) => (values[at] ?? [])[i] = sampler.of(counts));
    }
  }
  counts.fill(1);
  const wider = widening(sorted.length / blockLength(sorted.length, options.concurrency));
  return new Map(samplers.map(({ metric, sampler }, at) => {
    const estimate = sampler.of(counts);
    const spread = (value: number) => estimate > 0 ? estimate * (value / estimate) ** wider : value;
    const drawn = (values[at] ?? new Float64Array(0)).map(spread);
    return [metric.name, { estimate, values: drawn, requests: sampler.requests }];
  }));
}

/**
 * Resamples of few blocks vary too little: by their number over one less, and by what Student's t
 * allows for not knowing the variance.
 */
function widening(blocks: number): number {
  const freedom = Math.max(1, blocks - 1);
  const student = 1.96 + 2.37 / freedom + 2.82 / freedom ** 2;
  return Math.sqrt((freedom + 1) / freedom) * student / 1.96;
}

function blockLength(requests: number, concurrency: number): number {
  return Math.max(1, Math.min(Math.round(2 * concurrency), Math.floor(requests / LEAST_BLOCKS)));
}

/** Fills `counts` with how often each request is drawn: blocks of neighbours, around the end. */
function drawBlocks(counts: Int32Array, { stream, concurrency }: DrawOptions): void {
  const n = counts.length;
  const block = blockLength(n, concurrency);
  counts.fill(0);
  for (let drawn = 0; drawn < n;) {
    let at = stream.nextBelow(n);
    for (let i = 0; i < block && drawn < n; i++, drawn++) {
      counts[at] = (counts[at] ?? 0) + 1;
      at = at + 1 === n ? 0 : at + 1;
    }
  }
}

interface Sampler {
  readonly requests: number;
  /** The statistic of rows that are there so many times each. */
  readonly of: (counts: Int32Array) => number;
}

function samplerOf(
  statistic: Statistic | undefined,
  requests: readonly ComparedRequest[],
): Sampler | undefined {
  if (statistic === undefined) return undefined;
  const rows: number[] = [];
  requests.forEach((request, row) => {
    const counts = statistic.kind === "rate" ? request.busySec !== undefined : request.measured;
    if (counts && request[statistic.of] !== undefined) rows.push(row);
  });
  const least = statistic.kind === "percentile"
    ? LEAST_REQUESTS[statistic.percent] ?? LEAST_OF_MEAN
    : LEAST_OF_MEAN;
  if (rows.length < least) return undefined;
  const value = (row: number) => requests[row]?.[statistic.of] ?? NaN;
  if (statistic.kind === "percentile") return percentileSampler(rows, value, statistic.percent);
  const weight = statistic.kind === "rate"
    ? (row: number) => requests[row]?.busySec ?? NaN
    : () => 1;
  return ratioSampler(rows, value, weight);
}

function ratioSampler(
  rows: readonly number[],
  value: (row: number) => number,
  weight: (row: number) => number,
): Sampler {
  const index = Int32Array.from(rows);
  const [values, weights] = [Float64Array.from(rows, value), Float64Array.from(rows, weight)];
  return {
    requests: rows.length,
    of(counts) {
      let [total, whole] = [0, 0];
      for (let i = 0; i < index.length; i++) {
        const count = counts[index[i] ?? 0] ?? 0;
        total += count * (values[i] ?? 0);
        whole += count * (weights[i] ?? 0);
      }
      return total / whole;
    },
  };
}

function percentileSampler(
  rows: readonly number[],
  value: (row: number) => number,
  percent: number,
): Sampler {
  const index = Int32Array.from([...rows].sort((a, b) => value(a) - value(b)));
  const values = Float64Array.from(index, value);
  return {
    requests: rows.length,
    of(counts) {
      let drawn = 0;
      for (let i = 0; i < index.length; i++) drawn += counts[index[i] ?? 0] ?? 0;
      const rank = (drawn - 1) * percent / 100;
      const [below, above] = [Math.floor(rank), Math.ceil(rank)];
      let seen = 0;
      let low = NaN;
      for (let i = 0; i < index.length; i++) {
        seen += counts[index[i] ?? 0] ?? 0;
        if (Number.isNaN(low) && seen > below) low = values[i] ?? NaN;
        if (seen > above) return low + ((values[i] ?? NaN) - low) * (rank - below);
      }
      return low;
    },
  };
}

/** A figure of a run: as its summary row says, with what the request rows say of its noise. */
export interface Figure {
  readonly value: number;
  readonly draws?: Draws;
}

/** `unknown`: there are too few request rows to tell noise from a difference. */
export type ComparisonVerdict = "better" | "worse" | "within noise" | "unknown";

/** A value, with its 95 % interval where there are rows to take it from. */
export interface Estimate {
  readonly estimate: number;
  readonly low?: number;
  readonly high?: number;
}

/** One figure of one run against that of another; intervals cover 95 %. */
export interface FigureComparison {
  readonly base: Estimate;
  readonly value: Estimate;
  /** Of the run, less that of the other one. */
  readonly difference: Estimate;
  /** Of the run, over that of the other one; absent where that is 0. */
  readonly ratio?: Estimate;
  readonly verdict: ComparisonVerdict;
}

/** A difference below this is not worth a word, however sure it is. */
export const LEAST_EFFECT = 0.01;

/**
 * Compares a figure with that of the baseline. Better or worse is what has its whole interval on
 * one side of equality and differs by at least 1 %.
 */
export function compareFigures(
  base: Figure,
  other: Figure,
  better: ComparedMetric["better"],
): FigureComparison {
  const difference = other.value - base.value;
  const ratio = base.value === 0 ? undefined : other.value / base.value;
  const values = { base: figureInterval(base), value: figureInterval(other) };
  const [a, b] = [scaledDraws(base), scaledDraws(other)];
  if (a === undefined || b === undefined) {
    const same = difference === 0 ? "within noise" : "unknown";
    return {
      ...values,
      difference: { estimate: difference },
      ...(ratio === undefined ? {} : { ratio: { estimate: ratio } }),
      verdict: same,
    };
  }
  const of = (combine: (a: number, b: number) => number, estimate: number) =>
    intervalOf(a.map((value, i) => combine(value, b[i] ?? NaN)), estimate);
  const ratioInterval = of((x, y) => y / x, ratio ?? NaN);
  return {
    ...values,
    difference: of((x, y) => y - x, difference),
    ratio: ratioInterval,
    verdict: verdictOf(ratioInterval, better),
  };
}

function verdictOf(ratio: Interval, better: ComparedMetric["better"]): ComparisonVerdict {
  const above = ratio.low > 1;
  const below = ratio.high < 1;
  if (!above && !below || Math.abs(ratio.estimate - 1) < LEAST_EFFECT) return "within noise";
  return above === (better === "higher") ? "better" : "worse";
}

/** A figure with the 95 % interval of itself. */
export function figureInterval(figure: Figure): Estimate {
  const draws = scaledDraws(figure);
  return draws === undefined ? { estimate: figure.value } : intervalOf(draws, figure.value);
}

/** The resamples around the value that is reported, which windows and pooling may have moved. */
function scaledDraws({ value, draws }: Figure): Float64Array | undefined {
  if (draws === undefined || !(draws.estimate > 0) || !(value > 0)) return undefined;
  const scale = value / draws.estimate;
  return draws.values.map((one) => one * scale);
}

function intervalOf(values: Float64Array, estimate: number): Interval {
  const sorted = sortedCopy(values);
  return {
    estimate,
    low: percentile(sorted, 2.5) ?? NaN,
    high: percentile(sorted, 97.5) ?? NaN,
  };
}
