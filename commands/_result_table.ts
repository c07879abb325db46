/**
 * The table that ends a sweep, for stdout.
 *
 * @module
 */

import type { RunResult } from "../lib/experiments/config.ts";
import { failureWarning, WARN_FAILED_PERCENT } from "../lib/experiments/error_handling.ts";
import { cutText } from "../lib/metrics/peak.ts";
import type { SummaryRow } from "../lib/results/schema.ts";
import { formatCount, formatMs, formatPercent, formatShort } from "../lib/units.ts";
import { type BriefLabels, briefText } from "./_brief.ts";
import type { ResultView } from "./_finish.ts";

interface TableColumn {
  readonly title: string;
  readonly cell: (row: SummaryRow) => string;
  /** Left out where the terminal is narrow; the CSV has it. */
  readonly wideOnly?: true;
  /** `sets`: only where rows have a working set; `no sets`: where they have, only if wide. */
  readonly where?: "sets" | "no sets";
}

const COLUMNS: readonly TableColumn[] = [
  { title: "context", cell: (row) => formatCount(row.context_size) },
  { title: "set", cell: (row) => formatShort(row.working_set_size), where: "sets" },
  {
    title: "effective",
    cell: (row) => formatShort(row.effective_working_set_size),
    where: "sets",
    wideOnly: true,
  },
  { title: "rate", cell: (row) => formatPercent(row.cache_hit_rate) },
  { title: "achiev.", cell: (row) => formatPercent(row.achievable_hit_rate), wideOnly: true },
  {
    title: "observed",
    cell: (row) => formatPercent(row.observed_hit_rate ?? row.counter_hit_rate),
  },
  { title: "conc.", cell: (row) => atLeast(row) + formatCount(row.peak_concurrency) },
  { title: "input/s", cell: (row) => atLeast(row) + formatShort(row.input_tokens_per_sec) },
  { title: "output/s", cell: (row) => formatShort(row.output_tokens_per_sec), where: "no sets" },
  { title: "TTFT p95", cell: (row) => seconds(row.p95_ttft) },
  { title: "TTFT avg", cell: (row) => seconds(row.avg_ttft), wideOnly: true },
  { title: "ok", cell: (row) => formatCount(row.total_requests), wideOnly: true },
  {
    title: "failed",
    cell: (row) => `${formatCount(row.failed_requests)}${hasFailures(row) ? "!" : ""}`,
  },
];

/** From this width on every column is printed. */
const WIDE_COLUMNS = 110;

/** The view of a sweep. */
export function sweepView(labels: BriefLabels): (result: RunResult) => ResultView {
  return ({ rows }) => ({
    table: (columns) => resultTable(rows, columns),
    brief: () => briefText(rows, labels),
    json: { rows },
  });
}

/** Aligned lines, one a cell; within 80 characters unless the terminal is wider. */
export function resultTable(rows: readonly SummaryRow[], terminalColumns: number): string {
  const isWide = terminalColumns >= WIDE_COLUMNS;
  const hasSets = rows.some((row) => row.working_set_size !== undefined);
  const columns = COLUMNS.filter(({ wideOnly, where }) =>
    (isWide || !wideOnly) && (where !== "sets" || hasSets) &&
    (where !== "no sets" || isWide || !hasSets)
  );
  const table = [
    [...columns.map(({ title }) => title), "verdict"],
    ...rows.map((row) => [
      ...columns.map(({ cell }) => cell(row)),
      `${row.hit_rate_verdict ?? ""}${row.client_limited === "yes" ? "*" : ""}${doubts(row)}`,
    ]),
  ];
  const lines = alignedLines(table);
  if (rows.some((row) => row.client_limited === "yes")) {
    lines.push(...clientLines(rows));
  }
  if (rows.some(hasFailures)) {
    lines.push(
      `! more than ${WARN_FAILED_PERCENT} % of the requests failed: rates are of the rest`,
    );
  }
  lines.push(...cutLines(rows), ...overLimitLines(rows));
  return `${lines.join("\n")}\n`;
}

/** Cells whose marks are spelled out; the CSV has the others. */
const MARKS_TOLD = 4;

function clientLines(rows: readonly SummaryRow[]): string[] {
  const marked = rows.filter((row) => row.client_limited === "yes");
  const more = marked.length - MARKS_TOLD;
  return [
    "* more than 5 % of a figure may be the client's own delay, not the server's:",
    ...marked.slice(0, MARKS_TOLD).map((row) => {
      const set = row.working_set_size === undefined
        ? ""
        : ` of ${formatShort(row.working_set_size)}`;
      const where = `${formatCount(row.context_size)}${set} at ${
        formatPercent(row.cache_hit_rate)
      }`;
      return `  ${where}: ${row.client_marks ?? "which is not recorded"}`;
    }),
    ...(more > 0 ? [`  and ${more} more (client_marks in the summary)`] : []),
  ];
}

/** What makes a row doubtful, in a word each. */
function doubts(row: SummaryRow): string {
  const { total_requests: all = 0, foreign_prompt_share: foreign } = row;
  const many = (count = 0) => count > all * 0.01;
  const found = [
    ...(many(row.count_breach_requests) ? ["counts"] : []),
    ...(many(row.output_not_as_asked) ? ["output"] : []),
    ...(foreign === undefined ? [] : [`${Number(foreign.toFixed(0))} % foreign`]),
  ];
  return found.length === 0 ? "" : ` (${found.join(", ")})`;
}

function hasFailures({ total_requests: succeeded, failed_requests: failed }: SummaryRow): boolean {
  return failureWarning({ succeeded: succeeded ?? 0, failed: failed ?? 0 }) !== undefined;
}

/** Marks the figures of a search that was cut. */
function atLeast(row: SummaryRow): string {
  return row.peak_bound === "lower" ? "≥" : "";
}

/** What to raise, once for each thing that cut a search. */
function cutLines(rows: readonly SummaryRow[]): string[] {
  const cuts = rows.filter((row) => row.peak_bound === "lower").map((row) => row.search_cut_by);
  return [...new Set(cuts)].map((cut) => `≥ a lower bound: ${cutText(cut)}`);
}

function overLimitLines(rows: readonly SummaryRow[]): string[] {
  return rows.filter((row) => row.within_limits === "no").map((row) =>
    `not within the limits: ${formatCount(row.context_size)} tokens at ` +
    `${formatPercent(row.cache_hit_rate)}: ${row.peak_reason}`
  );
}

/** Lines of columns that are aligned to the right; the last one is not. */
export function alignedLines(table: readonly (readonly string[])[]): string[] {
  const widths = table[0]!.map((_, i) => Math.max(...table.map((line) => line[i]!.length)));
  return table.map((line) =>
    line.map((cell, i) => i === line.length - 1 ? cell : cell.padStart(widths[i]!)).join("  ")
  );
}

/** Seconds as text. */
export function seconds(value: number | undefined): string {
  return formatMs(value === undefined ? undefined : value * 1000);
}
