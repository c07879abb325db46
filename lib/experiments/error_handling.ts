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

/** What holds where nothing is said. */
export const DEFAULT_ERROR_HANDLING: ErrorHandling = {
  maxConsecutiveErrors: 20,
  maxErrorPercent: 90,
  requestRetries: 0,
  onError: "continue",
  minSuccessPercent: 0,
};

/** Why a cell counts as failed; `undefined` if it does not. @param summary Of its pooled periods. */
export function cellProblem(
  summary: { readonly succeeded: number; readonly failed: number } | undefined,
  { minSuccessPercent }: ErrorHandling,
): string | undefined {
  return successProblem(summary ?? { succeeded: 0, failed: 0 }, minSuccessPercent);
}

/**
 * What is wrong with the successes of a whole run; `undefined` if nothing is. A run without a row,
 * and one in which nothing was counted and nothing failed, are not judged here.
 */
export function runProblem(
  { rows }: Pick<RunResult, "rows">,
  { minSuccessPercent }: ErrorHandling,
): string | undefined {
  const sum = (values: readonly (number | undefined)[]) =>
    values.reduce<number>((total, value) => total + (value ?? 0), 0);
  const succeeded = sum(rows.map((row) => row.total_requests));
  const failed = sum(rows.map((row) => row.failed_requests));
  if (succeeded + failed === 0) return undefined;
  return successProblem({ succeeded, failed }, minSuccessPercent);
}
