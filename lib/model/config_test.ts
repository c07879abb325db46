import assert from "node:assert/strict";
import fc from "fast-check";
import { KvmarkError } from "../errors.ts";
import { knownModelTypes } from "./architectures.ts";
import { readConfig } from "./config.ts";
import { kvSize } from "./kv_size.ts";
import { PUBLISHED_MODELS } from "./published_models.ts";

const LLAMA = {
  model_type: "llama",
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  hidden_size: 4096,
};

/** The one error that a config leads to. */
function failure(config: unknown, assume = false): string {
  try {
    readConfig(config, { source: "config.json of x", assume });
  } catch (error) {
    assert.ok(error instanceof KvmarkError, String(error));
    assert.equal(error.kind, "usage");
    assert.deepEqual(error.problems, []);
    assert.ok(error.hint !== undefined && error.hint.length > 10);
    return error.message.replace("The config.json of x cannot be used: ", "");
  }
  throw new Error(`it did not fail: ${JSON.stringify(config)}`);
}

function bytesPerToken(config: unknown, assume = false): number {
  const shape = readConfig(config, { source: "config.json of x", assume });
  return kvSize(shape, { precision: "fp16" }).bytesPerToken;
}

Deno.test("readConfig() gives one clear error for each hostile value", () => {
  const layers = "not a whole number from 1 to 10,000";
  const cases: readonly (readonly [unknown, string])[] = [
    [{ ...LLAMA, num_hidden_layers: -1 }, `num_hidden_layers is -1, ${layers}`],
    [{ ...LLAMA, num_hidden_layers: 0 }, `num_hidden_layers is 0, ${layers}`],
    [{ ...LLAMA, num_hidden_layers: 32.5 }, `num_hidden_layers is 32.5, ${layers}`],
    [{ ...LLAMA, num_hidden_layers: 1e30 }, `num_hidden_layers is 1e+30, ${layers}`],
    [{ ...LLAMA, num_hidden_layers: "32" }, `num_hidden_layers is the text "32", ${layers}`],
    [{ ...LLAMA, num_hidden_layers: [32] }, `num_hidden_layers is a list, ${layers}`],
    [{ ...LLAMA, num_hidden_layers: { n: 1 } }, `num_hidden_layers is an object, ${layers}`],
    [{ ...LLAMA, num_hidden_layers: true }, `num_hidden_layers is true, ${layers}`],
    [{ ...LLAMA, num_hidden_layers: NaN }, `num_hidden_layers is NaN, ${layers}`],
    [
      { ...LLAMA, num_hidden_layers: null },
      "num_hidden_layers is missing (nor n_layer, n_layers, num_layers, num_transformer_layers)",
    ],
    [{ ...LLAMA, num_key_value_heads: 0 }, `num_key_value_heads is 0, ${layers}`],
    [{ ...LLAMA, num_key_value_heads: 1e30 }, `num_key_value_heads is 1e+30, ${layers}`],
    [{ ...LLAMA, head_dim: -128 }, "head_dim is -128, not a whole number from 1 to 1,000,000"],
    [
      { ...LLAMA, hidden_size: 4097 },
      "head_dim is missing, and hidden_size 4097 is no multiple of 32 attention heads",
    ],
    [
      { model_type: "llama", num_hidden_layers: 2 },
      "head_dim is missing, and so is hidden_size, from which it would follow",
    ],
    [{ ...LLAMA, model_type: 7 }, "model_type is 7, not a text"],
    [{ ...LLAMA, model_type: undefined }, "model_type is missing"],
    [{}, "model_type is missing"],
    [
      { ...LLAMA, layer_types: ["full_attention"] },
      "layer_types has 1 entries for 32 layers",
    ],
    [{ ...LLAMA, layer_types: "full" }, 'layer_types is the text "full", not a list'],
    [
      { ...LLAMA, num_hidden_layers: 1, layer_types: ["__proto__"] },
      'layer_types[0] is "__proto__", which is not known',
    ],
    [
      { ...LLAMA, num_hidden_layers: 1, layer_types: ["linear_attention"] },
      'layer_types[0] is "linear_attention", whose state is not known',
    ],
    [
      { ...LLAMA, num_hidden_layers: 1, layer_types: ["sliding_attention"] },
      "sliding_window is missing",
    ],
    [
      { ...LLAMA, model_type: "mistral", sliding_window: -5 },
      "sliding_window is -5, not a whole number from 1 to 1,000,000,000,000",
    ],
    [
      { ...LLAMA, num_key_value_heads: [8, 8] },
      "num_key_value_heads has 2 entries for 32 layers",
    ],
    [
      { ...LLAMA, num_hidden_layers: 1, num_key_value_heads: ["8"] },
      'num_key_value_heads[0] is the text "8", not a whole number from 0 to 10,000',
    ],
    [
      { ...LLAMA, num_kv_shared_layers: -1 },
      "num_kv_shared_layers is -1, not a whole number from 0 to 10,000",
    ],
    [{ ...LLAMA, multi_query: "yes" }, 'multi_query is the text "yes", not true or false'],
    [{ ...LLAMA, model_type: "deepseek_v3" }, "kv_lora_rank is missing"],
    [
      { ...LLAMA, model_type: "nemotron_h", hybrid_override_pattern: "M*X" },
      'hybrid_override_pattern has "X", not M, *, - or E',
    ],
    [
      { ...LLAMA, model_type: "bamba" },
      "it does not say which layers are attention (layer_types)",
    ],
    [
      { ...LLAMA, num_hidden_layers: 1, block_configs: [{ attention: { n_heads_in_group: 0 } }] },
      "block_configs[0].attention.n_heads_in_group is not a count",
    ],
  ];
  for (const [config, message] of cases) assert.equal(failure(config), message);
});

Deno.test("readConfig() wants an object, and no endless nesting", () => {
  for (const config of [null, 1, "x", [], undefined, [LLAMA]]) {
    assert.equal(failure(config), "it is no JSON object");
  }
  const cyclic: Record<string, unknown> = { model_type: "gemma3" };
  cyclic["text_config"] = cyclic;
  assert.equal(failure(cyclic), "the text model is nested more than 4 deep");
  let deep: unknown = LLAMA;
  for (let i = 0; i < 100; i++) deep = { model_type: "gemma3", text_config: deep };
  assert.equal(failure(deep), "the text model is nested more than 4 deep");
});

Deno.test("readConfig() fails with a KvmarkError or not at all, whatever stands in a config", () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(-1, 0, 1e30, 1e308, "32", null, NaN, Infinity, {}, []),
  );
  const fields = [...new Set(PUBLISHED_MODELS.flatMap(({ config }) => Object.keys(config)))];
  const changes = fc.dictionary(fc.constantFrom(...fields), value, { maxKeys: 4 });
  const base = fc.constantFrom(...PUBLISHED_MODELS.map(({ config }) => config));
  fc.assert(
    fc.property(base, changes, fc.boolean(), (config, changed, assume) => {
      try {
        const shape = readConfig({ ...config, ...changed }, { source: "test", assume });
        const size = kvSize(shape, { precision: "fp16" });
        assert.ok(Number.isFinite(size.at(1e9).bytes) && size.at(1e9).bytes >= 0);
      } catch (error) {
        assert.ok(error instanceof KvmarkError, String(error));
        assert.ok(error.hint !== undefined && error.message.length < 400, error.message);
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("readConfig() names an unknown architecture, and computes it only if told to", () => {
  const unknown = { ...LLAMA, model_type: "brand_new" };
  assert.equal(failure(unknown), 'The architecture "brand_new" is not known');
  const shape = readConfig(unknown, { source: "x", assume: true });
  assert.equal(shape.assumed, true);
  assert.match(shape.notes.join(" "), /brand_new is not known/);
  assert.equal(bytesPerToken(unknown, true), 131_072);
  assert.equal(
    bytesPerToken({ ...unknown, kv_lora_rank: 512, qk_rope_head_dim: 64 }, true),
    36_864,
  );
  assert.equal(readConfig(LLAMA, { source: "x", assume: true }).assumed, false);
  assert.ok(knownModelTypes().length > 120);
  for (const type of ["__proto__", "constructor", "toString", ""]) {
    assert.match(failure({ ...LLAMA, model_type: type }), /is not known$/);
  }
});

Deno.test("readConfig() finds the text model of multimodal configs", () => {
  for (const part of ["text_config", "llm_config", "language_config"]) {
    assert.equal(bytesPerToken({ model_type: "some_vl_chat", [part]: LLAMA }), 131_072, part);
  }
  const omni = { model_type: "qwen2_5_omni", thinker_config: { text_config: LLAMA } };
  assert.equal(bytesPerToken(omni), 131_072);
  // Without a type of its own the text model has that of the whole.
  const { model_type: _, ...bare } = LLAMA;
  assert.equal(bytesPerToken({ model_type: "mistral", text_config: bare }), 131_072);
});

Deno.test("readConfig() reads what windows need in the ways configs say it", () => {
  const qwen = { ...LLAMA, model_type: "qwen2", sliding_window: 4096 };
  const beyond = (config: unknown) =>
    kvSize(readConfig(config, { source: "x" }), { precision: "fp16" }).bytesPerTokenBeyondWindows;
  assert.equal(beyond({ ...qwen, use_sliding_window: false }), 131_072);
  assert.equal(beyond({ ...qwen, use_sliding_window: true, max_window_layers: 24 }), 98_304);
  const listed = Array.from(
    { length: 32 },
    (_, i) => i < 8 ? "full_attention" : "sliding_attention",
  );
  assert.equal(beyond({ ...LLAMA, sliding_window: 10, layer_types: listed }), 32_768);
  // A list may go on with the layers of multi-token prediction.
  const longer = [...listed, "full_attention"];
  assert.equal(beyond({ ...LLAMA, sliding_window: 10, layer_types: longer }), 32_768);
  const mimo = {
    ...LLAMA,
    model_type: "mimo_v2_flash",
    num_hidden_layers: 2,
    num_key_value_heads: 4,
    head_dim: 192,
    v_head_dim: 128,
    hybrid_layer_pattern: [0, 1],
    sliding_window: 128,
    swa_num_key_value_heads: 8,
  };
  assert.equal(bytesPerToken(mimo), 2 * (4 + 8) * (192 + 128));
  assert.equal(beyond(mimo), 2 * 4 * (192 + 128));
});

Deno.test("readConfig() reads layers with heads of their own, and shared ones", () => {
  const deci = { ...LLAMA, model_type: "deci", num_hidden_layers: 3 };
  const each = { ...deci, num_key_value_heads_per_layer: [4, 2, 1] };
  assert.equal(bytesPerToken(each), 2 * 7 * 128 * 2);
  const blocks = [
    { attention: { n_heads_in_group: 4, no_op: false } },
    { attention: { n_heads_in_group: null, no_op: true } },
    { attention: { n_heads_in_group: 16 } },
  ];
  assert.equal(
    bytesPerToken({ ...deci, num_key_value_heads: null, block_configs: blocks }),
    2 * (8 + 2) * 128 * 2,
  );
  const cla = { ...LLAMA, model_type: "hunyuan", use_cla: true, cla_share_factor: 2 };
  assert.equal(bytesPerToken(cla), 131_072 / 2);
});

Deno.test("readConfig() keeps cross-attention and fixed states apart from what grows", () => {
  const vision = {
    model_type: "mllama",
    text_config: {
      ...LLAMA,
      model_type: "mllama_text_model",
      num_hidden_layers: 40,
      cross_attention_layers: [3, 8, 13, 18, 23, 28, 33, 38],
    },
  };
  const size = kvSize(readConfig(vision, { source: "x" }), { precision: "fp16" });
  assert.equal(size.bytesPerToken, 32 * 4096);
  assert.equal(size.bytesPerEncoderToken, 8 * 4096);
  const pure = {
    model_type: "mamba2",
    num_hidden_layers: 64,
    num_heads: 128,
    head_dim: 64,
    hidden_size: 4096,
    state_size: 128,
    n_groups: 8,
    conv_kernel: 4,
  };
  const state = kvSize(readConfig(pure, { source: "x" }), { precision: "fp8" });
  assert.equal(state.bytesPerToken, 0);
  assert.equal(state.at(1000).bytes, 64 * 2 * (3 * (8192 + 2048) + 8192 * 128));
});
