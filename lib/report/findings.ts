/**
 * What a run says, in sentences: does caching work, by what evidence, how much faster, and what
 * limited the run. Every sentence is made from the rows; nothing here is measured.
 *
 * @module
 */

import { cutText } from "../metrics/peak.ts";
import type { RunData, SummaryRow } from "../results/schema.ts";
import { formatCount, formatPercent, formatShort } from "../units.ts";
import { type Gain, gainsOf } from "./gains.ts";
import { numberParameter, type RunRows } from "./points.ts";
import { tierMapFinding } from "./tier_map_tables.ts";
import { assuranceOf, warningsOf } from "./warnings.ts";

/** Whether the hit rates were the intended ones. */
export type Verdict = "confirmed" | "differs" | "unchecked" | "none";

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
  readonly limits: readonly string[];
  readonly warnings: readonly string[];
  /** What the rows rule out, where there is no warning: said only of what they record. */
  readonly assurance: string;
}

/** A ratio up to which throughput counts as unchanged. */
const UNCHANGED = 1.1;

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
    headline: headline(run, { verdict, confirmed: confirmedText(verdicts) }, gains),
    evidence: [...tierMapFinding(run), ...evidence(run, verdicts)],
    gains,
    limits: [...limitsOf(run.summary), ...lowerBoundsOf(run), ...ceilingOf(run)],
    warnings: warningsOf(run),
    assurance: assuranceOf(run),
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

/** `8,000 tokens at 50 %`, with the working set where there is one. */
export function cellText(row: SummaryRow): string {
  const set = row.working_set_size === undefined
    ? ""
    : `, working set ${formatCount(row.working_set_size)}`;
  return `${formatCount(row.context_size)} tokens at ${formatPercent(row.cache_hit_rate)}${set}`;
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

/** The verdict, with what a good one is called. */
interface Proof {
  readonly verdict: Verdict;
  readonly confirmed: string;
}

function headline(run: RunData, { verdict, confirmed }: Proof, gains: readonly Gain[]): string {
  if (run.sustained.length > 0 && run.summary.length === 0) {
    return "Periods of the Python suite, without a summary and without proof of the hit rates";
  }
  if (verdict === "none") return "No cell finished: there is nothing to report yet";
  const ordered = gains.filter((gain) => gain.ratio !== undefined)
    .sort((a, b) => (b.ratio ?? 0) - (a.ratio ?? 0));
  const best = ordered[0];
  const worst = ordered.at(-1);
  if (best === undefined || worst === undefined) {
    return singlePoint(run);
  }
  return best.along === "working-set"
    ? setHeadline({ verdict, confirmed }, worst)
    : rateHeadline(verdict, best) + (best.caution === undefined ? "" : ` (${best.caution})`);
}

function singlePoint(run: RunData): string {
  if (run.kind === "single-prompt") {
    return "Cold and cached requests cannot be compared: one of the two is missing";
  }
  const measured = run.summary.filter((row) => (row.input_tokens_per_sec ?? 0) > 0);
  const row = measured[0];
  if (row === undefined) return "No request succeeded";
  return measured.length > 1
    ? "One point in each series: nothing to compare with"
    : `${formatShort(row.input_tokens_per_sec)} input tokens/s with ${cellText(row)};` +
      " one cell, nothing to compare with";
}

function rateHeadline(verdict: Verdict, best: Gain): string {
  const where = best.along === "single-prompt" ? `for ${best.at}` : `at ${best.at}, ${best.where}`;
  const much = `${boundedRatio(best)} ${best.what} ${where}`;
  const flat = (best.ratio ?? 0) < UNCHANGED;
  if (verdict === "differs") return `Not the intended hit rates: ${much}`;
  if (verdict === "unchecked") {
    return flat
      ? `No effect of the hit rate seen, and no proof of hits: ${much}`
      : `${much}, without proof of hits`;
  }
  return flat ? `The cache is used but brings no gain: ${much}` : `Caching works: ${much}`;
}

/** `at least 6.9×` where the search at the faster point was cut. */
export function boundedRatio({ ratio, bound }: Pick<Gain, "ratio" | "bound">): string {
  const words = bound === "at least" || bound === "at most" ? `${bound} ` : "";
  return words + formatRatio(ratio);
}

function setHeadline({ verdict, confirmed }: Proof, gain: Gain): string {
  const ratio = gain.ratio ?? NaN;
  const verb = ratio > 1 / UNCHANGED && ratio < UNCHANGED
    ? "stays about the same"
    : ratio < 1
    ? "falls"
    : "rises";
  const proof = {
    confirmed,
    differs: "not the intended hit rates",
    unchecked: "hit rates not proven",
    none: "no finished cell",
  }[verdict];
  const caution = gain.caution === undefined ? "" : ` (${gain.caution})`;
  return `Input throughput ${verb} from ${formatShort(gain.inputBefore)} to ` +
    `${formatShort(gain.inputAfter)} tokens/s between the smallest and the largest working set, ` +
    `${gain.where}; ${proof}${caution}`;
}

/** `6.9×`; two digits after the point below 2. */
export function formatRatio(ratio: number | undefined): string {
  if (ratio === undefined || !Number.isFinite(ratio)) return "–";
  const digits = ratio < 2 ? 2 : ratio < 100 ? 1 : 0;
  return `${ratio.toFixed(digits)}×`;
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

function limitsOf(summary: readonly SummaryRow[]): string[] {
  const reasons = new Map<string, string[]>();
  for (const row of summary) {
    if (!row.peak_reason) continue;
    const cells = reasons.get(row.peak_reason) ?? [];
    reasons.set(row.peak_reason, cells);
    cells.push(`${cellText(row)} (concurrency ${formatCount(row.peak_concurrency)})`);
  }
  return [...reasons].map(([reason, cells]) =>
    cells.length === summary.length && cells.length > 1
      ? `All ${cells.length} cells: ${unpointed(reason)}.`
      : `${unpointed(reason)}: ${cells.slice(0, 4).join("; ")}` +
        (cells.length > 4 ? `; and ${cells.length - 4} more.` : ".")
  );
}

/** Cells whose search was cut, with what to raise; cells that break a limit all the same. */
function lowerBoundsOf({ summary }: RunData): string[] {
  const cut = Map.groupBy(
    summary.filter((row) => row.peak_bound === "lower"),
    (row) => row.search_cut_by,
  );
  const over = summary.filter((row) => row.within_limits === "no").length;
  return [
    ...[...cut].map(([by, rows]) =>
      `${
        ofAll(rows.length, summary.length, "cells")
      } reached at least what is shown, a lower bound: ${cutText(by)}.`
    ),
    ...(over === 0 ? [] : [`${ofAll(over, summary.length, "cells")} do not meet the limits.`]),
  ];
}

/** Cells whose peak is the highest concurrency that the options allowed: not the server's limit. */
function ceilingOf(run: RunData): string[] {
  const most = numberParameter(run.config, "max-concurrency");
  const cells = run.summary.filter((row) =>
    most !== undefined && row.peak_concurrency === most && row.peak_bound === undefined
  );
  if (cells.length === 0) return [];
  return [
    `${
      ofAll(cells.length, run.summary.length, "cells")
    } peaked at the highest concurrency that the` +
    ` options allow (max-concurrency ${formatCount(most)}): the server might do more.`,
  ];
}
