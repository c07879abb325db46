/**
 * Comparisons of simulated runs whose truth is known: how often an interval holds it, and how often
 * a difference is claimed where there is none.
 */

import { compareFigures, familyVerdicts, type Sample } from "../../lib/metrics/compare.ts";
import {
  type ComparedMetric,
  comparedMetric,
  type ComparedRequest,
  figureOfRequests,
} from "../../lib/metrics/compared_metrics.ts";
import { type RandomStream, randomStream, seedFor } from "../../lib/random.ts";

/** How a configuration is measured, and what varies. */
export interface Scenario {
  /** Runs of each side. */
  readonly runs: number;
  /** Repeats of each run, and their length. */
  readonly periods: number;
  readonly periodSec: number;
  /** Relative standard deviation of the server's speed from run to run. */
  readonly runDeviation: number;
  /** The same from period to period within a run. */
  readonly periodDeviation: number;
}

/** What came of a scenario, for one figure; shares are 0 to 1. */
export interface CoverageResult {
  readonly scenario: Scenario;
  readonly metric: string;
  /** Of pairs without a difference, how many were marked better or worse. */
  readonly falseClaims: number;
  /** Of pairs with a true ratio of 1.10, how many intervals held it; NaN without an interval. */
  readonly coverage: number;
  /** Of the same pairs, how many were marked, and the right way. */
  readonly found: number;
  /** Median half width of the interval of the ratio, on the log scale. */
  readonly halfWidth: number;
}

const METRICS = ["avg_ttft", "median_ttft", "p95_ttft", "input_tokens_per_sec"];
const TRUE_RATIO = 1.1;
const SLOTS = 16;
/** Mean service time of a request, seconds. */
const SERVICE_SEC = 0.1;
/** Its relative deviation from request to request. */
const SERVICE_DEVIATION = 0.5;

/** The scenarios of docs/accuracy.md. */
export const SCENARIOS: readonly Scenario[] = [
  ...[1, 2, 3, 5].flatMap((runs) => [
    { runs, periods: 2, periodSec: 15, runDeviation: 0, periodDeviation: 0 },
    { runs, periods: 4, periodSec: 60, runDeviation: 0, periodDeviation: 0.01 },
    { runs, periods: 4, periodSec: 60, runDeviation: 0, periodDeviation: 0.02 },
    { runs, periods: 4, periodSec: 60, runDeviation: 0.02, periodDeviation: 0.01 },
    { runs, periods: 4, periodSec: 60, runDeviation: 0.03, periodDeviation: 0.01 },
  ]),
];

/** Runs the trials of a scenario: each compares A with A, and A with what takes 1.10 times as long. */
export function coverageOf(scenario: Scenario, trials: number, seed: string): CoverageResult[] {
  const tally = METRICS.map(() => ({ claims: 0, held: 0, intervals: 0, found: 0, widths: [0] }));
  for (let trial = 0; trial < trials; trial++) {
    const stream = randomStream(seedFor("coverage", seed, JSON.stringify(scenario), trial));
    const [a, same, slower] = [1, 1, TRUE_RATIO].map((factor) =>
      sampleOf(scenario, factor, stream)
    );
    METRICS.forEach((name, at) => {
      const metric = comparedMetric(name)!;
      const counts = tally[at]!;
      const nothing = compareFigures(a!(metric), same!(metric), metric);
      if (isMarked(nothing, metric)) counts.claims++;
      const effect = compareFigures(a!(metric), slower!(metric), metric);
      const { low, high, estimate = NaN } = effect.ratio ?? {};
      const truth = metric.better === "lower" ? TRUE_RATIO : 1 / TRUE_RATIO;
      const [verdict] = familyVerdicts([effect], metric.better);
      if (verdict === "worse") counts.found++;
      if (low === undefined || high === undefined) return;
      counts.intervals++;
      counts.widths.push(Math.log(high / estimate));
      if (low <= truth && truth <= high) counts.held++;
    });
  }
  return METRICS.map((metric, at) => {
    const { claims, held, intervals, found, widths } = tally[at]!;
    const sorted = widths.slice(1).sort((x, y) => x - y);
    return {
      scenario,
      metric,
      falseClaims: claims / trials,
      coverage: held / intervals,
      found: found / trials,
      halfWidth: sorted[Math.floor(sorted.length / 2)] ?? NaN,
    };
  });
}

function isMarked(
  comparison: ReturnType<typeof compareFigures>,
  { better }: ComparedMetric,
): boolean {
  const [verdict] = familyVerdicts([comparison], better);
  return verdict === "better" || verdict === "worse";
}

/** A configuration, measured: its figure by metric. */
function sampleOf(
  scenario: Scenario,
  factor: number,
  stream: RandomStream,
): (metric: ComparedMetric) => Sample {
  const runs = Array.from({ length: scenario.runs }, () => {
    const speed = factor * Math.exp(scenario.runDeviation * normal(stream));
    return Array.from({ length: scenario.periods }, () => {
      const own = speed * Math.exp(scenario.periodDeviation * normal(stream));
      return closedLoop(own, scenario.periodSec, stream);
    });
  });
  return (metric) =>
    runs.map((periods) => {
      const repeats = periods.map((requests) => figure(metric, requests, scenario.periodSec));
      const all = periods.flat();
      const value = figure(metric, all, scenario.periodSec * scenario.periods);
      return { value, repeats, requests: all.length };
    });
}

function figure(
  metric: ComparedMetric,
  requests: readonly ComparedRequest[],
  windowSec: number,
): number {
  if (metric.statistic === undefined) return requests.length * 1000 / windowSec;
  return figureOfRequests(metric, requests)?.value ?? NaN;
}

/** One request after the other, from a queue that never runs empty; after a ramp-in of each slot. */
function closedLoop(factor: number, seconds: number, stream: RandomStream): ComparedRequest[] {
  const done: ComparedRequest[] = [];
  const sentAt: number[] = new Array(SLOTS).fill(0);
  // A log-normal distribution with the mean of the service time.
  const sigma = Math.sqrt(Math.log(1 + SERVICE_DEVIATION ** 2));
  for (let now = 0, n = 0;; n++) {
    now += factor * SERVICE_SEC * Math.exp(sigma * normal(stream) - sigma ** 2 / 2);
    if (now > seconds) return done;
    const sent = sentAt.shift() ?? 0;
    done.push({ measured: n >= SLOTS, ttft: now - sent });
    sentAt.push(now);
  }
}

/** A standard normal value, by Box and Muller. */
function normal(stream: RandomStream): number {
  return Math.sqrt(-2 * Math.log(1 - stream.nextFloat())) *
    Math.cos(2 * Math.PI * stream.nextFloat());
}
