/**
 * What a period and a cell amount to: rates, latencies, hit rates, and how far the client was in
 * the way. `docs/metrics.md` gives the definitions; `catalogue.ts` declares each metric.
 *
 * @module
 */

import type { ClientLoad, PeriodOutcome } from "../record.ts";

/** Statistics of one latency. A field is absent where no request contributed. */
export interface LatencySpread {
  /** Values that the statistics are taken over. */
  readonly count: number;
  readonly meanMs?: number;
  readonly minMs?: number;
  readonly medianMs?: number;
  readonly p95Ms?: number;
  readonly p99Ms?: number;
  readonly maxMs?: number;
}

/** Statistics of the decode rate of a request, in tokens per second. */
export interface RateSpread {
  readonly count: number;
  readonly meanPerSec?: number;
  readonly p5PerSec?: number;
  readonly p10PerSec?: number;
}

/** Tokens per second over a window. A rate is absent where a request lacks the count. */
export interface WindowRates {
  /** Prompt tokens, all of them. */
  readonly inputTokensPerSec?: number;
  /** Prompt tokens that the server computed: input less reused. */
  readonly computedTokensPerSec?: number;
  /** Prompt tokens that the server reported as taken from its cache. */
  readonly reusedTokensPerSec?: number;
  readonly outputTokensPerSec?: number;
}

/** What is the same for a period and for a cell. */
export interface Figures extends WindowRates {
  readonly concurrency: number;
  /** Measured time: from the start until launching stopped (of a cell: the sum of its periods). */
  readonly windowMs: number;
  /** From the end of the window until the last request ended (of a cell: the sum). */
  readonly drainMs: number;
  readonly launched: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly failureKinds: Readonly<Record<string, number>>;
  readonly ttft: LatencySpread;
  /** TTFT measured from when the request was due. */
  readonly ttftFromDue: LatencySpread;
  readonly ttlt: LatencySpread;
  /** Gaps between content-bearing reads, pooled over the requests. */
  readonly itl: LatencySpread;
  readonly tpot: LatencySpread;
  readonly decodeRate: RateSpread;
  /** The client's own delay before sending; failed requests included. */
  readonly dueToSent: LatencySpread;
  /** Requests that the latencies are taken over. */
  readonly latencyRequests: number;
  /** Successful requests that were left out of the latencies as the first of their slot. */
  readonly rampInLeftOut: number;
  readonly achievableHitRatePercent?: number;
  readonly observedHitRatePercent?: number;
  /** Successful requests whose chunks carried several tokens each. */
  readonly multiTokenChunks: number;
  /** Who counted the output tokens: `usage`, `tokenizer`, `chunks`; joined by `+` where mixed. */
  readonly outputTokensSource?: string;
  readonly client: ClientLoad;
  readonly clientLimited: boolean;
  /** Why, one line each; empty where it was not. */
  readonly clientLimitedReasons: readonly string[];
  /** The rates by the strict window, whichever way the rates above are counted. */
  readonly strict: WindowRates & { readonly requests: number };
}

/** One period, summarised. */
export interface PeriodSummary extends Figures {
  readonly periodId: string;
}

/** The periods at the peak of a cell, pooled: rates are sums over sums, percentiles of all rows. */
export interface CellSummary extends Figures {
  readonly periods: number;
  readonly minInputTokensPerSec?: number;
  readonly maxInputTokensPerSec?: number;
  readonly minOutputTokensPerSec?: number;
  readonly maxOutputTokensPerSec?: number;
}

/** How {@linkcode summarisePeriod} and {@linkcode summariseCell} count. */
export interface SummaryOptions {
  /** Count only requests that were sent and ended inside the window. */
  readonly strictTimeWindow: boolean;
  /** Cores that the client may use; without it its CPU time is not judged. */
  readonly cores?: number;
}

/** The statistic that `--max-ttft` is compared with. */
export type TtftMetric = "max" | "avg" | "p95";
/** The statistic that `--min-tokens-per-req` is compared with. */
export type DecodeRateMetric = "avg" | "p5" | "p10";

/** Summarises one period. */
export function summarisePeriod(_outcome: PeriodOutcome, _options: SummaryOptions): PeriodSummary {
  throw new Error("unfinished");
}

/**
 * Summarises periods of one concurrency as one.
 *
 * @throws {RangeError} If there is no period, or if their concurrencies differ.
 */
export function summariseCell(
  _outcomes: readonly PeriodOutcome[],
  _options: SummaryOptions,
): CellSummary {
  throw new Error("unfinished");
}

/** TTFT in milliseconds by the statistic of `--ttft-metric`; absent if no request succeeded. */
export function measuredTtft(figures: Figures, metric: TtftMetric): number | undefined {
  if (metric === "max") return figures.ttft.maxMs;
  return metric === "avg" ? figures.ttft.meanMs : figures.ttft.p95Ms;
}

/** Decode rate in tokens/s by the statistic of `--tokens-per-req-metric`; absent if none decoded. */
export function measuredDecodeRate(
  figures: Figures,
  metric: DecodeRateMetric,
): number | undefined {
  const { meanPerSec, p5PerSec, p10PerSec } = figures.decodeRate;
  if (metric === "avg") return meanPerSec;
  return metric === "p5" ? p5PerSec : p10PerSec;
}
