/**
 * The architectures that are known: how each one keeps its KV cache, by the `model_type` of its
 * config. The formulas are explained in `docs/kv-size.md`.
 *
 * kvmark-lint: data
 *
 * @module
 */

import type { JsonObject } from "./config_reader.ts";

/** What a recurrent layer of a hybrid keeps. */
export type StateRule =
  | "mamba1"
  | "mamba2"
  | "delta"
  | "kda"
  | "lightning"
  | "conv"
  | "rglru";

/** Which layers have a window, where the config has no list of layers. */
export type WindowRule =
  /** Every layer, if the config has `sliding_window`. */
  | "all"
  /** `use_sliding_window`, from layer `max_window_layers` on. */
  | "qwen"
  /** All but every n-th layer; n is in one of these fields, or the number. */
  | { readonly every: number; readonly fields?: readonly string[] };

/** How an architecture keeps its cache. */
export interface Architecture {
  readonly cache: "attention" | "latent" | "encoder-decoder" | "none";
  /** Absent where no layer has a window. */
  readonly window?: WindowRule;
  /** Present in hybrids. */
  readonly state?: StateRule;
  /** True where values have another size than keys, in `v_head_dim`. */
  readonly separateValueDim?: true;
  /** True where `multi_query` is true if the config does not say. */
  readonly multiQueryByDefault?: true;
  /** Attention sublayers of one layer, where there are several (LongCat). */
  readonly sublayers?: number;
  /** Values that configs of this type leave out, from transformers. */
  readonly defaults?: JsonObject;
}

const PLAIN = { cache: "attention" } as const;
const ALL = { cache: "attention", window: "all" } as const;
const QWEN = { cache: "attention", window: "qwen" } as const;
const LATENT = { cache: "latent" } as const;
const SEQ2SEQ = { cache: "encoder-decoder" } as const;
const MAMBA2 = { cache: "attention", state: "mamba2" } as const;
const CONV = { cache: "attention", state: "conv" } as const;
const LIGHTNING = { cache: "attention", state: "lightning" } as const;

/** Attention, all but every n-th layer with a window. */
function every(n: number, more: Omit<Architecture, "cache" | "window"> = {}): Architecture {
  return { cache: "attention", window: { every: n, fields: ["sliding_window_pattern"] }, ...more };
}

const DELTA: Architecture = { cache: "attention", state: "delta" };

const GEMMA3: Architecture = every(6, {
  defaults: { num_attention_heads: 8, num_key_value_heads: 4, head_dim: 256, sliding_window: 4096 },
});
const GEMMA3N: Architecture = every(5, {
  defaults: { num_attention_heads: 8, num_key_value_heads: 2, head_dim: 256, sliding_window: 512 },
});
const GEMMA4: Architecture = every(6, {
  defaults: { head_dim: 256, global_head_dim: 512, sliding_window: 512 },
});
const LLAMA4: Architecture = {
  cache: "attention",
  window: { every: 4, fields: ["no_rope_layer_interval"] },
  defaults: { attention_chunk_size: 8192 },
};
const MIMO: Architecture = { cache: "attention", separateValueDim: true };

/** Every architecture by its `model_type`. */
const ARCHITECTURES = new Map<string, Architecture>(Object.entries<Architecture>({
  afmoe: { cache: "attention", window: { every: 4, fields: ["global_attn_every_n_layers"] } },
  bamba: MAMBA2,
  bloom: PLAIN,
  cohere2: every(4, { defaults: { sliding_window: 4096 } }),
  dbrx: PLAIN,
  dots1: QWEN,
  exaone4: every(4),
  exaone_moe: every(4),
  falcon: { cache: "attention", multiQueryByDefault: true },
  falcon_h1: MAMBA2,
  falcon_mamba: { cache: "none", state: "mamba1" },
  gemma2: every(2, { defaults: { sliding_window: 4096 } }),
  gemma3: GEMMA3,
  gemma3_text: GEMMA3,
  gemma3n: GEMMA3N,
  gemma3n_text: GEMMA3N,
  gemma4: GEMMA4,
  gemma4_text: GEMMA4,
  gpt_bigcode: { cache: "attention", multiQueryByDefault: true },
  gpt_oss: every(2, { defaults: { sliding_window: 128 } }),
  granitemoehybrid: MAMBA2,
  jamba: { cache: "attention", state: "mamba1" },
  kimi_linear: { cache: "latent", state: "kda" },
  lfm2: CONV,
  lfm2_moe: CONV,
  llama4: LLAMA4,
  llama4_text: LLAMA4,
  longcat_flash: { cache: "latent", sublayers: 2 },
  mamba: { cache: "none", state: "mamba1" },
  mamba2: { cache: "none", state: "mamba2" },
  mimo_v2: MIMO,
  mimo_v2_flash: MIMO,
  minimax: LIGHTNING,
  minimax_m1: LIGHTNING,
  minimax_text_01: LIGHTNING,
  ministral: ALL,
  mistral: ALL,
  mixtral: ALL,
  mllama_text_model: PLAIN,
  mpt: PLAIN,
  nemotron_h: MAMBA2,
  "nemotron-nas": PLAIN,
  olmo3: every(4),
  olmo_hybrid: DELTA,
  phi3: ALL,
  phimoe: ALL,
  qwen3_5: DELTA,
  qwen3_5_moe: DELTA,
  qwen3_5_moe_text: DELTA,
  qwen3_5_text: DELTA,
  qwen3_next: DELTA,
  recurrent_gemma: { cache: "attention", state: "rglru" },
  starcoder2: ALL,
  zamba2: MAMBA2,
  ...group(PLAIN, [
    ...["apertus", "aquila", "arcee", "arctic", "baichuan", "bailing_moe", "bitnet", "chatglm"],
    ...["codegen", "cohere", "deci", "deepseek", "ernie4_5", "ernie4_5_moe", "exaone", "gemma"],
    ...["glm", "glm4", "glm4_moe", "glm4v_text", "glm4v_moe_text", "gpt2", "gpt_neo", "gpt_neox"],
    ...["gptj", "granite", "granitemoe", "granitemoeshared", "helium", "hunyuan", "hunyuan_v1"],
    ...["hunyuan_v1_dense", "hunyuan_v1_moe", "hy_v3", "internlm", "internlm2", "internlm3"],
    ...["jais", "llama", "mimo", "minicpm", "minimax_m2", "ministral3", "nanochat", "nemotron"],
    ...["olmo", "olmo2", "olmoe", "openelm", "opt", "orion", "persimmon", "phi", "qwen"],
    ...["seed_oss", "smollm3", "solar", "solar_open", "stablelm", "stablelm_epoch", "xglm"],
    ...["xverse", "yi"],
  ]),
  ...group(QWEN, [
    ...["qwen2", "qwen2_moe", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"],
    ...["qwen2_5_omni_text", "qwen3", "qwen3_moe", "qwen3_vl_text", "qwen3_vl_moe_text"],
    ...["qwen3_omni_moe_text"],
  ]),
  ...group(LATENT, [
    ...["deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite", "glm_moe_dsa", "kimi_k2"],
    ...["minicpm3", "mistral4", "sarvam_mla", "youtu"],
  ]),
  ...group(SEQ2SEQ, [
    ...[
      "bart",
      "blenderbot",
      "m2m_100",
      "marian",
      "mbart",
      "mt5",
      "pegasus",
      "switch_transformers",
    ],
    ...["t5", "umt5", "whisper"],
  ]),
}));

function group(architecture: Architecture, types: readonly string[]) {
  return Object.fromEntries(types.map((type) => [type, architecture]));
}

/** How a `model_type` keeps its cache; `undefined` if it is not known. */
export function architectureOf(modelType: string): Architecture | undefined {
  return ARCHITECTURES.get(modelType.toLowerCase());
}

/** Every known `model_type`, sorted. */
export function knownModelTypes(): string[] {
  return [...ARCHITECTURES.keys()].sort();
}
