/**
 * What a run says, in sentences: does caching work, by what evidence, how much faster, and what
 * limited the run. Every sentence is made from the rows; nothing here is measured.
 *
 * @module
 */

import { cutText } from "../metrics/peak.ts";
import type { RunData, SummaryRow } from "../results/schema.ts";
import { formatCount, formatPercent } from "../units.ts";
import { type Gain, gainsOf } from "./gains.ts";
import { cellText, numberParameter, type RunRows } from "./points.ts";
import { damagePrefix } from "./damage.ts";
import { headlineOf, type Verdict } from "./headline.ts";
import { nextSteps } from "./next_steps.ts";
import type { Remark } from "./remarks.ts";
import { assuranceOf, warningsOf } from "./warnings.ts";

/** The top of the dashboard. */
export interface Findings {
  readonly verdict: Verdict;
  /** The verdict as a badge: a few words. */
  readonly badge: string;
  readonly headline: string;
  /** Why the verdict is what it is, one sentence each. */
  readonly evidence: readonly string[];
  readonly gains: readonly Gain[];
  /** What the cells ran into, one sentence each. */
  readonly limits: readonly Remark[];
  readonly warnings: readonly string[];
  /** What the rows rule out, where there is no warning: said only of what they record. */
  readonly assurance: string;
  /** What a reader can do about what is doubtful or missing, one sentence each. */
  readonly next: readonly string[];
}

/** Reads the findings of a run from its rows. */
export function findingsOf(run: RunData, rows: RunRows): Findings {
  const verdicts = verdictsOf(run);
  const verdict = verdicts.length === 0 && run.sustained.length > 0
    ? "unchecked"
    : overallVerdict(verdicts);
  const gains = gainsOf(run, rows);
  return {
    verdict,
    badge: {
      confirmed: confirmedText(verdicts),
      differs: "hit rates differ",
      unchecked: "hit rates cannot be checked",
      none: "no finished cell",
    }[verdict],
    headline: damagePrefix(run) +
      headlineOf(run, { verdict, confirmed: confirmedText(verdicts) }, gains),
    evidence: evidence(run, verdicts),
    gains,
    limits: [...limitsOf(run.summary), ...lowerBoundsOf(run), ...ceilingOf(run)],
    warnings: warningsOf(run),
    assurance: assuranceOf(run),
    next: nextSteps(run),
  };
}

const VERDICT_WORDS = {
  confirmed: "confirmed",
  outgrown: "less because the working set outgrew the cache",
  differs: "not as intended",
  unchecked: "not checked",
};

/**
 * The verdicts in one sentence, for whoever sees a single graph; empty where there are none.
 */
export function verdictSentence(run: RunData): string {
  const verdicts = verdictsOf(run);
  const named = Object.entries(VERDICT_WORDS).flatMap(([verdict, words]) => {
    const count = verdicts.filter((one) => one.verdict === verdict).length;
    return count === 0 ? [] : [`${words} in ${count}`];
  });
  const of = run.kind === "single-prompt" ? "requests" : "cells";
  return named.length === 0
    ? ""
    : `Hit rates of the ${formatCount(verdicts.length)} ${of}: ${named.join(", ")}.`;
}

interface CellVerdict {
  readonly where: string;
  readonly verdict: string;
  readonly cause: string | undefined;
  readonly nominal: number;
  readonly observed: number | undefined;
  readonly achievable: number | undefined;
}

function verdictsOf(run: RunData): CellVerdict[] {
  if (run.kind !== "single-prompt") {
    return run.summary.map((row) => ({
      where: cellText(row),
      verdict: isOutgrown(run, row) ? "outgrown" : row.hit_rate_verdict ?? "unchecked",
      cause: row.hit_rate_cause,
      nominal: row.cache_hit_rate ?? 0,
      observed: row.observed_hit_rate ?? row.counter_hit_rate,
      achievable: row.achievable_hit_rate,
    }));
  }
  return run.singlePrompt.filter((row) => (row.error_kind ?? "") === "").map((row) => ({
    where: `${formatCount(row.context_size)}-token ${row.prompt_type} prompt`,
    verdict: row.hit_verdict ?? "unchecked",
    cause: undefined,
    nominal: row.prompt_type === "unique" ? 0 : 100,
    observed: share(row.reported_cached_tokens, row.prompt_tokens),
    achievable: share(row.achievable_cached_tokens, row.prompt_tokens),
  }));
}

function share(part: number | undefined, whole: number | undefined): number | undefined {
  return part === undefined || whole === undefined || whole <= 0 ? undefined : part / whole * 100;
}

function overallVerdict(verdicts: readonly CellVerdict[]): Verdict {
  if (verdicts.length === 0) return "none";
  if (verdicts.some((one) => one.verdict === "differs")) return "differs";
  const hits = verdicts.filter((one) => one.nominal > 0);
  const judged = hits.length > 0 ? hits : verdicts;
  const isExplained = (one: CellVerdict) =>
    one.verdict === "confirmed" || one.verdict === "outgrown";
  return judged.every(isExplained) ? "confirmed" : "unchecked";
}

/** Fewer hits because the cache is too small: that is what a working-set run is after. */
export function isOutgrown(run: Pick<RunData, "kind">, row: SummaryRow): boolean {
  return run.kind === "working-set" && row.hit_rate_verdict === "differs" &&
    row.hit_rate_cause_code === "eviction";
}

/** What is said of a run without an unexplained cell: that a cell outgrew the cache is no hit. */
function confirmedText(verdicts: readonly CellVerdict[]): string {
  const outgrown = verdicts.filter((one) => one.verdict === "outgrown").length;
  if (outgrown === 0) return "hit rates confirmed";
  const cells = `${outgrown} of ${verdicts.length} cells outgrow the cache`;
  return outgrown === verdicts.length ? cells : `${cells}, the others are confirmed`;
}

function evidence(run: RunData, verdicts: readonly CellVerdict[]): string[] {
  if (verdicts.length === 0) {
    return run.sustained.length === 0 ? [] : [`The hit rates cannot be checked: ${why(run)}`];
  }
  const unit = run.kind === "single-prompt" ? "requests" : "cells";
  const count = (verdict: string) => verdicts.filter((one) => one.verdict === verdict).length;
  const lines: string[] = [];
  if (count("confirmed") > 0) {
    lines.push(
      `${ofAll(count("confirmed"), verdicts.length, unit)} confirmed: the cached tokens that the` +
        ` server reported are those that the prompts allow` + worstGap(verdicts) + ".",
    );
  }
  const outgrown = verdicts.filter((one) => one.verdict === "outgrown");
  for (const one of outgrown.slice(0, 1)) {
    lines.push(
      `${ofAll(outgrown.length, verdicts.length, unit)} outgrow the cache, from this one on: ` +
        `${one.where}, ${formatPercent(one.observed)} observed of ${
          formatPercent(one.achievable)
        }` +
        ` possible (${unpointed(one.cause ?? "")}).`,
    );
  }
  const differing = verdicts.filter((one) => one.verdict === "differs");
  for (const one of differing.slice(0, 4)) {
    lines.push(
      `${one.where}: ${formatPercent(one.observed)} observed where ${
        formatPercent(one.achievable)
      } was possible` + (one.cause ? ` (likely cause: ${unpointed(one.cause)}).` : "."),
    );
  }
  if (differing.length > 4) {
    lines.push(`${differing.length - 4} more ${unit} differ: see the table.`);
  }
  if (count("unchecked") > 0) {
    lines.push(
      `${ofAll(count("unchecked"), verdicts.length, unit)} cannot be checked: ${why(run)}`,
    );
  }
  return lines;
}

/** `All 10 cells`, `The one cell`, `3 of 10 cells`. */
function ofAll(count: number, all: number, unit: string): string {
  if (count < all) return `${count} of ${all} ${unit}`;
  return all === 1 ? `The one ${unit.replace(/s$/, "")}` : `All ${all} ${unit}`;
}

function unpointed(sentence: string): string {
  return sentence.replace(/\.$/, "");
}

function worstGap(verdicts: readonly CellVerdict[]): string {
  const gaps = verdicts.filter((one) => one.verdict === "confirmed").flatMap((one) =>
    one.observed === undefined || one.achievable === undefined
      ? []
      : [Math.abs(one.observed - one.achievable)]
  );
  return gaps.length === 0
    ? ""
    : ` (largest difference ${Math.max(...gaps).toFixed(1)} percentage points)`;
}

function why(run: RunData): string {
  if (run.writtenBy === "python") {
    return "the Python suite does not record what the server took from its cache.";
  }
  const causes = new Set(
    run.summary.flatMap((row) =>
      row.hit_rate_verdict === "confirmed" || !row.hit_rate_cause ? [] : [row.hit_rate_cause]
    ),
  );
  return causes.size === 0
    ? "the server reports no cached tokens."
    : `${[...causes].slice(0, 3).map(unpointed).join("; ")}.`;
}

function limitsOf(summary: readonly SummaryRow[]): Remark[] {
  const reasons = new Map<string, string[]>();
  for (const row of summary) {
    if (!row.peak_reason) continue;
    const cells = reasons.get(row.peak_reason) ?? [];
    reasons.set(row.peak_reason, cells);
    cells.push(`${cellText(row)} (concurrency ${formatCount(row.peak_concurrency)})`);
  }
  return [...reasons].map(([reason, cells]) => ({
    text: `${ofAll(cells.length, summary.length, "cells")}: ${unpointed(reason)}.`,
    cells: cells.length === summary.length ? [] : cells,
  }));
}

/** Cells whose search was cut, with what to raise; cells that break a limit all the same. */
function lowerBoundsOf({ summary }: RunData): Remark[] {
  const cut = Map.groupBy(
    summary.filter((row) => row.peak_bound === "lower"),
    (row) => row.search_cut_by,
  );
  const over = summary.filter((row) => row.within_limits === "no");
  return [
    ...[...cut].map(([by, rows]) => ({
      text: `${
        ofAll(rows.length, summary.length, "cells")
      } reached at least what is shown, a lower bound: ${cutText(by)}.`,
      cells: rows.length === summary.length ? [] : rows.map(cellText),
    })),
    ...(over.length === 0 ? [] : [{
      text: `${ofAll(over.length, summary.length, "cells")} do not meet the limits.`,
      cells: over.length === summary.length ? [] : over.map(cellText),
    }]),
  ];
}

/** Cells whose peak is the highest concurrency that the options allowed: not the server's limit. */
function ceilingOf(run: RunData): Remark[] {
  const most = numberParameter(run.config, "max-concurrency");
  const cells = run.summary.filter((row) =>
    most !== undefined && row.peak_concurrency === most && row.peak_bound === undefined
  );
  if (cells.length === 0) return [];
  const count = ofAll(cells.length, run.summary.length, "cells");
  return [{
    text: `${count} peaked at the highest concurrency that the options allow (max-concurrency ` +
      `${formatCount(most)}): the server might do more.`,
    cells: cells.length === run.summary.length ? [] : cells.map(cellText),
  }];
}
