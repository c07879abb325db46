import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import { denoHost } from "../host.ts";
import { kvSize } from "./kv_size.ts";
import { findModel } from "./source.ts";

type Value = string | number | readonly number[] | readonly boolean[];

/** A GGUF file (version 3) of metadata alone. */
function ggufFile(metadata: Readonly<Record<string, Value>>): Uint8Array {
  const bytes: number[] = [];
  const u32 = (value: number) => {
    for (let i = 0; i < 4; i++) bytes.push((value >>> (8 * i)) & 255);
  };
  const u64 = (value: number) => (u32(value), u32(0));
  const text = (value: string) => {
    const encoded = new TextEncoder().encode(value);
    u64(encoded.length);
    bytes.push(...encoded);
  };
  bytes.push(...new TextEncoder().encode("GGUF"));
  u32(3);
  u64(0);
  u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    text(key);
    if (typeof value === "string") (u32(8), text(value));
    else if (typeof value === "number") (u32(4), u32(value));
    else if (typeof value[0] === "boolean") {
      u32(9), u32(7), u64(value.length);
      for (const one of value) bytes.push(one ? 1 : 0);
    } else {
      u32(9), u32(4), u64(value.length);
      for (const one of value) u32(Number(one));
    }
  }
  while (bytes.length % 32 !== 0) bytes.push(0);
  return Uint8Array.from(bytes);
}

const { files } = denoHost(import.meta.url);

async function modelOf(bytes: Uint8Array) {
  const path = await Deno.makeTempFile({ suffix: ".gguf" });
  try {
    await Deno.writeFile(path, bytes);
    return await findModel(path, { files, env: () => undefined, offline: true });
  } finally {
    await Deno.remove(path);
  }
}

async function sizeOf(metadata: Readonly<Record<string, Value>>) {
  const found = await modelOf(ggufFile(metadata));
  assert.ok(found.isGguf);
  return kvSize(found.shape, { precision: "fp16", engine: "llamacpp" });
}

/** Keys behind the name of the architecture. */
function metadata(architecture: string, values: Readonly<Record<string, Value>>) {
  return {
    "general.architecture": architecture,
    ...Object.fromEntries(Object.entries(values).map(([k, v]) => [`${architecture}.${k}`, v])),
  };
}

Deno.test("a GGUF file gives what its model gives", async () => {
  const llama = await sizeOf(metadata("llama", {
    block_count: 32,
    context_length: 8192,
    embedding_length: 4096,
    "attention.head_count": 32,
    "attention.head_count_kv": 8,
    "rope.dimension_count": 128,
  }));
  assert.equal(llama.bytesPerToken, 131_072);
  assert.equal(llama.at(2048).bytes, 256 * 2 ** 20);

  const gptOss = await sizeOf(metadata("gpt-oss", {
    block_count: 24,
    embedding_length: 2880,
    "attention.head_count": 64,
    "attention.head_count_kv": 8,
    "attention.key_length": 64,
    "attention.value_length": 64,
    "attention.sliding_window": 128,
  }));
  assert.equal(gptOss.bytesPerToken, 49_152);
  assert.equal(gptOss.bytesPerTokenBeyondWindows, 24_576);
});

Deno.test("a GGUF file of DeepSeek has the latent vector and an MTP layer apart", async () => {
  const deepseek = await sizeOf(metadata("deepseek2", {
    block_count: 62,
    nextn_predict_layers: 1,
    embedding_length: 7168,
    "attention.head_count": 128,
    "attention.head_count_kv": 1,
    "attention.key_length": 576,
    "attention.value_length": 512,
    "attention.kv_lora_rank": 512,
    "rope.dimension_count": 64,
  }));
  assert.equal(deepseek.bytesPerToken, 70_272);
  assert.equal(deepseek.mtpBytesPerToken, 1_152);
});

Deno.test("a GGUF file of a hybrid tells its attention layers by their KV heads", async () => {
  const granite = await sizeOf(metadata("granitehybrid", {
    block_count: 4,
    embedding_length: 4096,
    "attention.head_count": 32,
    "attention.head_count_kv": [0, 8, 0, 0],
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 8192,
    "ssm.state_size": 128,
    "ssm.group_count": 1,
    "ssm.time_step_rank": 128,
  }));
  assert.equal(granite.bytesPerToken, 2 * 8 * 128 * 2);
  // llama.cpp keeps states in f32.
  assert.equal(granite.bytesPerSequence, 3 * 4 * (3 * (8192 + 2 * 128) + 8192 * 128));
  const nemotron = await sizeOf(metadata("nemotron_h", {
    block_count: 3,
    embedding_length: 4096,
    feed_forward_length: [0, 0, 21504],
    "attention.head_count": [0, 32, 0],
    "attention.head_count_kv": [0, 8, 0],
    "attention.key_length": 128,
    "attention.value_length": 128,
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 8192,
    "ssm.state_size": 128,
    "ssm.group_count": 8,
    "ssm.time_step_rank": 128,
  }));
  assert.equal(nemotron.bytesPerToken, 2 * 8 * 128 * 2);
  assert.equal(nemotron.bytesPerSequence, 4 * (3 * (8192 + 2 * 8 * 128) + 8192 * 128));
  const gemma = await sizeOf(metadata("gemma4", {
    block_count: 2,
    embedding_length: 4096,
    "attention.head_count": 32,
    "attention.head_count_kv": [16, 4],
    "attention.key_length": 512,
    "attention.value_length": 512,
    "attention.key_length_swa": 256,
    "attention.value_length_swa": 256,
    "attention.sliding_window": 1024,
    "attention.sliding_window_pattern": [true, false],
  }));
  assert.equal(gemma.bytesPerToken, 2 * (2 * 16 * 256 + 2 * 4 * 512));
});

Deno.test("a file that is no GGUF file, or a damaged one, is one clear error", async () => {
  const whole = ggufFile(metadata("llama", { block_count: 32 }));
  const wrong = Uint8Array.from(whole);
  wrong[4] = 99;
  for (
    const bytes of [
      new Uint8Array(0),
      new TextEncoder().encode("hello, this is not a model"),
      whole.slice(0, 40),
      wrong,
      // A count of entries that no file can hold.
      Uint8Array.from(whole, (byte, i) => i >= 16 && i < 24 ? 255 : byte),
      whole,
      ggufFile({}),
    ]
  ) {
    await assert.rejects(modelOf(bytes), (error) => {
      assert.ok(error instanceof KvmarkError, String(error));
      assert.equal(error.kind, "usage");
      assert.match(error.message, /^The GGUF file .* cannot be used: /);
      assert.ok(error.hint !== undefined);
      return true;
    });
  }
});
