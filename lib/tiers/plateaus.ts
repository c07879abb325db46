/**
 * What the rows of a series show: plateaus, and the knees between them.
 *
 * @module
 */

import { median } from "../metrics/intervals.ts";
import type { KneeSignal } from "../results/tier_map_file.ts";
import { formatCount, formatMs, formatPercent, formatShort } from "../units.ts";
import { type CellSeries, MIN_SIZES, type SizeCell, type TierRequest } from "./cells.ts";
import { HELD_SHARE, LOST_SHARE } from "./steps.ts";

/** Requests that one tier served. */
export interface Plateau {
  readonly requests: readonly TierRequest[];
  /** Median TTFT of each size that belongs to it. */
  readonly sizeMediansMs: readonly number[];
  /** Mean share of tokens found in the cache, where the server says. */
  readonly hitShare?: number;
  /** Smallest and largest set that it alone serves. */
  readonly fromTokens?: number;
  readonly toTokens?: number;
}

/** The end of one plateau and the beginning of the next, in tokens that the cache holds. */
export interface Boundary {
  readonly method: "step" | "fit";
  readonly signals: readonly KneeSignal[];
  readonly capacityTokens: number;
  readonly low: number;
  readonly high: number;
  /** Under random access, for each size: share that a tier before the boundary served, and fit. */
  readonly faster?: readonly number[];
  readonly fitted?: readonly number[];
}

/** What the rows of one series show. */
export interface Shape {
  readonly plateaus: readonly Plateau[];
  /** One less than the plateaus; `undefined` where two plateaus have no knee that can be placed. */
  readonly boundaries: readonly (Boundary | undefined)[];
  readonly evidence: readonly string[];
}

/** Tokens that a set of this many prompts takes in the cache: prompts and what they generate. */
export function footprintOf(series: CellSeries, prompts: number): number {
  return prompts * (series.contextSizeTokens + series.outputTokens);
}

/** The plateau of sizes; `alone` where no other tier serves them. */
export function plateauOf(cells: readonly SizeCell[], alone = true): Plateau {
  const hits = cells.map((cell) => cell.hitShare).filter((one) => one !== undefined);
  return {
    requests: cells.flatMap((cell) => cell.requests),
    sizeMediansMs: cells.map((cell) => cell.ttftMs).filter((one) => one !== undefined),
    ...(hits.length < cells.length || hits.length === 0
      ? {}
      : { hitShare: hits.reduce((sum, one) => sum + one, 0) / hits.length }),
    ...(alone && cells.length > 0
      ? {
        fromTokens: cells[0]?.workingSetTokens ?? NaN,
        toTokens: cells.at(-1)?.workingSetTokens ?? NaN,
      }
      : {}),
  };
}

/** What the hit rate does, where it does not fall in a step. */
export function hitText(cells: readonly SizeCell[]): string[] {
  const shares = cells.map((cell) => cell.hitShare).filter((one) => one !== undefined);
  if (shares.length < cells.length) return [];
  const [first, last] = [shares[0] ?? 0, shares.at(-1) ?? 0];
  const range = `${formatPercent(first * 100)} at the smallest set, ${
    formatPercent(last * 100)
  } at the largest`;
  if (shares.every((one) => one >= HELD_SHARE)) {
    return [`Found in the cache at each size: ${range}.`];
  }
  if (shares.every((one) => one <= LOST_SHARE)) {
    return [`Hardly anything is found in the cache at any size: ${range}.`];
  }
  return [`What is found in the cache falls without a step (${range}): its end is not placed.`];
}

/** How much the last sizes differ from the first ones, where there is no knee. */
export function flatText({ cells, concurrency }: CellSeries): string {
  const values = cells.map((cell) => cell.ttftMs).filter((one) => one !== undefined);
  const third = Math.max(2, Math.floor(values.length / 3));
  const [small, large] = [median(values.slice(0, third)), median(values.slice(-third))];
  if (small === undefined || large === undefined || values.length < MIN_SIZES) {
    return "No knee: TTFT was not measured at one concurrency.";
  }
  const change = formatPercent((large / small - 1) * 100);
  return `No knee: from ${formatShort(cells[0]?.workingSetTokens)} to ${
    formatShort(cells.at(-1)?.workingSetTokens)
  } tokens the median TTFT at concurrency ${formatCount(concurrency)} changes by ${change} ` +
    `(${formatMs(small)} to ${formatMs(large)}), and nowhere in a step.`;
}
