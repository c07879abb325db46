/**
 * Options that every experiment has: how prompts are made and sent, where the run is kept, how its
 * result is given; and the way from a checked command line to a finished run.
 *
 * @module
 */

import type { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import type { OutputConfig, RunResult, Signals } from "../lib/experiments/config.ts";
import type { ErrorHandling } from "../lib/experiments/error_handling.ts";
import type { RunListener } from "../lib/experiments/listener.ts";
import type { Host } from "../lib/host.ts";
import { withDurationsInSeconds } from "../lib/results/settings.ts";
import { finish, type FinishOptions, runSignals } from "./_finish.ts";
import {
  addServerOptions,
  oneOf,
  percent,
  type Readable,
  TARGET_OPTIONS,
  targetProblems,
  whole,
} from "./_options.ts";
import { addProofOptions, PROOF_OPTIONS, proofProblems } from "./_proof_options.ts";
import { progressListener } from "./_progress.ts";
import { NOT_SHARD_IDENTITY } from "./_shard_options.ts";
import {
  checkRunLimits,
  runLimitProblems,
  THRESHOLD_OPTIONS,
  writeRunProblem,
} from "./_thresholds.ts";
import { VERSION } from "./_version.ts";

/** Checks of the options of {@linkcode addRunOptions}. */
export const RUN_OPTIONS = {
  ...TARGET_OPTIONS,
  ...PROOF_OPTIONS,
  ...THRESHOLD_OPTIONS,
  maxConsecutiveErrors: whole(1, 1_000_000),
  maxErrorPercent: whole(1, 100),
  retries: whole(0, 100),
  onError: oneOf("continue", "stop"),
  minSuccess: percent(),
  seed: v.optional(v.string()),
  reuseCache: v.optional(v.boolean(), false),
  kvBytesPerToken: v.optional(whole(1)),
  kvCacheQuantization: v.optional(whole(1, 2)),
  workers: v.optional(whole(1, 256)),
  outputDir: v.pipe(v.string(), v.nonEmpty("must not be empty")),
  skipGraphs: v.optional(v.boolean(), false),
  forceRestart: v.optional(v.boolean(), false),
  requireVerified: v.optional(v.boolean(), false),
  dryRun: v.optional(v.boolean(), false),
  json: v.optional(v.boolean(), false),
  brief: v.optional(v.boolean(), false),
  verbose: v.optional(v.boolean(), false),
};

/** Values of {@linkcode RUN_OPTIONS}. */
export type RunOptions = v.InferOutput<v.ObjectSchema<typeof RUN_OPTIONS, undefined>>;

/** Adds the server's options and those of every run. @param outputDir Default of `--output-dir`. */
// deno-lint-ignore no-explicit-any
export function addRunOptions(command: Command<any, any, any>, outputDir: string): void {
  addServerOptions(command);
  addProofOptions(command);
  command
    .option("--prompt-format <name>", "text or token-ids", "text")
    .option("--tokenizer <path|id>", "tokenizer.json, folder or hub id; found by itself if absent")
    .option("--endpoint-selection <name>", "round-robin or pinned (by prompt)", "round-robin")
    .option("--timeout <s>", "give a request up after this time", "600")
    .option("--server-wait <s>", "wait so long for a server that goes away in the run", "300")
    .option("--retries <n>", "send a request that failed again, up to n times; counted", "0")
    .option("--max-consecutive-errors <n>", "so many failures in a row end a period", "20")
    .option(
      "--max-error-percent <n>",
      "share of failures among the last 100 that ends a period",
      "90",
    )
    .option(
      "--on-error <name>",
      "when a cell failed: continue with the next one, or stop",
      "continue",
    )
    .option("--min-success <percent>", "exit 3 if less of a cell's requests succeeded", "90")
    .option("--seed <text>", "repeat the sequence of choices")
    .option("--reuse-cache", "let an earlier run with the same seed count as warm-up")
    .option("--kv-bytes-per-token <n>", "for sizes in bytes: in the plan and in the report")
    .option("--kv-cache-quantization <n>", "bytes of a KV element, 1 or 2: in the plan")
    .option("--workers <n>", "sending threads; one per core but one if absent")
    .option("--output-dir <dir>", "results folder; a second run goes on with it", outputDir)
    .option("--force-restart", "start over in the same folder")
    .option("--skip-graphs", "write no HTML")
    .option("--require-verified", "exit 6 if a hit rate was not the one intended")
    .option("--fail-if <limit...>", "exit 10 where this holds: 'avg_ttft@100 > 0.5'", [])
    .option("--markdown <file>", "the result for a comment on a pull request")
    .option("--junit <file>", "what became of the limits, as JUnit XML")
    .option("--dry-run", "print the plan and stop")
    .option("--json", "one JSON object on stdout")
    .option("--brief", "only warnings on stderr, the Python suite's short lines on stdout")
    .option("--verbose", "a line for each request on stderr")
    .option("--no-color", "accepted for old command lines; nothing is coloured");
}

/** Problems between the options of every run. */
export function runProblems(options: Readable<RunOptions>): string[] {
  const problems = targetProblems(options);
  if (options.reuseCache && options.seed === undefined) {
    problems.push("--reuse-cache needs --seed");
  }
  problems.push(...proofProblems(options), ...runLimitProblems(options));
  return problems;
}

/** Options that do not change results: a run with other values can be resumed. */
const NOT_IDENTITY = new Set([
  // Of the cells: each of them is what it is.
  "order",
  ...["output_dir", "force_restart", "skip_graphs", "verbose", "brief", "json", "color", "dry_run"],
  ...["workers", "require_verified", "api_key_env", "api_key_file", "header", "timeout", "ca"],
  "server_wait",
  ...["kv_bytes_per_token", "kv_cache_quantization", "metrics_url", "metrics_interval"],
  ...[
    "max_consecutive_errors",
    "max_error_percent",
    "on_error",
    "min_success",
    "fail_if",
    "markdown",
    "junit",
    "replicates",
  ],
  ...NOT_SHARD_IDENTITY,
]);

/** What is done about requests that fail. */
export function errorHandling(options: RunOptions): ErrorHandling {
  return {
    maxConsecutiveErrors: options.maxConsecutiveErrors,
    maxErrorPercent: options.maxErrorPercent,
    requestRetries: options.retries,
    onError: options.onError,
    minSuccessPercent: options.minSuccess,
  };
}

/**
 * Where a run is kept, and what of its options makes it the same run.
 *
 * @param resolved Settings that stand for options: they replace those of their name, `undefined`
 *   takes an option out.
 */
export function outputConfig(
  host: Host,
  options: RunOptions,
  resolved: Readonly<Record<string, unknown>> = {},
): OutputConfig {
  const named = Object.entries(options).map(([key, value]) =>
    [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value] as const
  );
  const { kvBytesPerToken } = options;
  return {
    dir: options.outputDir,
    forceRestart: options.forceRestart,
    version: VERSION,
    argv: ["kvmark", ...host.args],
    identity: withDurationsInSeconds(Object.fromEntries(
      Object.entries({ ...Object.fromEntries(named), ...resolved })
        .filter(([name, value]) => !NOT_IDENTITY.has(name) && value !== undefined),
    )),
    ...(kvBytesPerToken === undefined ? {} : { kvBytesPerToken }),
  };
}

/** Runs an experiment with progress on stderr and signals that drain, and gives its result. */
export async function runToEnd(
  host: Host,
  options: RunOptions & { readonly replicates?: number },
  ttftLimitMs: number | undefined,
  run: (listener: RunListener, signals: Signals) => Promise<RunResult>,
  result: Pick<FinishOptions, "experiment" | "view">,
): Promise<void> {
  const signals = runSignals(host);
  using progress = progressListener(host, {
    quiet: options.brief,
    verbose: options.verbose,
    ...(ttftLimitMs === undefined ? {} : { ttftLimitMs }),
  });
  try {
    const ended = await run(progress, signals).catch(async (error) => {
      await writeRunProblem(host, result.experiment, options, error);
      throw error;
    });
    await finish(host, ended, {
      ...options,
      ...result,
      // Replicates have pages of their own.
      skipGraphs: options.skipGraphs || (options.replicates ?? 1) > 1,
      errors: errorHandling(options),
      dir: options.outputDir,
      reports: (problem) => checkRunLimits(host, options.outputDir, options, problem),
    });
  } finally {
    signals.release();
  }
}
