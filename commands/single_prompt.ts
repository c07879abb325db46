/**
 * `kvmark single-prompt`: cold against cached TTFT.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import type { RunResult } from "../lib/experiments/config.ts";
import {
  doublingSizes,
  runSinglePrompt,
  type SinglePromptConfig,
} from "../lib/experiments/single_prompt.ts";
import type { Host } from "../lib/host.ts";
import { formatCount } from "../lib/units.ts";
import type { ResultView } from "./_finish.ts";
import { ascending } from "./_load_options.ts";
import {
  checkOptions,
  defaultWorkers,
  type Readable,
  targetFrom,
  tokens,
  whole,
} from "./_options.ts";
import { proofConfig } from "./_proof_options.ts";
import {
  addRunOptions,
  errorHandling,
  outputConfig,
  RUN_OPTIONS,
  runProblems,
  runToEnd,
} from "./_run_options.ts";
import { singlePromptBrief, singlePromptJson, singlePromptTable } from "./_single_prompt_table.ts";

const EXAMPLES = `
Examples:
  # 1,000, 2,000, 4,000 … tokens, five times each: does caching work at all?
  kvmark single-prompt --api-endpoint http://localhost:8000

  # two sizes, four prompts at a time, each sent again three times
  kvmark single-prompt --api-endpoint http://localhost:8000 --context-sizes 8000 32000 -n 4 -r 3
`;

const OPTIONS = v.object({
  ...RUN_OPTIONS,
  minTokens: tokens(16),
  maxTokens: tokens(16),
  contextSizes: v.optional(v.array(tokens(16))),
  outputTokens: whole(1),
  numIterations: whole(1, 100_000),
  concurrentPrompts: whole(1, 10_000),
  cachedRepeats: whole(1, 10_000),
});
type Options = v.InferOutput<typeof OPTIONS>;

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  const one = new Command("kvmark single-prompt")
    .description(
      "Send a prompt that is new to the server, then the same prompt again, at one context size " +
        "after the other: what a hit in the cache saves.",
    )
    .requiredOption(
      "--api-endpoint <url...>",
      "server, with or without /v1; several serve one model",
    )
    .option(
      "--min-tokens <tokens>",
      "first context size; each further one is twice as large",
      "1000",
    )
    .option(
      "--max-tokens <tokens>",
      "largest context size; at most what the server takes",
      "128000",
    )
    .option("--context-sizes <tokens...>", "the sizes themselves, instead of the two above")
    .option("--output-tokens <n>", "tokens to generate", "256")
    .option("--num-iterations <n>", "prompts at each size", "5")
    .option("-n, --concurrent-prompts <n>", "distinct prompts that are sent together", "1")
    .option("-r, --cached-repeats <n>", "how often each prompt is sent again", "1")
    .addHelpText("after", EXAMPLES);
  addRunOptions(one, "./single_prompt_output");
  return one.action((raw) => singlePrompt(host, raw)) as unknown as Command;
}

async function singlePrompt(host: Host, raw: unknown): Promise<void> {
  const options = checkOptions(OPTIONS, raw, across);
  const config = await configFrom(host, options);
  if (options.dryRun) return host.stdout.write(planText(config));
  await runToEnd(
    host,
    options,
    undefined,
    (listener, signals) => runSinglePrompt(host, config, listener, signals),
    { experiment: "single-prompt", view: (result) => view(host, options, result) },
  );
}

function across(options: Readable<Options>): string[] {
  const problems = runProblems(options);
  const { minTokens, maxTokens, contextSizes } = options;
  if (contextSizes === undefined && (minTokens ?? 0) > (maxTokens ?? Infinity)) {
    problems.push("--min-tokens must be at most --max-tokens");
  }
  if (options.reuseCache) {
    problems.push("--reuse-cache makes no sense here: the first prompt has to be cold");
  }
  return problems;
}

async function configFrom(host: Host, options: Options): Promise<SinglePromptConfig> {
  const { minTokens, maxTokens, seed } = options;
  const contextSizes = options.contextSizes === undefined
    ? doublingSizes(minTokens, maxTokens)
    : ascending(options.contextSizes);
  return {
    target: await targetFrom(host, options),
    output: outputConfig(host, options, {
      context_sizes: contextSizes,
      min_tokens: undefined,
      max_tokens: undefined,
    }),
    contextSizes,
    iterations: options.numIterations,
    concurrentPrompts: options.concurrentPrompts,
    cachedRepeats: options.cachedRepeats,
    outputTokens: options.outputTokens,
    workers: options.workers ?? defaultWorkers(host),
    ...(seed === undefined ? {} : { seed }),
    errors: errorHandling(options),
    proof: proofConfig(options),
  };
}

async function view(host: Host, options: Options, result: RunResult): Promise<ResultView> {
  const { readRun } = await import("../lib/results/read.ts");
  const { coldAndCached } = await import("../lib/report/cold_and_cached.ts");
  const run = await readRun(host.files, options.outputDir);
  const points = coldAndCached(run.singlePrompt);
  const verdicts = new Map(result.rows.map((row) => [row.context_size, row.hit_rate_verdict]));
  const sizes = points.map((point) => {
    const verdict = verdicts.get(point.contextSizeTokens);
    return { ...point, ...(verdict === undefined ? {} : { verdict }) };
  });
  const labels = {
    model: run.config.model ?? "",
    endpoint: options.apiEndpoint.join(" "),
    seed: options.seed ?? "none",
    dir: options.outputDir,
  };
  return {
    table: (columns) => singlePromptTable(sizes, columns),
    brief: () => singlePromptBrief(sizes, labels),
    json: { rows: singlePromptJson(sizes) },
  };
}

/** What `--dry-run` prints. */
function planText(config: SinglePromptConfig): string {
  const { contextSizes, iterations, concurrentPrompts, cachedRepeats } = config;
  // One batch more is sent at each size and not counted.
  const cold = (iterations + 1) * concurrentPrompts;
  const cached = iterations * concurrentPrompts * cachedRepeats;
  const sum = contextSizes.reduce((total, size) => total + size, 0);
  return [
    `context sizes: ${contextSizes.map(formatCount).join(", ")} (as far as the server takes them)`,
    `requests: ${formatCount((cold + cached) * contextSizes.length)}, ` +
    `${formatCount(cached * contextSizes.length)} of them cached`,
    `prompt tokens: ${formatCount(cold * sum)} to compute, ${formatCount(cached * sum)} cached`,
    "",
  ].join("\n");
}
