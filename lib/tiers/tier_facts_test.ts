import assert from "node:assert/strict";
import type { RunData, ServerMetricsRow } from "../results/schema.ts";
import { tierFactsOf } from "./tier_facts.ts";

function run(serverMetrics: readonly ServerMetricsRow[]): RunData {
  return {
    dir: "out",
    kind: "working-set",
    writtenBy: "kvmark",
    config: { tiers: [{ name: "HBM", capacityTokens: 1000, evidence: "stated" }] },
    summary: [],
    details: [],
    phases: [],
    singlePrompt: [],
    sustained: [],
    serverMetrics,
    files: [],
    problems: [],
  };
}

Deno.test("tierFactsOf() adds up the hits of the measured periods of each working set", () => {
  const row = (workingSet: number, phase: string, more: ServerMetricsRow) => ({
    context_size: 100,
    working_set_size: workingSet,
    cache_hit_rate: 100,
    phase_id: phase,
    ...more,
  });
  const facts = tierFactsOf(run([
    row(500, "WARMUP", { hbm_hit_tokens: 999, dram_hit_tokens: 999 }),
    row(500, "FIXED_c1_run0", {}),
    row(500, "FIXED_c1_run0", { hbm_hit_tokens: 300, dram_hit_tokens: 0 }),
    row(500, "FIXED_c1_RETRY_1", { hbm_hit_tokens: 200, dram_hit_tokens: 10 }),
    row(900, "FIXED_c1_run0", { hbm_hit_tokens: 1, dram_hit_tokens: 400, ssd_hit_tokens: 7 }),
    row(1300, "FIXED_c1_run0", { hbm_hit_tokens: 5, restarted: "yes" }),
  ]));
  assert.deepEqual(facts.tiers?.map((tier) => tier.name), ["HBM"]);
  const where = { contextSizeTokens: 100, hitRatePercent: 100 };
  assert.deepEqual(facts.hitsByTier, [
    { ...where, workingSetTokens: 500, tokens: { HBM: 500, DRAM: 10 } },
    { ...where, workingSetTokens: 900, tokens: { HBM: 1, DRAM: 400, SSD: 7 } },
  ]);
});

Deno.test("tierFactsOf() claims nothing by counters that know one tier only", () => {
  const { hitsByTier } = tierFactsOf(run([{
    context_size: 100,
    working_set_size: 500,
    cache_hit_rate: 100,
    phase_id: "FIXED_c1_run0",
    hbm_hit_tokens: 300,
  }]));
  assert.deepEqual(hitsByTier, []);
});
