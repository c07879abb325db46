/**
 * The result of a single-prompt run, for stdout.
 *
 * @module
 */

import type { ColdAndCached } from "../lib/report/cold_and_cached.ts";
import { formatCount, formatShort } from "../lib/units.ts";
import { alignedLines, seconds } from "./_result_table.ts";

/** One context size, with the verdict over all its requests. */
export interface SizeResult extends ColdAndCached {
  readonly verdict?: string;
}

/** From this width on every column is printed. */
const WIDE_COLUMNS = 110;

/** Aligned lines, one a context size; within 80 characters unless the terminal is wider. */
export function singlePromptTable(sizes: readonly SizeResult[], terminalColumns: number): string {
  const isWide = terminalColumns >= WIDE_COLUMNS;
  const columns: [title: string, cell: (size: SizeResult) => string, wideOnly?: "wide"][] = [
    ["context", (size) => formatCount(size.contextSizeTokens)],
    ["TTFT cold", (size) => seconds(size.coldTtft.mean)],
    ["± std", (size) => seconds(size.coldTtft.deviation), "wide"],
    ["cached", (size) => seconds(size.cachedTtft.mean)],
    ["± std", (size) => seconds(size.cachedTtft.deviation), "wide"],
    ["speed-up", (size) => times(size.speedup)],
    ["95 %", intervalText],
    ["prefill/s", (size) => formatShort(size.coldPrefillTokensPerSec)],
    ["saved/1k", (size) => seconds(size.savedSecondsPer1000Tokens)],
    ["failed", (size) => formatCount(size.failed), "wide"],
    ["verdict", (size) => size.verdict ?? ""],
  ];
  const shown = columns.filter(([, , wideOnly]) => isWide || wideOnly === undefined);
  const lines = alignedLines([
    shown.map(([title]) => title),
    ...sizes.map((size) => shown.map(([, cell]) => cell(size))),
  ]);
  const failed = sizes.reduce((sum, size) => sum + size.failed, 0);
  if (failed > 0) lines.push(`${formatCount(failed)} requests failed: see the column error_kind`);
  return `${lines.join("\n")}\n`;
}

function times(ratio: number | undefined): string {
  return ratio === undefined ? "–" : `${formatShort(ratio)}x`;
}

function intervalText({ speedupInterval: interval }: SizeResult): string {
  return interval === undefined
    ? "–"
    : `${formatShort(interval.low)} to ${formatShort(interval.high)}`;
}

/** What the lines of `--brief` name besides the figures. */
export interface BriefNames {
  readonly model: string;
  readonly endpoint: string;
  readonly seed: string;
  readonly dir: string;
}

/** The lines of the Python suite. */
export function singlePromptBrief(sizes: readonly SizeResult[], names: BriefNames): string {
  const unit = (value: number | undefined) => value === undefined ? "N/A" : `${value.toFixed(3)}s`;
  const ratio = (value: number | undefined) => value === undefined ? "N/A" : `${value.toFixed(2)}x`;
  const lines = sizes.map((size) =>
    `[${formatCount(size.contextSizeTokens)}] unique=${unit(size.coldTtft.mean)} ` +
    `cached=${unit(size.cachedTtft.mean)} speedup=${ratio(size.speedup)}`
  );
  const row = (...cells: string[]) => cells.map((cell) => cell.padStart(14)).join("").trimEnd();
  return [
    ...lines,
    "",
    "=".repeat(56),
    `model: ${names.model}`,
    `endpoint: ${names.endpoint}`,
    `seed: ${names.seed}`,
    `output: ${names.dir}`,
    "",
    row("Context", "Unique TTFT", "Cached TTFT", "Speedup"),
    ...sizes.map((size) =>
      row(
        formatCount(size.contextSizeTokens),
        unit(size.coldTtft.mean),
        unit(size.cachedTtft.mean),
        ratio(size.speedup),
      )
    ),
    "",
  ].join("\n");
}

/** Rows of `--json`: times in seconds, as in the CSV files. */
export function singlePromptJson(sizes: readonly SizeResult[]) {
  return sizes.map((size) => ({
    context_size: size.contextSizeTokens,
    iterations: size.iterations,
    cold_requests: size.coldTtft.count,
    cached_requests: size.cachedTtft.count,
    failed_requests: size.failed,
    cold_ttft: size.coldTtft.mean,
    cold_ttft_std: size.coldTtft.deviation,
    cached_ttft: size.cachedTtft.mean,
    cached_ttft_std: size.cachedTtft.deviation,
    cold_ttlt: size.coldTtlt.mean,
    cached_ttlt: size.cachedTtlt.mean,
    speedup: size.speedup,
    speedup_low: size.speedupInterval?.low,
    speedup_high: size.speedupInterval?.high,
    cold_prefill_tokens_per_sec: size.coldPrefillTokensPerSec,
    saved_s_per_1000_tokens: size.savedSecondsPer1000Tokens,
    hit_rate_verdict: size.verdict,
  }));
}
