import assert from "node:assert/strict";
import { readConfig } from "./config.ts";
import { type KvSize, kvSize, type KvSizeOptions } from "./kv_size.ts";
import { DISAGREEMENTS, PUBLISHED_MODELS, type PublishedModel } from "./published_models.ts";

function size(model: PublishedModel, options: Partial<KvSizeOptions> = {}) {
  const shape = readConfig(model.config, { source: `config.json of ${model.id}` });
  return kvSize(shape, { precision: "fp16", ...model.options, ...options });
}

function named(id: string): PublishedModel {
  const model = PUBLISHED_MODELS.find((one) => one.id === id);
  assert.ok(model !== undefined, id);
  return model;
}

for (const model of PUBLISHED_MODELS) {
  Deno.test(`kvSize() gives the figure of ${model.id}`, () => {
    const { bytesPerToken, bytesPerTokenBeyondWindows, bytesPerSequence } = size(model);
    assert.equal(bytesPerToken, model.bytesPerToken);
    assert.equal(bytesPerTokenBeyondWindows, model.beyondWindows ?? model.bytesPerToken);
    assert.equal(bytesPerSequence, model.perSequence ?? 0);
  });
}

Deno.test("the table of published models is as large as it is meant to be", () => {
  assert.ok(PUBLISHED_MODELS.length >= 30);
  assert.equal(new Set(PUBLISHED_MODELS.map(({ id }) => id)).size, PUBLISHED_MODELS.length);
  assert.ok(PUBLISHED_MODELS.filter(({ published }) => published !== undefined).length >= 45);
  assert.ok(PUBLISHED_MODELS.filter(({ configSeen }) => configSeen !== undefined).length >= 45);
});

/** A number as a source prints it, and the bytes that it stands for. */
interface Printed {
  readonly id: string;
  readonly source: string;
  /** With all its digits: half a unit of the last one is what it may be off. */
  readonly printed: string;
  readonly unit: number;
  readonly bytes: (size: KvSize) => number;
  readonly options?: Partial<KvSizeOptions>;
}

/** What the gallery prints for a token. */
const GALLERY_KIB = /llm-architecture-gallery(?: \([^)]*\))?: ([\d.]+) KiB/;

const KB = 1000;
const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** What engines, papers and guides printed. SGLang and Hugging Face write GB and mean GiB. */
const PRINTED: readonly Printed[] = [
  {
    id: "deepseek-ai/DeepSeek-R1 in q8_0, llama.cpp",
    source: "ikawrakow/ik_llama.cpp#259: KV self size = 1166.62 MiB",
    printed: "1166.62",
    unit: MIB,
    bytes: (size) => size.at(32_768).bytes,
  },
  {
    id: "Qwen/Qwen3-235B-A22B-FP8 on one of 4 GPUs, SGLang",
    source: "vllm-project/vllm#21348: #tokens: 367404, K size: 8.23 GB, V size: 8.23 GB",
    printed: "8.23",
    unit: GIB,
    bytes: (size) => 367_404 * size.bytesPerTokenPerGpu / 2,
  },
  {
    id: "meta-llama/Llama-3.1-8B-Instruct",
    source: "vllm-project/vllm#10517: kv_cache_size=3.81GiB, # GPU blocks: 1952",
    printed: "3.81",
    unit: GIB,
    bytes: (size) => size.at(1952 * 16).bytes,
    options: { engine: "vllm" },
  },
  {
    id: "meta-llama/Llama-3.1-8B-Instruct",
    source: "vllm-project/vllm#10517: kv_cache_size=2.89GiB, # GPU blocks: 1478",
    printed: "2.89",
    unit: GIB,
    bytes: (size) => size.at(1478 * 16).bytes,
    options: { engine: "vllm" },
  },
  {
    id: "Qwen/Qwen3-Coder-480B-A35B-Instruct",
    source: "vllm-project/recipes#12: 62.00 GiB KV cache is needed for 262144 tokens",
    printed: "62.00",
    unit: GIB,
    bytes: (size) => size.at(262_144).bytes,
    options: { engine: "vllm" },
  },
  {
    id: "Qwen/Qwen3-Coder-480B-A35B-Instruct",
    source: "vllm-project/recipes#12: 48.66 GiB hold 205728 tokens",
    printed: "48.66",
    unit: GIB,
    bytes: (size) => size.at(205_728).bytes,
    options: { engine: "vllm" },
  },
  {
    id: "Qwen/Qwen3-Coder-480B-A35B-Instruct",
    source: "vllm-project/recipes#12: 55.65 GiB hold 235296 tokens",
    printed: "55.65",
    unit: GIB,
    bytes: (size) => size.at(235_296).bytes,
    options: { engine: "vllm" },
  },
  {
    id: "deepseek-ai/DeepSeek-V2-Lite",
    source: "vllm-project/vllm#15871: 0.95 GiB KV cache is needed for 32768 tokens",
    printed: "0.95",
    unit: GIB,
    bytes: (size) => size.at(32_768).bytes,
    options: { engine: "vllm" },
  },
  {
    id: "Qwen/Qwen3-4B",
    source: "pegainfer-project/pegainfer#422: 5385 blocks of 16 tokens take 12116 MiB",
    printed: "12116",
    unit: MIB,
    bytes: (size) => 5385 * 16 * size.bytesPerToken,
  },
  {
    id: "google/gemma-3n-E4B-it",
    source: "ggml-org/llama.cpp#14604: size = 256.00 MiB (32768 cells, 4 layers)",
    printed: "256.00",
    unit: MIB,
    bytes: (size) => 32_768 * size.bytesPerTokenBeyondWindows,
  },
  {
    id: "google/gemma-3-270m",
    source: "unslothai/unsloth#7530: llama.cpp gives 1024 cells 18.0 MiB",
    printed: "18.0",
    unit: MIB,
    bytes: (size) => size.at(1024).bytes,
    options: { engine: "llamacpp" },
  },
  {
    id: "meta-llama/Llama-3.1-8B-Instruct",
    source: "huggingface.co/blog/llama31: 15.62 GB for 128k tokens",
    printed: "15.62",
    unit: GIB,
    bytes: (size) => size.at(128_000).bytes,
  },
  {
    id: "meta-llama/Llama-3.3-70B-Instruct",
    source: "huggingface.co/blog/llama31 (Llama 3.1 70B): 39.06 GB for 128k tokens",
    printed: "39.06",
    unit: GIB,
    bytes: (size) => size.at(128_000).bytes,
  },
  ...([
    ["deepseek-ai/DeepSeek-V3", "70.272"],
    ["Qwen/Qwen2.5-72B-Instruct", "327.680"],
    ["meta-llama/Llama-3.1-405B", "516.096"],
  ] as const).map(([id, printed]) => ({
    id,
    source: "arXiv:2505.09343, table 1",
    printed,
    unit: KB,
    bytes: (size: KvSize) => size.bytesPerToken,
  })),
  ...([
    ["mistralai/Mixtral-8x7B-v0.1", "256.00"],
    ["meta-llama/Llama-3.1-8B-Instruct", "256.00"],
    ["meta-llama/Llama-3.3-70B-Instruct", "640.00"],
    ["Qwen/Qwen2.5-Coder-32B-Instruct", "512.00"],
    ["01-ai/Yi-1.5-34B-Chat", "480.00"],
    ["CohereForAI/c4ai-command-r-v01", "2560.00"],
  ] as const).map(([id, printed]) => ({
    id,
    source: "huggingface.co/dranger003/c4ai-command-r-v01-iMat.GGUF/discussions/6: 2048 tokens",
    printed,
    unit: MIB,
    bytes: (size: KvSize) => size.at(2048).bytes,
    options: { engine: "llamacpp" as const },
  })),
  {
    id: "facebook/opt-13b",
    source: "arXiv:2309.06180, section 3: 800 KB",
    printed: "800",
    unit: KIB,
    bytes: (size) => size.bytesPerToken,
  },
  {
    id: "meta-llama/Llama-2-7b-hf",
    source: "developer.nvidia.com, Mastering LLM Techniques: ~2 GB for 4096 tokens",
    printed: "2",
    unit: GIB,
    bytes: (size) => size.at(4096).bytes,
  },
  {
    id: "deepseek-ai/DeepSeek-V2",
    source: "arXiv:2405.04434, table 1: 4.5 d_h l elements, with d_h = 128 and l = 60",
    printed: String(4.5 * 128 * 60),
    unit: 2,
    bytes: (size) => size.bytesPerToken,
  },
  {
    id: "ai21labs/Jamba-v0.1",
    source: "arXiv:2403.19887, table 1: 4 GB for 256K tokens",
    printed: "4",
    unit: GIB,
    bytes: (size) => size.at(262_144).bytes - size.bytesPerSequence,
  },
];

function assertPrinted(bytes: number, unit: number, printed: string, message: string): void {
  const digits = printed.split(".")[1]?.length ?? 0;
  // Halves are rounded up by some printers and to even by others.
  const tolerance = 0.5 * 10 ** -digits * (1 + 1e-9);
  const value = bytes / unit;
  assert.ok(Math.abs(value - Number(printed)) <= tolerance, `${message}: computed ${value}`);
}

Deno.test("kvSize() agrees with what engines, papers and guides printed", () => {
  for (const { id, source, printed, unit, bytes, options } of PRINTED) {
    assertPrinted(bytes(size(named(id), options)), unit, printed, `${id}, ${source}`);
  }
});

Deno.test("kvSize() agrees with each figure of the LLM Architecture Gallery", () => {
  let figures = 0;
  for (const { id, published, bytesPerToken } of PUBLISHED_MODELS) {
    const kib = GALLERY_KIB.exec(published ?? "")?.[1];
    if (kib === undefined) continue;
    figures += 1;
    assertPrinted(bytesPerToken, KIB, kib, `${id}, gallery`);
  }
  assert.ok(figures >= 30, `${figures}`);
});

Deno.test("kvSize() stands by its figure where sources disagree", () => {
  for (const { id, published, theirs, ours, why } of DISAGREEMENTS) {
    const kib = GALLERY_KIB.exec(published)?.[1];
    if (kib !== undefined) assertPrinted(theirs, KIB, kib, `${id}, gallery`);
    assert.notEqual(theirs, ours, id);
    assert.ok(why.length > 20);
    const known = PUBLISHED_MODELS.find((model) => model.id === id);
    if (known === undefined) continue;
    const fp8 = size(known, { precision: "fp8" }).bytesPerToken;
    assert.ok([fp8, known.bytesPerToken].includes(ours), `${id}: ${ours}`);
  }
});

Deno.test("docs/kv-size.md has every model and every disagreement of the tables", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/kv-size.md", import.meta.url));
  for (const { id, bytesPerToken, published = "", configSeen = "" } of PUBLISHED_MODELS) {
    const row = page.split("\n").find((line) => line.includes(`| ${id} `)) ?? "";
    assert.ok(row.includes(bytesPerToken.toLocaleString("en-US")), `${id} in docs/kv-size.md`);
    assert.ok(row.includes(published), `the source of ${id} in docs/kv-size.md`);
    assert.ok(row.includes(configSeen), `where the facts of ${id} are from in docs/kv-size.md`);
  }
  for (const { id, theirs } of DISAGREEMENTS) {
    const row = page.split("\n").find((line) =>
      line.includes(`| ${id} `) && line.includes(theirs.toLocaleString("en-US"))
    );
    assert.ok(row !== undefined, `${id}, ${theirs} in docs/kv-size.md`);
  }
});
