/**
 * A run or a comparison as Markdown, short enough for a comment on a pull request.
 *
 * @module
 */

import { outcomeText, type ThresholdOutcome } from "../metrics/thresholds.ts";
import type { RunData } from "../results/schema.ts";
import type { CellComparison, Comparison } from "./comparison.ts";
import { metricTitle } from "./comparison_figures.ts";
import {
  comparisonHeadline,
  comparisonWarnings,
  conclusionsOf,
  pointText,
} from "./comparison_findings.ts";
import { concurrencyText, intervalText, metricText } from "./comparison_tables.ts";
import { summaryTable } from "./dashboard_tables.ts";
import { findingsOf } from "./findings.ts";
import { arrangeRows } from "./points.ts";
import { formatCell } from "./tables.ts";

/** The figures of the table. */
const SHOWN: readonly string[] = ["input_tokens_per_sec", "avg_ttft", "p95_ttft"];
/** A comment may not be longer than 65,536 characters. */
const MOST_ROWS = 120;
const MOST_TEXT = 400;

/**
 * Text that Markdown shows as it is: no mark-up, no HTML, no mention of a user, one line.
 *
 * @example
 * ```ts
 * import { markdownText } from "./markdown.ts";
 * console.log(markdownText("a|b <i> @me")); // a\|b &lt;i&gt; &#64;me
 * ```
 */
export function markdownText(text: string, most = MOST_TEXT): string {
  const characters = [...text.replaceAll(/\s+/g, " ").trim()];
  const cut = characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : characters;
  return [...cut].join("")
    .replaceAll(/[\\`*_{}[\]#|~!]/g, "\\$&")
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll("@", "&#64;")
    // A bare address or an issue number would become a link.
    .replaceAll("://", ":&#47;&#47;").replaceAll(/\bwww\./gi, "www&#46;")
    .replace(/^([-+=]|\d+[.)](?=\s|$))/, (mark) => `\u200b${mark}`);
}

/** The comparison as Markdown; `outcomes` of limits come first. */
export function comparisonMarkdown(
  comparison: Comparison,
  outcomes: readonly ThresholdOutcome[] = [],
): string {
  const cells = comparison.cells.filter((cell) => SHOWN.includes(cell.metric));
  const parts = [
    `### ${markdownText(comparisonHeadline(comparison))}`,
    thresholdLines(outcomes),
    conclusionsOf(comparison).map((paragraph) => markdownText(paragraph, 2000)).join("\n\n"),
    comparisonWarnings(comparison).slice(0, 12).map((line) => `- ⚠ ${markdownText(line)}`)
      .join("\n"),
    cells.length === 0 ? "" : table(comparison, cells.slice(0, MOST_ROWS)),
    cells.length > MOST_ROWS ? `${cells.length - MOST_ROWS} more rows are in comparison.csv.` : "",
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

/** What became of limits, a line each; those that were kept are only counted. */
export function thresholdLines(outcomes: readonly ThresholdOutcome[]): string {
  if (outcomes.length === 0) return "";
  const kept = outcomes.filter((one) => one.state === "kept").length;
  const MARKS = { crossed: "❌", unsure: "❔", unknown: "❌", kept: "✅" } as const;
  const told = outcomes.filter((one) => one.state !== "kept").slice(0, 30).map((one) =>
    `- ${MARKS[one.state]} ${markdownText(outcomeText(one))}`
  );
  const rest = kept === 0 ? [] : [`- ✅ ${kept} of ${outcomes.length} checks within their limit`];
  return [...told, ...rest].join("\n");
}

/** A run without a result, as Markdown: why there is none. */
export function problemMarkdown(experiment: string, problem: string): string {
  return `### kvmark ${markdownText(experiment)}\n\n${problemLine(problem)}\n`;
}

function problemLine(problem: string | undefined): string {
  return problem === undefined ? "" : `- ❌ ${markdownText(problem)}`;
}

/**
 * A run as Markdown; `outcomes` of limits come first.
 *
 * @param problem What is wrong with the run itself.
 */
export function runMarkdown(
  run: RunData,
  outcomes: readonly ThresholdOutcome[] = [],
  problem?: string,
): string {
  const findings = findingsOf(run, arrangeRows(run));
  const { columns, rows } = summaryTable(run.summary);
  const cells = rows.slice(0, MOST_ROWS).map((row) =>
    row.map((value, i) => formatCell(columns[i]?.kind ?? "text", value))
  );
  const parts = [
    `### ${markdownText(findings.headline)}`,
    [problemLine(problem), thresholdLines(outcomes)].filter((part) => part !== "").join("\n"),
    findings.evidence.map((line) => markdownText(line)).join("\n\n"),
    findings.warnings.slice(0, 12).map((line) => `- ⚠ ${markdownText(line)}`).join("\n"),
    cells.length === 0 ? "" : markdownTable(columns.map((column) => column.label), cells),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function table(comparison: Comparison, cells: readonly CellComparison[]): string {
  const header = [
    "Run",
    "Point",
    "Figure",
    "Concurrency",
    "Baseline",
    "Value",
    "Ratio",
    "95 %",
    "Verdict",
  ];
  const rows = cells.map((cell) => [
    comparison.runs[cell.run]?.label ?? "",
    pointText(cell),
    metricTitle(cell.metric),
    concurrencyText(cell),
    metricText(cell.metric, cell.baseline.estimate),
    metricText(cell.metric, cell.value.estimate),
    formatCell("ratio", cell.ratio?.estimate),
    intervalText(cell),
    cell.verdict,
  ]);
  return markdownTable(header, rows);
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (values: readonly string[]) =>
    `| ${values.map((value) => markdownText(value, 80)).join(" | ")} |`;
  return [line(header), `| ${header.map(() => "---").join(" | ")} |`, ...rows.map(line)].join("\n");
}
