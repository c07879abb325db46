/**
 * `--replicates`: several whole runs in one command, and what `combine` makes of them.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import { kvmark, withTempDir } from "../support/command.ts";
import { readCsvText } from "../support/csv_text.ts";
import { onSimulator, shortRun } from "../support/sweep.ts";

const ARGS = shortRun(["--num-retries", "1"]);

Deno.test("cache-rate --replicates runs each one cold, resumes, and combine takes them as runs", async () => {
  const { result: sent, truth } = await onSimulator([], async (url, dir) => {
    const run = (out: string, more: readonly string[]) =>
      kvmark([
        "cache-rate",
        "--api-endpoint",
        url,
        "--output-dir",
        out,
        "--json",
        ...ARGS,
        ...more,
      ]);
    const first = await run(`${dir}/a`, ["--replicates", "2"]);
    assert.equal(first.code, 0, first.stderr);
    const { rows, replicates } = JSON.parse(first.stdout);
    assert.deepEqual(rows.map((row: { replicate: number }) => row.replicate), [1, 2]);
    assert.equal(replicates.length, 2);
    const before = await Promise.all([1, 2].map((n) => summaryOf(`${dir}/a/replicate_${n}`)));
    const more = await run(`${dir}/a`, ["--replicates", "3"]);
    assert.equal(more.code, 0, more.stderr);
    assert.equal(JSON.parse(more.stdout).rows.length, 3);
    assert.deepEqual(
      await Promise.all([1, 2].map((n) => summaryOf(`${dir}/a/replicate_${n}`))),
      before,
      "what was measured is kept",
    );
    const other = await run(`${dir}/b`, ["--replicates", "2"]);
    assert.equal(other.code, 0, other.stderr);
    await assertCombined(dir);
    return await Promise.all([1, 2, 3].map((n) => sendingTimes(`${dir}/a/replicate_${n}`)));
  });
  const beginnings = sent.map(({ from, to }) =>
    new Set(
      truth.filter((one) => one.receivedEpochMs >= from && one.receivedEpochMs <= to)
        .map((one) => one.blockHashes?.[0] ?? ""),
    )
  );
  for (const own of beginnings) assert.ok(own.size >= 4, `${own.size} prompts were looked at`);
  const all = beginnings.flatMap((own) => [...own]);
  assert.equal(new Set(all).size, all.length, "a replicate found text of another one");
});

/** From the first to the last request of a run, on the wall clock. */
async function sendingTimes(dir: string): Promise<{ from: number; to: number }> {
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name);
  const name = names.find((one) => one.startsWith("detailed_results_"));
  const rows = readCsvText(await Deno.readTextFile(`${dir}/${name}`));
  const times = rows.map((row) => Number(row["launch_time"]) * 1000);
  assert.ok(times.length > 10);
  return { from: Math.min(...times) - 20, to: Math.max(...times) + 20 };
}

async function summaryOf(dir: string): Promise<string> {
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name);
  const name = names.find((one) => one.startsWith("summary_") && one.endsWith(".csv"));
  return await Deno.readTextFile(`${dir}/${name}`);
}

async function assertCombined(dir: string): Promise<void> {
  const { code, stderr } = await kvmark([
    ...["combine", "--output-dirs", `A=${dir}/a`, `B=${dir}/b`, "--output", `${dir}/ab`, "--json"],
  ]);
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /One run of each/);
  const table = readCsvText(await Deno.readTextFile(`${dir}/ab/comparison.csv`));
  const input = table.filter((row) => row["metric"] === "input_tokens_per_sec");
  assert.equal(input.length, 1);
  assert.deepEqual(
    [input[0]?.["runs"], input[0]?.["baseline_runs"], input[0]?.["interval_basis"]],
    ["2", "3", "replicates"],
  );
  assert.ok(Number(input[0]?.["ratio_low"]) < Number(input[0]?.["ratio_high"]));
}

Deno.test("combine refuses folders without a common point, and --replicates what it cannot mix", async () => {
  await onSimulator([], async (url, dir) => {
    for (const [name, rate] of [["a", "0"], ["b", "100"]] as const) {
      const args = shortRun(["--cache-hit-rates", rate]);
      const run = await kvmark([
        ...["cache-rate", "--api-endpoint", url, "--output-dir", `${dir}/${name}`, ...args],
      ]);
      assert.equal(run.code, 0, run.stderr);
    }
    const combined = await kvmark([
      ...["combine", "--output-dirs", `${dir}/a`, `${dir}/b`, "--output", `${dir}/ab`],
    ]);
    assert.equal(combined.code, EXIT_CODES.usage.code, combined.stderr);
    assert.match(combined.stderr, /no point in common/);
    assert.match(combined.stderr, /512 tokens at 0 %/);
    const inside = await kvmark([
      ...["cache-rate", "--api-endpoint", url, "--output-dir", `${dir}/a`, "--replicates", "2"],
      ...ARGS,
    ]);
    assert.equal(inside.code, EXIT_CODES.usage.code, inside.stderr);
    assert.match(inside.stderr, /made without --replicates/);
  });
  await withTempDir(async (dir) => {
    const { code, stderr } = await kvmark([
      ...["cache-rate", "--api-endpoint", "http://127.0.0.1:9", "--output-dir", dir],
      ...["--replicates", "2", "--reuse-cache", "--seed", "x", ...ARGS],
    ]);
    assert.equal(code, EXIT_CODES.usage.code);
    assert.match(stderr, /--reuse-cache would keep the cache/);
  });
});
