/**
 * True to the oracle: what kvmark reports against what the simulator's truth log says it did.
 */

import assert from "node:assert/strict";
import { type Sweep, sweep, type TextRow } from "./support/sweep.ts";
import type { TruthEntry } from "../lib/sim/truth_log.ts";

const BLOCK = 16;

function truthOf(run: Sweep): Map<string, TruthEntry> {
  return new Map(run.truth.map((entry) => [entry.requestId, entry]));
}

function cachedTokens(entry: TruthEntry): number {
  return Object.values(entry.cached ?? {}).reduce((sum, tokens) => sum + tokens, 0);
}

/** Pairs of row and truth of the requests that succeeded; never an empty list. */
function pairs(run: Sweep): { row: TextRow; truth: TruthEntry }[] {
  const truth = truthOf(run);
  const found = run.details.filter((row) => row["error_kind"] === "").map((row) => {
    const entry = truth.get(row["request_id"] ?? "");
    assert.ok(entry !== undefined, `${row["request_id"]} is not in the truth log`);
    return { row, truth: entry };
  });
  assert.ok(found.length >= 8, `only ${found.length} requests succeeded`);
  return found;
}

for (const api of ["completions", "chat"]) {
  for (const rate of ["0", "50", "100"]) {
    Deno.test(`accuracy: token counts and hits on ${api} at ${rate} % are the server's own`, async () => {
      const run = await sweep({ cacheRate: ["--api", api, "--cache-hit-rates", rate] });
      assert.equal(run.code, 0, run.stderr);
      for (const { row, truth } of pairs(run)) {
        assert.equal(truth.promptTokens, 512);
        assert.equal(Number(row["reported_prompt_tokens"]), truth.promptTokens);
        assert.equal(Number(row["output_tokens"]), truth.outputTokens);
        assert.equal(Number(row["reported_cached_tokens"]), cachedTokens(truth));
        assert.equal(Number(row["achievable_cached_tokens"]), cachedTokens(truth));
        assert.equal(cachedTokens(truth) % BLOCK, 0);
      }
      const [row] = run.summary;
      assert.equal(row?.["observed_hit_rate"], row?.["achievable_hit_rate"]);
      assert.equal(row?.["hit_rate_verdict"], "confirmed");
    });
  }
}

for (const [title, seed] of [["without", []], ["with", ["--seed", "42"]]] as const) {
  Deno.test(`accuracy: 0 % is exactly no hit ${title} a seed, twice on one server`, async () => {
    const run = await sweep({ cacheRate: ["--cache-hit-rates", "0", ...seed], runs: 2 });
    assert.equal(run.code, 0, run.stderr);
    assert.equal(run.summary.length, 2, "both runs have a row");
    const measured = run.truth.filter((entry) => entry.requestId.startsWith("FIXED_"));
    assert.ok(run.details.length >= 16, `only ${run.details.length} requests`);
    assert.equal(measured.length, run.details.length);
    const warm = run.truth.filter((entry) => entry.requestId.startsWith("WARMUP_"));
    assert.equal(warm.length, 16, "two working sets of 8 prompts");
    const all = [...warm, ...measured];
    assert.equal(all.reduce((sum, entry) => sum + cachedTokens(entry), 0), 0);
    const firstBlocks = all.map((entry) => entry.blockHashes?.[0]);
    assert.ok(firstBlocks.every((hash) => hash !== undefined));
    assert.equal(new Set(firstBlocks).size, all.length);
  });
}

Deno.test("accuracy: TTFT agrees with the instants that the server wrote down", async () => {
  const run = await sweep({
    cacheRate: ["--fixed-concurrency-levels", "4", "--ramp-duration", "2", "--test-duration", "2"],
  });
  assert.equal(run.code, 0, run.stderr);
  const errorsMs = pairs(run).map(({ row, truth }) => {
    const [first] = truth.chunks;
    assert.ok(first !== undefined);
    const sentEpochMs = Number(row["launch_time"]) * 1000;
    return Math.abs(Number(row["ttft"]) * 1000 - (first[0] - sentEpochMs));
  }).sort((a, b) => a - b);
  const median = errorsMs[Math.floor(errorsMs.length / 2)] ?? NaN;
  // Wide on purpose: the test machine may be busy. docs/accuracy.md has the figures of a quiet one.
  assert.ok(median < 20, `median error ${median} ms over ${errorsMs.length} requests`);
});
