/**
 * A run of which every count is known beforehand, and its rows without what depends on time.
 *
 * The simulator answers each request 140 ms after it came, and a period launches for 100 ms: so
 * each slot sends exactly one request. One level of concurrency, since which of two is the peak
 * depends on how busy the machine is.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readCsvText } from "./csv_text.ts";

/** Arguments of `simulate`. */
export const EXACT_SIMULATE: readonly string[] = [
  ...["--fault", "constant-latency", "--constant-ttft-ms", "140", "--itl-ms", "1"],
];

const FIXED = [
  ...["--working-set-size", "1024", "--chunk-size", "16", "--output-tokens", "2"],
  ...["--mode", "fixed", "--fixed-concurrency-levels", "3", "--ramp-duration", "0.1"],
  ...["--test-duration", "0.1", "--skip-graphs", "--seed", "1", "--workers", "1"],
];

/** Arguments of a run of four cells with three periods of three requests each. */
export const EXACT_RUN: readonly string[] = [
  "cache-rate",
  ...["--context-sizes", "256", "512", "--cache-hit-rates", "0", "50", "--num-retries", "2"],
  ...FIXED,
];

/** Arguments of a run of two cells with two periods of three requests each. */
export const SMALL_EXACT_RUN: readonly string[] = [
  "cache-rate",
  ...["--context-sizes", "512", "--cache-hit-rates", "0", "50", "--num-retries", "1"],
  ...FIXED,
];

/** The columns that do not depend on time. */
const TABLES: Readonly<Record<string, readonly string[]>> = {
  summary: [
    ...["context_size", "working_set_size", "cache_hit_rate", "model", "peak_concurrency"],
    ...["total_requests", "failed_requests", "failure_kinds", "achievable_hit_rate"],
    ...["observed_hit_rate", "hit_rate_verdict", "periods_at_peak", "output_tokens_source"],
    ...["multi_token_chunks", "reused_tokens_per_sec"],
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

/** Rows by table, each as one line of text, sorted. */
export type ExactRows = Readonly<Record<string, readonly string[]>>;

/**
 * The rows of all tables of a folder, without what depends on time. Warm-ups are left out: a run
 * that goes on warms the working set again, and each warm-up that was made has its row.
 */
export function exactRows(dir: string): ExactRows {
  return Object.fromEntries(
    Object.entries(TABLES).map(([table, columns]) => {
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

/** True for the row of a warm-up in `phase_metadata_*.csv`. */
export function isWarmUp(row: Readonly<Record<string, string>>): boolean {
  return row["phase_type"] === "WARMUP";
}

/** The rows of a table, all of its files together. */
export function rowsOf(dir: string, table: string): Record<string, string>[] {
  const names = [...Deno.readDirSync(dir)].map((entry) => entry.name)
    .filter((name) => name.startsWith(`${table}_`) && name.endsWith(".csv"));
  assert.ok(names.length > 0, `${dir} has no ${table}`);
  return names.flatMap((name) => readCsvText(Deno.readTextFileSync(`${dir}/${name}`)));
}
