/**
 * `/metrics` of the simulated server, with the names, types and labels of vLLM.
 *
 * @module
 */

import type { EngineCounters } from "./engine.ts";
import type { SimulatorSettings } from "./settings.ts";
import { TIERS, type TokensByTier } from "./tiered_cache.ts";

/** A histogram that only counts. */
export class Histogram {
  readonly upperBounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(upperBounds: readonly number[]) {
    this.upperBounds = upperBounds;
    this.#counts = new Array(upperBounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const at = this.upperBounds.findIndex((bound) => value <= bound);
    const bucket = at < 0 ? this.upperBounds.length : at;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
  }

  /** Lines of the text format, buckets cumulative. */
  lines(name: string, labels: string): string[] {
    let total = 0;
    const buckets = [...this.upperBounds, Infinity].map((bound, i) => {
      total += this.#counts[i] ?? 0;
      const le = bound === Infinity ? "+Inf" : formatNumber(bound);
      return `${name}_bucket{le="${le}",${labels}} ${formatNumber(total)}`;
    });
    return [
      ...buckets,
      `${name}_count{${labels}} ${formatNumber(total)}`,
      `${name}_sum{${labels}} ${this.#sum}`,
    ];
  }
}

/** The buckets of vLLM's histogram of the time to the first token, in seconds. */
export const TTFT_BUCKETS_S = [
  0.001,
  0.005,
  0.01,
  0.02,
  0.04,
  0.06,
  0.08,
  0.1,
  0.25,
  0.5,
  0.75,
  1,
  2.5,
  5,
  7.5,
  10,
  20,
  40,
  80,
  160,
  640,
  2560,
] as const;

/** What a scrape shows. */
export interface MetricsSnapshot {
  readonly settings: SimulatorSettings;
  readonly counters: EngineCounters;
  readonly running: number;
  readonly waiting: number;
  readonly kvUsedShare: number;
  readonly resident: TokensByTier;
  /** Unix time. */
  readonly startedAtMs: number;
  readonly ttftSeconds: Histogram;
  readonly finished: Readonly<Record<"length" | "stop" | "abort", number>>;
}

interface Family {
  readonly type: "counter" | "gauge";
  /** Without `_total`, which a counter's samples have. */
  readonly name: string;
  readonly help: string;
  /** Further labels, and the value. */
  readonly samples: readonly (readonly [labels: string, value: number])[];
}

function counter(name: string, help: string, ...samples: Family["samples"]): Family {
  return { type: "counter", name, help, samples };
}

function gauge(name: string, help: string, ...samples: Family["samples"]): Family {
  return { type: "gauge", name, help, samples };
}

/** The text format of a snapshot. */
export function formatMetrics(snapshot: MetricsSnapshot): string {
  const labels = `engine="0",model_name="${escapeLabel(snapshot.settings.model)}"`;
  const families = [
    ...loadFamilies(snapshot),
    ...tokenFamilies(snapshot),
    ...tierFamilies(snapshot),
  ];
  const lines = families.flatMap(({ type, name, help, samples }) => {
    const full = type === "counter" ? `${name}_total` : name;
    return [
      `# HELP ${full} ${help}`,
      `# TYPE ${full} ${type}`,
      ...samples.map(([more, value]) => `${full}{${labels}${more}} ${formatNumber(value)}`),
    ];
  });
  const ttft = "vllm:time_to_first_token_seconds";
  return [
    ...lines,
    `# HELP ${ttft} Time to the first token.`,
    `# TYPE ${ttft} histogram`,
    ...snapshot.ttftSeconds.lines(ttft, labels),
    "# HELP process_start_time_seconds Start of the process, Unix time.",
    "# TYPE process_start_time_seconds gauge",
    `process_start_time_seconds ${formatNumber(snapshot.startedAtMs / 1000)}`,
    "",
  ].join("\n");
}

function loadFamilies(snapshot: MetricsSnapshot): Family[] {
  const { settings, counters, finished } = snapshot;
  return [
    gauge("vllm:num_requests_running", "Requests in the batch.", ["", snapshot.running]),
    gauge("vllm:num_requests_waiting", "Requests in the queue.", ["", snapshot.waiting]),
    gauge("vllm:kv_cache_usage_perc", "Used KV blocks, 1 = all.", ["", snapshot.kvUsedShare]),
    gauge("vllm:cache_config_info", "The cache.", [cacheConfig(settings), 1]),
    counter("vllm:num_preemptions", "Preemptions.", ["", counters.preemptions]),
    counter(
      "vllm:request_success",
      "Requests that ended, by reason.",
      [`,finished_reason="length"`, finished.length],
      [`,finished_reason="stop"`, finished.stop],
      [`,finished_reason="abort"`, finished.abort],
    ),
  ];
}

function tokenFamilies({ settings, counters }: MetricsSnapshot): Family[] {
  const { hits, prefixCacheQueries: queries, promptTokensBySource: source } = counters;
  // Only what HBM does not hold is looked up below it.
  const external = hasLowerTier(settings) ? queries - hits.hbm : 0;
  return [
    counter("vllm:prefix_cache_queries", "Prompt tokens looked up in HBM.", ["", queries]),
    counter("vllm:prefix_cache_hits", "Prompt tokens found in HBM.", ["", hits.hbm]),
    counter("vllm:external_prefix_cache_queries", "Looked up below HBM.", ["", external]),
    counter("vllm:external_prefix_cache_hits", "Found below HBM.", ["", hits.dram + hits.ssd]),
    counter("vllm:prompt_tokens", "Prompt tokens processed.", ["", counters.promptTokens]),
    counter(
      "vllm:prompt_tokens_by_source",
      "Prompt tokens by where they came from.",
      [`,source="local_compute"`, counters.promptTokensComputed],
      [`,source="local_cache_hit"`, source.local],
      [`,source="external_kv_transfer"`, source.external],
    ),
    counter("vllm:prompt_tokens_cached", "Not computed.", ["", source.local + source.external]),
    counter("vllm:generation_tokens", "Tokens made.", ["", counters.generationTokens]),
  ];
}

function tierFamilies({ settings, counters, resident }: MetricsSnapshot): Family[] {
  const labelled = (tokens: TokensByTier) =>
    TIERS.map((tier) => [`,tier="${tier}"`, tokens[tier]] as const);
  return [
    counter("kvmark_sim:tier_hit_tokens", "Found in each tier.", ...labelled(counters.hits)),
    gauge("kvmark_sim:tier_resident_tokens", "Kept in each tier.", ...labelled(resident)),
    ...TIERS.map((tier) =>
      gauge(`kvmark_sim:${tier}_capacity_tokens`, "Size of the tier.", [
        "",
        settings[`${tier}Tokens`],
      ])
    ),
  ];
}

function hasLowerTier({ dramTokens, ssdTokens }: SimulatorSettings): boolean {
  return dramTokens > 0 || ssdTokens > 0;
}

function cacheConfig(settings: SimulatorSettings): string {
  const enabled = settings.faults.includes("cache-off") ||
      settings.faults.includes("constant-latency")
    ? "False"
    : "True";
  const blocks = Math.floor(settings.hbmTokens / settings.blockTokens);
  return `,block_size="${settings.blockTokens}",cache_dtype="auto",` +
    `enable_prefix_caching="${enabled}",num_gpu_blocks="${blocks}"`;
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"\n]/g, (c) => c === "\n" ? "\\n" : `\\${c}`);
}

/** As Prometheus' Python client writes numbers: always with a fraction. */
function formatNumber(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : `${value}`;
}
