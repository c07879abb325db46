/**
 * `kvmark cache-rate`: throughput and latency against hit rate.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { type CacheRateConfig, runCacheRate } from "../lib/experiments/cache_rate.ts";
import type { Host } from "../lib/host.ts";
import { plannedKvBytes } from "./_kv_plan.ts";
import {
  addLoadOptions,
  ascending,
  LOAD_OPTIONS,
  loadConfig,
  loadProblems,
  sweepPlan,
} from "./_load_options.ts";
import { checkOptions, oneOf, type Readable, targetFrom, tokens, whole } from "./_options.ts";
import { repeated } from "./_replicates.ts";
import { sweepView } from "./_result_table.ts";
import { outputConfig, runToEnd } from "./_run_options.ts";
import { dealtOut } from "./_shard_options.ts";

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
  ...LOAD_OPTIONS,
  workingSetSize: tokens(1),
  fixedConcurrencyLevels: v.optional(v.array(whole(1)), []),
  reinitStrategy: oneOf("once", "per_cache_rate", "per_test"),
  order: oneOf("mixed", "ascending"),
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
    .option("--reinit-strategy <name>", "warm up once, per_cache_rate or per_test", "once")
    .option("--order <name>", "of the hit rates: mixed, against drift, or ascending", "mixed")
    .option("--fixed-concurrency-levels <n...>", "levels of --mode fixed")
    .addHelpText("after", EXAMPLES);
  addLoadOptions(one, { hitRates: ALL_RATES, outputDir: "./output" });
  return one.action((raw) => cacheRate(host, raw)) as unknown as Command;
}

async function cacheRate(host: Host, raw: unknown): Promise<void> {
  const [options, shard] = dealtOut(host, checkOptions(OPTIONS, raw, across));
  const config = { ...await configFrom(host, options), ...shard };
  if (options.dryRun) {
    return host.stdout.write(planText(config, options, await plannedKvBytes(host, options)));
  }
  const { run, view } = repeated(host, options, config, {
    run: (one, listener, signals) => runCacheRate(host, one, listener, signals),
    view: (one, result) =>
      sweepView({
        endpoint: one.target.endpoints.join(" "),
        by: "cache_rate",
        fixed: `working_set: ${one.workingSetTokens}`,
        dir: one.output.dir,
      })(result),
  });
  await runToEnd(host, options, config.limits.maxTtftMs, run, { experiment: "cache-rate", view });
}

function across(options: Readable<Options>): string[] {
  const problems = loadProblems(options);
  if (options.mode === "fixed" && options.fixedConcurrencyLevels?.length === 0) {
    problems.push("--mode fixed needs --fixed-concurrency-levels");
  }
  if (options.mode === "ramp" && (options.fixedConcurrencyLevels?.length ?? 0) > 0) {
    problems.push("--fixed-concurrency-levels needs --mode fixed");
  }
  return problems;
}

async function configFrom(host: Host, options: Options): Promise<CacheRateConfig> {
  return {
    ...loadConfig(host, options, options.fixedConcurrencyLevels),
    target: await targetFrom(host, options),
    output: outputConfig(host, options),
    contextSizes: ascending(options.contextSizes),
    workingSetTokens: options.workingSetSize,
    hitRates: ascending(options.cacheHitRates),
    reinitStrategy: options.reinitStrategy,
    order: options.order,
  };
}

/** What `--dry-run` prints. */
function planText(
  config: CacheRateConfig,
  { replicates }: Options,
  kvBytesPerToken: number | undefined,
): string {
  const { contextSizes, hitRates, workingSetTokens } = config;
  return sweepPlan(
    config,
    {
      what: `${contextSizes.length} context sizes x ${hitRates.length} hit rates`,
      count: contextSizes.length * hitRates.length,
      pools: contextSizes.map((contextSizeTokens) => ({
        contextSizeTokens,
        poolTokens: workingSetTokens,
      })),
    },
    kvBytesPerToken,
    replicates,
  );
}
