import assert from "node:assert/strict";
import fc from "fast-check";
import { KvmarkError } from "../errors.ts";
import { tierCapacities } from "./capacity.ts";
import { readConfig } from "./config.ts";
import { bytesPerTokenByPrecision, kvSize, type KvSizeOptions } from "./kv_size.ts";
import { hasFormat, KV_ENGINES, type KvEngine, PRECISIONS } from "./precision.ts";
import type { AttentionCache, ModelShape, SequenceState, TokenCache } from "./shape.ts";
import { PUBLISHED_MODELS } from "./published_models.ts";

function shapeOf(
  caches: readonly TokenCache[],
  states: readonly SequenceState[] = [],
  modelType = "test",
): ModelShape {
  return {
    modelType,
    attention: "test",
    layers: caches.reduce((sum, cache) => sum + cache.layers, 0),
    caches,
    states,
    mtpCaches: [],
    assumed: false,
    notes: [],
  };
}

function count(most: number): fc.Arbitrary<number> {
  return fc.integer({ min: 1, max: most });
}

const attentionCache: fc.Arbitrary<AttentionCache> = fc.record({
  kind: fc.constant("attention"),
  layers: count(80),
  kvHeads: fc.constantFrom(1, 2, 3, 4, 5, 8, 16, 32, 71),
  keyDim: fc.constantFrom(64, 80, 96, 128, 192, 256),
  valueDim: fc.constantFrom(64, 128, 256),
  window: fc.option(
    fc.record({
      kind: fc.constantFrom("sliding", "chunked"),
      tokens: count(100_000),
    }),
    { nil: undefined },
  ),
}).map(({ window, ...cache }) => window === undefined ? cache : { ...cache, window });

const latentCache: fc.Arbitrary<TokenCache> = fc.record({
  kind: fc.constant("latent"),
  layers: count(80),
  rank: fc.constantFrom(256, 512),
  ropeDim: fc.constantFrom(0, 32, 64),
  sparse: fc.boolean(),
});

const state: fc.Arbitrary<SequenceState> = fc.record({
  name: fc.constant("Mamba-2"),
  layers: count(60),
  convElements: fc.integer({ min: 0, max: 50_000 }),
  recurrentElements: fc.integer({ min: 0, max: 1_000_000 }),
  recurrentFp32: fc.boolean(),
  convGroups: fc.record({ groups: count(8), elementsPerGroup: count(1000) }),
});

const shape = fc.tuple(
  fc.array(fc.oneof(attentionCache, latentCache), { minLength: 1, maxLength: 4 }),
  fc.array(state, { maxLength: 1 }),
  fc.constantFrom("test", "gpt_oss"),
).map(([caches, states, type]) => shapeOf(caches, states, type));

const engine = fc.constantFrom<KvEngine | undefined>(undefined, ...KV_ENGINES);

/** An engine and a precision that it has. */
const serving = fc.tuple(engine, fc.constantFrom(...PRECISIONS))
  .filter(([one, precision]) => hasFormat(precision, one))
  .map(([one, precision]): KvSizeOptions => ({
    precision,
    ...(one === undefined ? {} : { engine: one }),
  }));

const length = fc.integer({ min: 0, max: 1_000_000 });

function close(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.abs(expected), `${actual} ${expected}`);
}

Deno.test("kvSize() is linear in the batch", () => {
  fc.assert(fc.property(shape, serving, length, count(64), (model, options, tokens, batchSize) => {
    const one = kvSize(model, options).at(tokens);
    const many = kvSize(model, { ...options, batchSize }).at(tokens);
    close(many.bytes, batchSize * one.bytes);
    close(many.slopeBytesPerToken, batchSize * one.slopeBytesPerToken);
  }));
});

Deno.test("kvSize() is linear in the layers of every kind", () => {
  fc.assert(fc.property(shape, serving, length, count(5), (model, options, tokens, factor) => {
    const more = shapeOf(
      model.caches.map((cache) => ({ ...cache, layers: cache.layers * factor })),
      model.states.map((one) => ({ ...one, layers: one.layers * factor })),
      model.modelType,
    );
    const [one, many] = [kvSize(model, options), kvSize(more, options)];
    close(many.at(tokens).bytes, factor * one.at(tokens).bytes);
    close(many.bytesPerToken, factor * one.bytesPerToken);
  }));
});

Deno.test("kvSize() is linear in the bytes of an element", () => {
  fc.assert(fc.property(fc.array(attentionCache, { minLength: 1 }), length, (caches, tokens) => {
    const size = (precision: "fp8" | "fp16") => kvSize(shapeOf(caches), { precision });
    close(size("fp16").at(tokens).bytes, 2 * size("fp8").at(tokens).bytes);
    const { int8, int4, fp8 } = bytesPerTokenByPrecision(shapeOf(caches), { precision: "fp8" });
    const vectors = caches.reduce((sum, { layers, kvHeads }) => sum + 2 * layers * kvHeads, 0);
    assert.equal(int8, fp8! + 4 * vectors);
    assert.equal(int4, fp8! / 2 + 4 * vectors);
  }));
});

Deno.test("kvSize() grows with the length, by no more than its slope at the start", () => {
  fc.assert(fc.property(shape, serving, length, length, (model, options, a, b) => {
    const size = kvSize(model, options);
    const [short, long] = [size.at(Math.min(a, b)), size.at(Math.max(a, b))];
    assert.ok(long.bytes >= short.bytes);
    assert.ok(size.bytesPerTokenBeyondWindows <= size.at(0).slopeBytesPerToken);
    // Blocks aside, the slope at the start is the steepest.
    if (options.engine !== undefined) return;
    const grown = long.bytes - short.bytes;
    assert.ok(grown <= size.bytesPerToken * (long.tokens - short.tokens));
  }));
});

Deno.test("kvSize() never falls below what the windows and the rest need", () => {
  fc.assert(fc.property(shape, serving, length, (model, options, tokens) => {
    const needed = model.caches.reduce((sum, cache) => {
      const window = cache.kind === "attention" ? cache.window?.tokens ?? Infinity : Infinity;
      const own = kvSize(shapeOf([{ ...cache, layers: 1 }]), options).parts[0]!.bytesPerToken;
      return sum + cache.layers * own * Math.min(tokens, window);
    }, 0);
    assert.ok(kvSize(model, options).at(tokens).bytes >= needed * (1 - 1e-9));
  }));
});

Deno.test("kvSize() changes only at the end of a window without an engine", () => {
  const window = { kind: "sliding", tokens: 1000 } as const;
  const cache = { kind: "attention", kvHeads: 2, keyDim: 64, valueDim: 64 } as const;
  const size = kvSize(shapeOf([{ ...cache, layers: 3, window }, { ...cache, layers: 1 }]), {
    precision: "fp8",
  });
  assert.deepEqual(size.at(999), {
    tokens: 999,
    bytes: 999 * 1024,
    bytesPerGpu: 999 * 1024,
    slopeBytesPerToken: 1024,
  });
  assert.deepEqual(size.at(1000).slopeBytesPerToken, 256);
  assert.equal(size.at(5000).bytes, 1000 * 768 + 5000 * 256);
});

Deno.test("tensor parallelism never makes the share of a GPU larger, and replicates at most", () => {
  fc.assert(fc.property(shape, fc.constantFrom(...PRECISIONS), length, count(64), (
    model,
    precision,
    tokens,
    tp,
  ) => {
    const one = kvSize(model, { precision }).at(tokens);
    const { bytes, bytesPerGpu } = kvSize(model, { precision, tp }).at(tokens);
    assert.equal(bytes, one.bytes);
    assert.ok(bytesPerGpu <= one.bytes);
    assert.ok(bytesPerGpu * tp >= one.bytes);
    // No head is on more GPUs than there are GPUs for each head.
    const heads = model.caches.flatMap((one) => one.kind === "attention" ? [one.kvHeads] : []);
    if (model.states.length > 0 || heads.length < model.caches.length) return;
    const most = Math.max(...heads.map((kv) => tp * Math.ceil(kv / tp) / kv));
    assert.ok(bytesPerGpu * tp <= one.bytes * most * (1 + 1e-9));
  }));
});

Deno.test("tensor parallelism replicates KV heads that are fewer than the GPUs, and latents", () => {
  const heads = { kind: "attention", layers: 10, kvHeads: 4, keyDim: 128, valueDim: 128 } as const;
  const size = (cache: TokenCache, tp: number) =>
    kvSize(shapeOf([cache]), { precision: "fp16", engine: "vllm", tp }).bytesPerTokenPerGpu;
  assert.deepEqual([1, 2, 4, 8, 16].map((tp) => size(heads, tp)), [20480, 10240, 5120, 5120, 5120]);
  const latent = { kind: "latent", layers: 61, rank: 512, ropeDim: 64, sparse: false } as const;
  assert.deepEqual([1, 8].map((tp) => size(latent, tp)), [70_272, 70_272]);
  assert.throws(() => size(heads, 3), /vLLM cannot split 4 KV heads over 3 GPUs/);
  assert.throws(
    () => kvSize(shapeOf([heads]), { precision: "fp16", engine: "llamacpp", tp: 2 }),
    /llama\.cpp splits a model by layers/,
  );
});

Deno.test("engines reserve blocks, windows and padding in their own ways", () => {
  const model = PUBLISHED_MODELS.find(({ id }) => id === "openai/gpt-oss-20b")!;
  const gptOss = readConfig(model.config, { source: "test" });
  const at = (one: KvEngine | undefined, tokens: number) =>
    kvSize(gptOss, { precision: "fp16", ...(one === undefined ? {} : { engine: one }) }).at(tokens)
      .bytes;
  const layers = 12 * 2048;
  assert.equal(at(undefined, 1000), layers * (128 + 1000));
  // A window of 128 tokens in blocks of 16 that need not begin with it: 144.
  assert.equal(at("vllm", 1000), layers * (144 + 1008));
  assert.equal(at("sglang", 1000), layers * (800 + 1000));
  assert.equal(at("trtllm", 1000), layers * (1024 + 1024));
  // 128 tokens and a batch of 512 are 768 in steps of 256.
  assert.equal(at("llamacpp", 1000), layers * (768 + 1024));
});

/** Bytes per token of the groups that vLLM 0.26.0 itself makes of these layers, in bf16. */
const VLLM_GROUPS = [
  { full: 18, sliding: 18, kvHeads: 8, dim: 64, bytesPerToken: 73_728 },
  { full: 10, sliding: 52, kvHeads: 16, dim: 128, bytesPerToken: 573_440 },
  { full: 4, sliding: 22, kvHeads: 1, dim: 256, bytesPerToken: 28_672 },
  { full: 21, sliding: 21, kvHeads: 8, dim: 256, bytesPerToken: 344_064 },
  { full: 4, sliding: 16, kvHeads: 2, dim: 256, bytesPerToken: 40_960 },
  { full: 13, sliding: 12, kvHeads: 8, dim: 64, bytesPerToken: 53_248 },
] as const;

Deno.test("vLLM's groups are those that vLLM makes", () => {
  for (const { full, sliding, kvHeads, dim, bytesPerToken } of VLLM_GROUPS) {
    const heads = { kind: "attention", kvHeads, keyDim: dim, valueDim: dim } as const;
    const window = { kind: "sliding", tokens: 512 } as const;
    const model = shapeOf([
      { ...heads, layers: full },
      { ...heads, layers: sliding, window },
    ]);
    const size = kvSize(model, { precision: "bf16", engine: "vllm" });
    assert.equal(size.bytesPerToken, bytesPerToken, `${full} + ${sliding}`);
  }
});

/** Bytes of one layer's state on one of 1, 2 and 8 GPUs, by vLLM 0.26.0's own functions. */
const VLLM_STATES: Readonly<Record<string, readonly [number, number, number]>> = {
  "Qwen/Qwen3-Next-80B-A3B-Instruct": [1_097_728, 548_864, 137_216],
  "nvidia/Nemotron-H-8B-Base-8K": [2_158_592, 1_079_296, 269_824],
  "ibm-granite/granite-4.0-h-small": [2_147_840, 1_074_688, 269_824],
  "ai21labs/Jamba-v0.1": [311_296, 155_648, 38_912],
  "moonshotai/Kimi-Linear-48B-A3B-Instruct": [2_170_880, 1_085_440, 271_360],
  "LiquidAI/LFM2-1.2B": [8_192, 4_096, 1_024],
  "MiniMaxAI/MiniMax-Text-01": [4_194_304, 2_097_152, 524_288],
};

Deno.test("states are as large as vLLM makes them, on any number of GPUs", () => {
  for (const [id, expected] of Object.entries(VLLM_STATES)) {
    const model = PUBLISHED_MODELS.find((one) => one.id === id)!;
    const shape = readConfig(model.config, { source: id });
    const perLayer = [1, 2, 8].map((tp) =>
      kvSize(shape, { precision: "bf16", tp }).at(0).bytesPerGpu / shape.states[0]!.layers
    );
    assert.deepEqual(perLayer, expected, id);
  }
});

Deno.test("vLLM gives attention the pages of the states beside it", () => {
  const model = PUBLISHED_MODELS.find(({ id }) => id.startsWith("Qwen/Qwen3-Next"))!;
  const size = kvSize(readConfig(model.config, { source: "test" }), {
    precision: "bf16",
    engine: "vllm",
  });
  // A state of 1,097,728 bytes needs 544 tokens of 2,048 bytes; 36 layers in groups of 12.
  assert.equal(size.bytesPerSequence, 36 * 544 * 2048);
  assert.equal(size.at(1).bytes - size.bytesPerSequence, 12 * 544 * 2048);
  assert.equal(size.at(545).bytes - size.bytesPerSequence, 12 * 1088 * 2048);
});

Deno.test("an engine without a format says which it has", () => {
  const { caches } = readConfig(PUBLISHED_MODELS[0]!.config, { source: "test" });
  const fails = (options: KvSizeOptions) => {
    try {
      kvSize(shapeOf(caches), options);
    } catch (error) {
      assert.ok(error instanceof KvmarkError);
      return `${error.message}; ${error.hint}`;
    }
    return "";
  };
  assert.equal(
    fails({ precision: "fp8", engine: "llamacpp" }),
    "llama.cpp has no fp8 KV cache; --precision can be fp16, bf16, int8, int4",
  );
  assert.match(fails({ precision: "int8", engine: "sglang" }), /^SGLang has no int8 KV cache/);
});

Deno.test("tierCapacities() counts tokens and sessions of each tier", () => {
  const cache = { kind: "attention", layers: 1, kvHeads: 4, keyDim: 64, valueDim: 64 } as const;
  const size = kvSize(shapeOf([cache]), { precision: "fp8", tp: 8, batchSize: 3 });
  const tiers = tierCapacities(
    size,
    { hbmBytes: 200_000, weightsBytes: 72_000, dramBytes: 2_048_000 },
    [100, 1000],
  );
  assert.deepEqual(tiers, [
    // 4 heads on 8 GPUs: each has one whole, 128 bytes.
    {
      tier: "HBM",
      bytes: 128_000,
      tokens: 1000,
      sessions: [{ tokens: 100, sessions: 10 }, { tokens: 1000, sessions: 1 }],
    },
    {
      tier: "DRAM",
      bytes: 2_048_000,
      tokens: 2000,
      sessions: [{ tokens: 100, sessions: 20 }, { tokens: 1000, sessions: 2 }],
    },
  ]);
  assert.throws(
    () => tierCapacities(size, { hbmBytes: 10, weightsBytes: 10 }, [1]),
    /--weights leaves nothing/,
  );
});
