/**
 * Records and summaries as rows of the tables: instants become Unix seconds, durations seconds.
 *
 * What is not known is an empty cell. A failed request keeps what did happen to it: a row with an
 * `error_kind` may have a TTFT, and no statistic is taken over such rows.
 *
 * @module
 */

import type { PeriodKind } from "../load/controller.ts";
import {
  decodeRatePerSec,
  dueToSentMs,
  generationMs,
  readGapsMs,
  tpotMs,
  ttftMs,
  ttltMs,
} from "../metrics/durations.ts";
import { mean } from "../metrics/intervals.ts";
import type { Peak } from "../metrics/peak.ts";
import type { CellSummary, Figures, LatencySpread, PeriodSummary } from "../metrics/summary.ts";
import type { PeriodOutcome, RequestRecord } from "../record.ts";
import { breachText } from "../token_counts.ts";
import type { DetailRow, PhaseRow, SinglePromptRow, SummaryRow } from "../results/schema.ts";
import { peakColumns } from "./peak_columns.ts";

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
  readonly causeCode?: string;
  /** The cached tokens that the requests reported are contradicted by other witnesses. */
  readonly usageInDoubt?: boolean;
  /** What an LRU cache of the stated size would have had. */
  readonly theoreticalPercent?: number;
  /** What the server's counters say. */
  readonly counterPercent?: number;
  /** Share of the server's prompt tokens that this run did not send. */
  readonly foreignPercent?: number;
}

/** A row while it is built: values that are not known are there as `undefined`. */
export type Draft<R> = { [K in keyof R]: R[K] | undefined };

/** The row of a request. @param wallOffsetMs Wall clock minus monotonic clock. */
export function detailRow(record: RequestRecord, wallOffsetMs: number): DetailRow {
  const { labels, plan, usage } = record;
  const gaps = readGapsMs(record);
  const draft: Draft<DetailRow> = {
    request_id: record.requestId,
    phase_id: labels.periodId,
    ...whereOf(labels),
    cached_tokens: plan.sharedTokens,
    unique_tokens: plan.promptTokens - plan.sharedTokens,
    output_tokens: record.outputTokens,
    asked_output_tokens: record.maxOutputTokens > 0 ? record.maxOutputTokens : undefined,
    ttft: seconds(ttftMs(record)),
    ttlt: seconds(ttltMs(record)),
    generation_time: seconds(generationMs(record)),
    total_time: seconds(record.endAtMs - record.sentAtMs),
    launch_time: seconds(record.sentAtMs + wallOffsetMs),
    finish_time: seconds(record.endAtMs + wallOffsetMs),
    concurrency_level: labels.concurrency,
    itl: seconds(mean(gaps)),
    max_itl: seconds(gaps.length === 0 ? undefined : gaps.reduce((a, b) => Math.max(a, b))),
    tpot: seconds(tpotMs(record)),
    due_to_sent_ms: dueToSentMs(record),
    ttft_held_ms: record.ttftHeldMs,
    end_held_ms: record.endHeldMs,
    stalled: yes(record.stalled),
    headers_ms: record.headersAtMs === undefined ? undefined : record.headersAtMs - record.sentAtMs,
    content_reads: record.contentReadsAtMs.length,
    content_chunks: record.contentChunks,
    prompt_index: labels.promptIndex,
    achievable_cached_tokens: plan.achievableTokens,
    reported_prompt_tokens: usage?.promptTokens,
    reported_cached_tokens: usage?.cachedTokens,
    output_tokens_source: record.outputTokensSource,
    count_breach: breachText(record.countBreaches),
    finish_reason: record.finishReason,
    http_status: record.status,
    content_encoding: oneLine(record.contentEncoding),
    error_kind: record.failure?.kind,
    error: oneLine(record.failure?.message),
    recompute: yes(labels.recompute),
    ramp_in: yes(record.rampIn),
    worker: record.worker,
    endpoint: baseUrl(record.url),
    purpose: labels.purpose === "warmup" ? "warmup" : undefined,
  };
  return filled(draft);
}

/** What {@linkcode phaseRow} cannot take from the period itself. */
export interface PhaseExtras {
  readonly wallOffsetMs: number;
  /** The statistic that was compared with the limit. */
  readonly measuredTtftMs?: number;
  readonly decision?: { readonly action: "up" | "hold" | "down" | "stop"; readonly reason: string };
  readonly atPeak?: boolean;
  readonly residentTokens?: number;
  /** Share of the server's prompt tokens that this run did not send. */
  readonly foreignPercent?: number;
}

/** The row of a period. The binary search of the ramp is of type `RAMP`, as in the Python suite. */
export function phaseRow(
  kind: PeriodKind | "WARMUP",
  labels: CellLabels,
  outcome: PeriodOutcome,
  summary: PeriodSummary,
  extras: PhaseExtras,
): PhaseRow {
  const { client } = summary;
  const draft: Draft<PhaseRow> = {
    phase_type: kind === "RAMP_REFINE" ? "RAMP" : kind,
    phase_id: outcome.periodId,
    ...whereOf(labels),
    concurrency_level: outcome.concurrency,
    start_time: seconds(outcome.startAtMs + extras.wallOffsetMs),
    end_time: seconds(outcome.drainedAtMs + extras.wallOffsetMs),
    duration: seconds(summary.windowMs),
    num_requests_launched: summary.launched,
    num_requests_completed: summary.succeeded,
    drain_s: seconds(summary.drainMs),
    num_requests_failed: summary.failed,
    failure_kinds: failureText(summary),
    output_not_as_asked: some(summary.outputNotAsAsked),
    count_breach_requests: some(summary.countBreaches.requests),
    ...ratesOf(summary),
    measured_ttft: seconds(extras.measuredTtftMs),
    avg_ttft: seconds(summary.ttft.meanMs),
    p95_ttft: seconds(summary.ttft.p95Ms),
    max_ttft: seconds(summary.ttft.maxMs),
    avg_output_tokens: summary.decodeRate.meanPerSec,
    decision: extras.decision?.action,
    decision_reason: extras.decision?.reason,
    at_peak: yes(extras.atPeak),
    due_to_sent_p99_ms: summary.dueToSent.p99Ms,
    due_to_sent_max_ms: summary.dueToSent.maxMs,
    event_loop_lag_p99_ms: client.eventLoopLagP99Ms,
    event_loop_lag_max_ms: client.eventLoopLagMaxMs,
    client_cpu_cores: client.cpuCores,
    received_bytes: client.receivedBytes,
    connections_opened: client.connectionsOpened,
    retries: client.retries,
    ...clientColumns(summary),
    client_stopped_s: seconds(client.stoppedMs),
    resident_tokens: extras.residentTokens,
    foreign_prompt_share: extras.foreignPercent,
    unusable: outcome.unusable,
  };
  return filled(draft);
}

/** Median TTFT of the requests that were loaded, and of those that were recomputed. */
export interface AlternatedTtft {
  readonly loadedMs?: number;
  readonly recomputedMs?: number;
}

/** What {@linkcode summaryRow} cannot take from the summary itself. */
export interface SummaryExtras {
  readonly model: string;
  /** Absent where there was nothing to choose from. */
  readonly peak?: Peak;
  readonly ttftLimitMs?: number;
  readonly ttftMetric?: string;
  readonly verdict?: HitRateVerdict;
  /** Of a run that alternates loaded and recomputed requests. */
  readonly alternated?: AlternatedTtft;
  readonly pool?: PoolFigures;
}

/** The working set of a cell. */
export interface PoolFigures {
  readonly prompts: number;
  /** See `effectiveWorkingSet`; absent where no prompt of it was used. */
  readonly effectiveTokens?: number;
  readonly failedWarmUps: number;
}

const NO_REUSE_RATES = { computed_tokens_per_sec: undefined, reused_tokens_per_sec: undefined };

/** The row of a cell. Without a summary (no period was run) only labels and extras are filled. */
export function summaryRow(
  labels: CellLabels,
  summary: CellSummary | undefined,
  extras: SummaryExtras,
): SummaryRow {
  const draft: Draft<SummaryRow> = {
    ...whereOf(labels),
    model: extras.model,
    ...(summary === undefined ? {} : cellFigures(summary)),
    // What rests on counts that other witnesses contradict is no figure.
    ...(extras.verdict?.usageInDoubt === true ? NO_REUSE_RATES : {}),
    theoretical_hit_rate: extras.verdict?.theoreticalPercent,
    counter_hit_rate: extras.verdict?.counterPercent,
    foreign_prompt_share: extras.verdict?.foreignPercent,
    hit_rate_verdict: extras.verdict?.verdict,
    hit_rate_cause: extras.verdict?.cause,
    hit_rate_cause_code: extras.verdict?.causeCode,
    median_ttft_loaded: seconds(extras.alternated?.loadedMs),
    median_ttft_recomputed: seconds(extras.alternated?.recomputedMs),
    ...peakColumns(extras.peak, summary !== undefined),
    ttft_limit: seconds(extras.ttftLimitMs),
    ttft_metric: extras.ttftMetric,
    working_set_prompts: extras.pool?.prompts,
    effective_working_set_size: extras.pool?.effectiveTokens,
    failed_warmup_requests: extras.pool?.failedWarmUps,
  };
  return filled(draft);
}

function cellFigures(summary: CellSummary): Draft<SummaryRow> {
  const { client } = summary;
  return {
    ...ratesOf(summary),
    ...spread("ttft", summary.ttft),
    max_ttft: seconds(summary.ttft.maxMs),
    ...spread("ttlt", summary.ttlt),
    avg_output_tokens: summary.decodeRate.meanPerSec,
    ...spread("itl", summary.itl),
    ...spread("tpot", summary.tpot),
    peak_concurrency: summary.concurrency,
    total_requests: summary.succeeded,
    test_duration: seconds(summary.windowMs),
    failed_requests: summary.failed,
    failure_kinds: failureText(summary),
    achievable_hit_rate: summary.achievableHitRatePercent,
    observed_hit_rate: summary.observedHitRatePercent,
    p95_ttft_from_due: seconds(summary.ttftFromDue.p95Ms),
    min_input_tokens_per_sec: summary.minInputTokensPerSec,
    max_input_tokens_per_sec: summary.maxInputTokensPerSec,
    periods_at_peak: summary.periods,
    multi_token_chunks: summary.multiTokenChunks,
    output_tokens_source: summary.outputTokensSource,
    output_not_as_asked: some(summary.outputNotAsAsked),
    count_breach_requests: some(summary.countBreaches.requests),
    count_breaches: breachText(summary.countBreaches.examples),
    due_to_sent_p99_ms: summary.dueToSent.p99Ms,
    event_loop_lag_p99_ms: client.eventLoopLagP99Ms,
    client_cpu_cores: client.cpuCores,
    ...clientColumns(summary),
  };
}

/** How far to trust the client. `client_limited` is the mark of old folders: any figure. */
function clientColumns({ clientShares: shares, clientMarks, stalledLeftOut }: Figures) {
  return {
    client_share_throughput_percent: shares.throughputPercent,
    client_share_ttft_p50_percent: shares.ttftP50Percent,
    client_share_ttft_p95_percent: shares.ttftP95Percent,
    client_share_ttft_p99_percent: shares.ttftP99Percent,
    client_limited: yes(clientMarks.length > 0),
    client_marks: clientMarks.length === 0 ? undefined : clientMarks.join(", "),
    stalled_requests: stalledLeftOut,
  };
}

/** What {@linkcode singlePromptRow} cannot take from the record itself. */
export interface SinglePromptExtras {
  readonly wallOffsetMs: number;
  readonly iteration: number;
  /** `unique`, `cached`, `cached_r2`, … */
  readonly promptType: string;
  readonly verdict?: HitRateVerdict["verdict"];
}

/** The row of a single-prompt request. Prompt tokens are the server's count, or absent. */
export function singlePromptRow(
  record: RequestRecord,
  extras: SinglePromptExtras,
): SinglePromptRow {
  const draft: Draft<SinglePromptRow> = {
    context_size: record.labels.contextSizeTokens,
    iteration: extras.iteration,
    prompt_type: extras.promptType,
    prompt_tokens: record.usage?.promptTokens,
    completion_tokens: record.outputTokens,
    ttft: seconds(ttftMs(record)),
    generation_time: seconds(generationMs(record)),
    total_time: seconds(record.endAtMs - record.sentAtMs),
    output_tokens_per_sec: decodeRatePerSec(record),
    ttlt: seconds(ttltMs(record)),
    tpot: seconds(tpotMs(record)),
    prompt_index: record.labels.promptIndex,
    reported_cached_tokens: record.usage?.cachedTokens,
    achievable_cached_tokens: record.plan.achievableTokens,
    hit_verdict: extras.verdict,
    count_breach: breachText(record.countBreaches),
    due_to_sent_ms: dueToSentMs(record),
    launch_time: seconds(record.sentAtMs + extras.wallOffsetMs),
    error_kind: record.failure?.kind,
    error: oneLine(record.failure?.message),
    request_id: record.requestId,
  };
  return filled(draft);
}

/** The columns that say where a row belongs. */
export function whereOf(labels: CellLabels) {
  return {
    context_size: labels.contextSizeTokens,
    working_set_size: labels.workingSetTokens,
    cache_hit_rate: labels.hitRatePercent,
  };
}

function ratesOf(figures: Figures) {
  return {
    input_tokens_per_sec: figures.inputTokensPerSec,
    output_tokens_per_sec: figures.outputTokensPerSec,
    computed_tokens_per_sec: figures.computedTokensPerSec,
    reused_tokens_per_sec: figures.reusedTokensPerSec,
    unanswered_input_percent: figures.unansweredInputPercent,
  };
}

type SpreadColumns<Name extends string> = {
  [K in `${"avg" | "median" | "p95" | "p99"}_${Name}`]: number | undefined;
};

function spread<const Name extends string>(name: Name, one: LatencySpread): SpreadColumns<Name> {
  return {
    [`avg_${name}`]: seconds(one.meanMs),
    [`median_${name}`]: seconds(one.medianMs),
    [`p95_${name}`]: seconds(one.p95Ms),
    [`p99_${name}`]: seconds(one.p99Ms),
  } as SpreadColumns<Name>;
}

/** `timeout:2 http_status:1`, the most frequent first; absent where nothing failed. */
function failureText({ failureKinds }: Figures): string | undefined {
  const kinds = Object.entries(failureKinds)
    .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  return kinds.length === 0 ? undefined : kinds.map(([kind, n]) => `${kind}:${n}`).join(" ");
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}

/** Counts of what should not be there are empty where it is not. */
function some(count: number): number | undefined {
  return count === 0 ? undefined : count;
}

function yes(flag: boolean | undefined): "yes" | undefined {
  return flag === true ? "yes" : undefined;
}

function oneLine(text: string | undefined): string | undefined {
  return text?.replace(/\s+/g, " ").trim();
}

/** The base URL of a route, without a user name or password. */
function baseUrl(route: string): string | undefined {
  if (!URL.canParse(route)) return undefined;
  const { origin, pathname } = new URL(route);
  return origin + pathname.replace(/\/v1\/.*$/, "").replace(/\/+$/, "");
}

/** Leaves out what is not known. */
export function filled<R>(draft: Draft<R>): R {
  const entries = Object.entries(draft as Record<string, unknown>);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as R;
}
