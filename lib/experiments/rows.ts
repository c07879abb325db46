/**
 * Records and summaries as rows of the tables: instants become Unix seconds, durations seconds.
 *
 * @module
 */

import type { PeriodKind } from "../load/controller.ts";
import type { CellSummary, PeriodSummary } from "../metrics/summary.ts";
import type { PeriodOutcome, RequestRecord } from "../record.ts";
import type { DetailRow, PhaseRow, SinglePromptRow, SummaryRow } from "../results/schema.ts";

/** Where a row belongs. */
export interface CellLabels {
  readonly contextSizeTokens: number;
  readonly workingSetTokens?: number;
  readonly hitRatePercent: number;
}

/** A verdict on the hit rate, as text. */
export interface HitRateVerdict {
  readonly verdict: "confirmed" | "differs" | "unchecked";
  readonly cause?: string;
}

/** The row of a request. @param wallOffsetMs Wall clock minus monotonic clock. */
export function detailRow(_record: RequestRecord, _wallOffsetMs: number): DetailRow {
  throw new Error("unfinished");
}

/** What {@linkcode phaseRow} cannot take from the period itself. */
export interface PhaseExtras {
  readonly wallOffsetMs: number;
  /** The statistic that was compared with the limit. */
  readonly measuredTtftMs?: number;
  readonly decision?: { readonly action: "up" | "hold" | "down" | "stop"; readonly reason: string };
  readonly atPeak?: boolean;
}

/** The row of a period. */
export function phaseRow(
  _kind: PeriodKind | "WARMUP",
  _labels: CellLabels,
  _outcome: PeriodOutcome,
  _summary: PeriodSummary,
  _extras: PhaseExtras,
): PhaseRow {
  throw new Error("unfinished");
}

/** What {@linkcode summaryRow} cannot take from the summary itself. */
export interface SummaryExtras {
  readonly model: string;
  readonly peakReason?: string;
  readonly ttftLimitMs?: number;
  readonly ttftMetric?: string;
  readonly verdict?: HitRateVerdict;
}

/** The row of a cell. Without a summary (no period succeeded) only the labels are filled. */
export function summaryRow(
  _labels: CellLabels,
  _summary: CellSummary | undefined,
  _extras: SummaryExtras,
): SummaryRow {
  throw new Error("unfinished");
}

/** What {@linkcode singlePromptRow} cannot take from the record itself. */
export interface SinglePromptExtras {
  readonly wallOffsetMs: number;
  readonly iteration: number;
  /** `unique`, `cached`, `cached_r2`, … */
  readonly promptType: string;
  readonly verdict?: HitRateVerdict["verdict"];
}

/** The row of a single-prompt request. */
export function singlePromptRow(
  _record: RequestRecord,
  _extras: SinglePromptExtras,
): SinglePromptRow {
  throw new Error("unfinished");
}
