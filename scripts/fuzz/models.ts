/**
 * Files of models.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { readConfig } from "../../lib/model/config.ts";
import { isObject } from "../../lib/model/config_reader.ts";
import { ggufConfig, readGguf } from "../../lib/model/gguf.ts";
import { kvSize } from "../../lib/model/kv_size.ts";
import { loadTokenizerJson } from "../../lib/prompt/tokenizer.ts";
import { unigramTokenizer, wordPieceTokenizer } from "../../tests/support/tokenizers.ts";
import { byteEdits, edited, jsonEdited, jsonEdits } from "./mutations.ts";
import { onlyKvmarkErrors, target } from "./target.ts";

const encoder = new TextEncoder();

const TOKENIZERS = [
  unigramTokenizer([..."abc"].map((letter) => letter.repeat(4))),
  wordPieceTokenizer(["one", "two", "##s"]),
];
const CONFIGS: readonly unknown[] = [
  {
    model_type: "llama",
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    hidden_size: 4096,
    max_position_embeddings: 8192,
    torch_dtype: "bfloat16",
  },
  {
    model_type: "deepseek_v3",
    num_hidden_layers: 61,
    num_attention_heads: 128,
    kv_lora_rank: 512,
    qk_rope_head_dim: 64,
  },
  {
    model_type: "gemma3",
    text_config: {
      model_type: "gemma3_text",
      num_hidden_layers: 26,
      num_attention_heads: 8,
      num_key_value_heads: 4,
      head_dim: 256,
      sliding_window: 1024,
      sliding_window_pattern: 6,
    },
  },
  {
    model_type: "qwen3_next",
    num_hidden_layers: 48,
    num_attention_heads: 16,
    num_key_value_heads: 2,
    head_dim: 256,
    full_attention_interval: 4,
    linear_conv_kernel_dim: 4,
    linear_key_head_dim: 128,
    linear_num_key_heads: 16,
    linear_num_value_heads: 32,
    linear_value_head_dim: 128,
  },
];

const GGUF = {
  "general.architecture": "llama",
  "llama.block_count": 32,
  "llama.attention.head_count": 32,
  "llama.attention.head_count_kv": 8,
  "llama.embedding_length": 4096,
  "llama.context_length": 8192,
  "llama.attention.sliding_window_pattern": [true, false],
};
const GGUF_BYTES = ggufBytes(GGUF);

/** Targets. */
export const MODELS = [
  target(
    "tokenizer.json: with changed entries",
    fc.tuple(fc.constantFrom(...TOKENIZERS), jsonEdits, fc.string({ maxLength: 20 })),
    async ([base, edits, text]) => {
      await onlyKvmarkErrors(["io"], async () => {
        const loaded = loadTokenizerJson(jsonEdited(base, edits), undefined, "file");
        const ids = await loaded.encode(text);
        assert.ok(Array.isArray(ids));
        loaded.vocabularyWords?.();
      });
    },
  ),
  target(
    "config.json: with changed entries",
    fc.tuple(fc.constantFrom(...CONFIGS), jsonEdits, fc.boolean()),
    async ([base, edits, assume]) => {
      await onlyKvmarkErrors(["usage"], () => assertSized(jsonEdited(base, edits), assume));
    },
  ),
  target("GGUF: metadata with changed entries", jsonEdits, async (edits) => {
    await onlyKvmarkErrors(["usage"], () => {
      const metadata = jsonEdited(GGUF, edits);
      if (!isObject(metadata)) return;
      assertSized(ggufConfig(metadata).config, true);
    });
  }),
  target("GGUF: files with changed bytes", byteEdits, async (edits) => {
    const path = await Deno.makeTempFile({ suffix: ".gguf" });
    try {
      await Deno.writeFile(path, edited(GGUF_BYTES, edits));
      await onlyKvmarkErrors(["usage", "io"], async () => {
        assertSized((await readGguf(path)).config, true);
      });
    } finally {
      await Deno.remove(path);
    }
  }),
];

/** A shape that was read gives sizes that are numbers, and none below zero. */
function assertSized(config: unknown, assume: boolean): void {
  const shape = readConfig(config, { source: "file", assume });
  for (const engine of [undefined, "vllm"] as const) {
    const size = kvSize(shape, { precision: "fp16", ...(engine === undefined ? {} : { engine }) });
    const { bytes } = size.at(1000);
    for (const value of [size.bytesPerToken, bytes]) {
      assert.ok(Number.isFinite(value) && value >= 0, `${value} bytes`);
    }
  }
}

/** A GGUF file of version 3 with text and 32-bit metadata and no tensor. */
function ggufBytes(metadata: Readonly<Record<string, unknown>>): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [...encoder.encode("GGUF"), ...u32(3), ...u64(0)];
  const entries = Object.entries(metadata).filter(([, value]) => !Array.isArray(value));
  bytes.push(...u64(entries.length));
  const text = (value: string) => [...u64(value.length), ...encoder.encode(value)];
  for (const [key, value] of entries) {
    bytes.push(...text(key));
    bytes.push(
      ...typeof value === "string"
        ? [...u32(8), ...text(value)]
        : [...u32(4), ...u32(Number(value))],
    );
  }
  return Uint8Array.from(bytes);
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function u64(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}
