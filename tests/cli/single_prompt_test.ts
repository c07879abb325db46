/**
 * `kvmark single-prompt` on the simulator: cold is cold, cached is cached, and every request is a
 * row.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import type { TruthEntry } from "../../lib/sim/truth_log.ts";
import { kvmark } from "../support/command.ts";
import { onSimulator, readOutput, rowsOf, type TextRow } from "../support/sweep.ts";

const RUN = [
  "--min-tokens",
  "100",
  "--num-iterations",
  "2",
  "-n",
  "2",
  "-r",
  "2",
  "--output-tokens",
  "2",
];

function output(out: string) {
  const { files } = readOutput([out]);
  return { files, rows: rowsOf(files, "single_prompt_results_") };
}

Deno.test("kvmark single-prompt sends each prompt cold and then cached, none like another", async () => {
  const { result, truth } = await onSimulator(
    ["--speedup", "4", "--max-model-len", "500"],
    async (url, dir) => {
      const out = `${dir}/out`;
      const args = ["single-prompt", "--api-endpoint", url, "--output-dir", out, ...RUN];
      const first = await kvmark([...args, "--max-tokens", "200", "--brief"]);
      // As far as the server takes them: 100, 200 and 400 beside the output.
      const again = await kvmark([...args, "--max-tokens", "100000", "--skip-graphs"]);
      return { first, again, ...output(out) };
    },
  );
  const { first, again, files, rows } = result;
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /^\[100\] unique=[\d.]+s cached=[\d.]+s speedup=[\d.]+x$/m);
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /2 finished cells kept/);
  assert.match(again.stderr, /warning: the server takes .* 498 tokens .*: the sizes 800, 1,600/);
  const expected = ["unique", "unique", "cached", "cached", "cached_r2", "cached_r2"];
  for (const size of ["100", "200", "400"]) {
    const types = rows.filter((row) => row["context_size"] === size)
      .map((row) => row["prompt_type"]);
    assert.deepEqual(types, [...expected, ...expected], size);
  }
  assert.ok(rows.every((row) => row["hit_verdict"] === "confirmed" && row["error_kind"] === ""));
  assertCold(rows, truth);
  for (const name of ["single_prompt_performance", "summary_table", "index"]) {
    assert.ok(files.some((path) => path.endsWith(`/${name}.html`)), `${name}.html is missing`);
  }
});

/** By the truth log: what was sent before each size, and that no two prompts share a block. */
function assertCold(rows: readonly TextRow[], truth: readonly TruthEntry[]): void {
  const sent = truth.filter((entry) => /_(DISCARD|i\d+_\w+)_r\d+$/.test(entry.requestId));
  const isDiscarded = (entry: TruthEntry) => entry.requestId.includes("DISCARD");
  assert.equal(sent.length, rows.length + 3 * 2);
  assert.ok(sent.slice(0, 2).every(isDiscarded), "the first requests of all are discarded");
  const byPrompt = Map.groupBy(sent, (entry) => entry.promptHash);
  assert.equal(byPrompt.size, 3 * (2 + 2 * 2));
  const firstBlocks = [...byPrompt.values()].map(([entry]) => entry?.blockHashes?.[0]);
  assert.equal(new Set(firstBlocks).size, byPrompt.size);
  for (const entries of byPrompt.values()) {
    if (entries.some(isDiscarded)) continue;
    const cached = entries.map(({ cached }) => (cached?.hbm ?? 0) > 0);
    assert.deepEqual(cached, [false, true, true]);
  }
}

Deno.test("kvmark single-prompt makes a row of a request that fails, and goes on", async () => {
  const { result } = await onSimulator(
    ["--speedup", "4", "--fault", "http-429:0.4"],
    async (url, dir) => {
      const out = `${dir}/out`;
      const sizes = [
        "--context-sizes",
        "64",
        "128",
        "--num-iterations",
        "6",
        "--output-tokens",
        "1",
      ];
      const args = ["single-prompt", "--api-endpoint", url, "--output-dir", out, ...sizes];
      // 40 % fail on purpose: the default of --min-success would make that exit 3.
      const all = [...args, "--json", "--skip-graphs", "--min-success", "0"];
      return { ...await kvmark(all), ...output(out) };
    },
  );
  if (result.code === EXIT_CODES.unreachable.code) return assert.match(result.stderr, /429/);
  assert.equal(result.code, 0, result.stderr);
  const { rows } = result;
  assert.equal(rows.length, 2 * 6 * 2);
  const failed = rows.filter((row) => row["error_kind"] !== "").length;
  assert.ok(failed > 0 && failed < rows.length);
  const report = JSON.parse(result.stdout);
  const counted = report.rows.map((row: { failed_requests: number }) => row.failed_requests);
  assert.equal(counted.reduce((a: number, b: number) => a + b), failed);
});

Deno.test("kvmark single-prompt names every problem of its options at once", async () => {
  const { code, stdout, stderr } = await kvmark([
    ...["single-prompt", "--min-tokens", "0", "--num-iterations", "0", "-n", "0", "-r", "x"],
    ...["--output-tokens", "1e3", "--reuse-cache", "--api-key-env", "A", "--api-key-file", "b"],
  ]);
  assert.equal(code, EXIT_CODES.usage.code);
  assert.equal(stdout, "");
  for (
    const problem of [
      /--api-endpoint is required/,
      /--min-tokens 0: must be at least/,
      /--num-iterations 0: must be at least/,
      /--concurrent-prompts 0: must be at least/,
      /--cached-repeats "x"/,
      /--output-tokens "1e3"/,
      /--reuse-cache needs --seed/,
      /--reuse-cache makes no sense/,
      /--api-key-env and --api-key-file/,
    ]
  ) assert.match(stderr, problem);
});
