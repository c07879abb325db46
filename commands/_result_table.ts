/**
 * The table that ends a sweep, for stdout.
 *
 * @module
 */

import type { SummaryRow } from "../lib/results/schema.ts";
import { formatCount, formatMs, formatPercent, formatShort } from "../lib/units.ts";

const COLUMNS: readonly (readonly [title: string, cell: (row: SummaryRow) => string])[] = [
  ["context", (row) => formatCount(row.context_size)],
  ["rate", (row) => formatPercent(row.cache_hit_rate)],
  ["achiev.", (row) => formatPercent(row.achievable_hit_rate)],
  ["observed", (row) => formatPercent(row.observed_hit_rate)],
  ["conc.", (row) => formatCount(row.peak_concurrency)],
  ["input/s", (row) => formatShort(row.input_tokens_per_sec)],
  ["output/s", (row) => formatShort(row.output_tokens_per_sec)],
  ["TTFT p95", (row) => seconds(row.p95_ttft)],
  ["TTFT avg", (row) => seconds(row.avg_ttft)],
  ["ok", (row) => formatCount(row.total_requests)],
  ["failed", (row) => formatCount(row.failed_requests)],
];

/** Aligned lines of at most 100 columns, one a cell. */
export function resultTable(rows: readonly SummaryRow[]): string {
  const table = [
    [...COLUMNS.map(([title]) => title), "verdict"],
    ...rows.map((row) => [
      ...COLUMNS.map(([, cell]) => cell(row)),
      `${row.hit_rate_verdict ?? ""}${row.client_limited === "yes" ? ", client-limited" : ""}`,
    ]),
  ];
  const widths = table[0]!.map((_, i) => Math.max(...table.map((line) => line[i]!.length)));
  return table.map((line) =>
    line.map((cell, i) => i === line.length - 1 ? cell : cell.padStart(widths[i]!)).join("  ")
  ).join("\n") + "\n";
}

function seconds(value: number | undefined): string {
  return formatMs(value === undefined ? undefined : value * 1000);
}
