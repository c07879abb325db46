/**
 * Attention layers: how many heads, of which size, behind which window.
 *
 * @module
 */

import type { Architecture } from "./architectures.ts";
import { type ConfigReader, isObject, MOST } from "./config_reader.ts";
import { type LayerKind, windowTokens } from "./layer_kinds.ts";
import type { AttentionCache, LatentCache, TokenCache, Window } from "./shape.ts";

/** Sizes of the attention of one layer. */
interface Heads {
  readonly kvHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
}

/** Attention heads, under any of their names; `undefined` where the config does not say. */
export function attentionHeads(reader: ConfigReader): number | undefined {
  return reader.optional(
    MOST.heads,
    ...["num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"],
  );
}

/** Hidden size, under any of its names. */
export function hiddenSize(reader: ConfigReader): number | undefined {
  return reader.optional(MOST.dim, "hidden_size", "n_embd", "n_embed", "d_model", "model_dim");
}

/** The caches of all attention layers, equal ones together. */
export function attentionCaches(
  reader: ConfigReader,
  architecture: Architecture,
  kinds: readonly LayerKind[],
): readonly AttentionCache[] {
  const full = headsOf(reader, architecture);
  const heads = { full: globalHeads(reader, full), sliding: slidingHeads(reader, full) };
  const perLayer = headsPerLayer(reader, kinds.length);
  const owners = kinds.length - sharedLayers(reader);
  const groups = new Map<string, AttentionCache>();
  for (const [layer, kind] of kinds.entries()) {
    if (kind === "recurrent" || kind === "none" || layer >= owners) continue;
    const window = windowOf(reader, kind);
    const own = window?.kind === "sliding" ? heads.sliding : heads.full;
    const kvHeads = perLayer?.[layer] ?? own.kvHeads;
    if (kvHeads === 0) continue;
    const key = `${kvHeads} ${own.keyDim} ${own.valueDim} ${window?.tokens} ${window?.kind}`;
    groups.set(key, {
      kind: "attention",
      ...own,
      kvHeads,
      layers: (groups.get(key)?.layers ?? 0) + 1,
      ...(window === undefined ? {} : { window }),
    });
  }
  return shareAcrossLayers(reader, [...groups.values()]);
}

function windowOf(reader: ConfigReader, kind: LayerKind): Window | undefined {
  if (kind === "sliding") {
    const tokens = windowTokens(reader);
    if (tokens === undefined) throw reader.problem("sliding_window is missing");
    return { kind, tokens };
  }
  if (kind === "chunked") {
    return { kind, tokens: reader.required(MOST.tokens, "attention_chunk_size") };
  }
  return undefined;
}

/** Sizes of the attention, the same for all layers unless something else says otherwise. */
export function headsOf(reader: ConfigReader, architecture: Architecture): Heads {
  const keyDim = headDim(reader);
  const valueDim = architecture.separateValueDim
    ? reader.optional(MOST.dim, "v_head_dim") ?? keyDim
    : reader.optional(MOST.dim, "value_length") ?? keyDim;
  return { kvHeads: kvHeads(reader, architecture), keyDim, valueDim };
}

function headDim(reader: ConfigReader): number {
  const given = reader.optional(MOST.dim, "head_dim", "attention_head_dim", "kv_channels", "d_kv");
  if (given !== undefined) return given;
  const hidden = hiddenSize(reader);
  const heads = attentionHeads(reader);
  if (hidden === undefined || heads === undefined) {
    const missing = hidden === undefined ? "hidden_size" : "num_attention_heads";
    throw reader.problem(`head_dim is missing, and so is ${missing}, from which it would follow`);
  }
  if (hidden % heads !== 0) {
    throw reader.problem(
      `head_dim is missing, and hidden_size ${hidden} is no multiple of ${heads} attention heads`,
    );
  }
  return hidden / heads;
}

function kvHeads(reader: ConfigReader, architecture: Architecture): number {
  const multiQuery = reader.flag("multi_query") ?? architecture.multiQueryByDefault ?? false;
  // Falcon's new decoder has groups, and still says multi_query.
  if (multiQuery && reader.flag("new_decoder_architecture") !== true) return 1;
  const groups = reader.flag("multi_query_attention") === true
    ? reader.optional(MOST.heads, "multi_query_group_num")
    : undefined;
  if (groups !== undefined) return groups;
  const inner = reader.object("attn_config");
  if (inner?.raw("attn_type") === "multiquery_attention") return 1;
  const listed = LISTS.some((name) => Array.isArray(reader.raw(name)));
  const given = listed ? undefined : reader.optional(
    MOST.heads,
    ...["num_key_value_heads", "num_kv_heads", "n_head_kv"],
  );
  const heads = given ?? inner?.optional(MOST.heads, "kv_n_heads") ?? attentionHeads(reader);
  if (heads !== undefined) return heads;
  if (listed || reader.raw("block_configs") !== undefined) return 1;
  throw reader.problem("num_key_value_heads is missing, and so is num_attention_heads");
}

/** Fields that may hold one number of KV heads for each layer. */
const LISTS = ["num_key_value_heads_per_layer", "num_key_value_heads", "num_kv_heads"];

/** KV heads of each layer, 0 for a layer without attention; `undefined` if all have the same. */
function headsPerLayer(reader: ConfigReader, layers: number): readonly number[] | undefined {
  const name = LISTS.find((one) => Array.isArray(reader.raw(one)));
  if (name !== undefined) {
    const listed = reader.counts(MOST.heads, name, 1) ?? [];
    if (listed.length !== layers) {
      throw reader.problem(`${name} has ${listed.length} entries for ${layers} layers`);
    }
    return listed;
  }
  return reader.list("block_configs", layers)?.map((block, i) => blockHeads(reader, block, i));
}

/** One block of Nemotron's searched architectures: a group size, or no attention at all. */
function blockHeads(reader: ConfigReader, block: unknown, index: number): number {
  const attention = isObject(block) ? block["attention"] : undefined;
  if (!isObject(attention)) throw reader.problem(`block_configs[${index}] has no attention`);
  if (attention["no_op"] === true || attention["replace_with_linear"] === true) return 0;
  const inGroup = attention["n_heads_in_group"];
  const heads = attentionHeads(reader);
  if (!Number.isInteger(inGroup) || Number(inGroup) < 1 || heads === undefined) {
    throw reader.problem(`block_configs[${index}].attention.n_heads_in_group is not a count`);
  }
  return Math.max(1, Math.floor(heads / Number(inGroup)));
}

/** Gemma 4's layers without a window have heads of their own. */
function globalHeads(reader: ConfigReader, heads: Heads): Heads {
  if (reader.raw("global_head_dim") === undefined) return heads;
  const dim = reader.required(MOST.dim, "global_head_dim");
  const own = reader.flag("attention_k_eq_v") === true
    ? reader.optional(MOST.heads, "num_global_key_value_heads")
    : undefined;
  return { kvHeads: own ?? heads.kvHeads, keyDim: dim, valueDim: dim };
}

/** MiMo's layers with a window have heads of their own. */
function slidingHeads(reader: ConfigReader, heads: Heads): Heads {
  return {
    kvHeads: reader.optional(MOST.heads, "swa_num_key_value_heads") ?? heads.kvHeads,
    keyDim: reader.optional(MOST.dim, "swa_head_dim") ?? heads.keyDim,
    valueDim: reader.optional(MOST.dim, "swa_v_head_dim") ?? heads.valueDim,
  };
}

/** The last layers of Gemma 3n use the cache of earlier ones. */
function sharedLayers(reader: ConfigReader): number {
  return reader.orZero(MOST.layers, "num_kv_shared_layers");
}

/** Cross-layer attention of Hunyuan: so many layers share one cache. */
function shareAcrossLayers(
  reader: ConfigReader,
  caches: readonly AttentionCache[],
): readonly AttentionCache[] {
  if (reader.flag("use_cla") !== true) return caches;
  const factor = reader.required(MOST.layers, "cla_share_factor");
  return caches.map((cache) => ({ ...cache, layers: Math.ceil(cache.layers / factor) }));
}

/** The caches of multi-head latent attention, with those of its indexer where it has one. */
export function latentCaches(reader: ConfigReader, layers: number): readonly TokenCache[] {
  const indexDim = reader.optional(MOST.dim, "index_head_dim");
  const latent: LatentCache = {
    kind: "latent",
    layers,
    rank: reader.required(MOST.dim, "kv_lora_rank"),
    ropeDim: reader.orZero(MOST.dim, "qk_rope_head_dim"),
    sparse: indexDim !== undefined,
  };
  if (indexDim === undefined) return [latent];
  // GLM lets some layers use the choice of the layer before them.
  const types = reader.list("indexer_types");
  const own = types?.slice(0, layers).filter((type) => type !== "shared").length ?? layers;
  return [latent, { kind: "indexer", layers: own, dim: indexDim }];
}
