/**
 * What a period and a cell amount to: rates, latencies, hit rates, and how far the client was in
 * the way. `docs/metrics.md` gives the definitions; `catalogue.ts` declares each metric.
 *
 * @module
 */

import type { ClientLoad, PeriodOutcome, RequestRecord } from "../record.ts";
import {
  clientMarks,
  type ClientShares,
  clientShares,
  limitsThroughput,
  withoutStalled,
} from "./client_limit.ts";
import { breachesOf, type CountBreaches } from "./count_breaches.ts";
import {
  decodeRatePerSec,
  dueToSentMs,
  hasMultiTokenChunks,
  hasPromptBreach,
  isOutputAsAsked,
  promptTokens,
  tpotMs,
  ttftFromDueMs,
  ttftMs,
  ttltMs,
} from "./durations.ts";
import { sum } from "./intervals.ts";
import {
  extremes,
  isComplete,
  latencySpread,
  optional,
  pooledGaps,
  rateSpread,
  spreadOf,
  tally,
  total,
} from "./spread.ts";
import {
  countedRequests,
  isSentIn,
  sentInWindow,
  type WindowRates,
  windowRates,
} from "./window_rates.ts";

export type { WindowRates };

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
  /** Successful requests whose output is not as long as was asked for. */
  readonly outputNotAsAsked: number;
  /** Counts of the server that cannot be true, over the successful requests. */
  readonly countBreaches: CountBreaches;
  /** Who counted the output tokens: `usage`, `tokenizer`, `chunks`; joined by `+` where mixed. */
  readonly outputTokensSource?: string;
  /** Successful requests that were left out of the latencies for a long stall of the client. */
  readonly stalledLeftOut: number;
  readonly client: ClientLoad;
  /** The part of each figure that the client's own delays can account for. */
  readonly clientShares: ClientShares;
  /** The figures of which that is too much, each with its share; empty where none is. */
  readonly clientMarks: readonly string[];
  /** True where one of them is the throughput. */
  readonly clientLimited: boolean;
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
}

/** The statistic that `--max-ttft` is compared with. */
export type TtftMetric = "max" | "avg" | "p95";
/** The statistic that `--min-tokens-per-req` is compared with. */
export type TokensPerReqMetric = "avg" | "p5" | "p10";

/** Summarises one period. */
export function summarisePeriod(outcome: PeriodOutcome, options: SummaryOptions): PeriodSummary {
  return { periodId: outcome.periodId, ...figures([outcome], options) };
}

/**
 * Summarises periods of one concurrency as one: rates are Σ tokens / Σ time, percentiles are taken
 * over the requests of all of them.
 *
 * @throws {RangeError} If there is no period, or if their concurrencies differ.
 */
export function summariseCell(
  outcomes: readonly PeriodOutcome[],
  options: SummaryOptions,
): CellSummary {
  const levels = new Set(outcomes.map((outcome) => outcome.concurrency));
  if (levels.size !== 1) {
    throw new RangeError(`Cannot pool periods of ${levels.size} concurrencies: it has to be one`);
  }
  const each = outcomes.map((outcome) => summarisePeriod(outcome, options));
  const input = extremes(each.map((one) => one.inputTokensPerSec));
  const output = extremes(each.map((one) => one.outputTokensPerSec));
  return {
    ...figures(outcomes, options),
    periods: outcomes.length,
    ...(input && { minInputTokensPerSec: input.low, maxInputTokensPerSec: input.high }),
    ...(output && { minOutputTokensPerSec: output.low, maxOutputTokensPerSec: output.high }),
  };
}

/** TTFT in milliseconds by the statistic of `--ttft-metric`; absent if no request succeeded. */
export function measuredTtftMs(figures: Figures, metric: TtftMetric): number | undefined {
  if (metric === "max") return figures.ttft.maxMs;
  return metric === "avg" ? figures.ttft.meanMs : figures.ttft.p95Ms;
}

/** Decode rate in tokens/s by the statistic of `--tokens-per-req-metric`; absent if none decoded. */
export function decodeRateOf(figures: Figures, metric: TokensPerReqMetric): number | undefined {
  const { meanPerSec, p5PerSec, p10PerSec } = figures.decodeRate;
  if (metric === "avg") return meanPerSec;
  return metric === "p5" ? p5PerSec : p10PerSec;
}

function figures(outcomes: readonly PeriodOutcome[], options: SummaryOptions): Figures {
  const [first] = outcomes;
  if (first === undefined) throw new RangeError("Cannot summarise no period at all");
  const records = outcomes.flatMap((outcome) => outcome.records);
  const failures = records.flatMap((record) => record.failure?.kind ?? []);
  const counted = countedRequests(outcomes, options.strictTimeWindow);
  const timed = outcomes.map((outcome) =>
    withoutRampIn(sentInWindow(outcome, options.strictTimeWindow), outcome.concurrency)
  );
  const unstalled = withoutStalled(timed.flatMap((one) => one.kept));
  const latency = unstalled.kept;
  const sent = outcomes.flatMap((outcome) =>
    withoutRampIn(outcome.records.filter((record) => isSentIn(record, outcome)), first.concurrency)
      .kept
  );
  const dueToSent = latencySpread(sent.map(dueToSentMs));
  const ttft = spreadOf(latency, ttftMs);
  const client = pooledClient(outcomes);
  const windowMs = total(outcomes, (outcome) => outcome.stopAtMs - outcome.startAtMs);
  const shares = clientShares(outcomes, latency);
  return {
    concurrency: first.concurrency,
    windowMs,
    drainMs: total(outcomes, (outcome) => outcome.drainedAtMs - outcome.stopAtMs),
    launched: records.length,
    succeeded: records.length - failures.length,
    failed: failures.length,
    failureKinds: tally(failures),
    ...windowRates(outcomes, options.strictTimeWindow),
    ttft,
    ttftFromDue: spreadOf(latency, ttftFromDueMs),
    ttlt: spreadOf(latency, ttltMs),
    itl: latencySpread(pooledGaps(latency)),
    tpot: spreadOf(latency, tpotMs),
    decodeRate: rateSpread(latency.flatMap((record) => decodeRatePerSec(record) ?? [])),
    dueToSent,
    latencyRequests: latency.length,
    rampInLeftOut: total(timed, (one) => one.leftOut),
    ...hitRates(counted),
    outputNotAsAsked: counted.filter((record) => !isOutputAsAsked(record)).length,
    countBreaches: breachesOf(counted),
    multiTokenChunks: counted.filter(hasMultiTokenChunks).length,
    ...optional("outputTokensSource", sources(counted)),
    stalledLeftOut: unstalled.leftOut,
    client,
    clientShares: shares,
    clientMarks: clientMarks(shares),
    clientLimited: limitsThroughput(shares),
    strict: { requests: countedRequests(outcomes, true).length, ...windowRates(outcomes, true) },
  };
}

/**
 * Leaves out the first request of each slot, which all start together, if enough others remain:
 * as many as there are slots, and at least four.
 */
function withoutRampIn(
  records: readonly RequestRecord[],
  concurrency: number,
): { readonly kept: readonly RequestRecord[]; readonly leftOut: number } {
  const others = records.filter((record) => !record.rampIn);
  return others.length >= Math.max(concurrency, 4)
    ? { kept: others, leftOut: records.length - others.length }
    : { kept: records, leftOut: 0 };
}

/** Token-weighted hit rates. The observed one needs the server's count of every request. */
function hitRates(
  records: readonly RequestRecord[],
): Pick<Figures, "achievableHitRatePercent" | "observedHitRatePercent"> {
  const prompt = total(records, promptTokens);
  if (prompt <= 0) return {};
  const cached = records.map((record) =>
    hasPromptBreach(record) ? undefined : record.usage?.cachedTokens
  );
  const achievable = total(records, (record) => record.plan.achievableTokens);
  return {
    achievableHitRatePercent: achievable / prompt * 100,
    ...optional(
      "observedHitRatePercent",
      isComplete(cached) ? sum(cached) / prompt * 100 : undefined,
    ),
  };
}

/** The client's account of several periods: the worst lag, the CPU time over the whole time. */
function pooledClient(outcomes: readonly PeriodOutcome[]): ClientLoad {
  const [only] = outcomes;
  if (outcomes.length === 1 && only !== undefined) return only.client;
  const largest = (of: (client: ClientLoad) => number | undefined) =>
    extremes(outcomes.map((outcome) => of(outcome.client)))?.high;
  const added = (of: (client: ClientLoad) => number | undefined) => {
    const values = outcomes.map((outcome) => of(outcome.client));
    return isComplete(values) ? sum(values) : undefined;
  };
  const cpu = outcomes.map(({ client, startAtMs, drainedAtMs }) =>
    client.cpuCores === undefined ? undefined : client.cpuCores * (drainedAtMs - startAtMs)
  );
  const wallMs = total(outcomes, (outcome) => outcome.drainedAtMs - outcome.startAtMs);
  const cores = isComplete(cpu) && wallMs > 0 ? sum(cpu) / wallMs : undefined;
  return {
    ...optional("eventLoopLagP99Ms", largest((client) => client.eventLoopLagP99Ms)),
    ...optional("eventLoopLagMaxMs", largest((client) => client.eventLoopLagMaxMs)),
    ...optional("cpuCores", cores),
    ...optional("stoppedMs", added((client) => client.stoppedMs)),
    ...optional("receivedBytes", added((client) => client.receivedBytes)),
    ...optional("connectionsOpened", added((client) => client.connectionsOpened)),
    retries: total(outcomes, (outcome) => outcome.client.retries),
  };
}

function sources(records: readonly RequestRecord[]): string | undefined {
  const names = new Set(records.flatMap((record) => record.outputTokensSource ?? []));
  return names.size === 0 ? undefined : [...names].sort().join("+");
}
