/**
 * The result as `--brief` prints it: the lines of the Python suite, for scripts that read them.
 *
 * @module
 */

import { headerLine, rowLines } from "../lib/results/csv.ts";
import type { Column, SummaryRow } from "../lib/results/schema.ts";

/** What the lines name besides the rows. */
export interface BriefLabels {
  readonly endpoint: string;
  /** The sweep's own column. */
  readonly by: "cache_rate" | "working_set";
  /** What was the same in every row: `working_set: 60000`, `cache_rate: 100`. */
  readonly fixed: string;
  readonly dir: string;
}

/** Tokens are throughput times duration, as in the Python suite. */
export function briefText(rows: readonly SummaryRow[], labels: BriefLabels): string {
  const columns = briefColumns(labels.by);
  const lines = rows.map((row) => briefRow(row, labels.by));
  const total = (name: "requests" | "input_tokens" | "output_tokens") =>
    lines.reduce((sum, line) => sum + (line[name] ?? 0), 0);
  return [
    `model: ${rows[0]?.model ?? ""}`,
    `endpoint: ${labels.endpoint}`,
    labels.fixed,
    "",
    headerLine(columns) + rowLines(columns, lines),
    `total_requests: ${total("requests")}`,
    `total_input_tokens: ${total("input_tokens")}`,
    `total_output_tokens: ${total("output_tokens")}`,
    `output: ${labels.dir}`,
    "",
  ].join("\n");
}

function briefColumns(by: BriefLabels["by"]): Column[] {
  const names = [
    ...["context_size", by, "requests", "input_tokens", "output_tokens", "input_tps"],
    ...["output_tps", "avg_ttft", "p95_ttft", "concurrency"],
  ];
  return names.map((name) => ({ name, type: "number", unit: "", doc: "", python: true }));
}

function briefRow(row: SummaryRow, by: BriefLabels["by"]) {
  const seconds = row.test_duration;
  const tokens = (perSec: number | undefined) =>
    perSec === undefined || seconds === undefined ? undefined : Math.round(perSec * seconds);
  return {
    context_size: row.context_size,
    [by]: by === "cache_rate" ? row.cache_hit_rate : row.working_set_size,
    requests: row.total_requests,
    input_tokens: tokens(row.input_tokens_per_sec),
    output_tokens: tokens(row.output_tokens_per_sec),
    input_tps: row.input_tokens_per_sec,
    output_tps: row.output_tokens_per_sec,
    avg_ttft: row.avg_ttft,
    p95_ttft: row.p95_ttft,
    concurrency: row.peak_concurrency,
  };
}
