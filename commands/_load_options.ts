/**
 * Options of the sweeps, cache-rate and working-set: which cells, and how each is driven.
 *
 * @module
 */

import type { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import type { LoadConfig } from "../lib/experiments/config.ts";
import type { Host } from "../lib/host.ts";
import { promptCount } from "../lib/prompt/working_set.ts";
import { formatBytes, formatCount, formatMs } from "../lib/units.ts";
import {
  defaultWorkers,
  duration,
  modeOption,
  oneOf,
  positive,
  type Readable,
  tokens,
  whole,
} from "./_options.ts";
import { addAlternation, ALTERNATION_OPTIONS, proofConfig } from "./_proof_options.ts";
import { replicateProblems } from "./_replicates.ts";
import { addRunOptions, errorHandling, RUN_OPTIONS, runProblems } from "./_run_options.ts";
import { addShardOptions, SHARD_OPTIONS } from "./_shard_options.ts";

/** Checks of the options of {@linkcode addLoadOptions}, and of those of every run. */
export const LOAD_OPTIONS = {
  ...RUN_OPTIONS,
  ...ALTERNATION_OPTIONS,
  contextSizes: v.array(tokens(16)),
  cacheHitRates: v.array(whole(0, 100)),
  mode: modeOption(),
  outputTokens: whole(1),
  maxTtft: v.optional(positive()),
  ttftMetric: oneOf("max", "avg", "p95"),
  minTokensPerReq: v.optional(positive()),
  tokensPerReqMetric: oneOf("avg", "p5", "p10"),
  testDuration: duration(100),
  rampDuration: duration(100),
  numRetries: whole(0),
  replicates: whole(1, 100),
  startConcurrency: whole(1),
  concurrencyIncrement: whole(1),
  maxConcurrency: whole(1),
  initConcurrency: whole(1),
  accessOrder: v.optional(oneOf("cyclic", "random", "zipf")),
  randomWorkingSetSelection: v.optional(v.boolean(), false),
  chunkSize: whole(1),
  strictTimeWindow: v.optional(v.boolean(), false),
  ...SHARD_OPTIONS,
};

/** Values of {@linkcode LOAD_OPTIONS}. */
export type LoadOptions = v.InferOutput<v.ObjectSchema<typeof LOAD_OPTIONS, undefined>>;

/** What a sweep has of its own among the shared options. */
export interface SweepDefaults {
  readonly hitRates: readonly string[];
  readonly outputDir: string;
}

/** Adds the options of a sweep; {@linkcode LOAD_OPTIONS} checks them. */
// deno-lint-ignore no-explicit-any
export function addLoadOptions(command: Command<any, any, any>, defaults: SweepDefaults): void {
  command
    .option("--cache-hit-rates <percent...>", "hit rates to measure", [...defaults.hitRates])
    .option("--output-tokens <n>", "tokens to generate", "256")
    .option("--max-ttft <s>", "TTFT limit; 2.0 in ramp mode, none in fixed mode")
    .option("--ttft-metric <name>", "statistic to compare with it: max, avg, p95", "p95")
    .option("--min-tokens-per-req <n>", "least decode rate of a request, tokens/s")
    .option("--tokens-per-req-metric <name>", "statistic to compare with it: avg, p5, p10", "avg")
    .option("--mode <name>", "ramp (search the peak) or fixed (given levels)", "ramp")
    .option("--start-concurrency <n>", "first level of the ramp", "2")
    .option("--concurrency-increment <n>", "step of the ramp", "2")
    .option("--max-concurrency <n>", "highest level of the ramp", "1000")
    .option("--init-concurrency <n>", "requests in flight during warm-up", "16")
    .option("--test-duration <s>", "time for the ramp of one cell", "300")
    .option("--ramp-duration <s>", "time for one level", "60")
    .option("--num-retries <n>", "runs at the peak, which the result pools", "3")
    .option("--replicates <n>", "whole runs, each cold and in a folder of its own", "1")
    .option("--access-order <name>", "of the warm prompts: cyclic (if absent), random or zipf")
    .option("--random-working-set-selection", "the same as --access-order random")
    .option("--chunk-size <tokens>", "the shared part is rounded down to a multiple of it", "256")
    .option("--strict-time-window", "count only requests that start and end inside the period");
  addShardOptions(command);
  addAlternation(command);
  addRunOptions(command, defaults.outputDir);
}

/** Problems between the options of a sweep. */
export function loadProblems(options: Readable<LoadOptions>): string[] {
  const problems = runProblems(options);
  if ((options.testDuration ?? Infinity) < (options.rampDuration ?? 0)) {
    problems.push("--test-duration must be at least --ramp-duration");
  }
  if ((options.startConcurrency ?? 0) > (options.maxConcurrency ?? Infinity)) {
    problems.push("--start-concurrency must be at most --max-concurrency");
  }
  const { accessOrder, randomWorkingSetSelection } = options;
  if (randomWorkingSetSelection && accessOrder !== undefined && accessOrder !== "random") {
    problems.push(`--random-working-set-selection contradicts --access-order ${accessOrder}`);
  }
  problems.push(...replicateProblems(options, options.shard !== undefined));
  return problems;
}

/** Values in ascending order, each once. */
export function ascending(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

/** How the cells are driven. @param fixedLevels Levels of `--mode fixed`. */
export function loadConfig(
  host: Host,
  options: LoadOptions,
  fixedLevels: readonly number[],
): LoadConfig {
  const maxTtft = options.maxTtft ?? (options.mode === "ramp" ? 2 : undefined);
  const random = options.randomWorkingSetSelection ? "random" : undefined;
  return {
    limits: {
      ...(maxTtft === undefined ? {} : { maxTtftMs: maxTtft * 1000 }),
      ...(options.minTokensPerReq === undefined
        ? {}
        : { minDecodeRatePerSec: options.minTokensPerReq }),
    },
    ttftMetric: options.ttftMetric,
    tokensPerReqMetric: options.tokensPerReqMetric,
    strictTimeWindow: options.strictTimeWindow,
    mode: options.mode,
    fixedConcurrencyLevels: ascending(fixedLevels),
    startConcurrency: options.startConcurrency,
    concurrencyIncrement: options.concurrencyIncrement,
    maxConcurrency: options.maxConcurrency,
    initConcurrency: options.initConcurrency,
    testDurationMs: options.testDuration,
    rampDurationMs: options.rampDuration,
    retries: options.numRetries,
    outputTokens: options.outputTokens,
    chunkTokens: options.chunkSize,
    accessOrder: random ?? options.accessOrder ?? "cyclic",
    workers: options.workers ?? defaultWorkers(host),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    reuseCache: options.reuseCache,
    proof: proofConfig(options),
    errors: errorHandling(options),
  };
}

/** The cells of a plan, for {@linkcode sweepPlan}. */
export interface PlannedCells {
  /** `3 context sizes x 21 hit rates`. */
  readonly what: string;
  readonly count: number;
  /** Each pool of prompts that is warmed up. */
  readonly pools: readonly { readonly contextSizeTokens: number; readonly poolTokens: number }[];
}

/** What `--dry-run` prints. */
export function sweepPlan(
  load: LoadConfig,
  cells: PlannedCells,
  kvBytesPerToken: number | undefined,
  replicates = 1,
): string {
  const levels = load.fixedConcurrencyLevels.length;
  const cellMs = load.mode === "fixed"
    ? levels * (1 + load.retries) * load.rampDurationMs
    : load.testDurationMs + load.retries * load.rampDurationMs;
  const lines = [
    `cells: ${cells.count} (${cells.what})`,
    `time: at most ${formatMs(replicates * cells.count * cellMs)} of measuring, plus warm-up and ` +
    "drains",
    ...(replicates > 1
      ? [`replicates: ${replicates} runs of all cells, each from a cold start`]
      : []),
  ];
  for (const { contextSizeTokens, poolTokens } of cells.pools) {
    const prompts = promptCount(poolTokens, contextSizeTokens);
    const size = prompts * contextSizeTokens;
    const bytes = kvBytesPerToken === undefined
      ? ""
      : `, ${formatBytes(size * kvBytesPerToken)} of KV cache`;
    lines.push(
      `context ${formatCount(contextSizeTokens)}: ${formatCount(prompts)} prompts, ` +
        `${formatCount(size)} tokens to warm up${bytes}`,
    );
  }
  return `${lines.join("\n")}\n`;
}
