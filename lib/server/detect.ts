/**
 * From the documents of a server to its engine, version and limits. Pure.
 *
 * @module
 */

import type { Documents, Json } from "./documents.ts";
import type { Engine, ServerTier, StatedFact } from "./facts.ts";
import type { Sample } from "./exposition.ts";
import { asCount, asObject } from "./http.ts";

/** An engine, and what it was recognised by. */
export interface DetectedEngine {
  readonly engine: Engine;
  readonly evidence: string;
  readonly version?: string;
}

/** One entry of `/v1/models`. */
export interface ServedModel {
  readonly id: string;
  /** Name of the weights. */
  readonly root?: string;
  /** True for an adapter on top of another model. */
  readonly adapter: boolean;
  readonly maxContextTokens?: number;
  readonly ownedBy?: string;
}

/** The models of a reply to `/v1/models`; `undefined` if it is not such a list. */
export function servedModels(json: unknown): ServedModel[] | undefined {
  const data = asObject(json)?.["data"];
  if (!Array.isArray(data)) return undefined;
  return data.flatMap((entry) => {
    const fields = asObject(entry);
    const id = fields?.["id"];
    if (fields === undefined || typeof id !== "string") return [];
    const root = text(fields["root"]);
    const ownedBy = text(fields["owned_by"]);
    const limit = asCount(fields["max_model_len"]) ?? asCount(asObject(fields["meta"])?.["n_ctx"]);
    return [{
      id,
      adapter: text(fields["parent"]) !== undefined,
      ...(root === undefined || root === id ? {} : { root }),
      ...(ownedBy === undefined ? {} : { ownedBy }),
      ...(limit === undefined || limit === 0 ? {} : { maxContextTokens: limit }),
    }];
  });
}

type Recognise = (documents: Documents, owners: readonly string[]) => string | undefined;

/** In this order: a front end shows the counters of what is behind it, not the other way round. */
const RECOGNISERS: readonly (readonly [Engine, Recognise])[] = [
  ["kvmark-sim", (documents, owners) => {
    if (/kvmark/i.test(JSON.stringify(documents.version ?? ""))) return "/version names kvmark";
    return ownerEvidence(owners, /^kvmark/i);
  }],
  ["dynamo", (documents) => familyEvidence(documents, /^dynamo_/)],
  ["llamacpp", ({ props, metrics }, owners) => {
    if (props?.["default_generation_settings"] !== undefined) return "/props";
    return ownerEvidence(owners, /^llama/i) ??
      familyEvidence({ metrics }, /^llamacpp:/);
  }],
  ["sglang", (documents, owners) => {
    const info = documents.serverInfo;
    if (info?.["page_size"] !== undefined || info?.["internal_states"] !== undefined) {
      return "/server_info";
    }
    return familyEvidence(documents, /^sglang[:_]/) ?? ownerEvidence(owners, /^sglang/i);
  }],
  ["tgi", (documents) => {
    const router = documents.info?.["router"] ?? documents.info?.["max_total_tokens"];
    const model = documents.info?.["model_id"];
    if (router !== undefined && model !== undefined) return "/info";
    return familyEvidence(documents, /^tgi_/);
  }],
  ["trtllm", (documents, owners) => {
    const owner = ownerEvidence(owners, /^tensorrt/i) ?? familyEvidence(documents, /^trtllm[:_]/);
    if (owner !== undefined) return owner;
    if (documents.metrics.jsonTrap && text(documents.version?.["version"]) !== undefined) {
      return "/metrics is JSON iteration statistics";
    }
    return documents.metrics.url?.endsWith("/prometheus/metrics")
      ? "/prometheus/metrics"
      : undefined;
  }],
  [
    "vllm",
    (documents, owners) => familyEvidence(documents, /^vllm:/) ?? ownerEvidence(owners, /^vllm/i),
  ],
  [
    "lmcache",
    (documents) =>
      documents.lmcacheStatus?.["chunk_size"] !== undefined
        ? "/status has a chunk_size"
        : undefined,
  ],
];

/** Names the engine. */
export function detectEngine(
  documents: Documents,
  models: readonly ServedModel[],
): DetectedEngine {
  const owners = models.flatMap(({ ownedBy }) => ownedBy === undefined ? [] : [ownedBy]);
  for (const [engine, recognise] of RECOGNISERS) {
    const evidence = recognise(documents, owners);
    if (evidence === undefined) continue;
    const version = versionOf(engine, documents);
    return { engine, evidence, ...(version === undefined ? {} : { version }) };
  }
  return { engine: "unknown", evidence: "none of the engines' own routes or counters were found" };
}

function versionOf(engine: Engine, documents: Documents): string | undefined {
  const own: Partial<Record<Engine, unknown>> = {
    llamacpp: documents.props?.["build_info"],
    sglang: documents.serverInfo?.["version"],
    tgi: documents.info?.["version"],
    dynamo: undefined,
    "kvmark-sim": undefined,
  };
  return text(engine in own ? own[engine] : documents.version?.["version"]);
}

function ownerEvidence(owners: readonly string[], pattern: RegExp): string | undefined {
  const owner = owners.find((name) => pattern.test(name));
  return owner === undefined ? undefined : `/v1/models is owned by "${owner}"`;
}

function familyEvidence(
  { metrics }: Pick<Documents, "metrics">,
  pattern: RegExp,
): string | undefined {
  const sample = metrics.exposition?.samples.find(({ name }) => pattern.test(name));
  return sample === undefined ? undefined : `the counter ${sample.name}`;
}

/** Limits that the server states, by the field of `ServerFacts`. */
export interface StatedLimits {
  readonly maxContextTokens?: StatedFact;
  readonly blockTokens?: StatedFact;
  readonly hbmTokens?: StatedFact;
  readonly lmcacheChunkTokens?: StatedFact;
  readonly tiers: readonly ServerTier[];
  /** `enable_prefix_caching` of vLLM, `!disable_radix_cache` of SGLang. */
  readonly prefixCaching?: { readonly on: boolean; readonly evidence: string };
}

/** Reads the limits of the model from the documents. A default is not a statement. */
export function statedLimits(documents: Documents, model: ServedModel | undefined): StatedLimits {
  const vllm = sampleWith(documents, /^vllm:cache_config_info$/)?.labels;
  const blockTokens = blockOf(documents, vllm);
  const hbmTokens = hbmOf(documents, vllm, blockTokens?.value);
  const maxContextTokens = contextOf(documents, model);
  const chunk = asCount(documents.lmcacheStatus?.["chunk_size"]);
  const prefixCaching = cachingOf(documents, vllm);
  return {
    ...(maxContextTokens === undefined ? {} : { maxContextTokens }),
    ...(blockTokens === undefined ? {} : { blockTokens }),
    ...(hbmTokens === undefined ? {} : { hbmTokens }),
    ...(chunk === undefined
      ? {}
      : { lmcacheChunkTokens: { value: chunk, evidence: "/status of LMCache" } }),
    ...(prefixCaching === undefined ? {} : { prefixCaching }),
    tiers: tiersOf(documents, hbmTokens, vllm),
  };
}

function contextOf(documents: Documents, model: ServedModel | undefined): StatedFact | undefined {
  const settings = asObject(documents.props?.["default_generation_settings"]);
  const info = documents.serverInfo;
  return first([
    [model?.maxContextTokens, "/v1/models"],
    [settings?.["n_ctx"], "/props (of one slot)"],
    [info?.["context_length"], "/server_info (context_length)"],
    [info?.["max_req_input_len"], "/server_info (max_req_input_len)"],
    [documents.info?.["max_total_tokens"], "/info"],
  ]);
}

function blockOf(
  documents: Documents,
  vllm: Readonly<Record<string, string>> | undefined,
): StatedFact | undefined {
  return first([
    [vllm?.["block_size"], "cache_config_info"],
    [documents.serverInfo?.["page_size"], "/server_info (page_size)"],
    [gauge(documents, /^trtllm_kv_cache_tokens_per_block$/), "trtllm_kv_cache_tokens_per_block"],
    [gauge(documents, /^dynamo_frontend_model_kv_cache_block_size$/), "the frontend's metrics"],
    [documents.props?.["default_generation_settings"] === undefined ? undefined : 1, "llama.cpp"],
  ]);
}

function hbmOf(
  documents: Documents,
  vllm: Readonly<Record<string, string>> | undefined,
  blockTokens: number | undefined,
): StatedFact | undefined {
  const block = blockTokens ?? NaN;
  const info = documents.serverInfo;
  return first([
    // Newer vLLM states the size itself; for hybrid models the product is not it.
    [vllm?.["kv_cache_size_tokens"], "cache_config_info: kv_cache_size_tokens"],
    [times(asCount(vllm?.["num_gpu_blocks"]), block), "cache_config_info: block_size × blocks"],
    [gauge(documents, /^sglang:max_total_num_tokens$/), "sglang:max_total_num_tokens"],
    [info?.["max_total_num_tokens"], "/server_info (max_total_num_tokens)"],
    [times(gauge(documents, /^trtllm_kv_cache_max_blocks$/), block), "blocks × tokens per block"],
    [
      times(gauge(documents, /^dynamo_frontend_model_total_kv_blocks$/), block),
      "the frontend's metrics: blocks × block size",
    ],
  ]);
}

function cachingOf(
  documents: Documents,
  vllm: Readonly<Record<string, string>> | undefined,
): { on: boolean; evidence: string } | undefined {
  const enabled = vllm?.["enable_prefix_caching"];
  if (enabled !== undefined && /^(true|false)$/i.test(enabled)) {
    const evidence = `cache_config_info: enable_prefix_caching=${enabled}`;
    return { on: /^true$/i.test(enabled), evidence };
  }
  const disabled = documents.serverInfo?.["disable_radix_cache"];
  if (typeof disabled !== "boolean") return undefined;
  return { on: !disabled, evidence: `/server_info: disable_radix_cache=${disabled}` };
}

function tiersOf(
  documents: Documents,
  hbm: StatedFact | undefined,
  vllm: Readonly<Record<string, string>> | undefined,
): ServerTier[] {
  const tiers: ServerTier[] = hbm === undefined
    ? []
    : [{ name: "HBM", capacityTokens: hbm.value, evidence: hbm.evidence }];
  const host = gauge(documents, /^sglang:hicache_host_total_tokens$/);
  if (host !== undefined && host > 0) {
    const evidence = "sglang:hicache_host_total_tokens";
    tiers.push({ name: "DRAM", capacityTokens: host, evidence });
  }
  const offloadGiB = asCount(vllm?.["kv_offloading_size"]);
  if (offloadGiB !== undefined && offloadGiB > 0) {
    const evidence = "cache_config_info: kv_offloading_size in GiB";
    tiers.push({ name: "DRAM", capacityBytes: offloadGiB * 2 ** 30, evidence });
  }
  for (const name of ["DRAM", "SSD"] as const) {
    const pattern = new RegExp(`^kvmark_sim[:_]${name.toLowerCase()}_capacity_tokens$`);
    const tokens = gauge(documents, pattern);
    if (tokens !== undefined && tokens > 0) {
      tiers.push({ name, capacityTokens: tokens, evidence: "the simulator's metrics" });
    }
  }
  return tiers;
}

function first(candidates: readonly (readonly [unknown, string])[]): StatedFact | undefined {
  for (const [stated, evidence] of candidates) {
    const value = asCount(stated);
    // Nobody has blocks of half a token, or a context of 1e300.
    const isPossible = value !== undefined && value >= 1 && value <= Number.MAX_SAFE_INTEGER;
    if (isPossible) return { value, evidence };
  }
  return undefined;
}

function times(a: number | undefined, b: number): number | undefined {
  const product = (a ?? NaN) * b;
  return Number.isNaN(product) ? undefined : product;
}

function sampleWith(documents: Documents, pattern: RegExp): Sample | undefined {
  return documents.metrics.exposition?.samples.find(({ name }) => pattern.test(name));
}

function gauge(documents: Documents, pattern: RegExp): number | undefined {
  return asCount(sampleWith(documents, pattern)?.value);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

export type { Json };
