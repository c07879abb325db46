/**
 * The table that ends a sweep, for stdout.
 *
 * @module
 */

import type { SummaryRow } from "../lib/results/schema.ts";
import { formatCount, formatMs, formatPercent, formatShort } from "../lib/units.ts";

interface TableColumn {
  readonly title: string;
  readonly cell: (row: SummaryRow) => string;
  /** Left out where the terminal is narrow; the CSV has it. */
  readonly wideOnly?: true;
}

const COLUMNS: readonly TableColumn[] = [
  { title: "context", cell: (row) => formatCount(row.context_size) },
  { title: "rate", cell: (row) => formatPercent(row.cache_hit_rate) },
  { title: "achiev.", cell: (row) => formatPercent(row.achievable_hit_rate), wideOnly: true },
  { title: "observed", cell: (row) => formatPercent(row.observed_hit_rate) },
  { title: "conc.", cell: (row) => formatCount(row.peak_concurrency) },
  { title: "input/s", cell: (row) => formatShort(row.input_tokens_per_sec) },
  { title: "output/s", cell: (row) => formatShort(row.output_tokens_per_sec) },
  { title: "TTFT p95", cell: (row) => seconds(row.p95_ttft) },
  { title: "TTFT avg", cell: (row) => seconds(row.avg_ttft), wideOnly: true },
  { title: "ok", cell: (row) => formatCount(row.total_requests), wideOnly: true },
  { title: "failed", cell: (row) => formatCount(row.failed_requests) },
];

/** From this width on every column is printed. */
const WIDE_COLUMNS = 110;

/** Aligned lines, one a cell; within 80 characters unless the terminal is wider. */
export function resultTable(rows: readonly SummaryRow[], terminalColumns: number): string {
  const columns = COLUMNS.filter((column) =>
    terminalColumns >= WIDE_COLUMNS || column.wideOnly !== true
  );
  const table = [
    [...columns.map(({ title }) => title), "verdict"],
    ...rows.map((row) => [
      ...columns.map(({ cell }) => cell(row)),
      `${row.hit_rate_verdict ?? ""}${row.client_limited === "yes" ? "*" : ""}`,
    ]),
  ];
  const widths = table[0]!.map((_, i) => Math.max(...table.map((line) => line[i]!.length)));
  const lines = table.map((line) =>
    line.map((cell, i) => i === line.length - 1 ? cell : cell.padStart(widths[i]!)).join("  ")
  );
  if (rows.some((row) => row.client_limited === "yes")) {
    lines.push("* the client may have been the limit, not the server");
  }
  return `${lines.join("\n")}\n`;
}

function seconds(value: number | undefined): string {
  return formatMs(value === undefined ? undefined : value * 1000);
}
