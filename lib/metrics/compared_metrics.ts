/**
 * The figures that runs are compared by, and what each one is in the requests of a run.
 *
 * @module
 */

import { mean, percentile, sortedCopy } from "./intervals.ts";

/** What of one answered request is compared; times in seconds. */
export interface ComparedRequest {
  /** False for a request that the latencies of its period leave out. */
  readonly measured: boolean;
  readonly ttft?: number;
  readonly ttlt?: number;
  readonly itl?: number;
  readonly tpot?: number;
  readonly decodeRate?: number;
}

type Latency = "ttft" | "ttlt" | "itl" | "tpot" | "decodeRate";

/** How a figure follows from requests. */
type Statistic =
  | { readonly kind: "mean"; readonly of: Latency }
  | { readonly kind: "percentile"; readonly of: Latency; readonly percent: number };

/** A figure that runs are compared by; `name` is its column in `summary_*.csv`. */
export interface ComparedMetric {
  readonly name: string;
  readonly title: string;
  readonly unit: "s" | "tokens/s" | "%" | "";
  readonly better: "lower" | "higher";
  /** Absent where the figure belongs to a period as a whole. */
  readonly statistic?: Statistic;
  /**
   * The relative standard deviation by which the figure of one configuration is taken to differ
   * from run to run where a comparison has one run a side and cannot measure it. Absent for a
   * figure that has no verdict.
   */
  readonly assumedDeviation?: number;
}

/** A percentile of fewer requests than this is no more than their largest value. */
const LEAST_REQUESTS: Readonly<Record<number, number>> = { 50: 8, 95: 20, 99: 100 };

/**
 * Servers that nobody touched were seen to differ by 3 % in throughput from one day to the next, a
 * busy machine by much more, and latencies by more than that. An assumption has to be on the safe
 * side (decision 010).
 */
const ASSUMED = { throughput: 0.1, latency: 0.2 } as const;

const PERCENTILES = [["median", "median", 50], ["p95", "P95", 95], ["p99", "P99", 99]] as const;

function latency(name: Exclude<Latency, "decodeRate">, title: string): readonly ComparedMetric[] {
  const common = { unit: "s", better: "lower", assumedDeviation: ASSUMED.latency } as const;
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
 * Mean TTFT at a concurrency that both runs ran, also where the other latencies are asked for at
 * each run's own peak.
 */
export const EQUAL_LOAD: ComparedMetric = {
  name: "equal_load_ttft",
  title: "TTFT at equal load",
  unit: "s",
  better: "lower",
  statistic: { kind: "mean", of: "ttft" },
  assumedDeviation: ASSUMED.latency,
};

/** Every figure that runs are compared by, the most telling first. */
export const COMPARED_METRICS: readonly ComparedMetric[] = [
  {
    name: "input_tokens_per_sec",
    title: "Input throughput",
    unit: "tokens/s",
    better: "higher",
    assumedDeviation: ASSUMED.throughput,
  },
  {
    name: "output_tokens_per_sec",
    title: "Output throughput",
    unit: "tokens/s",
    better: "higher",
    assumedDeviation: ASSUMED.throughput,
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
    assumedDeviation: ASSUMED.latency,
  },
  {
    name: "avg_output_tokens",
    title: "Decode rate per request, mean",
    unit: "tokens/s",
    better: "higher",
    statistic: { kind: "mean", of: "decodeRate" },
    assumedDeviation: ASSUMED.latency,
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

/** A figure of some requests. */
export interface RequestFigure {
  readonly value: number;
  readonly requests: number;
  /** False for a percentile of too few requests to be one. */
  readonly isSound: boolean;
}

/**
 * The figure that a metric is of these requests; `undefined` if none of them has what it needs, or
 * if it is a figure of a period as a whole.
 */
export function figureOfRequests(
  metric: ComparedMetric,
  requests: readonly ComparedRequest[],
): RequestFigure | undefined {
  const { statistic } = metric;
  if (statistic === undefined) return undefined;
  const values = requests.flatMap((one) =>
    one.measured && one[statistic.of] !== undefined ? [one[statistic.of] ?? NaN] : []
  );
  const isMean = statistic.kind === "mean";
  const value = isMean ? mean(values) : percentile(sortedCopy(values), statistic.percent);
  if (value === undefined) return undefined;
  const least = isMean ? 1 : LEAST_REQUESTS[statistic.percent] ?? 1;
  return { value, requests: values.length, isSound: values.length >= least };
}
