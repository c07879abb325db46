/**
 * What an experiment does about requests that fail.
 *
 * @module
 */

import { successProblem } from "../load/breaker.ts";
import type { RunResult } from "./config.ts";

/** The options about failures. */
export interface ErrorHandling {
  /** `--max-consecutive-errors`: so many failures in a row end a period. */
  readonly maxConsecutiveErrors: number;
  /** `--max-error-percent`: such a share of failures among the latest requests ends a period. */
  readonly maxErrorPercent: number;
  /** `--retries`: how often a request that failed in a way that may pass is sent again. */
  readonly requestRetries: number;
  /** `--on-error`: what becomes of the sweep when a cell failed. */
  readonly onError: "continue" | "stop";
  /** `--min-success`: percent of the requests of a cell, and of the run, that have to succeed. */
  readonly minSuccessPercent: number;
}

/**
 * What holds where nothing is said. A cell that loses one request in ten has measured what was left
 * of its load, not the load that it names.
 */
export const DEFAULT_ERROR_HANDLING: ErrorHandling = {
  maxConsecutiveErrors: 20,
  maxErrorPercent: 90,
  requestRetries: 0,
  onError: "continue",
  minSuccessPercent: 90,
};

/** Why a cell counts as failed; `undefined` if it does not. @param summary Of its pooled periods. */
export function cellProblem(
  summary: { readonly succeeded: number; readonly failed: number } | undefined,
  { minSuccessPercent }: ErrorHandling,
): string | undefined {
  return successProblem(summary ?? { succeeded: 0, failed: 0 }, minSuccessPercent);
}

/** Share of failed requests, in percent, from which on a cell is warned of. */
export const WARN_FAILED_PERCENT = 1;

/** What a reader of a cell has to know about its failures; `undefined` for none or next to none. */
export function failureWarning(
  summary: { readonly succeeded: number; readonly failed: number } | undefined,
): string | undefined {
  const { succeeded = 0, failed = 0 } = summary ?? {};
  const percent = failed / Math.max(1, succeeded + failed) * 100;
  if (percent <= WARN_FAILED_PERCENT) return undefined;
  return `${failed} of ${succeeded + failed} requests failed (${
    percent.toFixed(1)
  } %): rates and ` +
    "latencies are of the others, under a lower load than the concurrency says";
}

/**
 * What is wrong with the successes of a whole run; `undefined` if nothing is. With a least share of
 * successes each cell has to reach it, so that good cells do not make up for an empty one. A run
 * without a row, and one in which nothing was counted and nothing failed, are not judged here.
 */
export function runProblem(
  { rows }: Pick<RunResult, "rows">,
  { minSuccessPercent }: ErrorHandling,
): string | undefined {
  const failed = minSuccessPercent === 0 ? [] : rows.flatMap((row) => {
    const counted = { succeeded: row.total_requests ?? 0, failed: row.failed_requests ?? 0 };
    if (counted.succeeded + counted.failed === 0) return [];
    return successProblem(counted, minSuccessPercent) ?? [];
  });
  const whole = problemOfAll(rows, minSuccessPercent);
  if (failed.length === 0 || rows.length === 1) return whole;
  const cells = `in ${failed.length} of ${rows.length} cells too few requests succeeded`;
  return whole ?? (failed.length === 1 ? `${cells}: ${failed[0]}` : cells);
}

function problemOfAll(
  rows: RunResult["rows"],
  minSuccessPercent: number,
): string | undefined {
  const sum = (values: readonly (number | undefined)[]) =>
    values.reduce<number>((total, value) => total + (value ?? 0), 0);
  const succeeded = sum(rows.map((row) => row.total_requests));
  const failed = sum(rows.map((row) => row.failed_requests));
  if (succeeded + failed === 0) return undefined;
  return successProblem({ succeeded, failed }, minSuccessPercent);
}
