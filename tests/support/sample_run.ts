/**
 * Runs as data, made from a simple model of a server, for the tests of the reports.
 *
 * @module
 */

import type {
  DetailRow,
  PhaseRow,
  RunConfig,
  RunData,
  SinglePromptRow,
  SummaryRow,
  SustainedRow,
} from "../../lib/results/schema.ts";

/** What to make. */
export interface SampleOptions {
  readonly contexts?: readonly number[];
  readonly rates?: readonly number[];
  /** Answered requests of one period. */
  readonly requests?: number;
  /** Put into every place that holds text from outside. */
  readonly hostileText?: string;
  /** No request rows, as after a run whose rows were lost. */
  readonly withoutDetails?: boolean;
}

const START = 1_764_000_000;

/** Numbers in [0, 1) that are the same in every run. */
function sequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * percent / 100;
  const low = sorted[Math.floor(at)] ?? NaN;
  return low + ((sorted[Math.ceil(at)] ?? low) - low) * (at % 1);
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

interface CellSpec {
  readonly context: number;
  readonly rate: number;
  readonly workingSet?: number;
  /** Share of the intended hits that the cache really holds. */
  readonly held: number;
}

/** Rows of a run as they grow cell by cell. */
class SampleRows {
  readonly summary: SummaryRow[] = [];
  readonly details: DetailRow[] = [];
  readonly phases: PhaseRow[] = [];
  readonly #next = sequence(7);
  readonly #requests: number;
  readonly #model: string;
  readonly #hostile: string | undefined;
  #clock = START;

  constructor(requests: number, model: string, hostile: string | undefined) {
    this.#requests = requests;
    this.#model = model;
    this.#hostile = hostile;
  }

  addCell(spec: CellSpec): void {
    const computed = spec.context * (1 - spec.rate / 100 * spec.held) + 16;
    const peak = Math.min(64, Math.max(2, Math.round(40_000 / computed) * 2));
    const levels = [2, Math.max(4, peak >> 1), peak + 4].filter((level) => level !== peak);
    for (const level of levels) this.#addPeriod(spec, `RAMP_c${level}`, level, computed, false);
    const atPeak = [`RAMP_c${peak}`, "RETRY_1", "RETRY_2"].map((id) =>
      this.#addPeriod(spec, id, peak, computed, true)
    );
    this.#addSummary(spec, peak, atPeak);
  }

  #addPeriod(spec: CellSpec, id: string, level: number, computed: number, atPeak: boolean) {
    const start = this.#clock;
    const rows: DetailRow[] = [];
    for (let k = 0; k < this.#requests; k++) {
      const launched = start + 30 * k / this.#requests;
      rows.push(this.#request(spec, id, level, computed, launched, k));
    }
    this.#clock = start + 32;
    this.details.push(...rows);
    const ok = rows.filter((row) => row.error_kind === undefined);
    const ttfts = ok.map((row) => row.ttft ?? NaN);
    const tps = spec.context * level / mean(ok.map((row) => row.ttlt ?? NaN));
    const share = spec.rate / 100 * spec.held;
    const phase: PhaseRow = {
      phase_type: id.startsWith("RETRY") ? "RETRY" : "RAMP",
      phase_id: id,
      context_size: spec.context,
      ...(spec.workingSet === undefined ? {} : { working_set_size: spec.workingSet }),
      cache_hit_rate: spec.rate,
      concurrency_level: level,
      start_time: start,
      end_time: this.#clock,
      duration: 30,
      num_requests_launched: rows.length,
      num_requests_completed: ok.length,
      num_requests_failed: rows.length - ok.length,
      input_tokens_per_sec: tps,
      output_tokens_per_sec: tps * 256 / spec.context,
      computed_tokens_per_sec: tps * (1 - share),
      reused_tokens_per_sec: tps * share,
      measured_ttft: percentile(ttfts, 95),
      avg_ttft: mean(ttfts),
      p95_ttft: percentile(ttfts, 95),
      max_ttft: Math.max(...ttfts),
      decision: atPeak ? "hold" : level > 4 ? "down" : "up",
      decision_reason: this.#hostile ?? "within limits, 5 increments up",
      at_peak: atPeak ? "yes" : "",
      due_to_sent_p99_ms: 0.4,
      event_loop_lag_p99_ms: 1.1,
      client_cpu_cores: 0.31,
      client_limited: spec.rate === 100 && spec.context < 10_000 ? "yes" : "",
    };
    this.phases.push(phase);
    return phase;
  }

  #request(
    spec: CellSpec,
    id: string,
    level: number,
    computed: number,
    launched: number,
    k: number,
  ): DetailRow {
    const prefill = computed * level / 64_000;
    const ttft = 0.03 + prefill * (0.8 + 0.4 * this.#next()) + (k % 29 === 0 ? prefill / 3 : 0);
    const failed = spec.rate === 50 && k % 23 === 5;
    const itl = 0.008 + 0.0002 * level * (0.8 + 0.4 * this.#next());
    const ttlt = ttft + 255 * itl;
    const cached = Math.floor(spec.context * spec.rate / 100 / 256) * 256;
    return {
      request_id: `${spec.context}_${spec.rate}_${id}_r${k}`,
      phase_id: id,
      context_size: spec.context,
      ...(spec.workingSet === undefined ? {} : { working_set_size: spec.workingSet }),
      cache_hit_rate: spec.rate,
      cached_tokens: cached,
      unique_tokens: spec.context - cached,
      launch_time: launched,
      concurrency_level: level,
      due_to_sent_ms: 0.2,
      ramp_in: k < level ? "yes" : "",
      worker: 0,
      ...(failed
        ? {
          total_time: 1.5,
          finish_time: launched + 1.5,
          http_status: 503,
          error_kind: "http_status",
          error: this.#hostile ?? "503 Service Unavailable",
        }
        : {
          output_tokens: 256,
          ttft,
          ttlt,
          generation_time: ttlt - ttft,
          total_time: ttlt,
          finish_time: launched + ttlt,
          itl,
          http_status: 200,
        }),
    };
  }

  #addSummary(spec: CellSpec, peak: number, atPeak: readonly PhaseRow[]): void {
    const ids = new Set(atPeak.map((phase) => phase.phase_id));
    const here = this.details.filter((row) =>
      row.context_size === spec.context && row.cache_hit_rate === spec.rate &&
      row.working_set_size === spec.workingSet && ids.has(row.phase_id)
    );
    const ok = here.filter((row) => row.error_kind === undefined);
    const failed = here.length - ok.length;
    const inputs = atPeak.map((phase) => phase.input_tokens_per_sec ?? NaN);
    const achievable = Math.floor(spec.context * spec.rate / 100 / 256) * 256 / spec.context * 100;
    const observed = achievable * spec.held;
    const input = mean(inputs);
    const share = observed / 100;
    this.summary.push({
      context_size: spec.context,
      ...(spec.workingSet === undefined ? {} : { working_set_size: spec.workingSet }),
      cache_hit_rate: spec.rate,
      model: this.#model,
      input_tokens_per_sec: input,
      output_tokens_per_sec: mean(atPeak.map((phase) => phase.output_tokens_per_sec ?? NaN)),
      ...spreadColumns("ttft", ok.map((row) => row.ttft ?? NaN)),
      ...spreadColumns("ttlt", ok.map((row) => row.ttlt ?? NaN)),
      ...spreadColumns("itl", ok.map((row) => row.itl ?? NaN)),
      avg_output_tokens: 1 / mean(ok.map((row) => row.itl ?? NaN)),
      peak_concurrency: peak,
      total_requests: ok.length,
      test_duration: 90,
      failed_requests: failed,
      ...(failed > 0 ? { failure_kinds: `http_status:${failed}` } : {}),
      achievable_hit_rate: achievable,
      observed_hit_rate: observed,
      hit_rate_verdict: spec.held > 0.98 || spec.rate === 0 ? "confirmed" : "differs",
      hit_rate_cause: this.#hostile ??
        (spec.held > 0.98 || spec.rate === 0 ? "as-intended" : "eviction"),
      computed_tokens_per_sec: input * (1 - share),
      reused_tokens_per_sec: input * share,
      unanswered_input_percent: 2,
      min_input_tokens_per_sec: Math.min(...inputs),
      max_input_tokens_per_sec: Math.max(...inputs),
      periods_at_peak: atPeak.length,
      peak_reason: this.#hostile ?? "highest input throughput within the limits",
      ttft_limit: 2,
      ttft_metric: "p95",
      output_tokens_source: "usage",
      due_to_sent_p99_ms: 0.4,
      event_loop_lag_p99_ms: 1.1,
      client_cpu_cores: 0.31,
      client_limited: spec.rate === 100 && spec.context < 10_000 ? "yes" : "",
    });
  }
}

export function spreadColumns<const Name extends string>(name: Name, values: readonly number[]) {
  return {
    [`avg_${name}`]: mean(values),
    [`median_${name}`]: percentile(values, 50),
    [`p95_${name}`]: percentile(values, 95),
    [`p99_${name}`]: percentile(values, 99),
  };
}

function sampleConfig(kind: RunData["kind"], hostile: string | undefined): RunConfig {
  return {
    experiment: kind,
    kvmarkVersion: "0.1.0",
    startedAt: "2025-11-24T16:00:00Z",
    model: hostile ?? "meta-llama/Llama-3.3-70B-Instruct",
    endpoints: [hostile ?? "http://10.0.0.7:8000"],
    server: hostile ?? "vLLM 0.21.0",
    serverFacts: [
      { name: "prefix caching", value: "yes", evidence: "vllm:cache_config_info" },
      { name: "block size", value: "16 tokens", evidence: hostile ?? "vllm:cache_config_info" },
      { name: "cached tokens", value: "yes", evidence: "usage.prompt_tokens_details" },
    ],
    parameters: {
      "context-sizes": [8000, 32000],
      "working-set-size": 2_000_000,
      "max-ttft": 2,
      "ttft-metric": "p95",
      "output-tokens": 256,
      "output-dir": hostile ?? "./output",
    },
    notes: [hostile ?? "Words from the server's /tokenize, each verified to be one token."],
    warnings: [
      hostile ?? "The server also answers other clients: 3 % of its queries were not ours.",
    ],
    kvBytesPerToken: 163_840,
    kvBytesPerTokenSource: "config.json: 80 layers, 8 KV heads, head size 128, fp8",
    blockTokens: 16,
    command: hostile ??
      "kvmark cache-rate --api-endpoint http://10.0.0.7:8000 --context-sizes 8000 32000",
  };
}

export function runOf(
  kind: RunData["kind"],
  hostile: string | undefined,
  rows: Partial<RunData>,
): RunData {
  return {
    dir: "output",
    kind,
    writtenBy: "kvmark",
    config: sampleConfig(kind, hostile),
    summary: [],
    details: [],
    phases: [],
    singlePrompt: [],
    sustained: [],
    files: [
      { name: "detailed_results_8000_20251124_160000.csv", sizeBytes: 734_003 },
      { name: hostile ?? "progress.json", sizeBytes: 1204 },
      { name: "summary_20251124_160000.csv", sizeBytes: 5120 },
    ],
    problems: hostile === undefined ? [] : [hostile],
    ...rows,
  };
}

/** A cache-rate run on a server whose cache works: 2 contexts and 5 rates unless told otherwise. */
export function sampleCacheRateRun(options: SampleOptions = {}): RunData {
  const { contexts = [8000, 32000], rates = [0, 25, 50, 75, 100], hostileText } = options;
  const rows = new SampleRows(options.requests ?? 60, hostileText ?? "llama", hostileText);
  for (const context of contexts) {
    for (const rate of rates) rows.addCell({ context, rate, held: 1 });
  }
  return runOf("cache-rate", hostileText, {
    summary: rows.summary,
    details: options.withoutDetails ? [] : rows.details,
    phases: rows.phases,
  });
}

/** A working-set run whose cache holds 2 M tokens: larger sets lose their hits. */
export function sampleWorkingSetRun(options: SampleOptions = {}): RunData {
  const { contexts = [32000], rates = [50, 100], hostileText } = options;
  const rows = new SampleRows(options.requests ?? 40, hostileText ?? "llama", hostileText);
  for (const context of contexts) {
    for (const workingSet of [500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000]) {
      for (const rate of rates) {
        rows.addCell({ context, workingSet, rate, held: Math.min(1, 2_000_000 / workingSet) });
      }
    }
  }
  return runOf("working-set", hostileText, {
    summary: rows.summary,
    details: rows.details,
    phases: rows.phases,
  });
}

/** A single-prompt run of four context sizes and three iterations. */
export function sampleSinglePromptRun(options: SampleOptions = {}): RunData {
  const next = sequence(11);
  const singlePrompt: SinglePromptRow[] = [];
  for (const context of options.contexts ?? [1000, 2000, 4000, 8000]) {
    for (let iteration = 0; iteration < 3; iteration++) {
      for (const type of ["unique", "cached"] as const) {
        const ttft = 0.02 + (type === "unique" ? context / 12_000 : 0.005) * (0.9 + 0.2 * next());
        singlePrompt.push({
          context_size: context,
          iteration,
          prompt_type: type,
          prompt_tokens: context,
          completion_tokens: 256,
          ttft,
          ttlt: ttft + 2.4,
          generation_time: 2.4,
          total_time: ttft + 2.41,
          output_tokens_per_sec: 106,
          reported_cached_tokens: type === "cached" ? context - 16 : 0,
          achievable_cached_tokens: type === "cached" ? context - 16 : 0,
          hit_verdict: "confirmed",
          launch_time: START + singlePrompt.length * 3,
        });
      }
    }
  }
  return runOf("single-prompt", options.hostileText, { singlePrompt });
}

/** A folder of the Python suite in sustained mode: periods, and neither summary nor verdicts. */
export function samplePythonSustainedRun(kind: "cache-rate" | "working-set"): RunData {
  const sustained: SustainedRow[] = [8000, 32000].flatMap((context) =>
    Array.from({ length: 8 }, (_, period): SustainedRow => ({
      period_number: period + 1,
      context_size: context,
      cache_hit_rate: 96,
      ...(kind === "working-set" ? { working_set_size: 500_000 * (period + 1) } : {}),
      start_time: START + 30 * period,
      end_time: START + 30 * (period + 1),
      duration: 30,
      concurrency_level: 2 + 2 * period,
      num_requests_completed: 40,
      input_tokens_per_sec: 20_000 + 4000 * period,
      output_tokens_per_sec: 300 + 40 * period,
      avg_ttft: 0.2 + 0.1 * period,
      median_ttft: 0.18 + 0.1 * period,
      p95_ttft: 0.3 + 0.2 * period,
      p99_ttft: 0.4 + 0.2 * period,
      avg_itl: 0.01,
      p95_itl: 0.012,
      avg_output_tokens_per_request: 90 - 4 * period,
      decision: "RAMP_UP",
    }))
  );
  return {
    ...runOf(kind, undefined, { sustained }),
    writtenBy: "python",
    config: { experiment: kind, model: "Qwen/Qwen3-Coder", parameters: { max_ttft: 2 } },
    files: [
      { name: "sustained_periods_ctx8000_ws4000000_cache96_20260311_023744.csv", sizeBytes: 900 },
    ],
  };
}
