/**
 * Throughput and latency against hit rate: for each context size the working set is warmed, and
 * each rate is measured at the highest concurrency that meets the limits.
 *
 * @module
 */

import type { Host } from "../host.ts";
import type { RunResult, Signals } from "./config.ts";
import type { RunListener } from "./listener.ts";
import { runSweepExperiment, type SweepCell, type SweepConfig } from "./sweep.ts";

/** Settings of {@linkcode runCacheRate}. */
export interface CacheRateConfig extends SweepConfig {
  readonly contextSizes: readonly number[];
  readonly workingSetTokens: number;
  readonly hitRates: readonly number[];
  readonly reinitStrategy: "once" | "per_cache_rate" | "per_test";
}

/** Runs the experiment; rows are on disk as soon as they are known. */
export function runCacheRate(
  host: Host,
  config: CacheRateConfig,
  listener: RunListener,
  signals: Signals,
): Promise<RunResult> {
  const cells = cacheRateCells(config);
  return runSweepExperiment(host, "cache-rate", config, cells, listener, signals);
}

/** The cells in the order in which they are run: each context size at every rate. */
export function cacheRateCells(
  config: Pick<
    CacheRateConfig,
    "contextSizes" | "hitRates" | "workingSetTokens" | "reinitStrategy"
  >,
): SweepCell[] {
  return config.contextSizes.flatMap((contextSizeTokens) =>
    config.hitRates.map((hitRatePercent) => {
      const cellId = `${contextSizeTokens}_${hitRatePercent}`;
      const warmKeys = { once: `${contextSizeTokens}`, per_cache_rate: cellId };
      const { reinitStrategy } = config;
      return {
        cellId,
        title: `${contextSizeTokens.toLocaleString("en-US")} tokens at ${hitRatePercent} %`,
        contextSizeTokens,
        poolTokens: config.workingSetTokens,
        hitRatePercent,
        ...(reinitStrategy === "per_test" ? {} : { warmKey: warmKeys[reinitStrategy] }),
        peakKey: `${contextSizeTokens}`,
        anyOrder: true,
        checkWarmSet: true,
      };
    })
  );
}
