import assert from "node:assert/strict";
import { readConfig } from "./config.ts";
import { kvSize, type KvSizeOptions } from "./kv_size.ts";
import { DISAGREEMENTS, PUBLISHED_MODELS, type PublishedModel } from "./test_models.ts";

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
  assert.ok(PUBLISHED_MODELS.filter(({ published }) => published !== undefined).length >= 20);
});

Deno.test("kvSize() agrees with what engines printed", () => {
  // ik_llama.cpp#259: q8_0, 32,768 tokens, "KV self size = 1166.62 MiB".
  const deepseek = size(named("deepseek-ai/DeepSeek-R1 in q8_0, llama.cpp"));
  assert.equal((deepseek.at(32_768).bytes / 2 ** 20).toFixed(1), "1166.6");
  // vllm-project/vllm#21348: 8.23 GB each of K and V for 367,404 tokens on one of four GPUs.
  const qwen = size(named("Qwen/Qwen3-235B-A22B-FP8 on one of 4 GPUs, SGLang"));
  assert.equal((367_404 * qwen.bytesPerTokenPerGpu / 2 / 2 ** 30).toFixed(2), "8.23");
  // vllm-project/vllm#10517: 1952 blocks of 16 tokens in 3.81 GiB.
  const llama = size(named("meta-llama/Llama-3.1-8B-Instruct"), { engine: "vllm" });
  assert.equal((llama.at(1952 * 16).bytes / 2 ** 30).toFixed(2), "3.81");
  // huggingface.co/dranger003/…/discussions/6: llama.cpp with 2048 tokens, in MiB.
  const printed = [
    ["mistralai/Mixtral-8x7B-v0.1", 256],
    ["meta-llama/Llama-3.1-8B-Instruct", 256],
    ["meta-llama/Llama-3.3-70B-Instruct", 640],
    ["Qwen/Qwen2.5-Coder-32B-Instruct", 512],
    ["01-ai/Yi-1.5-34B-Chat", 480],
    ["CohereForAI/c4ai-command-r-v01", 2560],
  ] as const;
  for (const [id, mebibytes] of printed) {
    assert.equal(size(named(id), { engine: "llamacpp" }).at(2048).bytes, mebibytes * 2 ** 20, id);
  }
  // Jamba's paper, table 1: 4 GB of KV cache for 256K tokens.
  const jamba = size(named("ai21labs/Jamba-v0.1"));
  assert.equal(jamba.at(262_144).bytes - jamba.bytesPerSequence, 4 * 2 ** 30);
});

Deno.test("kvSize() stands by its figure where sources disagree", () => {
  for (const { id, theirs, ours, why } of DISAGREEMENTS) {
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
  for (const { id, bytesPerToken } of PUBLISHED_MODELS) {
    const row = page.split("\n").find((line) => line.includes(`| ${id} `));
    assert.ok(row?.includes(bytesPerToken.toLocaleString("en-US")), `${id} in docs/kv-size.md`);
  }
  for (const { id, theirs } of DISAGREEMENTS) {
    const row = page.split("\n").find((line) =>
      line.includes(`| ${id} `) && line.includes(theirs.toLocaleString("en-US"))
    );
    assert.ok(row !== undefined, `${id}, ${theirs} in docs/kv-size.md`);
  }
});
