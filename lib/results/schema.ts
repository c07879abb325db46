/**
 * Every table that kvmark writes: its columns, their types, units and meaning, declared once.
 *
 * CSV headers, the row types of TypeScript and `docs/formats.md` derive from these lists. Names
 * and units of the Python suite are kept (`python: true`): its times are seconds, its instants
 * Unix seconds. A new column ends with its unit.
 *
 * @module
 */

import { CLIENT_COLUMNS } from "./client_columns.ts";
import { PEAK_COLUMNS } from "./peak_columns.ts";
import { type Column, number, python, type Row, text } from "./columns.ts";
import type { StatedTier, TierMap } from "./tier_map_file.ts";

export type { Column, Row } from "./columns.ts";

/** Where a row belongs; first columns of every table. */
const WHERE = [
  python(number("context_size", "tokens", "Tokens in one prompt")),
  python(number("working_set_size", "tokens", "Working set of the cell (working-set runs only)")),
  python(number("cache_hit_rate", "%", "Nominal hit rate, 0 to 100")),
] as const;

/** Percentile columns of one latency, as the Python suite names them. */
function spread<const Name extends string>(name: Name, what: string) {
  return [
    number(`avg_${name}`, "s", `Mean ${what}`),
    number(`median_${name}`, "s", `Median ${what}`),
    number(`p95_${name}`, "s", `95th percentile of ${what}, pooled over the periods at the peak`),
    number(`p99_${name}`, "s", `99th percentile of ${what}, pooled over the periods at the peak`),
  ] as const;
}

const FOREIGN = "Share of the server's prompt tokens that the run did not send; empty within noise";

/** `summary_{time}.csv`: one row a cell, measured at the peak concurrency. */
export const SUMMARY_COLUMNS = [
  ...WHERE,
  python(text("model", "Served model")),
  python(number("input_tokens_per_sec", "tokens/s", "Prompt tokens per second, all of them")),
  python(number("output_tokens_per_sec", "tokens/s", "Generated tokens per second")),
  ...spread("ttft", "TTFT").map(python) as unknown as ReturnType<typeof spread<"ttft">>,
  number("max_ttft", "s", "Largest TTFT"),
  ...spread("ttlt", "TTLT").map(python) as unknown as ReturnType<typeof spread<"ttlt">>,
  python(number("avg_output_tokens", "tokens/s", "Mean decode rate of a request (not a count)")),
  ...spread("itl", "ITL").map(python) as unknown as ReturnType<typeof spread<"itl">>,
  ...spread("tpot", "TPOT"),
  python(number("peak_concurrency", "", "Concurrency that the row was measured at")),
  python(number("total_requests", "", "Requests measured at the peak that succeeded")),
  python(number("test_duration", "s", "Measured time at the peak: the sum of its periods")),
  number("failed_requests", "", "Requests at the peak that failed"),
  text("failure_kinds", "Kinds of failures and how many: `timeout:2 http_status:1`"),
  number(
    "achievable_hit_rate",
    "%",
    "Hit rate that the prompts allow after chunk and block rounding",
  ),
  number("observed_hit_rate", "%", "Hit rate that the server reported, token-weighted"),
  number(
    "theoretical_hit_rate",
    "%",
    "Hit rate of an LRU cache of the stated size, block by block",
  ),
  number("counter_hit_rate", "%", "Hit rate by the deltas of the server's counters"),
  number("foreign_prompt_share", "%", FOREIGN),
  text("hit_rate_verdict", "`confirmed`, `differs` or `unchecked`"),
  text("hit_rate_cause", "The likeliest cause of the verdict"),
  text("hit_rate_cause_code", "The same in a word: `as-intended`, `eviction`, `caching-off`, …"),
  number("computed_tokens_per_sec", "tokens/s", "Prompt tokens that the server computed"),
  number("reused_tokens_per_sec", "tokens/s", "Prompt tokens that the server took from its cache"),
  number(
    "p95_ttft_from_due",
    "s",
    "95th percentile of TTFT measured from when the request was due",
  ),
  number("unanswered_input_percent", "%", "How far the input can be too high: not answered yet"),
  number("min_input_tokens_per_sec", "tokens/s", "Lowest of the periods at the peak"),
  number("max_input_tokens_per_sec", "tokens/s", "Highest of the periods at the peak"),
  number("periods_at_peak", "", "Periods that the row pools"),
  number("median_ttft_loaded", "s", "Median TTFT of the requests that could load (A/B)"),
  number("median_ttft_recomputed", "s", "Median TTFT of those told to compute instead (A/B)"),
  ...PEAK_COLUMNS,
  number("ttft_limit", "s", "TTFT limit of the run"),
  text("ttft_metric", "Statistic that was compared with the limit: `max`, `avg` or `p95`"),
  number(
    "multi_token_chunks",
    "",
    "Requests whose chunks carried several tokens (ITL is per chunk)",
  ),
  text("output_tokens_source", "Who counted the output tokens: `usage`, `tokenizer`, `chunks`"),
  number("output_not_as_asked", "", "Requests whose output is not as long as was asked for"),
  number("count_breach_requests", "", "Requests with a count of the server that cannot be true"),
  text("count_breaches", "The first impossible count of each kind, as reported: `output:1e+300`"),
  number("due_to_sent_p99_ms", "ms", "99th percentile of the client's own delay before sending"),
  number(
    "event_loop_lag_p99_ms",
    "ms",
    "99th percentile of the event-loop lag of the worst worker",
  ),
  number("client_cpu_cores", "", "CPU time of the client over wall time"),
  ...CLIENT_COLUMNS,
  number("working_set_prompts", "", "Prompts in the working set"),
  number(
    "effective_working_set_size",
    "tokens",
    "What one round over the working set keeps in the cache: unique and generated tokens too",
  ),
  number("failed_warmup_requests", "", "Prompts of the working set that could not be warmed up"),
  number("shards", "", "Shards that the row is made of (merged runs only)"),
  number("start_skew_ms", "ms", "Largest difference between the starts of the shards"),
  text("shard_problem", "What is missing of the load of this cell: a shard, or its time"),
] as const satisfies readonly Column[];

/** `detailed_results_{context}_{time}.csv`: one row a request, failed ones included. */
export const DETAIL_COLUMNS = [
  python(text("request_id", "Unique in the run")),
  python(text("phase_id", "Period that the request was sent in")),
  ...WHERE,
  python(number("cached_tokens", "tokens", "Tokens shared with an earlier prompt (intended)")),
  python(number("unique_tokens", "tokens", "The rest of the prompt")),
  python(number("output_tokens", "tokens", "Generated tokens")),
  python(number("ttft", "s", "First generated content minus sent")),
  python(number("ttlt", "s", "Last generated content minus sent")),
  python(number("generation_time", "s", "Last minus first generated content")),
  python(number("total_time", "s", "End of the response minus sent")),
  python(number("launch_time", "Unix s", "When the request was sent")),
  python(number("finish_time", "Unix s", "When the response ended or the failure was seen")),
  python(number("concurrency_level", "", "Concurrency of the period")),
  python(number("itl", "s", "Mean gap between content-bearing reads")),
  number("max_itl", "s", "Largest gap between content-bearing reads"),
  number("tpot", "s", "(TTLT - TTFT) / (output tokens - tokens of the first chunk)"),
  number("due_to_sent_ms", "ms", "Sent minus due: the client's own delay"),
  number("ttft_held_ms", "ms", "Of the TTFT, what the client may have added while it was held up"),
  number("end_held_ms", "ms", "How long before the end was seen it may have been there"),
  text("stalled", "`yes` where the client stood still for long meanwhile: not in the latencies"),
  number("headers_ms", "ms", "Response headers minus sent"),
  number("content_reads", "", "Reads that carried generated content"),
  number("content_chunks", "", "Stream events that carried generated content"),
  number("prompt_index", "", "Working-set prompt whose prefix is shared"),
  number("achievable_cached_tokens", "tokens", "Shared tokens that whole blocks can serve"),
  number("reported_prompt_tokens", "tokens", "Prompt tokens as the server counted them"),
  number("reported_cached_tokens", "tokens", "Cached prompt tokens as the server reported them"),
  text("output_tokens_source", "`usage`, `tokenizer` or `chunks`"),
  number("asked_output_tokens", "tokens", "Output that was asked for"),
  text(
    "count_breach",
    "Counts of the server that cannot be true, as reported; no figure rests on them",
  ),
  text("finish_reason", "As the server gave it"),
  number("http_status", "", "Status of the response"),
  text("content_encoding", "Compression of the response, which delays what is read of it"),
  text("error_kind", "Empty on success; else the kind of failure"),
  text("error", "One line about the failure"),
  text("recompute", "`yes` where the server was told to compute the prompt, not to load it (A/B)"),
  text("ramp_in", "`yes` for the first request of a slot in its period"),
  number("worker", "", "Worker that sent it"),
  text("endpoint", "Base URL that it was sent to"),
  text("purpose", "`warmup` for a failed request of a warm-up, which no figure counts; else empty"),
] as const satisfies readonly Column[];

/** `phase_metadata_{time}.csv`: one row a period. */
export const PHASE_COLUMNS = [
  python(text("phase_type", "`RAMP`, `RETRY`, `FIXED` or `WARMUP`")),
  python(text("phase_id", "Period")),
  ...WHERE,
  python(number("concurrency_level", "", "Concurrency")),
  python(number("start_time", "Unix s", "Start of the period")),
  python(number("end_time", "Unix s", "The last request ended")),
  python(number("duration", "s", "Measured window: start until launching stopped")),
  python(number("num_requests_launched", "", "Requests sent")),
  python(number("num_requests_completed", "", "Requests that succeeded")),
  number("drain_s", "s", "From the end of the window to the end of the last request"),
  number("num_requests_failed", "", "Requests that failed"),
  text("failure_kinds", "Kinds of failures and how many"),
  number("output_not_as_asked", "", "Requests whose output is not as long as was asked for"),
  number("count_breach_requests", "", "Requests with a count of the server that cannot be true"),
  number("input_tokens_per_sec", "tokens/s", "Prompt tokens per second in the window"),
  number("output_tokens_per_sec", "tokens/s", "Generated tokens per second in the window"),
  number("computed_tokens_per_sec", "tokens/s", "Prompt tokens computed by the server"),
  number("reused_tokens_per_sec", "tokens/s", "Prompt tokens that the server took from its cache"),
  number("unanswered_input_percent", "%", "How far the input can be too high: not answered yet"),
  number("measured_ttft", "s", "The statistic that was compared with the limit"),
  number("avg_ttft", "s", "Mean TTFT"),
  number("p95_ttft", "s", "95th percentile of TTFT"),
  number("max_ttft", "s", "Largest TTFT"),
  number("avg_output_tokens", "tokens/s", "Mean decode rate of a request"),
  text("decision", "What the controller did next: `up`, `hold`, `down` or `stop`"),
  text("decision_reason", "Why"),
  text("at_peak", "`yes` for the periods that the summary row pools"),
  number("due_to_sent_p99_ms", "ms", "99th percentile of the client's own delay before sending"),
  number("due_to_sent_max_ms", "ms", "Largest delay of the client before sending"),
  number("event_loop_lag_p99_ms", "ms", "Event-loop lag of the worst worker"),
  number("event_loop_lag_max_ms", "ms", "Largest event-loop lag"),
  number("client_cpu_cores", "", "CPU time of the client over wall time"),
  number("received_bytes", "B", "Bytes of response bodies"),
  number("connections_opened", "", "Connections opened inside the period"),
  number("retries", "", "Requests that were sent again"),
  ...CLIENT_COLUMNS,
  number(
    "client_stopped_s",
    "s",
    "Time in which all of the client stood still for 0.25 s or longer",
  ),
  number("foreign_prompt_share", "%", FOREIGN),
  number(
    "resident_tokens",
    "tokens",
    "After a warm-up: tokens in the server's cache by its own gauges, all tiers, whoever sent them",
  ),
  number("shards", "", "Shards that sent in the period (merged runs only)"),
  number("start_skew_ms", "ms", "Difference between the first start of a shard and the last"),
  text("shard_problem", "What is missing of the load of this period"),
  text("unusable", "Why the period was measured again, under the same name with `_try2` behind it"),
] as const satisfies readonly Column[];

/** `single_prompt_results_{time}.csv`: one row a request. */
export const SINGLE_PROMPT_COLUMNS = [
  python(number("context_size", "tokens", "Tokens in the prompt")),
  python(number("iteration", "", "From 0")),
  python(text("prompt_type", "`unique` (cold) or `cached`; `cached_r2` for a further repeat")),
  python(number("prompt_tokens", "tokens", "Prompt tokens as the server counted them")),
  python(number("completion_tokens", "tokens", "Generated tokens")),
  python(number("ttft", "s", "First generated content minus sent")),
  python(number("generation_time", "s", "Last minus first generated content")),
  python(number("total_time", "s", "End of the response minus sent")),
  python(number("output_tokens_per_sec", "tokens/s", "Decode rate")),
  number("ttlt", "s", "Last generated content minus sent"),
  number("tpot", "s", "(TTLT - TTFT) / (output tokens - tokens of the first chunk)"),
  number("prompt_index", "", "Prompt of the batch (with --concurrent-prompts)"),
  number("reported_cached_tokens", "tokens", "Cached prompt tokens as the server reported them"),
  number("achievable_cached_tokens", "tokens", "Cached tokens that whole blocks can serve"),
  text("hit_verdict", "`confirmed`, `differs` or `unchecked`"),
  text("count_breach", "Counts of the server that cannot be true, as reported"),
  number("due_to_sent_ms", "ms", "Sent minus due: the client's own delay"),
  number("launch_time", "Unix s", "When the request was sent"),
  text("error_kind", "Empty on success; else the kind of failure"),
  text("error", "One line about the failure"),
  text("request_id", "Unique in the run"),
] as const satisfies readonly Column[];

/** `server_metrics_{time}.csv`: one row a scrape of a server's metrics, within the periods. */
export const SERVER_METRICS_COLUMNS = [
  ...WHERE,
  text("phase_id", "Period that the scrape was made in"),
  text("endpoint", "Server whose metrics were read"),
  number("time", "Unix s", "When the metrics were read"),
  number("interval_s", "s", "Since the scrape before; empty in the first row of a period"),
  number("running", "requests", "Requests being computed"),
  number("waiting", "requests", "Requests in the queue"),
  number("kv_usage", "%", "Share of the KV cache in HBM that is in use"),
  number("host_kv_usage", "%", "Share of the host tier that is in use"),
  number("prompt_tokens", "tokens", "Prompt tokens counted in the interval"),
  number("generated_tokens", "tokens", "Generated tokens counted in the interval"),
  number("cache_query_tokens", "tokens", "Prompt tokens that the cache was asked for"),
  number("cache_hit_tokens", "tokens", "Of these, found in any tier"),
  number("hbm_hit_tokens", "tokens", "Found in HBM"),
  number("dram_hit_tokens", "tokens", "Found in host memory"),
  number("ssd_hit_tokens", "tokens", "Found in storage"),
  number(
    "offload_hit_tokens",
    "tokens",
    "Found below HBM, where the server does not say which tier",
  ),
  number("evicted_tokens", "tokens", "Thrown out of the cache"),
  number("preemptions", "requests", "Requests thrown out of the batch"),
  number("offload_load_bytes", "B", "Loaded from the tiers below HBM"),
  number("offload_load_s", "s", "Time of these loads"),
  number("offload_store_bytes", "B", "Stored to the tiers below HBM"),
  number("offload_store_s", "s", "Time of these stores"),
  text("restarted", "`yes` where a counter went backwards: the server was started again"),
] as const satisfies readonly Column[];

/** `sustained_periods_*.csv`, written by the Python suite's HEAD and only read by kvmark. */
export const SUSTAINED_COLUMNS = [
  number("period_number", "", "From 1"),
  ...WHERE,
  number("start_time", "Unix s", "Start"),
  number("end_time", "Unix s", "End"),
  number("duration", "s", "End minus start"),
  number("concurrency_level", "", "Concurrency"),
  number("num_requests_launched", "", "Requests sent"),
  number("num_requests_completed", "", "Completions (working set) or prefills (cache rate)"),
  number("total_input_tokens", "tokens", "Prompt tokens"),
  number("total_output_tokens", "tokens", "Generated tokens"),
  number("input_tokens_per_sec", "tokens/s", "Prompt tokens per second"),
  number("output_tokens_per_sec", "tokens/s", "Generated tokens per second"),
  ...spread("ttft", "TTFT"),
  ...spread("ttlt", "TTLT"),
  ...spread("itl", "ITL"),
  number("avg_output_tokens_per_request", "tokens/s", "Mean decode rate of a request"),
  number("measured_ttft", "s", "Statistic compared with the limit"),
  text("decision", "Decision code of the Python suite"),
  number("next_concurrency", "", "Concurrency of the next period"),
] as const satisfies readonly Column[];

/** A row of `summary_*.csv`. */
export type SummaryRow = Row<typeof SUMMARY_COLUMNS>;
/** A row of `detailed_results_*.csv`. */
export type DetailRow = Row<typeof DETAIL_COLUMNS>;
/** A row of `phase_metadata_*.csv`. */
export type PhaseRow = Row<typeof PHASE_COLUMNS>;
/** A row of `single_prompt_results_*.csv`. */
export type SinglePromptRow = Row<typeof SINGLE_PROMPT_COLUMNS>;
/** A row of `server_metrics_*.csv`. */
export type ServerMetricsRow = Row<typeof SERVER_METRICS_COLUMNS>;
/** A row of `sustained_periods_*.csv`. */
export type SustainedRow = Row<typeof SUSTAINED_COLUMNS>;

/** The experiments that leave a results folder. */
export type ExperimentKind = "cache-rate" | "working-set" | "single-prompt";

/**
 * A results folder, read: what the reports, the tier map and `combine` start from. It is the same
 * whether kvmark or the Python suite wrote the folder.
 */
export interface RunData {
  /** The folder as given. */
  readonly dir: string;
  readonly kind: ExperimentKind;
  readonly writtenBy: "kvmark" | "python";
  /** `run.json` of kvmark; of a Python folder, what progress.json and the metadata files say. */
  readonly config: RunConfig;
  readonly summary: readonly SummaryRow[];
  readonly details: readonly DetailRow[];
  /** Failed requests of warm-ups, which are not among the details. */
  readonly failedWarmUps?: readonly DetailRow[];
  readonly phases: readonly PhaseRow[];
  readonly singlePrompt: readonly SinglePromptRow[];
  readonly sustained: readonly SustainedRow[];
  /** Absent where the metrics of the servers were not read. */
  readonly serverMetrics?: readonly ServerMetricsRow[];
  /** Names of all files in the folder, sorted. */
  readonly files: readonly { readonly name: string; readonly sizeBytes: number }[];
  /** What could not be read, file by file, one line each. */
  readonly problems: readonly string[];
  /** Rows of the Python suite that are missing, or that contradict others; a sentence each. */
  readonly damage?: readonly string[];
  /** `tier_map.json`, where there is one that was made from these rows. */
  readonly tierMap?: TierMap;
}

/** How a run made sure that it found nothing of its own in the cache, and the proof. */
export interface ColdStart {
  /** `--cold`, or `reuse` with `--reuse-cache`. */
  readonly asked: string;
  /** `reset`: every tier was dropped. `salt`: the text of the run was never sent before. */
  readonly by: "reset" | "salt" | "none";
  /** True only if a canary showed it. */
  readonly proved: boolean;
  /** Whole sentences. */
  readonly evidence: readonly string[];
}

/** Which part of a run in shards a folder is. */
export interface ShardFacts {
  /** From 0. */
  readonly index: number;
  readonly count: number;
  /** The text of the working set depends on it. */
  readonly runId: string;
  readonly workingSet: "split" | "shared";
  /** Start of the timetable, ISO 8601. */
  readonly startAt: string;
  /** The server's clock less that of the shard, by the `Date` of answers. */
  readonly clockOffsetMs?: number;
  readonly clockPlusMinusMs?: number;
}

/** What a report needs to know about how a run was made. Every field may be unknown. */
export interface RunConfig {
  readonly experiment?: ExperimentKind;
  readonly kvmarkVersion?: string;
  readonly startedAt?: string;
  readonly model?: string;
  readonly endpoints?: readonly string[];
  /** Engine and version as probed, for instance `vLLM 0.21.0`. */
  readonly server?: string;
  /** Facts about the server, each with its evidence, as printed by `doctor`. */
  readonly serverFacts?: readonly { name: string; value: string; evidence: string }[];
  /** Option names as on the command line (without dashes) and their values. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Tokenizer, prompt format, overhead, cold proof and the like: sentences for the report. */
  readonly notes?: readonly string[];
  readonly warnings?: readonly string[];
  /** Absent for a run in one piece. */
  readonly shard?: ShardFacts;
  /** Of a run that `kvmark merge` wrote: the shards that it is made of. */
  readonly mergedShards?: readonly number[];
  /** Whether and how the cache was cold at the start. */
  readonly cold?: ColdStart;
  readonly kvBytesPerToken?: number;
  readonly kvBytesPerTokenSource?: string;
  readonly blockTokens?: number;
  /** Capacities that the server states, fastest first. */
  readonly tiers?: readonly StatedTier[];
  /** Whole re-runnable command. */
  readonly command?: string;
}
