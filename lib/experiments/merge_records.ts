/**
 * Rows of requests as records again, so that a merged run is summed up by the same code as any
 * other.
 *
 * @module
 */

import { optional } from "../metrics/spread.ts";
import type { FailureKind, PeriodOutcome, RequestRecord } from "../record.ts";
import type { DetailRow, PhaseRow } from "../results/schema.ts";
import { breachesIn } from "../token_counts.ts";

/**
 * The record that a row was made of, as far as the row tells. Only the reads between the first and
 * the last one are not known: they are put at even distances, so that the mean gap is right and
 * the percentiles of gaps are not.
 *
 * @param originSec Unix time that becomes 0 on the clock of the records.
 */
export function recordOf(row: DetailRow, originSec: number): RequestRecord {
  const sentAtMs = ((row.launch_time ?? originSec) - originSec) * 1000;
  const at = (sec: number | undefined) => sec === undefined ? undefined : sentAtMs + sec * 1000;
  const headersAtMs = row.headers_ms === undefined ? undefined : sentAtMs + row.headers_ms;
  const [firstAtMs, lastAtMs] = [at(row.ttft), at(row.ttlt)];
  return {
    requestId: row.request_id ?? "",
    labels: {
      cellId: "",
      periodId: row.phase_id ?? "",
      purpose: "measure",
      contextSizeTokens: row.context_size ?? 0,
      hitRatePercent: row.cache_hit_rate ?? 0,
      concurrency: row.concurrency_level ?? 0,
      ...optional("workingSetTokens", row.working_set_size),
      ...optional("promptIndex", row.prompt_index),
      ...(row.recompute === "yes" ? { recompute: true } : {}),
    },
    plan: {
      promptTokens: (row.cached_tokens ?? 0) + (row.unique_tokens ?? 0),
      sharedTokens: row.cached_tokens ?? 0,
      achievableTokens: row.achievable_cached_tokens ?? 0,
    },
    api: "completions",
    url: row.endpoint ?? "",
    maxOutputTokens: row.asked_output_tokens ?? 0,
    worker: row.worker ?? 0,
    dueAtMs: sentAtMs - (row.due_to_sent_ms ?? 0),
    sentAtMs,
    ...optional("headersAtMs", headersAtMs),
    contentReadsAtMs: evenly(firstAtMs, lastAtMs ?? firstAtMs, row.content_reads ?? 1),
    contentChunks: row.content_chunks ?? 0,
    endAtMs: ((row.finish_time ?? originSec) - originSec) * 1000,
    ...optional("status", row.http_status),
    usage: {
      ...optional("promptTokens", row.reported_prompt_tokens),
      ...optional("cachedTokens", row.reported_cached_tokens),
    },
    ...optional("countBreaches", breachesIn(row.count_breach)),
    ...optional("finishReason", row.finish_reason),
    ...optional("outputTokens", row.output_tokens),
    ...optional("outputTokensSource", sourceOf(row.output_tokens_source)),
    ...optional("firstChunkTokens", firstChunkTokens(row)),
    rampIn: row.ramp_in === "yes",
    ...optional("ttftHeldMs", row.ttft_held_ms),
    ...optional("endHeldMs", row.end_held_ms),
    ...(row.stalled === "yes" ? { stalled: true } : {}),
    ...failureOf(row),
  };
}

function evenly(
  firstAtMs: number | undefined,
  lastAtMs: number | undefined,
  reads: number,
): Float64Array {
  if (firstAtMs === undefined || lastAtMs === undefined) return new Float64Array();
  if (reads < 2) return Float64Array.of(firstAtMs);
  const gapMs = (lastAtMs - firstAtMs) / (reads - 1);
  return Float64Array.from(
    { length: reads },
    (_, n) => n === reads - 1 ? lastAtMs : firstAtMs + n * gapMs,
  );
}

/** `tpot` is generation time over (output tokens - tokens of the first read). */
function firstChunkTokens({ tpot, generation_time, output_tokens }: DetailRow): number | undefined {
  if (tpot === undefined || tpot <= 0) return undefined;
  if (generation_time === undefined || output_tokens === undefined) return undefined;
  return output_tokens - generation_time / tpot;
}

function sourceOf(text: string | undefined): RequestRecord["outputTokensSource"] {
  return text === "usage" || text === "tokenizer" || text === "chunks" ? text : undefined;
}

function failureOf(row: DetailRow): Pick<RequestRecord, "failure"> {
  const { error_kind: kind, error = "" } = row;
  return kind === undefined || kind === ""
    ? {}
    : { failure: { kind: kind as FailureKind, message: error } };
}

/** The worst of the clients; the CPU time of all of them. */
export function clientOf(phases: readonly PhaseRow[]): PeriodOutcome["client"] {
  const largest = (values: readonly (number | undefined)[]) => {
    const known = values.filter((one) => one !== undefined);
    return known.length === 0 ? undefined : Math.max(...known);
  };
  return {
    ...optional("eventLoopLagP99Ms", largest(phases.map((one) => one.event_loop_lag_p99_ms))),
    ...optional("eventLoopLagMaxMs", largest(phases.map((one) => one.event_loop_lag_max_ms))),
    ...optional("stoppedMs", largest(phases.map((one) => ms(one.client_stopped_s)))),
    cpuCores: sum(phases.map((one) => one.client_cpu_cores)),
    receivedBytes: sum(phases.map((one) => one.received_bytes)),
    retries: sum(phases.map((one) => one.retries)),
  };
}

function sum(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((total, value) => total + (value ?? 0), 0);
}

function ms(sec: number | undefined): number | undefined {
  return sec === undefined ? undefined : sec * 1000;
}
