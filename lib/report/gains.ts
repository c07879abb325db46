/**
 * How much faster: ratios between two cells of a run, each with what it compares.
 *
 * @module
 */

import { ratioBound } from "../metrics/peak.ts";
import type { RunData } from "../results/schema.ts";
import { formatCount, formatPercent } from "../units.ts";
import { isThroughputMarked } from "./client_marks.ts";
import {
  distinct,
  isOutputAsAsked,
  isWarmup,
  meanOf,
  measuredRequests,
  type Point,
  type RunRows,
  type Span,
} from "./points.ts";
import { coldAndCached } from "./cold_and_cached.ts";

/** One comparison. `ratio` is what the headline speaks of; above 1 is better. */
export interface Gain {
  readonly along: "hit-rate" | "working-set" | "single-prompt";
  /** `8,000-token prompts`. */
  readonly where: string;
  /** `100 % nominal hits`. */
  readonly at: string;
  readonly against: string;
  /** What `ratio` compares: `the input throughput`. */
  readonly what: string;
  readonly ratio?: number;
  /** What the ratio is where a search was cut: see `ratioBound`. */
  readonly bound?: "at least" | "at most" | "neither";
  readonly inputBefore?: number;
  readonly inputAfter?: number;
  readonly concurrencyBefore?: number;
  readonly concurrencyAfter?: number;
  /** Mean TTFT at the same concurrency, in seconds. */
  readonly ttft?: EqualLoad;
  /** Said beside the ratio: why it may not be what it seems. */
  readonly caution?: string;
}

/** Mean TTFT of two cells at the lowest concurrency that both ran at. */
export interface EqualLoad {
  readonly concurrency: number;
  readonly beforeSeconds: number;
  readonly afterSeconds: number;
  readonly ratio: number;
}

/** The comparisons of a run: highest against lowest hit rate, or largest against smallest set. */
export function gainsOf(run: RunData, rows: RunRows): Gain[] {
  if (run.kind === "single-prompt") return singlePromptGains(run);
  const groups: {
    readonly points: readonly Point[];
    readonly along: "hit-rate" | "working-set";
  }[] = [];
  for (const context of rows.contexts) {
    const here = rows.points.filter((point) => point.contextSizeTokens === context);
    if (run.kind === "cache-rate") groups.push({ points: here, along: "hit-rate" });
    else {
      for (const rate of rows.rates) {
        groups.push({
          points: here.filter((point) => point.hitRatePercent === rate),
          along: "working-set",
        });
      }
    }
  }
  return groups.flatMap(({ points, along }) => {
    const measured = points.filter(({ row }) =>
      (row.input_tokens_per_sec ?? 0) > 0 && isOutputAsAsked(row)
    );
    const [before, after] = [measured[0], measured.at(-1)];
    return before === undefined || after === undefined || before === after
      ? []
      : [gain(rows, before, after, along)];
  });
}

function gain(rows: RunRows, before: Point, after: Point, along: "hit-rate" | "working-set"): Gain {
  const [inputBefore, inputAfter] = [before, after].map((p) => p.row.input_tokens_per_sec ?? NaN);
  const name = (point: Point) =>
    along === "hit-rate"
      ? `${formatPercent(point.hitRatePercent)} nominal hits`
      : `${formatCount(point.workingSetTokens)} tokens working set`;
  const ttft = equalLoad(rows, before, after);
  const caution = cautionOf(before, after);
  return {
    along,
    where: `${formatCount(before.contextSizeTokens)}-token prompts` +
      (along === "working-set" ? ` at ${formatPercent(before.hitRatePercent)} nominal hits` : ""),
    at: name(after),
    against: name(before),
    what: "the input throughput",
    ratio: (inputAfter ?? NaN) / (inputBefore ?? NaN),
    ...defined({
      inputBefore,
      inputAfter,
      concurrencyBefore: before.row.peak_concurrency,
      concurrencyAfter: after.row.peak_concurrency,
      ttft,
      bound: ratioBound(after.row.peak_bound, before.row.peak_bound),
      caution,
    }),
  };
}

/** Leaves out what is `undefined`. */
function defined<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: NonNullable<T[K]> };
}

function cautionOf(before: Point, after: Point): string | undefined {
  if (ratioBound(after.row.peak_bound, before.row.peak_bound) === "neither") {
    return "both searches were cut: the ratio is that of two lower bounds";
  }
  const limited = [before, after].filter((point) => isThroughputMarked(point.row));
  if (limited.length === 2) return "client-limited at both points";
  if (limited[0] === after) return "client-limited at the faster point: the server may do more";
  if (limited[0] === before) return "client-limited at the base: the ratio may be too high";
  return overlap(before.inputSpan, after.inputSpan)
    ? "within the spread of the periods"
    : undefined;
}

function overlap(a: Span | undefined, b: Span | undefined): boolean {
  return a !== undefined && b !== undefined && a.low <= b.high && b.low <= a.high;
}

/** Both cells at their lowest common concurrency: the only fair comparison of a latency. */
function equalLoad(rows: RunRows, before: Point, after: Point): EqualLoad | undefined {
  const levels = (point: Point) =>
    distinct(
      rows.periodsOf(point).filter((period) => !isWarmup(period)).map((period) =>
        period.concurrency
      ),
    );
  const common = levels(before).filter((level) => levels(after).includes(level));
  for (const concurrency of common) {
    const [beforeSeconds, afterSeconds] = [before, after].map((point) =>
      meanTtftAt(rows, point, concurrency)
    );
    if (beforeSeconds !== undefined && afterSeconds !== undefined && afterSeconds > 0) {
      return { concurrency, beforeSeconds, afterSeconds, ratio: beforeSeconds / afterSeconds };
    }
  }
  return undefined;
}

/** Mean TTFT over all requests at a concurrency; over periods (unweighted) where rows are lost. */
function meanTtftAt(rows: RunRows, point: Point, concurrency: number): number | undefined {
  const periods = rows.periodsOf(point).filter((period) =>
    !isWarmup(period) && period.concurrency === concurrency
  );
  const ttfts = periods.flatMap((period) =>
    measuredRequests(period).map((request) => request.ttft ?? NaN)
  );
  return meanOf(ttfts) ??
    meanOf(
      periods.flatMap((period) =>
        period.phase?.avg_ttft === undefined ? [] : [period.phase.avg_ttft]
      ),
    );
}

function singlePromptGains(run: RunData): Gain[] {
  return coldAndCached(run.singlePrompt).flatMap((point): Gain[] => {
    if (point.speedup === undefined) return [];
    const [beforeSeconds, afterSeconds] = [
      point.coldTtft.mean ?? NaN,
      point.cachedTtft.mean ?? NaN,
    ];
    const where = `${formatCount(point.contextSizeTokens)}-token prompts`;
    return [{
      along: "single-prompt",
      where,
      at: where,
      against: "cold",
      what: "faster first token",
      ratio: point.speedup,
      ttft: { concurrency: 1, beforeSeconds, afterSeconds, ratio: point.speedup },
      ...(point.coldTtft.count < 2 ? { caution: "one cold request only: no spread known" } : {}),
    }];
  });
}
