/**
 * Rows of a working-set run as series: for each context size and hit rate, what was measured at
 * each working-set size, all of it at one concurrency.
 *
 * @module
 */

import { median, stddev } from "../metrics/intervals.ts";
import type { DetailRow, RunData, SummaryRow, SustainedRow } from "../results/schema.ts";
import type { MapAccessOrder } from "../results/tier_map_file.ts";
import { accessOrderOf } from "./access_order.ts";
import type { LoadPoint } from "./throughput_law.ts";

/** One answered request. */
export interface TierRequest {
  readonly ttftMs: number;
  /** Of the prompt tokens that could be found in the cache, the share that was, 0 to 1. */
  readonly cachedShare?: number;
  /** Tokens found in the cache. */
  readonly cachedTokens?: number;
}

/** One working-set size of a series. */
export interface SizeCell {
  readonly prompts: number;
  /** Prompts × context size: what the user set, rounded up to whole prompts. */
  readonly workingSetTokens: number;
  /** At the concurrency of the series, ramp-in left out. */
  readonly requests: readonly TierRequest[];
  /** Median TTFT. */
  readonly ttftMs?: number;
  /** Standard error of the logarithm of that median, by the scatter of the requests. */
  readonly ttftError: number;
  /** Tokens found in the cache, of those that could be, 0 to 1; where the server says. */
  readonly hitShare?: number;
  /** Prompt tokens per second at the concurrency of the series. */
  readonly inputTokensPerSec?: number;
}

/** The sizes of one context size and hit rate, ascending. */
export interface CellSeries {
  readonly contextSizeTokens: number;
  readonly hitRatePercent: number;
  readonly accessOrder: MapAccessOrder;
  /** How the access order is known. */
  readonly orderEvidence: string;
  /** Absent where each size was measured at another one. */
  readonly concurrency?: number;
  readonly cells: readonly SizeCell[];
  /** Sizes of the run that have no (or too few) requests at this concurrency. */
  readonly sizesLeftOut: number;
  /** Of one request: tokens shared with earlier ones, the rest of the prompt, generated tokens. */
  readonly sharedTokens: number;
  readonly uniqueTokens: number;
  readonly outputTokens: number;
  /** Most tokens of a prompt that a cache can serve; known of kvmark's rows. */
  readonly achievableTokens: number;
  /** Every period of the run at this context size and hit rate, at whatever concurrency. */
  readonly loads: readonly LoadPoint[];
}

/** Requests that a size needs at a concurrency to be compared there. */
export const MIN_REQUESTS = 5;
/** Sizes that a series needs before anything is said about it: two plateaus of two. */
export const MIN_SIZES = 4;

/** The series of a run, in the order of context size and hit rate. */
export function seriesOf(run: RunData): CellSeries[] {
  const rows = [...run.details, ...run.summary, ...run.sustained];
  const keys = new Map<string, readonly [number, number]>();
  for (const { context_size: context, cache_hit_rate: rate, working_set_size: set } of rows) {
    if (context === undefined || rate === undefined || set === undefined) continue;
    keys.set(`${context} ${rate}`, [context, rate]);
  }
  return [...keys.values()].sort(([a, r], [b, s]) => a - b || r - s)
    .map(([context, rate]) => oneSeries(run, context, rate));
}

function oneSeries(run: RunData, context: number, rate: number): CellSeries {
  const here = (row: { context_size?: number; cache_hit_rate?: number }) =>
    row.context_size === context && row.cache_hit_rate === rate;
  const answered = run.details.filter((row) => here(row) && isAnswered(row));
  const order = accessOrderOf(run.config.parameters, answered);
  const prompt = promptTokensOf(answered, context);
  const measured = answered.length > 0
    ? fromRequests(run, prompt, answered, order.order)
    : fromSummaries(run, prompt, here);
  const typical = (of: (row: DetailRow) => number | undefined) =>
    median(answered.map(of).filter((value) => value !== undefined));
  const shared = typical((row) => row.cached_tokens) ?? context * rate / 100;
  return {
    contextSizeTokens: context,
    hitRatePercent: rate,
    accessOrder: order.order,
    orderEvidence: order.evidence,
    ...measured,
    sharedTokens: shared,
    uniqueTokens: typical((row) => row.unique_tokens) ?? context - shared,
    outputTokens: typical((row) => row.output_tokens) ?? 0,
    achievableTokens: typical((row) => row.achievable_cached_tokens) ?? shared,
    loads: loadPoints(answered, prompt),
  };
}

/** Padding adds less than this to a prompt. */
const MOST_PADDING = 1.02;

/**
 * Tokens in one prompt of a working set. The Python suite pads a prompt to whole chunks of 256
 * tokens, and its working sets are made of padded ones: 100,096 tokens for 100,000.
 */
function promptTokensOf(rows: readonly DetailRow[], context: number): number {
  const own = median(
    rows.flatMap((row) => {
      const tokens = (row.cached_tokens ?? NaN) + (row.unique_tokens ?? NaN);
      return Number.isFinite(tokens) ? [tokens] : [];
    }),
  );
  return own !== undefined && own > context && own <= context * MOST_PADDING ? own : context;
}

/** Periods with fewer answers have no rate of their own. */
const LEAST_OF_PERIOD = 6;

/**
 * The rate of each period: prompt tokens from its first first token to its last one. What waits at
 * the ends, for the period before or in the queue, is not in it.
 */
function loadPoints(rows: readonly DetailRow[], prompt: number): LoadPoint[] {
  const periods = Map.groupBy(
    rows,
    (row) => `${row.working_set_size} ${row.phase_id} ${row.concurrency_level}`,
  );
  return [...periods.values()].flatMap((ofPeriod): LoadPoint[] => {
    const answers = ofPeriod.flatMap((row) =>
      row.launch_time === undefined || row.ttft === undefined ? [] : [row.launch_time + row.ttft]
    );
    const [first] = ofPeriod;
    const seconds = answers.reduce((a, b) => Math.max(a, b), -Infinity) -
      answers.reduce((a, b) => Math.min(a, b), Infinity);
    if (first === undefined || answers.length < LEAST_OF_PERIOD || !(seconds > 0)) return [];
    return [{
      prompts: promptsOf(first.working_set_size ?? 0, prompt),
      concurrency: first.concurrency_level ?? 1,
      requests: ofPeriod.length,
      inputTokensPerSec: prompt * (answers.length - 1) / seconds,
    }];
  });
}

function isAnswered(row: DetailRow): boolean {
  return (row.error_kind ?? "") === "" && (row.ttft ?? 0) > 0 &&
    row.working_set_size !== undefined && !/warmup/i.test(row.phase_id ?? "");
}

type Measured = Pick<CellSeries, "cells" | "sizesLeftOut" | "concurrency">;

/** The prompts of a working set: whole ones, at least one. */
export function promptsOf(workingSetTokens: number, context: number): number {
  return Math.max(1, Math.ceil(workingSetTokens / context - 1e-9));
}

function fromRequests(
  run: RunData,
  context: number,
  rows: readonly DetailRow[],
  order: MapAccessOrder,
): Measured {
  const bySize = Map.groupBy(rows, (row) => promptsOf(row.working_set_size ?? 0, context));
  const levels = new Map<number, Set<number>>();
  for (const [prompts, ofSize] of bySize) {
    for (const [level, ofLevel] of Map.groupBy(ofSize, (row) => row.concurrency_level ?? 0)) {
      if (ofLevel.length < MIN_REQUESTS) continue;
      levels.set(level, (levels.get(level) ?? new Set()).add(prompts));
    }
  }
  // Only at concurrency 1 does TTFT tell a hit from a miss, which random access mixes at each size.
  const alone = order === "random" && (levels.get(1)?.size ?? 0) >= MIN_SIZES;
  const concurrency = alone ? 1 : commonLevel(levels, bySize.size);
  if (concurrency === undefined) return { cells: [], sizesLeftOut: bySize.size };
  const cells = [...levels.get(concurrency) ?? []].sort((a, b) => a - b).map((prompts) => {
    const ofCell = (bySize.get(prompts) ?? []).filter((row) =>
      (row.concurrency_level ?? 0) === concurrency
    );
    return cellOfRequests(run, context, prompts, withoutRampIn(ofCell));
  });
  return { concurrency, cells, sizesLeftOut: bySize.size - cells.length };
}

/**
 * The lowest concurrency that enough sizes were measured at: half of them, and as many as an
 * analysis needs. Else the one that most sizes share.
 */
function commonLevel(levels: Map<number, Set<number>>, sizes: number): number | undefined {
  const ordered = [...levels].sort(([a], [b]) => a - b);
  const enough = ordered.find(([, at]) => at.size >= Math.max(MIN_SIZES, sizes / 2));
  if (enough !== undefined) return enough[0];
  return ordered.reduce<(typeof ordered)[number] | undefined>(
    (best, one) => best === undefined || one[1].size > best[1].size ? one : best,
    undefined,
  )?.[0];
}

function withoutRampIn(rows: readonly DetailRow[]): readonly DetailRow[] {
  const others = rows.filter((row) => row.ramp_in !== "yes");
  return others.length >= MIN_REQUESTS ? others : rows;
}

function cellOfRequests(
  run: RunData,
  context: number,
  prompts: number,
  rows: readonly DetailRow[],
): SizeCell {
  const requests = rows.map((row): TierRequest => {
    const cached = row.reported_cached_tokens;
    const possible = row.achievable_cached_tokens ?? 0;
    return {
      ttftMs: (row.ttft ?? NaN) * 1000,
      ...(cached === undefined ? {} : { cachedTokens: cached }),
      ...(cached === undefined || possible <= 0
        ? {}
        : { cachedShare: Math.min(1, cached / possible) }),
    };
  });
  const logs = requests.map((one) => Math.log(one.ttftMs));
  const shares = requests.map((one) => one.cachedShare).filter((one) => one !== undefined);
  const rate = throughputOf(run, rows);
  return {
    prompts,
    workingSetTokens: prompts * context,
    requests,
    ttftMs: median(requests.map((one) => one.ttftMs)) ?? NaN,
    ttftError: 1.2533 * (robustSpread(logs) ?? 0) / Math.sqrt(logs.length),
    ...(shares.length < 0.9 * requests.length ? {} : { hitShare: meanOf(shares) }),
    ...(rate === undefined ? {} : { inputTokensPerSec: rate }),
  };
}

/** Standard deviation of the middle of the values: the interquartile range over 1.349. */
function robustSpread(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? NaN;
  const spread = stddev(sorted);
  return spread === undefined ? undefined : Math.min(spread, (at(0.75) - at(0.25)) / 1.349);
}

/** Mean of the values; there is at least one. */
export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Prompt tokens per second over the periods of the rows: as their period rows say, else (Python)
 * Σ tokens of the requests over Σ of first launch to last end.
 */
function throughputOf(run: RunData, rows: readonly DetailRow[]): number | undefined {
  let [tokens, seconds] = [0, 0];
  for (const [id, ofPeriod] of Map.groupBy(rows, (row) => row.phase_id ?? "")) {
    const [first] = ofPeriod;
    const phase = run.phases.find((one) =>
      one.phase_id === id && one.context_size === first?.context_size &&
      one.cache_hit_rate === first?.cache_hit_rate &&
      one.working_set_size === first?.working_set_size
    );
    if (phase?.input_tokens_per_sec !== undefined && (phase.duration ?? 0) > 0) {
      tokens += phase.input_tokens_per_sec * (phase.duration ?? NaN);
      seconds += phase.duration ?? NaN;
      continue;
    }
    const from = Math.min(...ofPeriod.map((row) => row.launch_time ?? Infinity));
    const to = Math.max(...ofPeriod.map((row) => row.finish_time ?? -Infinity));
    if (!(to > from)) continue;
    tokens += ofPeriod.reduce(
      (sum, row) => sum + (row.cached_tokens ?? 0) + (row.unique_tokens ?? 0),
      0,
    );
    seconds += to - from;
  }
  return seconds > 0 && tokens > 0 ? tokens / seconds : undefined;
}

/** Where the request rows are lost: medians of periods, or of cells at their peak. */
function fromSummaries(
  run: RunData,
  context: number,
  here: (row: SummaryRow | SustainedRow) => boolean,
): Measured {
  const periods = run.sustained.filter(here);
  const level = (row: SummaryRow | SustainedRow) =>
    "peak_concurrency" in row
      ? row.peak_concurrency
      : "concurrency_level" in row
      ? row.concurrency_level
      : undefined;
  const rows: readonly (SummaryRow | SustainedRow)[] = periods.length > 0
    ? periods
    : run.summary.filter(here);
  const bySize = Map.groupBy(
    rows.filter((row) => row.working_set_size !== undefined),
    (row) => promptsOf(row.working_set_size ?? 0, context),
  );
  const levels = new Map<number, Set<number>>();
  for (const [prompts, ofSize] of bySize) {
    for (const at of new Set(ofSize.map(level))) {
      if (at !== undefined) levels.set(at, (levels.get(at) ?? new Set()).add(prompts));
    }
  }
  const common = commonLevel(levels, bySize.size);
  const concurrency = common !== undefined && (levels.get(common)?.size ?? 0) >= MIN_SIZES
    ? common
    : undefined;
  const cells = [...bySize].sort(([a], [b]) => a - b).flatMap(([prompts, ofSize]) => {
    const chosen = concurrency === undefined
      ? ofSize
      : ofSize.filter((row) => level(row) === concurrency);
    return chosen.length === 0
      ? []
      : [cellOfSummaries(context, prompts, chosen, concurrency !== undefined)];
  });
  return {
    cells,
    sizesLeftOut: bySize.size - cells.length,
    ...(concurrency === undefined ? {} : { concurrency }),
  };
}

/** TTFT is taken only where all sizes were measured under the same load. */
function cellOfSummaries(
  context: number,
  prompts: number,
  rows: readonly (SummaryRow | SustainedRow)[],
  comparable: boolean,
): SizeCell {
  const known = (values: readonly (number | undefined)[]) =>
    values.filter((value) => value !== undefined && value > 0) as number[];
  const ttfts = comparable ? known(rows.map((row) => row.median_ttft ?? row.avg_ttft)) : [];
  const rates = known(rows.map((row) => row.input_tokens_per_sec));
  const hits = rows.flatMap((row) => {
    if (!("observed_hit_rate" in row)) return [];
    const { observed_hit_rate: observed, achievable_hit_rate: possible } = row;
    return observed === undefined || !possible ? [] : [Math.min(1, observed / possible)];
  });
  return {
    prompts,
    workingSetTokens: prompts * context,
    requests: [],
    ttftError: 0,
    ...(ttfts.length === 0 ? {} : { ttftMs: meanOf(ttfts) * 1000 }),
    ...(hits.length === 0 ? {} : { hitShare: meanOf(hits) }),
    ...(rates.length === 0 ? {} : { inputTokensPerSec: meanOf(rates) }),
  };
}
