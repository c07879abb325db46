/**
 * What a reader has to know before believing a run, from its rows.
 *
 * @module
 */

import type { RunData } from "../results/schema.ts";
import { formatCount } from "../units.ts";
import { clientWarnings } from "./client_marks.ts";
import { hasQueueInThroughput, isOutputAsAsked } from "./points.ts";
import { failureKinds } from "./request_figures.ts";

/** One sentence each, most important first. */
export function warningsOf(run: RunData): string[] {
  return [
    ...clientWarnings(run.summary, run.phases),
    ...definitionWarnings(run),
    ...failureWarnings(run),
    ...countWarnings(run),
    ...unknowns(run),
    ...(run.config.warnings ?? []),
    ...(run.damage ?? []).map((one) => `Incomplete: ${one}.`),
    ...run.problems.map((problem) => `Not read: ${problem}`),
  ];
}

function failureWarnings(run: RunData): string[] {
  const rows = run.kind === "single-prompt" ? run.singlePrompt : run.details;
  const failed = rows.filter((row) => (row.error_kind ?? "") !== "");
  if (failed.length > 0) {
    return [
      `${formatCount(failed.length)} of ${formatCount(rows.length)} requests failed` +
      ` (${failureKinds(failed)}); they are left out of every rate and latency.`,
    ];
  }
  const counted = run.summary.reduce((sum, row) => sum + (row.failed_requests ?? 0), 0);
  return counted === 0 ? [] : [`${formatCount(counted)} requests at the peaks failed.`];
}

function definitionWarnings(run: RunData): string[] {
  if (!hasQueueInThroughput(run)) return [];
  return [
    "An earlier version of kvmark measured this run: its input throughput counts prompts that still" +
    " waited at the end of a period, and is too high where TTFT is long. Figures are as it wrote" +
    " them; measure again to compare.",
  ];
}

function countWarnings(run: RunData): string[] {
  const warnings: string[] = [];
  const chunked = run.summary.filter((row) => (row.multi_token_chunks ?? 0) > 0).length;
  if (chunked > 0) {
    warnings.push(
      `In ${chunked} of ${run.summary.length} cells chunks carried several tokens: ITL there is` +
        " time per chunk, not per token.",
    );
  }
  const odd = run.summary.filter((row) => !isOutputAsAsked(row)).length;
  if (odd > 0) {
    warnings.push(
      `In ${odd} of ${run.summary.length} cells more than 1 % of the answers are not as long as was` +
        " asked for: no ratio is made of these cells.",
    );
  }
  const breached = run.summary.filter((row) => (row.count_breach_requests ?? 0) > 0);
  if (breached.length > 0) {
    warnings.push(
      `In ${breached.length} of ${run.summary.length} cells the server gave counts that cannot be` +
        ` true (${breached[0]?.count_breaches}); no figure rests on them.`,
    );
  }
  const guessed = run.summary.filter((row) => (row.output_tokens_source ?? "usage") !== "usage");
  if (guessed.length > 0) {
    warnings.push(
      `In ${guessed.length} of ${run.summary.length} cells the server did not count the output` +
        " tokens; they were counted here.",
    );
  }
  return warnings;
}

function unknowns(run: RunData): string[] {
  if (run.writtenBy !== "python") return [];
  return [
    "The Python suite records neither its failed requests nor its own delays: whether they shaped" +
    " these figures is unknown.",
  ];
}

/** What can be said of a run without warnings. Nothing is claimed that the rows do not record. */
export function assuranceOf(run: RunData): string {
  const client = run.summary.some((row) => row.due_to_sent_p99_ms !== undefined);
  const requests = run.kind === "single-prompt" ? run.singlePrompt.length : run.details.length;
  return [
    "No warnings.",
    requests > 0 ? `None of the ${formatCount(requests)} recorded requests failed.` : "",
    client ? "No figure of a cell is marked as the measuring client's own doing." : "",
  ].filter((part) => part !== "").join(" ");
}
