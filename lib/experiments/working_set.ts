/**
 * Throughput and latency against working-set size: for each context size the pool of warm prompts
 * grows, until it leaves one memory tier of the server after the other.
 *
 * @module
 */

import type { Host } from "../host.ts";
import { promptCount } from "../prompt/working_set.ts";
import type { RunResult, Signals } from "./config.ts";
import type { RunListener } from "./listener.ts";
import { runSweepExperiment, type SweepCell, type SweepConfig } from "./sweep.ts";

/** Settings of {@linkcode runWorkingSet}. */
export interface WorkingSetConfig extends SweepConfig {
  readonly contextSizes: readonly number[];
  /** Working sets in tokens, ascending. */
  readonly workingSets: readonly number[];
  readonly hitRates: readonly number[];
  /**
   * `once` and `per_working_set` warm each working set before it is measured, which is the same as
   * in the Python suite's first version; `per_test` warms it before each period.
   */
  readonly reinitStrategy: "once" | "per_working_set" | "per_test";
  /** Each period sends at least as many prompts as the working set has, however long that takes. */
  readonly ensureCoverage: boolean;
}

/** Runs the experiment; rows are on disk as soon as they are known. */
export function runWorkingSet(
  host: Host,
  config: WorkingSetConfig,
  listener: RunListener,
  signals: Signals,
): Promise<RunResult> {
  const cells = workingSetCells(config);
  return runSweepExperiment(host, "working-set", config, cells, listener, signals);
}

/** Which working sets to measure, for {@linkcode workingSetSizes}. */
export interface SizeRange {
  readonly minTokens: number;
  readonly maxTokens: number;
  readonly count: number;
  readonly scale: "linear" | "log";
}

/**
 * The working sets of a range, both ends included, in whole tokens; equal ones once.
 *
 * `linear` gives the sizes of the Python suite to the token: `min + (max - min) * i / (n - 1)`,
 * rounded down. `log` gives steps of equal ratio. A count of 1 gives the smallest.
 *
 * @example
 * ```ts
 * import { workingSetSizes } from "./working_set.ts";
 * const range = { minTokens: 100_000, maxTokens: 1_600_000, count: 5 };
 * console.log(workingSetSizes({ ...range, scale: "linear" })); // 100k 475k 850k 1225k 1600k
 * console.log(workingSetSizes({ ...range, scale: "log" })); // 100k 200k 400k 800k 1600k
 * ```
 */
export function workingSetSizes({ minTokens, maxTokens, count, scale }: SizeRange): number[] {
  if (count === 1) return [minTokens];
  const sizes = Array.from({ length: count }, (_, i) => {
    if (scale === "linear") {
      return Math.floor(minTokens + (maxTokens - minTokens) * i / (count - 1));
    }
    return Math.round(minTokens * (maxTokens / minTokens) ** (i / (count - 1)));
  });
  return [...new Set(sizes)];
}

/**
 * The cells in the order in which they are run: each context size, each working set, each rate from
 * the highest down, since the unique text of a lower rate drives the warm prompts out.
 */
export function workingSetCells(
  config: Pick<
    WorkingSetConfig,
    "contextSizes" | "workingSets" | "hitRates" | "reinitStrategy" | "ensureCoverage"
  >,
): SweepCell[] {
  const { contextSizes, workingSets, hitRates, reinitStrategy, ensureCoverage } = config;
  return contextSizes.flatMap((contextSizeTokens) =>
    workingSets.flatMap((workingSetTokens) =>
      hitRates.toSorted((a, b) => b - a).map((hitRatePercent): SweepCell => {
        const pool = `${contextSizeTokens}_${workingSetTokens}`;
        const minRequests = promptCount(workingSetTokens, contextSizeTokens);
        return {
          cellId: `${pool}_${hitRatePercent}`,
          title: `${count(contextSizeTokens)} tokens at ${hitRatePercent} %, ` +
            `working set ${count(workingSetTokens)}`,
          contextSizeTokens,
          poolTokens: workingSetTokens,
          workingSetTokens,
          hitRatePercent,
          ...(reinitStrategy === "per_test" ? {} : { warmKey: pool }),
          peakKey: `${contextSizeTokens}_${hitRatePercent}`,
          ...(ensureCoverage ? { minRequests } : {}),
        };
      })
    )
  );
}

function count(tokens: number): string {
  return tokens.toLocaleString("en-US");
}
