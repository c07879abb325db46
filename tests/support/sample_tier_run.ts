/**
 * A working-set run over known tiers, with the tier map that `lib/tiers` makes of its rows.
 *
 * @module
 */

import { accessOrderOf } from "../../lib/tiers/access_order.ts";
import { testRun } from "../../lib/tiers/test_rows.ts";
import { buildTierMap } from "../../lib/tiers/tier_map.ts";
import type { DetailRow, PhaseRow, RunData, SummaryRow } from "../../lib/results/schema.ts";
import { mean, percentile, runOf, spreadColumns } from "./sample_run.ts";

const CONTEXT = 8000;
const OUTPUT = 2;
const ITL = 0.008;
const START = 1_764_000_000;

/** Three prompts each, and room for their output: as in `kvmark demo`. */
const TIERS = [
  { tokens: 24_512, ttftMs: 12 },
  { tokens: 24_000, ttftMs: 44 },
  { tokens: 24_000, ttftMs: 93 },
];

/**
 * Twelve sizes of 1 to 12 prompts, one request at a time. Used in order (`cyclic`) they show the
 * end of each tier as a step; at random the capacities are fitted.
 */
export function sampleTierRun(order: "cyclic" | "random" = "cyclic"): RunData {
  const { details } = testRun({
    seed: 5,
    order,
    tiers: TIERS,
    missMs: 180,
    sizes: Array.from({ length: 12 }, (_, i) => CONTEXT * (i + 1)),
    contextTokens: CONTEXT,
    outputTokens: OUTPUT,
    requestsPerSize: 48,
    reportsCached: true,
  });
  const rows = details.map(completeRow);
  const sizes = [...Map.groupBy(rows, (row) => row.working_set_size ?? 0)];
  const run = runOf("working-set", undefined, {
    details: rows,
    phases: sizes.map(([size, ofSize]) => phaseOf(size, ofSize)),
    summary: sizes.map(([size, ofSize]) => summaryOf(size, ofSize)),
  });
  const parameters = { ...run.config.parameters, "access-order": order };
  const complete = { ...run, config: { ...run.config, parameters } };
  if (accessOrderOf(parameters, rows).order !== order) throw new Error("another access order");
  return { ...complete, tierMap: buildTierMap(complete) };
}

function completeRow(row: DetailRow, index: number): DetailRow {
  const { ttft = NaN } = row;
  const launched = START + index;
  return {
    ...row,
    launch_time: launched,
    finish_time: launched + ttft + ITL,
    ttlt: ttft + ITL,
    total_time: ttft + ITL,
    generation_time: ITL,
    itl: ITL,
    http_status: 200,
    due_to_sent_ms: 0.2,
    worker: 0,
  };
}

/** Requests follow each other without a gap, so that throughput is prompt tokens over their time. */
function inputTokensPerSec(rows: readonly DetailRow[]): number {
  return CONTEXT / mean(rows.map((row) => row.total_time ?? NaN));
}

function phaseOf(size: number, rows: readonly DetailRow[]): PhaseRow {
  const ttfts = rows.map((row) => row.ttft ?? NaN);
  const input = inputTokensPerSec(rows);
  return {
    phase_type: "FIXED",
    phase_id: "FIXED_1",
    context_size: CONTEXT,
    working_set_size: size,
    cache_hit_rate: 100,
    concurrency_level: 1,
    start_time: rows[0]?.launch_time ?? NaN,
    end_time: rows.at(-1)?.finish_time ?? NaN,
    duration: rows.length * mean(rows.map((row) => row.total_time ?? NaN)),
    num_requests_launched: rows.length,
    num_requests_completed: rows.length,
    num_requests_failed: 0,
    input_tokens_per_sec: input,
    output_tokens_per_sec: input * OUTPUT / CONTEXT,
    measured_ttft: percentile(ttfts, 95),
    avg_ttft: mean(ttfts),
    p95_ttft: percentile(ttfts, 95),
    max_ttft: Math.max(...ttfts),
    decision: "stop",
    decision_reason: "one level",
    at_peak: "yes",
  };
}

function summaryOf(size: number, rows: readonly DetailRow[]): SummaryRow {
  const input = inputTokensPerSec(rows);
  const possible = mean(rows.map((row) => row.achievable_cached_tokens ?? NaN)) / CONTEXT * 100;
  const found = mean(rows.map((row) => row.reported_cached_tokens ?? NaN)) / CONTEXT * 100;
  return {
    context_size: CONTEXT,
    working_set_size: size,
    cache_hit_rate: 100,
    model: "llama",
    input_tokens_per_sec: input,
    output_tokens_per_sec: input * OUTPUT / CONTEXT,
    unanswered_input_percent: 0,
    ...spreadColumns("ttft", rows.map((row) => row.ttft ?? NaN)),
    ...spreadColumns("ttlt", rows.map((row) => row.ttlt ?? NaN)),
    ...spreadColumns("itl", rows.map((row) => row.itl ?? NaN)),
    avg_output_tokens: 1 / ITL,
    peak_concurrency: 1,
    total_requests: rows.length,
    failed_requests: 0,
    test_duration: rows.length,
    working_set_prompts: size / CONTEXT,
    achievable_hit_rate: possible,
    observed_hit_rate: found,
    hit_rate_verdict: found > 0.98 * possible ? "confirmed" : "differs",
    hit_rate_cause: found > 0.98 * possible ? "as intended" : "eviction",
    periods_at_peak: 1,
    peak_reason: "the only level",
    output_tokens_source: "usage",
  };
}
