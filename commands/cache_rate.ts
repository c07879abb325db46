/**
 * `kvmark cache-rate`: throughput and latency against hit rate.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { type CacheRateConfig, runCacheRate } from "../lib/experiments/cache_rate.ts";
import { promptCount } from "../lib/prompt/working_set.ts";
import type { Host } from "../lib/host.ts";
import { formatBytes, formatCount, formatMs } from "../lib/units.ts";
import { finish, runSignals } from "./_finish.ts";
import {
  addServerOptions,
  checkOptions,
  defaultWorkers,
  duration,
  modeOption,
  oneOf,
  positive,
  TARGET_OPTIONS,
  targetFrom,
  tokens,
  whole,
} from "./_options.ts";
import { progressListener } from "./_progress.ts";
import { VERSION } from "./_version.ts";

const EXAMPLES = `
Examples:
  # every hit rate from 0 to 100 % in steps of 5, at the concurrency that keeps p95 TTFT below 2 s
  kvmark cache-rate --api-endpoint http://localhost:8000 --context-sizes 8000 32000 --working-set-size 2M

  # three rates at two fixed concurrencies, a minute each
  kvmark cache-rate --api-endpoint http://localhost:8000 --context-sizes 8000 --working-set-size 500k \\
    --cache-hit-rates 0 50 100 --mode fixed --fixed-concurrency-levels 8 16 --num-retries 0
`;

const ALL_RATES = Array.from({ length: 21 }, (_, i) => String(i * 5));

const OPTIONS = v.object({
  ...TARGET_OPTIONS,
  contextSizes: v.array(tokens(16)),
  workingSetSize: tokens(1),
  cacheHitRates: v.array(whole(0, 100)),
  mode: modeOption(),
  fixedConcurrencyLevels: v.optional(v.array(whole(1)), []),
  outputTokens: whole(1),
  maxTtft: v.optional(positive()),
  ttftMetric: oneOf("max", "avg", "p95"),
  minTokensPerReq: v.optional(positive()),
  tokensPerReqMetric: oneOf("avg", "p5", "p10"),
  testDuration: duration(100),
  rampDuration: duration(100),
  numRetries: whole(0),
  startConcurrency: whole(1),
  concurrencyIncrement: whole(1),
  maxConcurrency: whole(1),
  initConcurrency: whole(1),
  reinitStrategy: oneOf("once", "per_cache_rate", "per_test"),
  randomWorkingSetSelection: v.optional(v.boolean(), false),
  chunkSize: whole(1),
  seed: v.optional(v.string()),
  reuseCache: v.optional(v.boolean(), false),
  strictTimeWindow: v.optional(v.boolean(), false),
  kvBytesPerToken: v.optional(whole(1)),
  workers: v.optional(whole(1, 256)),
  outputDir: v.string(),
  skipGraphs: v.optional(v.boolean(), false),
  forceRestart: v.optional(v.boolean(), false),
  requireVerified: v.optional(v.boolean(), false),
  dryRun: v.optional(v.boolean(), false),
  json: v.optional(v.boolean(), false),
  brief: v.optional(v.boolean(), false),
  verbose: v.optional(v.boolean(), false),
});
type Options = v.InferOutput<typeof OPTIONS>;

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  const one = new Command("kvmark cache-rate")
    .description(
      "Measure throughput and latency against the cache hit rate, at the highest concurrency " +
        "that meets the TTFT limit. The hit rate that really happened is verified.",
    )
    .requiredOption(
      "--api-endpoint <url...>",
      "server, with or without /v1; several serve one model",
    )
    .requiredOption("--context-sizes <tokens...>", "tokens in a prompt, the whole of it")
    .requiredOption("--working-set-size <tokens>", "tokens in the pool of warm prompts (60k, 2M)")
    .option("--cache-hit-rates <percent...>", "hit rates to measure", ALL_RATES)
    .option("--output-tokens <n>", "tokens to generate", "256")
    .option("--max-ttft <s>", "TTFT limit; 2.0 in ramp mode, none in fixed mode")
    .option("--ttft-metric <name>", "statistic to compare with it: max, avg, p95", "p95")
    .option("--min-tokens-per-req <n>", "least decode rate of a request, tokens/s")
    .option("--tokens-per-req-metric <name>", "statistic to compare with it: avg, p5, p10", "avg")
    .option("--mode <name>", "ramp (search the peak) or fixed (given levels)", "ramp")
    .option("--fixed-concurrency-levels <n...>", "levels of fixed mode")
    .option("--start-concurrency <n>", "first level of the ramp", "2")
    .option("--concurrency-increment <n>", "step of the ramp", "2")
    .option("--max-concurrency <n>", "highest level of the ramp", "1000")
    .option("--init-concurrency <n>", "requests in flight during warm-up", "16")
    .option("--test-duration <s>", "time for the ramp of one cell", "300")
    .option("--ramp-duration <s>", "time for one level", "60")
    .option("--num-retries <n>", "runs at the peak, which the result pools", "3")
    .option("--reinit-strategy <name>", "warm up once, per_cache_rate or per_test", "once")
    .option("--random-working-set-selection", "random prompts instead of one after the other")
    .option("--chunk-size <tokens>", "the shared part is rounded down to a multiple of it", "256")
    .option("--seed <text>", "repeat the sequence of choices")
    .option("--reuse-cache", "let an earlier run with the same seed count as warm-up")
    .option("--strict-time-window", "count only requests that start and end inside the period")
    .addHelpText("after", EXAMPLES);
  addServerOptions(one);
  addRunOptions(one);
  return one.action((raw) => cacheRate(host, raw)) as unknown as Command;
}

// deno-lint-ignore no-explicit-any
function addRunOptions(command: Command<any, any, any>): void {
  command
    .option("--prompt-format <name>", "text or token-ids", "text")
    .option("--tokenizer <path|id>", "tokenizer.json, folder or hub id; found by itself if absent")
    .option("--endpoint-selection <name>", "round-robin or pinned (by prompt)", "round-robin")
    .option("--timeout <s>", "give a request up after this time", "600")
    .option("--kv-bytes-per-token <n>", "for the size of the cache in --dry-run")
    .option("--kv-cache-quantization <n>", "accepted for old command lines; has no effect")
    .option("--workers <n>", "sending threads; one per core but one if absent")
    .option("--output-dir <dir>", "results folder; a second run goes on with it", "./output")
    .option("--force-restart", "start over in the same folder")
    .option("--skip-graphs", "write no HTML")
    .option("--require-verified", "exit 6 if a hit rate was not the one intended")
    .option("--dry-run", "print the plan and stop")
    .option("--json", "one JSON object on stdout")
    .option("--brief", "only warnings on stderr, the Python suite's short lines on stdout")
    .option("--verbose", "a line for each request on stderr")
    .option("--no-color", "accepted for old command lines; nothing is coloured");
}

async function cacheRate(host: Host, raw: unknown): Promise<void> {
  const options = checkOptions(OPTIONS, raw, across);
  const config = await configFrom(host, options);
  if (options.dryRun) return host.stdout.write(planText(config, options));
  const signals = runSignals(host);
  const { maxTtftMs } = config.limits;
  using progress = progressListener(host, {
    quiet: options.brief,
    verbose: options.verbose,
    ...(maxTtftMs === undefined ? {} : { ttftLimitMs: maxTtftMs }),
  });
  try {
    const result = await runCacheRate(host, config, progress, signals);
    await finish(host, result, {
      ...options,
      experiment: "cache-rate",
      dir: options.outputDir,
      ...(options.brief ? { briefly: briefLabels(config) } : {}),
    });
  } finally {
    signals.release();
  }
}

function briefLabels(config: CacheRateConfig) {
  return {
    endpoint: config.target.endpoints.join(" "),
    by: "cache_rate",
    fixed: `working_set: ${config.workingSetTokens}`,
  } as const;
}

function across(options: Options): string[] {
  const problems: string[] = [];
  if (options.testDuration < options.rampDuration) {
    problems.push("--test-duration must be at least --ramp-duration");
  }
  if (options.startConcurrency > options.maxConcurrency) {
    problems.push("--start-concurrency must be at most --max-concurrency");
  }
  if (options.mode === "fixed" && options.fixedConcurrencyLevels.length === 0) {
    problems.push("--mode fixed needs --fixed-concurrency-levels");
  }
  if (options.apiKeyEnv !== undefined && options.apiKeyFile !== undefined) {
    problems.push("--api-key-env and --api-key-file exclude each other");
  }
  if (options.reuseCache && options.seed === undefined) {
    problems.push("--reuse-cache needs --seed");
  }
  return problems;
}

/** Options that do not change results: a run with other values can be resumed. */
const NOT_IDENTITY = new Set([
  ...["output_dir", "force_restart", "skip_graphs", "verbose", "brief", "json", "color", "dry_run"],
  ...["workers", "require_verified", "api_key_env", "api_key_file", "header", "timeout", "ca"],
  ...["kv_bytes_per_token", "kv_cache_quantization", "metrics_url"],
]);

async function configFrom(host: Host, options: Options): Promise<CacheRateConfig> {
  const ascending = (values: readonly number[]) => [...new Set(values)].sort((a, b) => a - b);
  const maxTtft = options.maxTtft ?? (options.mode === "ramp" ? 2 : undefined);
  const identity = Object.fromEntries(
    Object.entries(options)
      .map(([key, value]) =>
        [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value] as const
      )
      .filter(([name, value]) => !NOT_IDENTITY.has(name) && value !== undefined),
  );
  return {
    target: await targetFrom(host, options),
    output: {
      dir: options.outputDir,
      forceRestart: options.forceRestart,
      version: VERSION,
      argv: ["kvmark", ...host.args],
      identity,
    },
    contextSizes: ascending(options.contextSizes),
    workingSetTokens: options.workingSetSize,
    hitRates: ascending(options.cacheHitRates),
    reinitStrategy: options.reinitStrategy,
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
    fixedConcurrencyLevels: ascending(options.fixedConcurrencyLevels),
    startConcurrency: options.startConcurrency,
    concurrencyIncrement: options.concurrencyIncrement,
    maxConcurrency: options.maxConcurrency,
    initConcurrency: options.initConcurrency,
    testDurationMs: options.testDuration,
    rampDurationMs: options.rampDuration,
    retries: options.numRetries,
    outputTokens: options.outputTokens,
    chunkTokens: options.chunkSize,
    accessOrder: options.randomWorkingSetSelection ? "random" : "cyclic",
    workers: options.workers ?? defaultWorkers(host),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    reuseCache: options.reuseCache,
  };
}

/** What `--dry-run` prints. */
function planText(config: CacheRateConfig, options: Options): string {
  const cells = config.contextSizes.length * config.hitRates.length;
  const levels = config.fixedConcurrencyLevels.length;
  const cellMs = config.mode === "fixed"
    ? levels * (1 + config.retries) * config.rampDurationMs
    : config.testDurationMs + config.retries * config.rampDurationMs;
  const lines = [
    `cells: ${cells} (${config.contextSizes.length} context sizes x ${config.hitRates.length} hit rates)`,
    `time: at most ${formatMs(cells * cellMs)} of measuring, plus warm-up and drains`,
  ];
  for (const context of config.contextSizes) {
    const prompts = promptCount(config.workingSetTokens, context);
    const size = prompts * context;
    const bytes = options.kvBytesPerToken === undefined
      ? ""
      : `, ${formatBytes(size * options.kvBytesPerToken)} of KV cache`;
    lines.push(
      `context ${formatCount(context)}: ${formatCount(prompts)} prompts, ` +
        `${formatCount(size)} tokens to warm up${bytes}`,
    );
  }
  return `${lines.join("\n")}\n`;
}
