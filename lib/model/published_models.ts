/**
 * Published models: the facts of their `config.json` that the KV cache depends on, the bytes of a
 * token, and where that figure (or what gives it) is published.
 *
 * kvmark-lint: data
 *
 * @module
 */

import type { JsonObject } from "./config_reader.ts";
import type { KvSizeOptions } from "./kv_size.ts";

/** A model with its published figure. */
export interface PublishedModel {
  readonly id: string;
  readonly config: JsonObject;
  /** Bytes of a token while no window is full; in fp16 unless `options` say otherwise. */
  readonly bytesPerToken: number;
  /** Where all windows are full, if that is another figure. */
  readonly beyondWindows?: number;
  /** Bytes that a sequence takes once. */
  readonly perSequence?: number;
  readonly options?: Partial<KvSizeOptions>;
  /** Where the figure is published; without it, the formula of the architecture gives it. */
  readonly published?: string;
  /** Where the facts of the config were read; without it, they were written from memory. */
  readonly configSeen?: string;
}

/** Attention fields in the order layers, attention heads, KV heads, size of a head, hidden size. */
function attention(
  type: string,
  [layers, heads, kvHeads, dim, hidden]: readonly [number, number, number, number, number],
  more: JsonObject = {},
): JsonObject {
  return {
    model_type: type,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: dim,
    hidden_size: hidden,
    ...more,
  };
}

/** Without `head_dim`: it follows from the hidden size. */
function derived(
  type: string,
  [layers, heads, kvHeads, hidden]: readonly [number, number, number, number],
  more: JsonObject = {},
): JsonObject {
  const { head_dim: _, ...config } = attention(type, [layers, heads, kvHeads, 1, hidden], more);
  return config;
}

function latent(type: string, layers: number, more: JsonObject = {}): JsonObject {
  return {
    model_type: type,
    num_hidden_layers: layers,
    num_attention_heads: 128,
    num_key_value_heads: 128,
    hidden_size: 7168,
    kv_lora_rank: 512,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    ...more,
  };
}

const DEEPSEEK_INSIGHTS = "arXiv:2505.09343 (Insights into DeepSeek-V3), table 1";
const LLAMA_CPP_TABLE =
  "huggingface.co/dranger003/c4ai-command-r-v01-iMat.GGUF/discussions/6: llama.cpp at 2048 tokens";
/** bf16, from the geometry of the config; read in its copy qundao/backup-llm-architecture-gallery. */
const GALLERY = "sebastianraschka.com/llm-architecture-gallery";
const LLAMA_31_BLOG = "huggingface.co/blog/llama31, quoted in huggingface/blog#2345";
const PAGED = "arXiv:2309.06180 (PagedAttention), section 3";

const AICONFIGURATOR = "ai-dynamo/aiconfigurator, model_configs";
const LITGPT = "Lightning-AI/litgpt, litgpt/config.py";
const LLM_PROF = "citsjtu2020/LLM-Prof, sglang/Model_Config.md";
const MAXTEXT = "AI-Hypercomputer/maxtext, hf_model_configs.py";
const TRANSFORMERS = "huggingface/transformers";

/** Multi-head, grouped-query and multi-query attention. */
const PLAIN: readonly PublishedModel[] = [
  {
    id: "openai-community/gpt2-xl",
    config: { model_type: "gpt2", n_layer: 48, n_head: 25, n_embd: 1600, n_positions: 1024 },
    bytesPerToken: 307_200,
    published: `news.future-shock.ai/the-weight-of-remembering: 300 KiB; ${GALLERY}: 300 KiB`,
  },
  {
    id: "facebook/opt-13b",
    config: {
      model_type: "opt",
      num_hidden_layers: 40,
      num_attention_heads: 40,
      hidden_size: 5120,
    },
    bytesPerToken: 819_200,
    published: `${PAGED}: 800 KB`,
  },
  {
    id: "meta-llama/Llama-2-7b-hf",
    config: derived("llama", [32, 32, 32, 4096]),
    bytesPerToken: 524_288,
    published: "developer.nvidia.com, Mastering LLM Techniques: ~2 GB for 4096 tokens",
    configSeen: LITGPT,
  },
  {
    id: "meta-llama/Llama-3.1-8B-Instruct",
    config: derived("llama", [32, 32, 8, 4096]),
    bytesPerToken: 131_072,
    published:
      `${LLAMA_CPP_TABLE}, 256 MiB; vllm-project/vllm#10517: 3.81 GiB in 1952 blocks of 16; ` +
      `${LLAMA_31_BLOG}: 15.62 GB for 128,000 tokens; ${GALLERY} (Llama 3 8B): 128 KiB`,
    configSeen: LLM_PROF,
  },
  {
    id: "meta-llama/Llama-3.2-1B",
    config: attention("llama", [16, 32, 8, 64, 2048]),
    bytesPerToken: 32_768,
    published: `${GALLERY}: 32 KiB`,
    configSeen: LITGPT,
  },
  {
    id: "meta-llama/Llama-3.2-3B",
    config: attention("llama", [28, 24, 8, 128, 3072]),
    bytesPerToken: 114_688,
    published: `${GALLERY}: 112 KiB`,
    configSeen: LLM_PROF,
  },
  {
    id: "meta-llama/Llama-3.3-70B-Instruct",
    config: derived("llama", [80, 64, 8, 8192]),
    bytesPerToken: 327_680,
    published: `${LLAMA_CPP_TABLE} (Llama 3 70B), 640 MiB; ` +
      `${LLAMA_31_BLOG} (Llama 3.1 70B): 39.06 GB for 128,000 tokens`,
    configSeen: AICONFIGURATOR,
  },
  {
    id: "meta-llama/Llama-3.1-405B",
    config: derived("llama", [126, 128, 8, 16_384]),
    bytesPerToken: 516_096,
    published: `${DEEPSEEK_INSIGHTS}: 516.096 KB`,
    configSeen: LITGPT,
  },
  {
    id: "mistralai/Mixtral-8x7B-v0.1",
    config: derived("mixtral", [32, 32, 8, 4096], { sliding_window: null }),
    bytesPerToken: 131_072,
    published: `${LLAMA_CPP_TABLE}, 256 MiB`,
    configSeen: LITGPT,
  },
  {
    id: "mistralai/Mistral-Nemo-Instruct-2407",
    config: attention("mistral", [40, 32, 8, 128, 5120], { sliding_window: null }),
    bytesPerToken: 163_840,
  },
  {
    id: "mistralai/Mistral-Small-3.1-24B-Base-2503",
    config: {
      model_type: "mistral3",
      text_config: attention("mistral", [40, 32, 8, 128, 5120], { sliding_window: null }),
    },
    bytesPerToken: 163_840,
    published: `${GALLERY}: 160 KiB`,
  },
  {
    id: "microsoft/phi-4",
    config: derived("phi3", [40, 40, 10, 5120], { sliding_window: null }),
    bytesPerToken: 204_800,
    published: `${GALLERY}: 200 KiB`,
    configSeen: LITGPT,
  },
  {
    id: "HuggingFaceTB/SmolLM3-3B",
    config: derived("smollm3", [36, 16, 4, 2048], {
      use_sliding_window: false,
      no_rope_layer_interval: 4,
    }),
    bytesPerToken: 73_728,
    published: `${GALLERY}: 72 KiB`,
    configSeen: `${TRANSFORMERS}, configuration_smollm3.py`,
  },
  {
    id: "ibm-granite/granite-4.1-30b",
    config: derived("granite", [64, 32, 8, 4096]),
    bytesPerToken: 262_144,
    published: `${GALLERY}: 256 KiB`,
    configSeen: GALLERY,
  },
  {
    id: "01-ai/Yi-1.5-34B-Chat",
    config: derived("llama", [60, 56, 8, 7168]),
    bytesPerToken: 245_760,
    published: `${LLAMA_CPP_TABLE}, 480 MiB`,
  },
  {
    id: "CohereForAI/c4ai-command-r-v01",
    config: derived("cohere", [40, 64, 64, 8192]),
    bytesPerToken: 1_310_720,
    published: `${LLAMA_CPP_TABLE}, 2560 MiB`,
  },
  {
    id: "Qwen/Qwen2.5-7B-Instruct",
    config: derived("qwen2", [28, 28, 4, 3584], {
      sliding_window: 131_072,
      use_sliding_window: false,
      max_window_layers: 28,
    }),
    bytesPerToken: 57_344,
    configSeen: LLM_PROF,
  },
  {
    id: "Qwen/Qwen2.5-Coder-32B-Instruct",
    config: derived("qwen2", [64, 40, 8, 5120], {
      sliding_window: 131_072,
      use_sliding_window: false,
      max_window_layers: 70,
    }),
    bytesPerToken: 262_144,
    published: `${LLAMA_CPP_TABLE} (Qwen1.5 32B, the same attention), 512 MiB`,
    configSeen: `${LLM_PROF} (Qwen2.5-32B)`,
  },
  {
    id: "Qwen/Qwen2.5-72B-Instruct",
    config: derived("qwen2", [80, 64, 8, 8192], { use_sliding_window: false }),
    bytesPerToken: 327_680,
    published: `${DEEPSEEK_INSIGHTS}: 327.680 KB`,
  },
  {
    id: "Qwen/Qwen3-8B",
    config: attention("qwen3", [36, 32, 8, 128, 4096], { use_sliding_window: false }),
    bytesPerToken: 147_456,
    published: `${GALLERY}: 144 KiB`,
    configSeen: LLM_PROF,
  },
  {
    id: "Qwen/Qwen3-0.6B",
    config: attention("qwen3", [28, 16, 8, 128, 1024], { use_sliding_window: false }),
    bytesPerToken: 114_688,
    published: `${GALLERY}: 112 KiB`,
    configSeen: MAXTEXT,
  },
  {
    id: "Qwen/Qwen3-4B",
    config: attention("qwen3", [36, 32, 8, 128, 2560], { use_sliding_window: false }),
    bytesPerToken: 147_456,
    published:
      `pegainfer-project/pegainfer#422: 12,116 MiB in 5385 blocks of 16; ${GALLERY}: 144 KiB`,
    configSeen: LLM_PROF,
  },
  {
    id: "Qwen/Qwen3-32B",
    config: attention("qwen3", [64, 64, 8, 128, 5120], { use_sliding_window: false }),
    bytesPerToken: 262_144,
    published: `${GALLERY}: 256 KiB`,
    configSeen: LLM_PROF,
  },
  {
    id: "Qwen/Qwen3-Coder-30B-A3B-Instruct",
    config: attention("qwen3_moe", [48, 32, 4, 128, 2048], { use_sliding_window: false }),
    bytesPerToken: 98_304,
    published: `aweussom/NoLlama#21: about 96 KB; ${GALLERY}: 96 KiB`,
    configSeen: `${LLM_PROF} (Qwen3-30B-A3B)`,
  },
  {
    id: "Qwen/Qwen3-235B-A22B-FP8 on one of 4 GPUs, SGLang",
    config: attention("qwen3_moe", [94, 64, 4, 128, 4096], { use_sliding_window: false }),
    bytesPerToken: 192_512,
    options: { engine: "sglang", tp: 4 },
    published: `vllm-project/vllm#21348: 8.23 GB of K and of V for 367,404 tokens on each GPU; ` +
      `${GALLERY}: 188 KiB`,
    configSeen: MAXTEXT,
  },
  {
    id: "Qwen/Qwen3-Coder-480B-A35B-Instruct",
    config: attention("qwen3_moe", [62, 96, 8, 128, 6144], { use_sliding_window: false }),
    bytesPerToken: 253_952,
    published: "vllm-project/recipes#12: vLLM needs 62.00 GiB for 262,144 tokens",
    configSeen: MAXTEXT,
  },
  {
    id: "zai-org/GLM-4.5-Air",
    config: attention("glm4_moe", [46, 96, 8, 128, 4096], { num_nextn_predict_layers: 1 }),
    bytesPerToken: 188_416,
    published: `${GALLERY}: 184 KiB`,
    configSeen: `${TRANSFORMERS}, configuration_glm4_moe.py`,
  },
  {
    id: "zai-org/GLM-4.5-Air with its MTP layer",
    config: attention("glm4_moe", [46, 96, 8, 128, 4096], { num_nextn_predict_layers: 1 }),
    options: { mtp: true },
    bytesPerToken: 192_512,
  },
  {
    id: "zai-org/GLM-4.7",
    config: attention("glm4_moe", [92, 96, 8, 128, 5120], { num_nextn_predict_layers: 1 }),
    bytesPerToken: 376_832,
    published: `${GALLERY}: 368 KiB`,
    configSeen: AICONFIGURATOR,
  },
  {
    id: "MiniMaxAI/MiniMax-M2",
    config: attention("minimax_m2", [62, 48, 8, 128, 3072]),
    bytesPerToken: 253_952,
    published: `${GALLERY}: 248 KiB`,
  },
  {
    id: "THUDM/glm-4-9b-chat",
    config: {
      model_type: "chatglm",
      num_layers: 40,
      num_attention_heads: 32,
      hidden_size: 4096,
      kv_channels: 128,
      multi_query_attention: true,
      multi_query_group_num: 2,
    },
    bytesPerToken: 40_960,
  },
  {
    id: "tiiuae/falcon-7b",
    config: {
      model_type: "falcon",
      num_hidden_layers: 32,
      num_attention_heads: 71,
      num_kv_heads: 71,
      hidden_size: 4544,
      multi_query: true,
      new_decoder_architecture: false,
    },
    bytesPerToken: 8_192,
    configSeen: LITGPT,
  },
  {
    id: "tiiuae/falcon-40b",
    config: {
      model_type: "falcon",
      num_hidden_layers: 60,
      num_attention_heads: 128,
      num_kv_heads: 8,
      hidden_size: 8192,
      multi_query: true,
      new_decoder_architecture: true,
    },
    bytesPerToken: 122_880,
    configSeen: LITGPT,
  },
  {
    id: "bigcode/starcoder",
    config: { model_type: "gpt_bigcode", n_layer: 40, n_head: 48, n_embd: 6144, multi_query: true },
    bytesPerToken: 20_480,
  },
  {
    id: "databricks/dbrx-instruct",
    config: {
      model_type: "dbrx",
      n_layers: 40,
      n_heads: 48,
      d_model: 6144,
      attn_config: { kv_n_heads: 8, clip_qkv: 8 },
    },
    bytesPerToken: 163_840,
  },
  {
    id: "apple/OpenELM-270M",
    config: {
      model_type: "openelm",
      num_transformer_layers: 16,
      model_dim: 1280,
      head_dim: 64,
      num_query_heads: [12, 12, 12, 12, 12, 16, 16, 16, 16, 16, 16, 16, 20, 20, 20, 20],
      num_kv_heads: [3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5],
    },
    bytesPerToken: 16_128,
  },
];

/** Multi-head latent attention. */
const LATENT: readonly PublishedModel[] = [
  {
    id: "deepseek-ai/DeepSeek-V2-Lite",
    config: latent("deepseek_v2", 27, { num_attention_heads: 16, hidden_size: 2048 }),
    bytesPerToken: 31_104,
    published: "vllm-project/vllm#15871: vLLM needs 0.95 GiB for 32,768 tokens",
    configSeen: MAXTEXT,
  },
  {
    id: "deepseek-ai/DeepSeek-V2",
    config: latent("deepseek_v2", 60, { hidden_size: 5120 }),
    bytesPerToken: 69_120,
    published: "arXiv:2405.04434 (DeepSeek-V2), table 1: (d_c + d_h^R) l = 4.5 d_h l elements",
  },
  {
    id: "deepseek-ai/DeepSeek-V3",
    config: latent("deepseek_v3", 61, { num_nextn_predict_layers: 1 }),
    bytesPerToken: 70_272,
    published: `${DEEPSEEK_INSIGHTS}: 70.272 KB; ${GALLERY}: 68.6 KiB`,
    configSeen: MAXTEXT,
  },
  {
    id: "deepseek-ai/DeepSeek-R1 with its MTP layer",
    config: latent("deepseek_v3", 61, { num_nextn_predict_layers: 1 }),
    options: { mtp: true },
    bytesPerToken: 71_424,
  },
  {
    id: "deepseek-ai/DeepSeek-R1 in q8_0, llama.cpp",
    config: latent("deepseek_v3", 61, { num_nextn_predict_layers: 1 }),
    options: { engine: "llamacpp", precision: "int8" },
    bytesPerToken: 37_332,
    published: "ikawrakow/ik_llama.cpp#259: 1166.62 MiB at 32,768 tokens",
  },
  {
    id: "deepseek-ai/DeepSeek-V3.2-Exp in fp8, vLLM",
    config: latent("deepseek_v32", 61, { index_head_dim: 128, index_n_heads: 64 }),
    options: { engine: "vllm", precision: "fp8" },
    bytesPerToken: 61 * (656 + 132),
    published: "vllm/v1/kv_cache_interface.py: 656 bytes for fp8_ds_mla; indexer 128 + 4",
    configSeen: `${MAXTEXT} (V3.2)`,
  },
  {
    id: "deepseek-ai/DeepSeek-V3.2-Exp in bf16",
    config: latent("deepseek_v32", 61, { index_head_dim: 128, index_n_heads: 64 }),
    options: { precision: "bf16" },
    bytesPerToken: 78_324,
    configSeen: `${MAXTEXT} (V3.2)`,
  },
  {
    id: "moonshotai/Kimi-K2-Instruct",
    config: latent("kimi_k2", 61, { num_attention_heads: 64, num_key_value_heads: 64 }),
    bytesPerToken: 70_272,
    published: `${GALLERY}: 68.6 KiB`,
    configSeen: AICONFIGURATOR,
  },
  {
    id: "zai-org/GLM-5",
    config: latent("glm_moe_dsa", 78, {
      num_attention_heads: 64,
      num_key_value_heads: 64,
      hidden_size: 6144,
      qk_nope_head_dim: 192,
      v_head_dim: 256,
      index_head_dim: 128,
      index_n_heads: 32,
    }),
    bytesPerToken: 78 * (576 * 2 + 132),
    configSeen: MAXTEXT,
  },
];

/** Windows, chunks, shared layers. */
const WINDOWS: readonly PublishedModel[] = [
  {
    id: "mistralai/Mistral-7B-v0.1",
    config: derived("mistral", [32, 32, 8, 4096], { sliding_window: 4096 }),
    bytesPerToken: 131_072,
    beyondWindows: 0,
    published: "github.com/huggingface/blog, faster-transformers: no growth after 4096 tokens",
    configSeen: LITGPT,
  },
  {
    id: "google/gemma-2-9b",
    config: attention("gemma2", [42, 16, 8, 256, 3584], { sliding_window: 4096 }),
    bytesPerToken: 344_064,
    beyondWindows: 172_032,
    configSeen: MAXTEXT,
  },
  {
    id: "google/gemma-3-270m",
    config: attention("gemma3_text", [18, 4, 1, 256, 640], {
      sliding_window: 512,
      sliding_window_pattern: 6,
    }),
    bytesPerToken: 18_432,
    beyondWindows: 3_072,
    published: `unslothai/unsloth#7530: 18.0 MiB for 1024 cells in llama.cpp; ${GALLERY}: 18 KiB`,
  },
  {
    id: "google/gemma-3-1b-it",
    config: attention("gemma3_text", [26, 4, 1, 256, 1152], {
      sliding_window: 512,
      sliding_window_pattern: 6,
    }),
    bytesPerToken: 26_624,
    beyondWindows: 4_096,
    configSeen: LITGPT,
  },
  {
    id: "google/gemma-3-4b-it, whose config leaves its heads out",
    config: {
      model_type: "gemma3",
      text_config: {
        model_type: "gemma3_text",
        hidden_size: 2560,
        num_hidden_layers: 34,
        sliding_window: 1024,
      },
    },
    bytesPerToken: 139_264,
    beyondWindows: 20_480,
    configSeen: MAXTEXT,
  },
  {
    id: "google/gemma-3-27b-it",
    config: {
      model_type: "gemma3",
      text_config: attention("gemma3_text", [62, 32, 16, 128, 5376], { sliding_window: 1024 }),
    },
    bytesPerToken: 507_904,
    beyondWindows: 81_920,
    published: `${GALLERY}: 496 KiB`,
    configSeen: MAXTEXT,
  },
  {
    id: "google/gemma-3-27b-it, vLLM",
    config: {
      model_type: "gemma3",
      text_config: attention("gemma3_text", [62, 32, 16, 128, 5376], { sliding_window: 1024 }),
    },
    options: { engine: "vllm" },
    // One full group and six with windows of ten layers each, eight of them padding.
    bytesPerToken: 70 * 8_192,
    beyondWindows: 81_920,
    published: "vLLM, docs/design/hybrid_kv_cache_manager.md, case 3",
    configSeen: MAXTEXT,
  },
  {
    id: "google/gemma-3n-E4B-it",
    config: {
      model_type: "gemma3n",
      text_config: attention("gemma3n_text", [35, 8, 2, 256, 2048], {
        num_kv_shared_layers: 15,
        sliding_window: 512,
      }),
    },
    // The first 20 layers keep a cache: 16 with a window, 4 without.
    bytesPerToken: 40_960,
    beyondWindows: 8_192,
    published:
      "ggml-org/llama.cpp#14604: 256.00 MiB for 32,768 cells in the 4 layers without a window",
    configSeen: `${TRANSFORMERS}, configuration_gemma3n.py`,
  },
  {
    id: "google/gemma-4-31B-it",
    config: {
      model_type: "gemma4",
      text_config: attention("gemma4_text", [60, 32, 16, 256, 5376], {
        attention_k_eq_v: true,
        global_head_dim: 512,
        num_global_key_value_heads: 4,
        sliding_window: 1024,
      }),
    },
    bytesPerToken: 50 * 16_384 + 10 * 8_192,
    beyondWindows: 81_920,
    configSeen: MAXTEXT,
  },
  {
    id: "google/gemma-4-26B-A4B-it",
    config: {
      model_type: "gemma4",
      text_config: attention("gemma4_text", [30, 16, 8, 256, 2816], {
        attention_k_eq_v: true,
        global_head_dim: 512,
        num_global_key_value_heads: 2,
        num_kv_shared_layers: 0,
        sliding_window: 1024,
      }),
    },
    bytesPerToken: 25 * 8_192 + 5 * 4_096,
    beyondWindows: 20_480,
    configSeen: MAXTEXT,
  },
  {
    id: "google/gemma-4-E2B-it",
    config: {
      model_type: "gemma4",
      text_config: attention("gemma4_text", [35, 8, 1, 256, 1536], {
        attention_k_eq_v: false,
        global_head_dim: 512,
        num_global_key_value_heads: null,
        num_kv_shared_layers: 20,
        sliding_window: 512,
        layer_types: Array.from(
          { length: 35 },
          (_, i) => i % 5 === 4 ? "full_attention" : "sliding_attention",
        ),
      }),
    },
    // The first 15 layers keep a cache: 12 with a window, 3 without.
    bytesPerToken: 12 * 1_024 + 3 * 2_048,
    beyondWindows: 6_144,
    configSeen: MAXTEXT,
  },
  {
    id: "openai/gpt-oss-20b",
    config: attention("gpt_oss", [24, 64, 8, 64, 2880], { sliding_window: 128 }),
    bytesPerToken: 49_152,
    beyondWindows: 24_576,
    published: `${GALLERY}: 48 KiB`,
    configSeen: MAXTEXT,
  },
  {
    id: "openai/gpt-oss-120b, vLLM",
    config: attention("gpt_oss", [36, 64, 8, 64, 2880], { sliding_window: 128 }),
    options: { engine: "vllm" },
    bytesPerToken: 73_728,
    beyondWindows: 36_864,
    published:
      `vllm/v1/core/kv_cache_utils.py: two groups of 18 layers, 2,048 bytes each; ${GALLERY}: 72 KiB`,
    configSeen: MAXTEXT,
  },
  {
    id: "meta-llama/Llama-4-Scout-17B-16E",
    config: {
      model_type: "llama4",
      text_config: attention("llama4_text", [48, 40, 8, 128, 5120], {
        attention_chunk_size: 8192,
        no_rope_layers: [],
      }),
    },
    bytesPerToken: 196_608,
    beyondWindows: 49_152,
    published: `${GALLERY} (Maverick, the same attention): 192 KiB`,
    configSeen: `${TRANSFORMERS}, configuration_llama4.py`,
  },
  {
    id: "CohereForAI/c4ai-command-r7b-12-2024",
    config: derived("cohere2", [32, 32, 8, 4096], {
      sliding_window: 4096,
      sliding_window_pattern: 4,
    }),
    bytesPerToken: 131_072,
    beyondWindows: 32_768,
  },
  {
    id: "LGAI-EXAONE/EXAONE-4.0-32B",
    config: attention("exaone4", [64, 40, 8, 128, 5120], {
      sliding_window: 4096,
      sliding_window_pattern: "LLLG",
    }),
    bytesPerToken: 262_144,
    beyondWindows: 65_536,
  },
  {
    id: "allenai/Olmo-3-1025-7B",
    config: derived("olmo3", [32, 32, 32, 4096], { sliding_window: 4096 }),
    bytesPerToken: 524_288,
    beyondWindows: 131_072,
    published: `${GALLERY}: 512 KiB`,
    configSeen: MAXTEXT,
  },
  {
    id: "allenai/Olmo-3-32B-Think",
    config: derived("olmo3", [64, 40, 8, 5120], { sliding_window: 4096 }),
    bytesPerToken: 262_144,
    beyondWindows: 65_536,
    published: `${GALLERY}: 256 KiB`,
    configSeen: MAXTEXT,
  },
];

/** Hybrids: a part for each token, and a state for each sequence. */
const HYBRIDS: readonly PublishedModel[] = [
  {
    id: "Qwen/Qwen3-Next-80B-A3B-Instruct",
    config: attention("qwen3_next", [48, 16, 2, 256, 2048], {
      full_attention_interval: 4,
      linear_conv_kernel_dim: 4,
      linear_key_head_dim: 128,
      linear_num_key_heads: 16,
      linear_num_value_heads: 32,
      linear_value_head_dim: 128,
    }),
    bytesPerToken: 24_576,
    perSequence: 36 * 2 * (3 * 8_192 + 32 * 128 * 128),
    published: `${GALLERY}: 24 KiB`,
    configSeen: AICONFIGURATOR,
  },
  {
    id: "Qwen/Qwen3.5-397B-A17B",
    config: {
      model_type: "qwen3_5_moe",
      text_config: attention("qwen3_5_moe_text", [60, 32, 2, 256, 4096], {
        full_attention_interval: 4,
        linear_conv_kernel_dim: 4,
        linear_key_head_dim: 128,
        linear_num_key_heads: 16,
        linear_num_value_heads: 64,
        linear_value_head_dim: 128,
        mamba_ssm_dtype: "float32",
        mtp_num_hidden_layers: 1,
      }),
    },
    bytesPerToken: 30_720,
    perSequence: 45 * (2 * 3 * 12_288 + 4 * 64 * 128 * 128),
    published: `${GALLERY}: 30 KiB`,
    configSeen: MAXTEXT,
  },
  {
    id: "Qwen/Qwen3.5-35B-A3B",
    config: {
      model_type: "qwen3_5_moe",
      text_config: attention("qwen3_5_moe_text", [40, 16, 2, 256, 2048], {
        full_attention_interval: 4,
        linear_conv_kernel_dim: 4,
        linear_key_head_dim: 128,
        linear_num_key_heads: 16,
        linear_num_value_heads: 32,
        linear_value_head_dim: 128,
        mamba_ssm_dtype: "float32",
        mtp_num_hidden_layers: 1,
      }),
    },
    bytesPerToken: 20_480,
    perSequence: 30 * (2 * 3 * 8_192 + 4 * 32 * 128 * 128),
    published: `${GALLERY} (Qwen3.6, the same attention): 20 KiB`,
    configSeen: MAXTEXT,
  },
  {
    id: "ai21labs/Jamba-v0.1",
    config: derived("jamba", [32, 32, 8, 4096], {
      attn_layer_offset: 4,
      attn_layer_period: 8,
      mamba_d_conv: 4,
      mamba_d_state: 16,
      mamba_expand: 2,
    }),
    bytesPerToken: 16_384,
    perSequence: 28 * 2 * (3 + 16) * 8_192,
    published: "arXiv:2403.19887 (Jamba), table 1: 4 GB for 256K tokens",
    configSeen: `${TRANSFORMERS}, configuration_jamba.py`,
  },
  {
    id: "nvidia/Nemotron-H-8B-Base-8K",
    config: {
      model_type: "nemotron_h",
      num_hidden_layers: 52,
      hybrid_override_pattern: "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
      num_attention_heads: 32,
      num_key_value_heads: 8,
      attention_head_dim: 128,
      hidden_size: 4096,
      mamba_num_heads: 128,
      mamba_head_dim: 64,
      ssm_state_size: 128,
      n_groups: 8,
      conv_kernel: 4,
    },
    bytesPerToken: 16_384,
    perSequence: 24 * 2 * (3 * (8_192 + 2 * 8 * 128) + 8_192 * 128),
  },
  {
    id: "ibm-granite/granite-4.0-h-small",
    config: derived("granitemoehybrid", [40, 32, 8, 4096], {
      layer_types: Array.from({ length: 40 }, (_, i) => i % 10 === 5 ? "attention" : "mamba"),
      mamba_d_conv: 4,
      mamba_d_head: 64,
      mamba_d_state: 128,
      mamba_expand: 2,
      mamba_n_groups: 1,
      mamba_n_heads: 128,
    }),
    bytesPerToken: 16_384,
    perSequence: 36 * 2 * (3 * (8_192 + 2 * 128) + 8_192 * 128),
  },
  {
    id: "LiquidAI/LFM2-1.2B",
    config: derived("lfm2", [16, 32, 8, 2048], {
      conv_L_cache: 3,
      full_attn_idxs: [2, 5, 8, 10, 12, 14],
    }),
    bytesPerToken: 12_288,
    perSequence: 10 * 2 * 2 * 2048,
  },
  {
    id: "MiniMaxAI/MiniMax-Text-01",
    config: attention("minimax_text_01", [80, 64, 8, 128, 6144], {
      attn_type_list: Array.from({ length: 80 }, (_, i) => i % 8 === 7 ? 1 : 0),
    }),
    bytesPerToken: 40_960,
    perSequence: 70 * 4 * 64 * 128 * 128,
  },
  {
    id: "moonshotai/Kimi-Linear-48B-A3B-Instruct",
    config: latent("kimi_linear", 27, {
      num_attention_heads: 32,
      num_key_value_heads: 32,
      hidden_size: 2304,
      linear_attn_config: {
        full_attn_layers: [4, 8, 12, 16, 20, 24, 27],
        head_dim: 128,
        num_heads: 32,
        short_conv_kernel_size: 4,
      },
    }),
    bytesPerToken: 8_064,
    perSequence: 20 * (2 * 3 * 3 * 32 * 128 + 4 * 32 * 128 * 128),
    published: `${GALLERY}: 7.9 KiB`,
  },
];

/** Encoder and decoder: self-attention grows with the answer, cross-attention with the input. */
const ENCODER_DECODER: readonly PublishedModel[] = [
  {
    id: "google/flan-t5-xl, 512 tokens of input",
    config: {
      model_type: "t5",
      num_layers: 24,
      num_decoder_layers: 24,
      num_heads: 32,
      d_kv: 64,
      d_model: 2048,
    },
    options: { encoderTokens: 512 },
    bytesPerToken: 196_608,
    perSequence: 512 * 196_608,
  },
  {
    id: "openai/whisper-large-v3",
    config: {
      model_type: "whisper",
      encoder_layers: 32,
      decoder_layers: 32,
      num_hidden_layers: 32,
      decoder_attention_heads: 20,
      d_model: 1280,
      max_source_positions: 1500,
    },
    bytesPerToken: 163_840,
    perSequence: 1500 * 163_840,
  },
];

/** All of them. */
export const PUBLISHED_MODELS: readonly PublishedModel[] = [
  ...PLAIN,
  ...LATENT,
  ...WINDOWS,
  ...HYBRIDS,
  ...ENCODER_DECODER,
];

/** A published figure that is not the one that is computed here, and why. */
export interface Disagreement {
  readonly id: string;
  readonly published: string;
  /** Bytes per token by that source. */
  readonly theirs: number;
  readonly ours: number;
  readonly why: string;
}

/** Sources that disagree. `docs/kv-size.md` lists them. */
export const DISAGREEMENTS: readonly Disagreement[] = [
  {
    id: "deepseek-ai/DeepSeek-V3",
    published: "LMCache/LMCache#694, its KV cache calculator",
    theirs: 2 * 61 * 512 * 2,
    ours: 70_272,
    why: "counts the latent vector twice and leaves the 64 elements with positions out",
  },
  {
    id: "deepseek-ai/DeepSeek-V3",
    published: "ggml-org/llama.cpp#11397, llama.cpp before its MLA support of April 2025",
    theirs: (24_576 + 16_384) * 61 * 2,
    ours: 70_272,
    why: "that version kept all 128 heads, decompressed",
  },
  {
    id: "meta-llama/Llama-3.1-405B",
    published: "huggingface.co/blog/llama31: 123.05 GB for 128k tokens",
    theirs: 1_032_192,
    ours: 516_096,
    why: "the first release had 16 KV heads, each twice; the config has 8",
  },
  {
    id: "deepseek-ai/DeepSeek-V3.2-Exp in bf16",
    published: `${GALLERY}: 68.6 KiB`,
    theirs: 70_272,
    ours: 78_324,
    why: "leaves the cache of the indexer out, 132 bytes in each of 61 layers",
  },
  {
    id: "zai-org/GLM-5",
    published: `${GALLERY}: 87.8 KiB`,
    theirs: 89_856,
    ours: 100_152,
    why: "leaves the cache of the indexer out, 132 bytes in each of 78 layers",
  },
  {
    id: "google/gemma-4-31B-it",
    published: `${GALLERY}: 840 KiB`,
    theirs: 860_160,
    ours: 901_120,
    why: "counts K and V of layers without a window once, since one projection gives both; " +
      "but K is normed and rotated and V is not, so transformers caches both",
  },
  {
    id: "google/gemma-4-26B-A4B-it",
    published: `${GALLERY}: 210 KiB`,
    theirs: 215_040,
    ours: 225_280,
    why: "counts K and V of layers without a window once, as for Gemma 4 31B",
  },
  {
    id: "google/gemma-4-E2B-it",
    published: `${GALLERY}: 35 KiB`,
    theirs: 35_840,
    ours: 18_432,
    why: "counts 35 layers with heads of 256; the last 20 keep no cache, and the heads of " +
      "layers without a window have 512",
  },
  {
    id: "meta-llama/Llama-2-13b-hf",
    published: "mintlify.com/vllm-project/vllm, paged attention: about 1.5 MB for a 13B model",
    theirs: 1_572_864,
    ours: 819_200,
    why: "3 GB for 2048 tokens is twice 40 layers × 5120 × 2 × 2 bytes",
  },
  {
    id: "Qwen/Qwen2.5-Coder-32B-Instruct",
    published: "the table inside the Python suite's testers (fp8)",
    theirs: 60_000,
    ours: 131_072,
    why: "the table has one figure for all models of that name",
  },
  {
    id: "Qwen/Qwen3-Coder-30B-A3B-Instruct",
    published: "the table inside the Python suite's testers (fp8)",
    theirs: 60_000,
    ours: 49_152,
    why: "the table has rounded figures",
  },
];
