/**
 * GGUF files: their metadata as the config that the same model has on the hub, so that there is
 * one set of rules.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { JsonObject } from "./config_reader.ts";

/** `model_type` by GGUF's `general.architecture`, where they differ by more than the spelling. */
const MODEL_TYPES: Readonly<Record<string, string>> = {
  "command-r": "cohere",
  "deepseek2": "deepseek_v3",
  "falcon-h1": "falcon_h1",
  "gemma3": "gemma3_text",
  "gemma3n": "gemma3n_text",
  "gemma4": "gemma4_text",
  "gpt-oss": "gpt_oss",
  "gptneox": "gpt_neox",
  "granitehybrid": "granitemoehybrid",
  "hunyuan-dense": "hunyuan_v1_dense",
  "hunyuan-moe": "hunyuan_v1_moe",
  "lfm2moe": "lfm2_moe",
  "llama4": "llama4_text",
  "minimax-m2": "minimax_m2",
  "nemotron_h_moe": "nemotron_h",
  "phi2": "phi",
  "qwen2moe": "qwen2_moe",
  "qwen2vl": "qwen2_vl",
  "qwen35": "qwen3_5_text",
  "qwen35moe": "qwen3_5_moe_text",
  "qwen3moe": "qwen3_moe",
  "qwen3next": "qwen3_next",
  "qwen3vl": "qwen3_vl_text",
  "qwen3vlmoe": "qwen3_vl_moe_text",
  "starcoder": "gpt_bigcode",
};

/** Fields of the config by the key behind the architecture's name. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  "attention.chunk_size": ["attention_chunk_size"],
  "attention.head_count": ["num_attention_heads"],
  "attention.indexer.key_length": ["index_head_dim"],
  "attention.key_length": ["head_dim"],
  "attention.key_length_swa": ["swa_head_dim"],
  "attention.kv_lora_rank": ["kv_lora_rank"],
  "attention.shared_kv_layers": ["num_kv_shared_layers"],
  "attention.sliding_window": ["sliding_window"],
  "attention.value_length": ["value_length"],
  "attention.value_length_swa": ["swa_v_head_dim"],
  "block_count": ["num_hidden_layers"],
  "context_length": ["max_position_embeddings"],
  "embedding_length": ["hidden_size"],
  "full_attention_interval": ["full_attention_interval"],
  "nextn_predict_layers": ["num_nextn_predict_layers"],
  "rope.dimension_count": ["qk_rope_head_dim"],
  "shortconv.l_cache": ["conv_L_cache"],
  "ssm.conv_kernel": ["mamba_d_conv", "linear_conv_kernel_dim"],
  "ssm.group_count": ["mamba_n_groups", "linear_num_key_heads"],
  "ssm.state_size": ["mamba_d_state", "linear_key_head_dim"],
  "ssm.time_step_rank": ["mamba_n_heads", "linear_num_value_heads"],
};

/**
 * Reads the metadata of a GGUF file.
 *
 * @throws {KvmarkError} `usage`, if it is no GGUF file or a damaged one.
 */
export async function readGguf(path: string): Promise<JsonObject> {
  const { gguf } = await import("@huggingface/gguf");
  try {
    const { metadata } = await gguf(path, { allowLocalFile: true });
    if (!metadata["general.architecture"]) throw new Error("it names no architecture");
    return ggufConfig(metadata as unknown as JsonObject);
  } catch (error) {
    throw damaged(path, error);
  }
}

function damaged(path: string, error: unknown): KvmarkError {
  const reason = error instanceof RangeError
    ? "it ends too early"
    : error instanceof Error
    ? error.message
    : String(error);
  return new KvmarkError("usage", `The GGUF file ${path} cannot be used: ${reason}`, {
    hint: "of a split model give the first file; a download may have been cut",
    cause: error,
  });
}

/** Metadata of a GGUF file as a config. */
export function ggufConfig(metadata: JsonObject): JsonObject {
  const architecture = String(metadata["general.architecture"] ?? "");
  const value = (key: string) => plain(metadata[`${architecture}.${key}`]);
  const config: Record<string, unknown> = {
    model_type: Object.hasOwn(MODEL_TYPES, architecture)
      ? MODEL_TYPES[architecture]
      : architecture.replaceAll("-", "_"),
    torch_dtype: "float16",
  };
  for (const [key, names] of Object.entries(FIELDS)) {
    const found = value(key);
    if (found !== undefined) { for (const name of names) config[name] = found; }
  }
  return finish(config, value);
}

/** What takes more than another name. */
function finish(
  config: Record<string, unknown>,
  value: (key: string) => unknown,
): JsonObject {
  const layers = Number(config["num_hidden_layers"]);
  const mtp = Number(config["num_nextn_predict_layers"] ?? 0);
  // GGUF counts the layers of multi-token prediction with the others.
  if (mtp > 0 && layers > mtp) config["num_hidden_layers"] = layers - mtp;
  const heads = config["num_attention_heads"];
  if (Array.isArray(heads)) config["num_attention_heads"] = Math.max(...heads.map(Number));
  const kvHeads = value("attention.head_count_kv");
  if (kvHeads !== undefined) config["num_key_value_heads"] = kvHeads;
  if (kvHeads === 1) config["multi_query"] = true;
  else if (kvHeads !== undefined) config["multi_query"] = false;
  if (Array.isArray(kvHeads)) {
    spreadHeads(config, kvHeads.slice(0, layers - mtp), value("feed_forward_length"));
  }
  const inner = Number(value("ssm.inner_size"));
  const ssmHeads = Number(config["mamba_n_heads"]);
  if (inner > 0 && ssmHeads > 0) {
    config["mamba_d_head"] = inner / ssmHeads;
    config["linear_value_head_dim"] = inner / ssmHeads;
  }
  const pattern = value("attention.sliding_window_pattern");
  if (typeof pattern === "number") config["sliding_window_pattern"] = pattern;
  if (Array.isArray(pattern)) {
    config["layer_types"] = pattern.map((one) => one ? "sliding_attention" : "full_attention");
  }
  return config;
}

/** In hybrids a layer without KV heads is a recurrent one, or in Nemotron-H a plain MLP. */
function spreadHeads(
  config: Record<string, unknown>,
  kvHeads: readonly unknown[],
  feedForward: unknown,
): void {
  if (kvHeads.every((heads) => Number(heads) > 0)) {
    config["num_key_value_heads"] = kvHeads;
    return;
  }
  const isMlp = (layer: number) =>
    config["model_type"] === "nemotron_h" && Array.isArray(feedForward) &&
    Number(feedForward[layer]) > 0;
  config["layer_types"] = kvHeads.map((heads, layer) =>
    Number(heads) > 0 ? "full_attention" : isMlp(layer) ? "mlp" : "linear_attention"
  );
  config["num_key_value_heads"] = Math.max(...kvHeads.map(Number));
}

/** Numbers of 64 bits come as bigint; those that fit are numbers here. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return Array.isArray(value) ? value.map(plain) : value;
}
