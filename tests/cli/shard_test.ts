/**
 * Four shards as Kubernetes would start them: the arguments and the environment of the manifest in
 * `deploy/kubernetes/job.yaml`, against one simulator; then `merge`.
 */

import assert from "node:assert/strict";
import type { TruthEntry } from "../../lib/sim/truth_log.ts";
import { type Finished, kvmark } from "../support/command.ts";
import { indexedJob } from "../support/manifests.ts";
import { onSimulator, type Output, readOutput, type TextRow } from "../support/sweep.ts";

const SHARDS = 4;
const LEVEL = 6;

/**
 * Time for four processes to start on the cores that there are. Where that is too short, a shard
 * comes too late for its cell and says so; then there is more time.
 */
const LEADS_SEC = [5, 30];

/** Values of the manifest that a test has no time or no server for. */
function shrunk(url: string, dir: string): Readonly<Record<string, readonly string[]>> {
  return {
    "--api-endpoint": [url],
    "--output-dir": [dir],
    "--context-sizes": ["512"],
    "--working-set-size": ["4096"],
    "--cache-hit-rates": ["50"],
    "--fixed-concurrency-levels": [String(LEVEL)],
    "--ramp-duration": ["1"],
    "--num-retries": ["0"],
    "--warm-up-time": ["1"],
    "--period-gap": ["0.2"],
  };
}

/** The arguments of a container, with what Kubernetes puts into them, and with other values. */
function argumentsOf(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  others: Readonly<Record<string, readonly string[]>>,
): string[] {
  const expanded = args.map((arg) =>
    arg.replace(/^\$\((\w+)\)$/, (all, name: string) => env[name] ?? all)
  );
  let option = "";
  const kept = expanded.filter((word) => {
    if (word.startsWith("--")) option = word;
    return !(option in others);
  });
  return [...kept, ...Object.entries(others).flatMap(([name, values]) => [name, ...values])];
}

async function runShards(url: string, dir: string, leadSec: number): Promise<Finished[]> {
  const { args } = await indexedJob();
  const start = Math.ceil(Date.now() / 1000) + leadSec; // kvmark-lint: wall-clock
  return await Promise.all(Array.from({ length: SHARDS }, (_, index) => {
    const env = {
      JOB_COMPLETION_INDEX: String(index),
      START_AT: String(start),
      RUN_ID: "3f2b9c1e-0000-4000-8000-000000000000",
    };
    const own = argumentsOf(args, env, shrunk(url, dir));
    const quick = ["--skip-graphs", "--output-tokens", "8", "--chunk-size", "16", "--workers", "1"];
    return kvmark([...own, ...quick], { env });
  }));
}

function numbers(rows: readonly TextRow[], column: string): number[] {
  return rows.map((row) => Number(row[column]));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, one) => total + one, 0);
}

/** Nothing that has to be new was sent by two shards, or twice by one. */
function assertNothingTwice(details: readonly TextRow[], truth: readonly TruthEntry[]): void {
  const ids = details.map((row) => row.request_id);
  assert.equal(new Set(ids).size, ids.length, "request ids");
  const arrived = truth.filter((entry) => ids.includes(entry.requestId));
  assert.equal(arrived.length, ids.length, "each row is one request that arrived once");
  const prompts = arrived.map((entry) => entry.promptHash);
  assert.equal(new Set(prompts).size, prompts.length, "unique text");
}

/** Every shard used the prompts that it had warmed: one set, dealt out without a rest. */
function assertOneWorkingSet(shards: readonly Output[], truth: readonly TruthEntry[]): void {
  const warmed = truth.filter((entry) => entry.requestId.includes("WARMUP"));
  assert.equal(warmed.length, 8, "4096 tokens in prompts of 512, each warmed once");
  assert.equal(new Set(warmed.map((entry) => entry.promptHash)).size, 8);
  for (const [index, { details }] of shards.entries()) {
    const used = new Set(numbers(details, "prompt_index"));
    assert.deepEqual([...used].sort(), [index, index + SHARDS]);
    assert.ok(numbers(details, "reported_cached_tokens").every((tokens) => tokens === 256));
  }
}

/** The run, its merge, and its merge without the last shard. */
function runAndMerge(leadSec: number) {
  return onSimulator([], async (url, dir) => {
    const out = `${dir}/out`;
    const finished = await runShards(url, out, leadSec);
    const shards = finished.map((_, index) => readOutput([`${out}/shard-${index}`]));
    const merge = await kvmark(["merge", out, "--skip-graphs", "--json"]);
    const merged = readOutput([out]);
    await Deno.remove(`${out}/shard-${SHARDS - 1}`, { recursive: true });
    const without = await kvmark(["merge", out, "--skip-graphs", "--json"]);
    return { finished, shards, merge, merged, without };
  });
}

/** All shards were there in time. */
function isInTime({ result }: Awaited<ReturnType<typeof runAndMerge>>): boolean {
  return result.finished.every(({ code }) => code === 0) &&
    result.merged.summary.every((row) => row.shard_problem === "");
}

Deno.test("four shards with the environment of an Indexed Job make one run, and merge puts it together", async () => {
  let run = await runAndMerge(LEADS_SEC[0]!);
  if (!isInTime(run)) run = await runAndMerge(LEADS_SEC[1]!);
  const { result, truth } = run;
  for (const { code, stderr } of result.finished) assert.equal(code, 0, stderr);
  const { shards, merge, merged, without } = result;
  assertNothingTwice(merged.details, truth);
  assertOneWorkingSet(shards, truth);

  assert.deepEqual(shards.flatMap((one) => numbers(one.summary, "peak_concurrency")), [2, 2, 1, 1]);
  assert.deepEqual(numbers(merged.summary, "peak_concurrency"), [LEVEL]);
  assert.equal(merged.details.length, sum(shards.map((one) => one.details.length)));
  assert.deepEqual(numbers(merged.summary, "total_requests"), [merged.details.length]);
  assert.equal(merged.summary[0]?.hit_rate_verdict, "confirmed");

  assert.equal(merge.code, 0, merge.stderr);
  const told = JSON.parse(merge.stdout);
  assert.deepEqual(told.shards, [0, 1, 2, 3]);
  assert.equal(told.requests, merged.details.length);
  const lost = JSON.parse(without.stdout);
  assert.equal(without.code, 0, "what is left still stands");
  assert.equal(lost.complete, false);
  assert.match(lost.warnings.join("\n"), /Shard 3 of 4 is missing/);
  assert.match(lost.rows[0].shard_problem, /^shard 3 is missing/);
});
