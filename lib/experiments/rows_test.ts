import assert from "node:assert/strict";
import { summariseCell, summarisePeriod } from "../metrics/summary.ts";
import type { PeriodOutcome, RequestRecord } from "../record.ts";
import {
  DETAIL_COLUMNS,
  PHASE_COLUMNS,
  SINGLE_PROMPT_COLUMNS,
  SUMMARY_COLUMNS,
} from "../results/schema.ts";
import { detailRow, phaseRow, singlePromptRow, summaryRow } from "./rows.ts";

const WALL_OFFSET_MS = 1_700_000_000_000;
const LABELS = { contextSizeTokens: 100, hitRatePercent: 50 };

const RECORD: RequestRecord = {
  requestId: "RAMP_c2_r0",
  labels: {
    ...LABELS,
    cellId: "100_50",
    periodId: "RAMP_c2",
    purpose: "measure",
    concurrency: 2,
    promptIndex: 7,
  },
  plan: { promptTokens: 100, sharedTokens: 50, achievableTokens: 48 },
  api: "completions",
  url: "http://user:secret@host:8000/gateway/v1/completions",
  maxOutputTokens: 4,
  worker: 1,
  dueAtMs: 1998,
  sentAtMs: 2000,
  headersAtMs: 2050,
  firstByteAtMs: 2051,
  contentReadsAtMs: Float64Array.of(2100, 2110, 2140),
  contentChunks: 3,
  endAtMs: 2150,
  status: 200,
  usage: { promptTokens: 101, completionTokens: 4, cachedTokens: 48 },
  outputTokens: 4,
  outputTokensSource: "usage",
  firstChunkTokens: 2,
  finishReason: "length",
  rampIn: true,
};

const FAILED: RequestRecord = (() => {
  const { headersAtMs: _h, usage: _u, outputTokens: _o, status: _s, finishReason: _r, ...rest } =
    RECORD;
  return {
    ...rest,
    requestId: "RAMP_c2_r1",
    contentReadsAtMs: new Float64Array(),
    contentChunks: 0,
    rampIn: false,
    failure: { kind: "timeout", message: "no answer\nwithin 5 s" },
  };
})();

const OUTCOME: PeriodOutcome = {
  cellId: "100_50",
  periodId: "RAMP_c2",
  concurrency: 2,
  startAtMs: 2000,
  stopAtMs: 3000,
  drainedAtMs: 3500,
  records: [
    RECORD,
    FAILED,
    { ...FAILED, failure: { kind: "connect", message: "refused" } },
    FAILED,
  ],
  client: { retries: 0, eventLoopLagP99Ms: 1.5, cpuCores: 0.25 },
  interrupted: false,
};

function assertColumns(row: object, columns: readonly { readonly name: string; type: string }[]) {
  const types = new Map(columns.map((column) => [column.name, column.type]));
  for (const [key, value] of Object.entries(row)) {
    assert.equal(typeof value === "number" ? "number" : "text", types.get(key), key);
    assert.ok(typeof value !== "number" || Number.isFinite(value), key);
  }
}

Deno.test("detailRow() gives seconds, Unix seconds, and no password", () => {
  const row = detailRow(RECORD, WALL_OFFSET_MS);
  assert.deepEqual(row, {
    request_id: "RAMP_c2_r0",
    phase_id: "RAMP_c2",
    context_size: 100,
    cache_hit_rate: 50,
    cached_tokens: 50,
    unique_tokens: 50,
    output_tokens: 4,
    ttft: 0.1,
    ttlt: 0.14,
    generation_time: 0.04,
    total_time: 0.15,
    launch_time: 1_700_000_002,
    finish_time: 1_700_000_002.15,
    concurrency_level: 2,
    itl: 0.02,
    max_itl: 0.03,
    tpot: 0.02,
    due_to_sent_ms: 2,
    headers_ms: 50,
    content_reads: 3,
    content_chunks: 3,
    prompt_index: 7,
    achievable_cached_tokens: 48,
    asked_output_tokens: 4,
    reported_prompt_tokens: 101,
    reported_cached_tokens: 48,
    output_tokens_source: "usage",
    finish_reason: "length",
    http_status: 200,
    ramp_in: "yes",
    worker: 1,
    endpoint: "http://host:8000/gateway",
  });
  assertColumns(row, DETAIL_COLUMNS);
});

Deno.test("detailRow() of a failed request leaves out what did not happen", () => {
  const row = detailRow(FAILED, WALL_OFFSET_MS);
  assert.equal(row.error_kind, "timeout");
  assert.equal(row.error, "no answer within 5 s");
  for (
    const absent of [
      "ttft",
      "ttlt",
      "generation_time",
      "itl",
      "max_itl",
      "tpot",
      "output_tokens",
      "reported_cached_tokens",
      "http_status",
      "ramp_in",
    ]
  ) assert.ok(!(absent in row), absent);
});

Deno.test("phaseRow() says what the period was, what came of it and what was decided", () => {
  const summary = summarisePeriod(OUTCOME, { strictTimeWindow: false });
  const row = phaseRow("RAMP_REFINE", LABELS, OUTCOME, summary, {
    wallOffsetMs: WALL_OFFSET_MS,
    measuredTtftMs: 100,
    decision: { action: "down", reason: "TTFT" },
    atPeak: false,
  });
  assertColumns(row, PHASE_COLUMNS);
  assert.deepEqual(
    [row.phase_type, row.start_time, row.end_time, row.duration, row.drain_s],
    ["RAMP", 1_700_000_002, 1_700_000_003.5, 1, 0.5],
  );
  assert.deepEqual(
    [row.num_requests_launched, row.num_requests_completed, row.num_requests_failed],
    [4, 1, 3],
  );
  assert.equal(row.failure_kinds, "timeout:2 connect:1");
  assert.deepEqual([row.measured_ttft, row.decision, row.at_peak], [0.1, "down", undefined]);
  assert.deepEqual([row.input_tokens_per_sec, row.reused_tokens_per_sec], [101, 48]);
});

Deno.test("summaryRow() has the figures of the cell in seconds and tokens", () => {
  const summary = summariseCell([OUTCOME, OUTCOME], { strictTimeWindow: false });
  const row = summaryRow({ ...LABELS, workingSetTokens: 5000 }, summary, {
    model: "m",
    peak: { reason: "highest", withinLimits: true, bound: "lower", cutBy: "test-duration" },
    ttftLimitMs: 2000,
    ttftMetric: "p95",
    verdict: { verdict: "differs", cause: "eviction" },
  });
  assertColumns(row, SUMMARY_COLUMNS);
  assert.deepEqual(
    [row.context_size, row.working_set_size, row.cache_hit_rate, row.model],
    [100, 5000, 50, "m"],
  );
  assert.deepEqual([row.avg_ttft, row.p99_ttft, row.max_ttft], [0.1, 0.1, 0.1]);
  assert.deepEqual([row.avg_tpot, row.avg_itl, row.avg_output_tokens], [0.02, 0.02, 50]);
  assert.deepEqual([row.total_requests, row.failed_requests, row.test_duration], [2, 6, 2]);
  assert.deepEqual([row.periods_at_peak, row.peak_concurrency, row.ttft_limit], [2, 2, 2]);
  assert.deepEqual([row.hit_rate_verdict, row.hit_rate_cause], ["differs", "eviction"]);
  assert.equal(row.observed_hit_rate, 48 / 101 * 100);
  assert.ok(!("client_limited" in row));
});

Deno.test("summaryRow() of a cell without a period has labels only", () => {
  assert.deepEqual(
    summaryRow(LABELS, undefined, {
      model: "m",
      peak: { reason: "nothing was run", withinLimits: false },
    }),
    { context_size: 100, cache_hit_rate: 50, model: "m", peak_reason: "nothing was run" },
  );
});

Deno.test("singlePromptRow() has the server's prompt tokens and the verdict", () => {
  const row = singlePromptRow(RECORD, {
    wallOffsetMs: WALL_OFFSET_MS,
    iteration: 0,
    promptType: "cached",
    verdict: "confirmed",
  });
  assertColumns(row, SINGLE_PROMPT_COLUMNS);
  assert.deepEqual(
    [row.prompt_tokens, row.iteration, row.prompt_type, row.hit_verdict],
    [101, 0, "cached", "confirmed"],
  );
  assert.deepEqual([row.output_tokens_per_sec, row.tpot, row.ttlt], [50, 0.02, 0.14]);
  const failed = singlePromptRow(FAILED, {
    wallOffsetMs: 0,
    iteration: 1,
    promptType: "unique",
  });
  assert.ok(!("prompt_tokens" in failed) && failed.error_kind === "timeout");
});
