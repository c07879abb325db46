/**
 * The engines' names for the same things: counters and gauges by their canonical key.
 *
 * A counter is found with and without `_total`. Values stay per series here; {@linkcode sumByKey}
 * adds the series (workers, data-parallel ranks, models) up.
 *
 * @module
 */

import type { Exposition, Sample } from "./exposition.ts";

/** What a canonical key means, its unit and its kind. */
export const SERVER_METRICS = {
  running: { kind: "gauge", unit: "requests", doc: "Requests being computed" },
  waiting: { kind: "gauge", unit: "requests", doc: "Requests in the queue" },
  kvUsage: { kind: "gauge", unit: "share", doc: "Share of the KV cache in use, 0 to 1" },
  hostKvUsage: { kind: "gauge", unit: "share", doc: "Share of the host tier in use, 0 to 1" },
  preemptions: { kind: "counter", unit: "requests", doc: "Requests thrown out of the batch" },
  promptTokens: { kind: "counter", unit: "tokens", doc: "Prompt tokens" },
  generatedTokens: { kind: "counter", unit: "tokens", doc: "Generated tokens" },
  prefixQueries: { kind: "counter", unit: "tokens", doc: "Tokens looked up in the HBM cache" },
  prefixHits: { kind: "counter", unit: "tokens", doc: "Tokens found in the HBM cache" },
  externalQueries: { kind: "counter", unit: "tokens", doc: "Tokens looked up in offload tiers" },
  externalHits: { kind: "counter", unit: "tokens", doc: "Tokens found in offload tiers" },
  promptTokensBySource: { kind: "counter", unit: "tokens", doc: "Prompt tokens by their source" },
  cachedTokens: { kind: "counter", unit: "tokens", doc: "Cached prompt tokens, all tiers" },
  cachedTokensByTier: { kind: "counter", unit: "tokens", doc: "Cached prompt tokens by tier" },
  uncachedPromptTokens: {
    kind: "counter",
    unit: "tokens",
    doc: "Prompt tokens without cached ones",
  },
  hitBlocks: { kind: "counter", unit: "blocks", doc: "Blocks found in the cache" },
  missedBlocks: { kind: "counter", unit: "blocks", doc: "Blocks not found in the cache" },
  residentTokens: { kind: "gauge", unit: "tokens", doc: "Tokens that the cache holds" },
  evictedTokens: { kind: "counter", unit: "tokens", doc: "Tokens thrown out of the cache" },
  offloadLoadBytes: { kind: "counter", unit: "B", doc: "Bytes loaded from offload tiers" },
  offloadStoreBytes: { kind: "counter", unit: "B", doc: "Bytes stored to offload tiers" },
  offloadLoadTime: { kind: "counter", unit: "s", doc: "Time of these loads" },
  offloadStoreTime: { kind: "counter", unit: "s", doc: "Time of these stores" },
  lmcacheQueries: { kind: "counter", unit: "tokens", doc: "Tokens that LMCache was asked for" },
  lmcacheHits: { kind: "counter", unit: "tokens", doc: "Tokens that LMCache had" },
  lmcacheHitsByTier: { kind: "counter", unit: "tokens", doc: "Tokens that LMCache had, by tier" },
} as const;

/** A canonical key; a `…By…` key is followed by a dot and the source or tier. */
export type MetricKey = keyof typeof SERVER_METRICS;

/** One name of one engine. */
interface MetricName {
  readonly key: MetricKey;
  /** Without `_total`. */
  readonly name: string;
  /** The label whose value follows the key. */
  readonly splitBy?: string;
  /** What follows the key where the name, not a label, says it. */
  readonly part?: string;
  /** Only series that have these labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Among names with one key, only those of the lowest rank that are present are read. */
  readonly rank?: number;
}

const VLLM: readonly MetricName[] = [
  { key: "running", name: "vllm:num_requests_running" },
  { key: "waiting", name: "vllm:num_requests_waiting" },
  { key: "kvUsage", name: "vllm:kv_cache_usage_perc" },
  { key: "kvUsage", name: "vllm:gpu_cache_usage_perc", rank: 1 },
  { key: "hostKvUsage", name: "vllm:kv_offload_cpu_cache_usage_perc" },
  { key: "hostKvUsage", name: "vllm:cpu_kv_cache_usage_perc", rank: 1 },
  { key: "preemptions", name: "vllm:num_preemptions" },
  { key: "promptTokens", name: "vllm:prompt_tokens" },
  { key: "generatedTokens", name: "vllm:generation_tokens" },
  { key: "prefixQueries", name: "vllm:prefix_cache_queries" },
  { key: "prefixHits", name: "vllm:prefix_cache_hits" },
  { key: "prefixQueries", name: "vllm:gpu_prefix_cache_queries", rank: 1 },
  { key: "prefixHits", name: "vllm:gpu_prefix_cache_hits", rank: 1 },
  { key: "externalQueries", name: "vllm:external_prefix_cache_queries" },
  { key: "externalHits", name: "vllm:external_prefix_cache_hits" },
  { key: "promptTokensBySource", name: "vllm:prompt_tokens_by_source", splitBy: "source" },
  { key: "cachedTokens", name: "vllm:prompt_tokens_cached" },
  { key: "offloadLoadBytes", name: "vllm:kv_offload_load_bytes" },
  { key: "offloadStoreBytes", name: "vllm:kv_offload_store_bytes" },
  { key: "offloadLoadTime", name: "vllm:kv_offload_load_time" },
  { key: "offloadStoreTime", name: "vllm:kv_offload_store_time" },
  ...offloadByDirection("offloadLoad", "CPU_to_GPU", "cpu_to_gpu"),
  ...offloadByDirection("offloadStore", "GPU_to_CPU", "gpu_to_cpu"),
];

function offloadByDirection(
  key: "offloadLoad" | "offloadStore",
  label: string,
  suffix: string,
): readonly MetricName[] {
  const labels = { transfer_type: label };
  return [
    { key: `${key}Bytes`, name: "vllm:kv_offload_total_bytes", labels, rank: 1 },
    { key: `${key}Time`, name: "vllm:kv_offload_total_time", labels, rank: 1 },
    { key: `${key}Bytes`, name: `vllm:kv_offload_bytes_${suffix}`, rank: 2 },
    { key: `${key}Time`, name: `vllm:kv_offload_time_${suffix}`, rank: 2 },
  ];
}

const SGLANG: readonly MetricName[] = [
  { key: "running", name: "sglang:num_running_reqs" },
  { key: "waiting", name: "sglang:num_queue_reqs" },
  { key: "kvUsage", name: "sglang:token_usage" },
  { key: "preemptions", name: "sglang:num_retracted_reqs" },
  { key: "promptTokens", name: "sglang:prompt_tokens" },
  { key: "generatedTokens", name: "sglang:generation_tokens" },
  { key: "cachedTokensByTier", name: "sglang:cached_tokens", splitBy: "cache_source" },
  { key: "evictedTokens", name: "sglang:evicted_tokens" },
  { key: "residentTokens", name: "sglang:kv_evictable_tokens" },
  { key: "residentTokens", name: "sglang:kv_used_tokens" },
  { key: "offloadLoadTime", name: "sglang:load_back_duration_seconds_sum" },
];

const TRTLLM: readonly MetricName[] = [
  { key: "running", name: "trtllm_num_requests_running" },
  { key: "waiting", name: "trtllm_num_requests_waiting" },
  { key: "kvUsage", name: "trtllm_kv_cache_utilization" },
  { key: "hostKvUsage", name: "trtllm_kv_cache_host_utilization" },
  { key: "promptTokens", name: "trtllm_prompt_tokens" },
  { key: "cachedTokens", name: "trtllm_prompt_cached_tokens" },
  { key: "hitBlocks", name: "trtllm_kv_cache_reused_blocks" },
  { key: "missedBlocks", name: "trtllm_kv_cache_missed_blocks" },
  { key: "offloadLoadBytes", name: "trtllm_kv_cache_onboard_bytes" },
  { key: "offloadStoreBytes", name: "trtllm_kv_cache_offload_bytes" },
];

const DYNAMO: readonly MetricName[] = [
  { key: "running", name: "dynamo_frontend_inflight_requests" },
  { key: "waiting", name: "dynamo_frontend_queued_requests" },
  { key: "promptTokens", name: "dynamo_frontend_input_sequence_tokens_sum" },
  { key: "generatedTokens", name: "dynamo_frontend_output_tokens" },
  { key: "cachedTokens", name: "dynamo_frontend_cached_tokens" },
  { key: "cachedTokens", name: "dynamo_frontend_cached_tokens_sum", rank: 1 },
  { key: "kvUsage", name: "dynamo_component_kvstats_gpu_cache_usage_percent" },
  { key: "externalHits", name: "kvbm_matched_tokens" },
];

const LLAMACPP: readonly MetricName[] = [
  { key: "running", name: "llamacpp:requests_processing" },
  { key: "waiting", name: "llamacpp:requests_deferred" },
  { key: "uncachedPromptTokens", name: "llamacpp:prompt_tokens" },
  { key: "cachedTokens", name: "llamacpp:prompt_tokens_cached" },
  { key: "generatedTokens", name: "llamacpp:tokens_predicted" },
  { key: "kvUsage", name: "llamacpp:kv_cache_usage_ratio" },
];

const TGI: readonly MetricName[] = [
  { key: "running", name: "tgi_batch_current_size" },
  { key: "waiting", name: "tgi_queue_size" },
  { key: "promptTokens", name: "tgi_request_input_length_sum" },
  { key: "generatedTokens", name: "tgi_request_generated_tokens_sum" },
];

const LMCACHE: readonly MetricName[] = [
  { key: "lmcacheQueries", name: "lmcache_mp_lookup_requested_tokens" },
  { key: "lmcacheHits", name: "lmcache_mp_lookup_hit_tokens" },
  { key: "lmcacheHitsByTier", name: "lmcache_mp_lookup_hit_l1_tokens", part: "L1" },
  { key: "lmcacheHitsByTier", name: "lmcache_mp_lookup_hit_l2_tokens", part: "L2" },
  { key: "lmcacheQueries", name: "lmcache:num_requested_tokens", rank: 1 },
  { key: "lmcacheHits", name: "lmcache:num_hit_tokens", rank: 1 },
];

const SIMULATOR: readonly MetricName[] = [
  { key: "cachedTokensByTier", name: "kvmark_sim:tier_hit_tokens", splitBy: "tier" },
  { key: "residentTokens", name: "kvmark_sim:tier_resident_tokens" },
];

/** The name tables. A server may show several: LMCache inside vLLM, an engine behind Dynamo. */
export const METRIC_NAMES: readonly MetricName[] = [
  ...VLLM,
  ...SGLANG,
  ...TRTLLM,
  ...DYNAMO,
  ...LLAMACPP,
  ...TGI,
  ...LMCACHE,
  ...SIMULATOR,
];

const NAMES = byName(METRIC_NAMES);

function byName(table: readonly MetricName[]): ReadonlyMap<string, readonly MetricName[]> {
  const found = new Map<string, MetricName[]>();
  for (const entry of table) {
    const gauge = SERVER_METRICS[entry.key].kind === "gauge";
    for (const name of gauge ? [entry.name] : [entry.name, `${entry.name}_total`]) {
      found.set(name, [...found.get(name) ?? [], entry]);
    }
  }
  return found;
}

/** One series of one canonical key. */
export interface ServerSeries {
  /** A {@linkcode MetricKey}, with `.source` or `.tier` behind a key that is split. */
  readonly key: string;
  readonly kind: "counter" | "gauge";
  /** Name and labels as the server has them: tells series apart. */
  readonly id: string;
  readonly value: number;
}

/** The canonical series of an exposition. Series that are not finite are left out. */
export function canonicalSeries(exposition: Exposition): ServerSeries[] {
  const found: { readonly series: ServerSeries; readonly rank: number }[] = [];
  for (const sample of exposition.samples) {
    const names = Number.isFinite(sample.value) ? NAMES.get(sample.name) : undefined;
    for (const entry of names ?? []) {
      if (!hasLabels(sample, entry.labels)) continue;
      found.push({ series: toSeries(sample, entry), rank: entry.rank ?? 0 });
    }
  }
  const best = new Map<string, number>();
  for (const { series, rank } of found) {
    best.set(series.key, Math.min(best.get(series.key) ?? rank, rank));
  }
  return withoutTwins(
    found.filter(({ series, rank }) => best.get(series.key) === rank).map(({ series }) => series),
  );
}

function toSeries(sample: Sample, entry: MetricName): ServerSeries {
  const part = entry.part ??
    (entry.splitBy === undefined ? undefined : sample.labels[entry.splitBy]);
  const labels = Object.entries(sample.labels).sort(([a], [b]) => a < b ? -1 : 1);
  return {
    key: part === undefined ? entry.key : `${entry.key}.${part}`,
    kind: SERVER_METRICS[entry.key].kind,
    id: `${sample.name}${JSON.stringify(labels)}`,
    value: sample.value,
  };
}

/** A server that shows a counter both with and without `_total` must not count twice. */
function withoutTwins(series: readonly ServerSeries[]): ServerSeries[] {
  const ids = new Set(series.map(({ id }) => id));
  return series.filter(({ id }) => {
    const brace = id.indexOf("[");
    const name = id.slice(0, brace);
    return name.endsWith("_total") || !ids.has(`${name}_total${id.slice(brace)}`);
  });
}

function hasLabels(sample: Sample, labels: Readonly<Record<string, string>> | undefined): boolean {
  return Object.entries(labels ?? {}).every(([name, value]) => sample.labels[name] === value);
}

/**
 * Adds the series of each key up; shares (`kvUsage`) are averaged, as their sum means nothing.
 */
export function sumByKey(series: readonly ServerSeries[]): Record<string, number> {
  const sums = new Map<string, { sum: number; count: number }>();
  for (const { key, value } of series) {
    const at = sums.get(key) ?? { sum: 0, count: 0 };
    sums.set(key, { sum: at.sum + value, count: at.count + 1 });
  }
  return Object.fromEntries(
    [...sums].map(([key, { sum, count }]) => [key, unitOf(key) === "share" ? sum / count : sum]),
  );
}

function unitOf(key: string): string {
  return SERVER_METRICS[key.split(".", 1)[0] as MetricKey].unit;
}
