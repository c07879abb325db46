/**
 * What a single-prompt run comes to at each context size.
 *
 * @module
 */

import { bootstrapRatio, type Interval } from "../metrics/intervals.ts";
import { randomStream, seedFor } from "../random.ts";
import type { SinglePromptRow } from "../results/schema.ts";
import { distinct, meanOf } from "./points.ts";

/** Mean and sample standard deviation of one quantity, in seconds. */
export interface Spread {
  readonly count: number;
  readonly mean?: number;
  /** Absent for fewer than two values. */
  readonly deviation?: number;
}

/** One context size of a single-prompt run. */
export interface ColdAndCached {
  readonly contextSizeTokens: number;
  readonly iterations: number;
  readonly failed: number;
  readonly coldTtft: Spread;
  readonly cachedTtft: Spread;
  readonly coldTtlt: Spread;
  readonly cachedTtlt: Spread;
  /** Mean cold TTFT over mean cached TTFT. */
  readonly speedup?: number;
  /** Its 95 % bootstrap interval; absent for fewer than two requests of a kind. */
  readonly speedupInterval?: Interval;
  /**
   * Prompt tokens over the time to the first token, cold requests; of prompts that are sent
   * together, over the time until each of them has its first token.
   */
  readonly coldPrefillTokensPerSec?: number;
  /** Mean cold TTFT less mean cached TTFT, per 1,000 tokens of the prompt. */
  readonly savedSecondsPer1000Tokens?: number;
}

/** Cold and cached requests of each context size. Failed requests are only counted. */
export function coldAndCached(rows: readonly SinglePromptRow[]): ColdAndCached[] {
  return distinct(rows.map((row) => row.context_size)).map((context) =>
    atContext(context, rows.filter((row) => row.context_size === context))
  );
}

function atContext(contextSizeTokens: number, rows: readonly SinglePromptRow[]): ColdAndCached {
  const answered = rows.filter((row) => (row.error_kind ?? "") === "" && (row.ttft ?? 0) > 0);
  const cold = answered.filter((row) => row.prompt_type === "unique");
  const cached = answered.filter((row) => row.prompt_type?.startsWith("cached"));
  const coldTtft = spreadOf(cold.map((row) => row.ttft));
  const cachedTtft = spreadOf(cached.map((row) => row.ttft));
  const prefill = prefillTokensPerSec(cold);
  return {
    contextSizeTokens,
    iterations: distinct(rows.map((row) => row.iteration)).length,
    failed: rows.length - answered.length,
    coldTtft,
    cachedTtft,
    coldTtlt: spreadOf(cold.map(ttltOf)),
    cachedTtlt: spreadOf(cached.map(ttltOf)),
    ...(prefill === undefined ? {} : { coldPrefillTokensPerSec: prefill }),
    ...gains(contextSizeTokens, coldTtft, cachedTtft),
    ...speedupInterval(contextSizeTokens, ttftsOf(cold), ttftsOf(cached)),
  };
}

function gains(contextSizeTokens: number, cold: Spread, cached: Spread) {
  if (cold.mean === undefined || cached.mean === undefined) return {};
  return {
    speedup: cold.mean / cached.mean,
    savedSecondsPer1000Tokens: (cold.mean - cached.mean) / contextSizeTokens * 1000,
  };
}

/** The same rows give the same interval. */
function speedupInterval(context: number, cold: readonly number[], cached: readonly number[]) {
  const interval = bootstrapRatio(cold, cached, randomStream(seedFor("speed-up", context)));
  return interval === undefined ? {} : { speedupInterval: interval };
}

function prefillTokensPerSec(cold: readonly SinglePromptRow[]): number | undefined {
  let tokens = 0;
  let seconds = 0;
  for (const iteration of distinct(cold.map((row) => row.iteration))) {
    const batch = cold.filter((row) => row.iteration === iteration);
    tokens += batch.reduce((sum, row) => sum + (row.prompt_tokens ?? NaN), 0);
    seconds += untilLastFirstToken(batch);
  }
  const rate = tokens / seconds;
  return Number.isFinite(rate) ? rate : undefined;
}

/** From the first prompt sent until every prompt has its first token. */
function untilLastFirstToken(batch: readonly SinglePromptRow[]): number {
  const [only] = batch;
  if (batch.length === 1) return only?.ttft ?? NaN;
  const sent = batch.map((row) => row.launch_time ?? NaN);
  const first = batch.map((row) => (row.launch_time ?? NaN) + (row.ttft ?? NaN));
  return Math.max(...first) - Math.min(...sent);
}

function ttftsOf(rows: readonly SinglePromptRow[]): number[] {
  return rows.flatMap((row) => row.ttft ?? []);
}

/** TTLT of a row; the Python suite has TTFT and the generation time after it. */
function ttltOf(row: SinglePromptRow): number | undefined {
  if (row.ttlt !== undefined) return row.ttlt;
  return row.ttft === undefined || row.generation_time === undefined
    ? undefined
    : row.ttft + row.generation_time;
}

function spreadOf(values: readonly (number | undefined)[]): Spread {
  const present = values.filter((value) => value !== undefined);
  const mean = meanOf(present);
  if (mean === undefined) return { count: 0 };
  if (present.length < 2) return { count: present.length, mean };
  const squares = present.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { count: present.length, mean, deviation: Math.sqrt(squares / (present.length - 1)) };
}
