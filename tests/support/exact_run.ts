/**
 * Runs of which every count is known beforehand, and their rows without what depends on time.
 *
 * The simulator answers each request 140 ms after it came, and a period launches for 100 ms: so
 * each slot sends exactly one request. One level of concurrency, since which of two is the peak
 * depends on how busy the machine is. With coverage a period goes on until a whole working set is
 * sent, one request a slot after the other: that many are sent, or one a slot.
 *
 * @module
 */

import assert from "node:assert/strict";
import { parseProgress } from "../../lib/results/progress.ts";
import type { ExperimentKind } from "../../lib/results/schema.ts";
import { readCsvText } from "./csv_text.ts";

/** Arguments of `simulate`. */
export const EXACT_SIMULATE: readonly string[] = [
  ...["--fault", "constant-latency", "--constant-ttft-ms", "140", "--itl-ms", "1"],
];

/** The arguments of a run for each experiment. */
export type ExactRuns = Readonly<Record<ExperimentKind, readonly string[]>>;

const COMMON = ["--output-tokens", "2", "--skip-graphs", "--seed", "1", "--workers", "1"];
const SWEEP = [
  ...["--chunk-size", "16", "--mode", "fixed"],
  ...["--ramp-duration", "0.1", "--test-duration", "0.1"],
  ...COMMON,
];
const CACHE_RATE = [
  ...["cache-rate", "--working-set-size", "1024", "--fixed-concurrency-levels", "3"],
  ...SWEEP,
];
const WORKING_SET = [
  ...["working-set", "--context-sizes", "256", "--fixed-concurrency", "3"],
  ...["--ensure-working-set-coverage", "--num-retries", "0"],
  ...SWEEP,
];
const SINGLE_PROMPT = ["single-prompt", "-n", "2", ...COMMON];

/**
 * `cache-rate`: four cells with three periods of three requests each. `working-set`: six cells with
 * a period each, of three, three and six requests. `single-prompt`: three sizes with two iterations
 * of two prompts, each sent three times.
 */
export const EXACT_RUNS: ExactRuns = {
  "cache-rate": [
    ...CACHE_RATE,
    ...["--context-sizes", "256", "512", "--cache-hit-rates", "0", "50", "--num-retries", "2"],
  ],
  "working-set": [
    ...WORKING_SET,
    ...["--working-set-sizes", "256", "768", "1536", "--cache-hit-rates", "50", "100"],
  ],
  "single-prompt": [
    ...SINGLE_PROMPT,
    ...["--context-sizes", "128", "256", "512", "--num-iterations", "2", "-r", "2"],
  ],
};

/**
 * `cache-rate`: two cells with two periods of three requests each. `working-set`: two cells with a
 * period of three and of four requests. `single-prompt`: two sizes, two prompts, each sent twice.
 */
export const SMALL_EXACT_RUNS: ExactRuns = {
  "cache-rate": [
    ...CACHE_RATE,
    ...["--context-sizes", "512", "--cache-hit-rates", "0", "50", "--num-retries", "1"],
  ],
  "working-set": [...WORKING_SET, "--working-set-sizes", "256", "1024"],
  "single-prompt": [...SINGLE_PROMPT, "--context-sizes", "128", "256", "--num-iterations", "1"],
};

/** The run of {@linkcode SMALL_EXACT_RUNS} that most tests take. */
export const SMALL_EXACT_RUN = SMALL_EXACT_RUNS["cache-rate"];

/** The columns that do not depend on time. */
const SWEEP_TABLES: Readonly<Record<string, readonly string[]>> = {
  summary: [
    ...["context_size", "working_set_size", "cache_hit_rate", "model", "peak_concurrency"],
    ...["total_requests", "failed_requests", "failure_kinds", "achievable_hit_rate"],
    ...["observed_hit_rate", "hit_rate_verdict", "periods_at_peak", "output_tokens_source"],
    ...["multi_token_chunks", "reused_tokens_per_sec", "working_set_prompts"],
    ...["effective_working_set_size", "failed_warmup_requests"],
  ],
  phase_metadata: [
    ...["phase_type", "phase_id", "context_size", "working_set_size", "cache_hit_rate"],
    ...["concurrency_level", "num_requests_launched", "num_requests_completed"],
    ...["num_requests_failed", "failure_kinds", "decision", "retries"],
  ],
  detailed_results: [
    ...["phase_id", "context_size", "working_set_size", "cache_hit_rate", "cached_tokens"],
    ...["unique_tokens", "output_tokens", "concurrency_level", "content_chunks"],
    ...["achievable_cached_tokens", "reported_prompt_tokens", "reported_cached_tokens"],
    ...["finish_reason", "http_status", "error_kind", "ramp_in", "prompt_index"],
  ],
};
const TABLES: Readonly<Record<ExperimentKind, Readonly<Record<string, readonly string[]>>>> = {
  "cache-rate": SWEEP_TABLES,
  "working-set": SWEEP_TABLES,
  "single-prompt": {
    single_prompt_results: [
      ...["context_size", "iteration", "prompt_type", "prompt_index", "prompt_tokens"],
      ...["completion_tokens", "reported_cached_tokens", "achievable_cached_tokens"],
      ...["hit_verdict", "error_kind"],
    ],
  },
};

/** Rows by table, each as one line of text, sorted. */
export type ExactRows = Readonly<Record<string, readonly string[]>>;

/**
 * The rows of all tables of a folder, without what depends on time. Warm-ups are left out: a run
 * that goes on warms the working set again, and each warm-up that was made has its row.
 */
export function exactRows(dir: string): ExactRows {
  return Object.fromEntries(
    Object.entries(TABLES[experimentOf(dir)]).map(([table, columns]) => {
      const rows = rowsOf(dir, table).filter((row) => !isWarmUp(row)).map((row) =>
        columns.map((column) => {
          assert.ok(row[column] !== undefined, `${table} has no column ${column}`);
          return `${column}=${row[column]}`;
        }).join(" ")
      );
      return [table, rows.sort()];
    }),
  );
}

/** What `progress.json` of a folder says that it holds. */
export function experimentOf(dir: string): ExperimentKind {
  const progress = parseProgress(Deno.readTextFileSync(`${dir}/progress.json`));
  assert.ok(progress !== undefined, `${dir} holds no run of kvmark`);
  return progress.experiment;
}

/** The rows of a folder that are requests, without the failed ones of warm-ups. */
export function requestRowsOf(dir: string): Record<string, string>[] {
  const isSingle = experimentOf(dir) === "single-prompt";
  return rowsOf(dir, isSingle ? "single_prompt_results" : "detailed_results")
    .filter((row) => !isWarmUp(row));
}

/** True for the row of a warm-up in `phase_metadata_*.csv` or `detailed_results_*.csv`. */
export function isWarmUp(row: Readonly<Record<string, string>>): boolean {
  return row["phase_type"] === "WARMUP" || row["purpose"] === "warmup";
}

/** The rows of a table, all of its files together. */
export function rowsOf(dir: string, table: string): Record<string, string>[] {
  const names = [...Deno.readDirSync(dir)].map((entry) => entry.name)
    .filter((name) => name.startsWith(`${table}_`) && name.endsWith(".csv"));
  assert.ok(names.length > 0, `${dir} has no ${table}`);
  return names.flatMap((name) => readCsvText(Deno.readTextFileSync(`${dir}/${name}`)));
}
