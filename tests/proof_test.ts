/** Whole runs of cache-rate against servers whose truth is known: the verdict and its cause. */

import assert from "node:assert/strict";
import { infer } from "../lib/server/infer.ts";
import { probeText } from "../lib/server/probe_text.ts";
import { startSimulator } from "../lib/sim/server.ts";
import type { SimulatorOptions } from "../lib/sim/settings.ts";
import { cacheRate, LEVELS, type Run } from "./support/cache_rate_run.ts";
import { startStandIn } from "./support/stand_ins.ts";
import { accessTo, LLAMACPP, modelList } from "./support/stand_in_scripts.ts";
import type { TextRow } from "./support/sweep.ts";

const FAST: SimulatorOptions = {
  port: 0,
  hbmTokens: 64_000,
  dramTokens: 0,
  ssdTokens: 0,
  maxModelTokens: 2000,
  prefillTokensPerSec: 500_000,
  itlMs: 0.1,
};

async function against(options: SimulatorOptions, args: readonly string[] = []): Promise<Run> {
  await using simulator = await startSimulator({ ...FAST, ...options });
  return await cacheRate(simulator.url, args);
}

/** The same beside a client that keeps asking for other text. */
async function besideIntruder(options: SimulatorOptions): Promise<Run> {
  await using simulator = await startSimulator({ ...FAST, ...options });
  const access = accessTo(simulator.url);
  let over = false;
  const intruder = (async () => {
    for (let i = 0; !over; i++) {
      const prompt = probeText(`intruder ${i}`, "text", 1500);
      await infer(access, {
        api: "completions",
        model: "sim/demo",
        prompt,
        maxTokens: 1,
        stream: false,
      });
    }
  })();
  try {
    return await cacheRate(simulator.url);
  } finally {
    over = true;
    await intruder;
  }
}

function only(run: Run): TextRow {
  assert.equal(run.rows.length, 1, run.stderr);
  assert.ok(Number(run.rows[0]?.["total_requests"]) >= 4, run.stderr);
  return run.rows[0]!;
}

function rates(row: TextRow): (string | undefined)[] {
  return ["achievable", "observed", "theoretical", "counter"].map((name) =>
    row[`${name}_hit_rate`]
  );
}

Deno.test("a good server is confirmed, by usage, counters and the LRU model", async () => {
  const run = await against({}, ["--require-verified", "--metrics-interval", "0.1"]);
  const row = only(run);
  assert.equal(run.code, 0, run.stderr);
  assert.equal(row["hit_rate_verdict"], "confirmed", row["hit_rate_cause"]);
  assert.deepEqual(rates(row), ["50", "50", "50", "50"]);
  assert.match(row["hit_rate_cause"] ?? "", /counters say 50 %/);
  const sum = (name: string, phase: string) =>
    run.metrics.filter((one) => one["phase_id"] === phase)
      .reduce((total, one) => total + Number(one[name]), 0);
  const prompts = run.details.length * 512;
  assert.equal(sum("prompt_tokens", "FIXED_c2_run0"), prompts);
  assert.equal(sum("cache_hit_tokens", "FIXED_c2_run0"), prompts / 2);
  assert.equal(sum("hbm_hit_tokens", "FIXED_c2_run0"), prompts / 2);
  assert.equal(sum("prompt_tokens", "WARMUP"), 8 * 512);
  // run.json is written again at the end; the start stays the start.
  const launched = run.details.map((one) => Number(one["launch_time"]) * 1000);
  assert.ok(Date.parse(run.startedAt) <= Math.min(...launched), run.startedAt);
});

Deno.test("a server without caching differs, and --require-verified says so", async () => {
  const run = await against({ faults: ["cache-off"] }, ["--require-verified"]);
  const row = only(run);
  assert.equal(run.code, 6, run.stderr);
  assert.equal(row["hit_rate_verdict"], "differs");
  assert.match(row["hit_rate_cause"] ?? "", /does not reuse its KV cache/);
});

Deno.test("a lying counter differs, also where its number is the right one", async () => {
  const faults = ["lying-cache-counter"];
  // Room for all that a fast machine sends at 50 %: its unique text drives no warm prompt out.
  const run = await against({ faults, hbmTokens: 4_000_000 }, ["--cache-hit-rates", "50", "100"]);
  assert.equal(run.rows.length, 2, run.stderr);
  for (const row of run.rows) {
    assert.equal(row["hit_rate_verdict"], "differs");
    assert.match(row["hit_rate_cause"] ?? "", /never saw|never seen/);
    assert.equal(row["counter_hit_rate"], row["achievable_hit_rate"]);
  }
});

Deno.test("too small a cache differs, and eviction is the cause", async () => {
  const run = await against({ hbmTokens: 2048, maxModelTokens: 2048 });
  const row = only(run);
  assert.equal(row["hit_rate_verdict"], "differs");
  assert.match(row["hit_rate_cause"] ?? "", /working set of 4,096 tokens .* cache of 2,048/);
  assert.match(row["hit_rate_cause"] ?? "", /LRU cache of that size would reuse 0 %/);
  assert.deepEqual(rates(row), ["50", "0", "0", "0"]);
});

Deno.test("another client's traffic is told; usage still confirms, counters alone do not", async () => {
  // Room for the text of the other client, which would drive the warm prompts out.
  const byUsage = await besideIntruder({ hbmTokens: 4_000_000 });
  assert.equal(only(byUsage)["hit_rate_verdict"], "confirmed", byUsage.stderr);
  assert.match(byUsage.stderr, /Another client used the server/);
  const share = Number(only(byUsage)["foreign_prompt_share"]);
  // By the prompts that were really sent: the rest is the other client's.
  assert.ok(share > 5 && share < 95, `${share}`);
  assert.match(
    only(byUsage)["hit_rate_cause"] ?? "",
    /, but [\d.]+ % of the server's prompt tokens/,
  );
  assert.match(byUsage.stderr, /warning: 512_50: [\d.]+ % of the server's prompt tokens were not/);
  const counted = byUsage.metrics.filter((one) => one["phase_id"] === "FIXED_c2_run0")
    .reduce((sum, one) => sum + Number(one["prompt_tokens"]), 0);
  const expected = 100 * (1 - 512 * byUsage.details.length / counted);
  assert.ok(Math.abs(share - expected) < 0.01, `${share}, not ${expected}`);
  const phase = byUsage.phases.find((one) => one["phase_id"] === "FIXED_c2_run0");
  assert.equal(phase?.["foreign_prompt_share"], only(byUsage)["foreign_prompt_share"]);
  const byCounters = only(await besideIntruder({ hbmTokens: 4_000_000, faults: ["no-usage"] }));
  assert.equal(byCounters["hit_rate_verdict"], "unchecked");
  assert.match(byCounters["hit_rate_cause"] ?? "", /Another client used the server/);
});

Deno.test("chunks that are not whole blocks are confirmed at what the blocks allow", async () => {
  const run = await against({}, ["--chunk-size", "100"]);
  const row = only(run);
  assert.equal(row["hit_rate_verdict"], "confirmed", row["hit_rate_cause"]);
  assert.deepEqual(rates(row), ["37.5", "37.5", "37.5", "37.5"]);
  assert.match(run.stderr, /Chunks of 100 tokens and blocks of 16 make 37.5 % of 50 %/);
});

Deno.test("a block size that the server does not state is found, and the rate confirmed by it", async () => {
  await using standIn = startStandIn({
    models: modelList("m", "someone"),
    blockTokens: 48,
    cachedTokens: "always",
    usage: "asked",
  });
  const run = await cacheRate(standIn.url, ["--cache-hit-rates", "100"]);
  assert.match(run.stderr, /block size: 48 tokens/);
  const row = only(run);
  assert.equal(row["hit_rate_verdict"], "confirmed", row["hit_rate_cause"]);
  assert.equal(Number(row["achievable_hit_rate"]), 100 * 480 / 512);
  assert.equal(row["counter_hit_rate"], "");
  assert.equal(run.metrics.length, 0);
});

Deno.test("--cold require drops the caches and proves it, or refuses to measure", async () => {
  const good = await against({}, ["--cold", "require"]);
  assert.equal(good.code, 0, good.stderr);
  assert.deepEqual([good.cold?.by, good.cold?.proved], ["reset", true]);
  assert.match(good.cold?.evidence.join() ?? "", /reports 0 after the reset/);
  const lying = await against({ faults: ["lying-cache-counter"] }, ["--cold", "require"]);
  assert.equal(lying.code, 6);
  assert.deepEqual(lying.details, []);
});

Deno.test("--cold reset without proof measures on new text, and says that it is not proved", async () => {
  const run = await against({ faults: ["no-usage"] }, ["--cold", "reset"]);
  assert.equal(only(run)["hit_rate_verdict"], "confirmed");
  assert.match(run.stderr, /warning: cold: no proved reset/);
  assert.deepEqual([run.cold?.by, run.cold?.proved], ["salt", false]);
});

Deno.test("--alternate-recompute measures loading against computing on one server", async () => {
  // HBM holds 3 of 8 prompts, so the shared halves come from DRAM.
  const tiers = { hbmTokens: 2048, maxModelTokens: 2048, dramTokens: 64_000 };
  const slow = { prefillTokensPerSec: 20_000, dramReadTokensPerSec: 1_000_000, dramLatencyMs: 0 };
  // One at a time: two in flight share the prefill, and the later one waits for the other.
  const run = await against({ ...tiers, ...slow }, ["--alternate-recompute", LEVELS, "1"]);
  const row = only(run);
  assert.doesNotMatch(run.stderr, /wait for each other/);
  assert.equal(row["hit_rate_verdict"], "confirmed", row["hit_rate_cause"]);
  assert.match(run.stderr, /Loaded requests reused 50 %, recomputed ones 0 %/);
  const cached = (recompute: string) =>
    new Set(
      run.details.filter((one) => one["recompute"] === recompute)
        .map((one) => one["reported_cached_tokens"]),
    );
  assert.deepEqual([...cached("")], ["256"]);
  assert.deepEqual([...cached("yes")], ["0"]);
  const [loaded, computed] = ["loaded", "recomputed"].map((name) =>
    Number(row[`median_ttft_${name}`])
  );
  assert.ok(loaded! > 0 && computed! > loaded!, `${loaded} ${computed}`);
});

Deno.test("--alternate-recompute is refused where a server cannot be told", async () => {
  await using standIn = startStandIn({
    models: modelList("m", "someone"),
    blockTokens: 16,
    cachedTokens: "always",
    usage: "asked",
  });
  const run = await cacheRate(standIn.url, ["--alternate-recompute"]);
  assert.equal(run.code, 2);
  assert.deepEqual(run.details, []);
});

Deno.test("--alternate-recompute on llama.cpp: what is recomputed has nothing to find", async () => {
  // Not its blocks of 1: a new word is the same as one sent before once in a thousand, a block never.
  await using standIn = startStandIn({ ...LLAMACPP, blockTokens: 16 });
  const run = await cacheRate(standIn.url, ["--alternate-recompute"]);
  const row = only(run);
  assert.equal(row["hit_rate_verdict"], "confirmed", row["hit_rate_cause"]);
  for (const one of run.details) {
    const expected = one["recompute"] === "yes" ? "0" : "256";
    assert.equal(one["achievable_cached_tokens"], expected);
    assert.equal(one["reported_cached_tokens"], expected);
  }
});

Deno.test("an engine that keeps one sequence a slot is warmed before each cell, one by one", async () => {
  await using server = startStandIn(LLAMACPP);
  const rates = ["--cache-hit-rates", "0", "50", "100"];
  const { rows, phases, stderr } = await cacheRate(server.url, rates);
  assert.equal(rows.length, 3, stderr);
  const warmUps = phases.filter((phase) => phase["phase_id"] === "WARMUP")
    .map((phase) => phase["concurrency_level"]);
  assert.deepEqual(warmUps, ["1", "1", "1"], "a warm-up a cell, each with one in flight");
});
