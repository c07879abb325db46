/**
 * `kvmark working-set`: throughput and latency against working-set size, tier by tier.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import type { Host } from "../lib/host.ts";
import { runWorkingSet, type WorkingSetConfig } from "../lib/experiments/working_set.ts";
import type { RunResult } from "../lib/experiments/config.ts";
import type { ResultView } from "./_finish.ts";
import { plannedKvBytes } from "./_kv_plan.ts";
import {
  addLoadOptions,
  ascending,
  LOAD_OPTIONS,
  loadConfig,
  loadProblems,
  sweepPlan,
} from "./_load_options.ts";
import { checkOptions, oneOf, type Readable, targetFrom, whole } from "./_options.ts";
import { repeated } from "./_replicates.ts";
import { sweepView } from "./_result_table.ts";
import { outputConfig, runToEnd } from "./_run_options.ts";
import { dealtOut } from "./_shard_options.ts";
import { tierText } from "./_tier_text.ts";
import { type RawSizes, resolveSizes, SIZE_OPTIONS, sizeProblems } from "./_working_set_sizes.ts";

const EXAMPLES = `
Examples:
  # ten working sets from 100k to 5M tokens: where do HBM, DRAM and SSD end?
  kvmark working-set --api-endpoint http://localhost:8000 --context-sizes 30000 \\
    --min-working-set-size 100000 --max-working-set-size 5000000 --working-set-increments 10

  # sizes in bytes of KV cache, equal ratios, one request at a time, every prompt at least once
  kvmark working-set --api-endpoint http://localhost:8000 --context-sizes 8000 \\
    --kv-bytes-per-token 131072 --min-working-set-size 4GiB --max-working-set-size 256GiB \\
    --working-set-increments 13 --working-set-scale log --mode fixed --fixed-concurrency 1 \\
    --ensure-working-set-coverage
`;

const OPTIONS = v.object({
  ...LOAD_OPTIONS,
  ...SIZE_OPTIONS,
  reinitStrategy: oneOf("once", "per_working_set", "per_test"),
  fixedConcurrency: v.optional(whole(1)),
  ensureWorkingSetCoverage: v.optional(v.boolean(), false),
  initStrategy: v.optional(oneOf("min", "max")),
  assessmentPeriod: v.optional(v.string()),
});
type Options = v.InferOutput<typeof OPTIONS>;

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  const one = new Command("kvmark working-set")
    .description(
      "Measure throughput and latency against the size of the working set, and find the memory " +
        "tiers that it passes through: their capacity, their TTFT and how fast they are read.",
    )
    .requiredOption(
      "--api-endpoint <url...>",
      "server, with or without /v1; several serve one model",
    )
    .requiredOption("--context-sizes <tokens...>", "tokens in a prompt, the whole of it")
    .option("--min-working-set-size <size>", "smallest: tokens (60k, 2M), or bytes (40GiB)")
    .option("--max-working-set-size <size>", "largest")
    .option("--working-set-increments <n>", "how many sizes, both ends included")
    .option("--working-set-scale <name>", "linear (equal steps) or log (equal ratios)", "linear")
    .option("--working-set-sizes <size...>", "the sizes themselves, instead of the three above")
    .option(
      "--ensure-working-set-coverage",
      "each period sends a whole working set (cyclic: every prompt), however long it takes",
    )
    .option(
      "--reinit-strategy <name>",
      "warm up before each size (per_working_set, once) or each period (per_test)",
      "per_working_set",
    )
    .option("--fixed-concurrency <n>", "level of --mode fixed")
    .option("--init-strategy <name>", "accepted for old command lines; each size is warmed whole")
    .option("--assessment-period <s>", "of the Python suite; here --ramp-duration")
    .addHelpText("after", EXAMPLES);
  addLoadOptions(one, { hitRates: ["100"], outputDir: "./output" });
  return one.action((raw) => workingSet(host, raw)) as unknown as Command;
}

async function workingSet(host: Host, raw: unknown): Promise<void> {
  const checked = checkOptions(OPTIONS, raw, (readable) => across(readable, raw as RawSizes));
  const [options, shard] = dealtOut(host, checked);
  const config = { ...await configFrom(host, options), ...shard };
  if (options.dryRun) {
    const kvBytes = config.output.kvBytesPerToken ?? await plannedKvBytes(host, options);
    return host.stdout.write(planText(config, options, kvBytes));
  }
  const repeat = repeated(host, options, config, {
    run: (one, listener, signals) => runWorkingSet(host, one, listener, signals),
    view: (one, result) => view(host, one, result),
  });
  await runToEnd(host, options, config.limits.maxTtftMs, repeat.run, {
    experiment: "working-set",
    view: repeat.view,
  });
}

/** The view of a sweep with its tier map. */
async function view(
  host: Host,
  { target, hitRates, output }: WorkingSetConfig,
  result: RunResult,
): Promise<ResultView> {
  const sweep = sweepView({
    endpoint: target.endpoints.join(" "),
    by: "working_set",
    fixed: `cache_rate: ${hitRates.join(" ")}`,
    dir: output.dir,
  })(result);
  if (result.rows.length === 0) return sweep;
  const { readRun } = await import("../lib/results/read.ts");
  const { writeTierMap } = await import("../lib/results/tier_map_file.ts");
  const { buildTierMap } = await import("../lib/tiers/tier_map.ts");
  const { tierFactsOf } = await import("../lib/tiers/tier_facts.ts");
  // Where the folder cannot be read any more, the pages cannot either: they tell why.
  const run = await readRun(host.files, output.dir).catch(() => undefined);
  if (run === undefined) return sweep;
  const map = buildTierMap(run, { facts: tierFactsOf(run) });
  return {
    ...sweep,
    write: () => writeTierMap(host.files, output.dir, map),
    table: (columns) => `${sweep.table(columns)}\n${tierText(map)}`,
    json: { ...sweep.json, tier_map: map },
  };
}

function across(options: Readable<Options>, raw: RawSizes): string[] {
  const problems = [...loadProblems(options), ...sizeProblems(options, raw)];
  if (options.mode === "fixed" && options.fixedConcurrency === undefined) {
    problems.push("--mode fixed needs --fixed-concurrency");
  }
  if (options.mode === "ramp" && options.fixedConcurrency !== undefined) {
    problems.push("--fixed-concurrency needs --mode fixed");
  }
  if (options.assessmentPeriod !== undefined) {
    problems.push("--assessment-period is --ramp-duration here: the time for one level");
  }
  return problems;
}

async function configFrom(host: Host, options: Options): Promise<WorkingSetConfig> {
  const load = loadConfig(host, options, [options.fixedConcurrency ?? []].flat());
  const { workingSets, kv } = await resolveSizes(host, options);
  return {
    ...load,
    target: await targetFrom(host, options),
    // The sizes themselves, as in the Python suite: how they were asked for does not matter.
    output: {
      ...outputConfig(host, options, {
        working_set_sizes: workingSets,
        min_working_set_size: undefined,
        max_working_set_size: undefined,
        working_set_increments: undefined,
        working_set_scale: undefined,
        init_strategy: undefined,
        random_working_set_selection: undefined,
        access_order: load.accessOrder,
      }),
      ...kv,
    },
    contextSizes: ascending(options.contextSizes),
    workingSets,
    hitRates: ascending(options.cacheHitRates),
    reinitStrategy: options.reinitStrategy,
    ensureCoverage: options.ensureWorkingSetCoverage,
  };
}

/** What `--dry-run` prints. */
function planText(
  config: WorkingSetConfig,
  { replicates }: Options,
  kvBytesPerToken: number | undefined,
): string {
  const { contextSizes, workingSets, hitRates } = config;
  const sweep = `${contextSizes.length} context sizes x ${workingSets.length} working sets x ` +
    `${hitRates.length} hit rates`;
  return sweepPlan(
    config,
    {
      what: sweep,
      count: contextSizes.length * workingSets.length * hitRates.length,
      pools: contextSizes.flatMap((contextSizeTokens) =>
        workingSets.map((poolTokens) => ({ contextSizeTokens, poolTokens }))
      ),
    },
    kvBytesPerToken,
    replicates,
  ) + (config.ensureCoverage ? COVERAGE_NOTE : "");
}

const COVERAGE_NOTE =
  "coverage: a period goes on until its whole working set was sent, so the time is not bounded\n";
