/**
 * `kvmark kv-size`, as a process.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import { kvmark, withTempDir } from "../support/command.ts";

/** Nothing answers there, and nothing is in its cache. */
const NO_HUB = { HF_ENDPOINT: "http://127.0.0.1:1", HF_HUB_CACHE: "/nonexistent/kvmark-hub" };

const LLAMA_70B = {
  model_type: "llama",
  torch_dtype: "bfloat16",
  num_hidden_layers: 80,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  hidden_size: 8192,
};

Deno.test("kvmark kv-size prints one object with all that the text shows, and a page", async () => {
  await withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(LLAMA_70B));
    const page = `${dir}/kv.html`;
    const options = ["--tp", "4", "--hbm", "80GiB", "--weights", "35GiB", "--ssd", "2TiB"];
    const args = ["kv-size", dir, "--precision", "fp16", "--engine", "vllm", ...options];
    const json = await kvmark([...args, "--json", "--html", page, "--custom-tokens", "1k", "32k"]);
    assert.equal(json.code, 0, json.stderr);
    const report = JSON.parse(json.stdout);
    assert.equal(report.bytes_per_token, 327_680);
    assert.equal(report.bytes_per_token_per_gpu, 81_920);
    assert.deepEqual(report.lengths.map((one: { tokens: number }) => one.tokens), [1000, 32_000]);
    assert.equal(report.tiers[0].tokens, Math.floor(45 * 2 ** 30 / 81_920));
    assert.equal(report.tiers[1].sessions[1].sessions, Math.floor(2 ** 41 / (327_680 * 32_000)));
    assert.match(await Deno.readTextFile(page), /KV cache of/);

    const text = await kvmark(args);
    assert.equal(text.code, 0, text.stderr);
    for (const shown of ["327,680 B", "GQA", "vLLM", "SSD", "64 attention, 8 KV, 8:1"]) {
      assert.ok(text.stdout.includes(shown), `${shown}:\n${text.stdout}`);
    }
    const lines = text.stdout.split("\n").filter((line) => !line.includes(dir));
    assert.ok(lines.every((line) => line.length <= 100), text.stdout);
  });
});

Deno.test("kvmark kv-size keeps the defaults of the Python tool", async () => {
  await withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(LLAMA_70B));
    const args = ["kv-size", `${dir}/config.json`, "--json", "--mtp", "--encoder-tokens", "10"];
    const { code, stdout } = await kvmark(args);
    assert.equal(code, 0);
    const report = JSON.parse(stdout);
    assert.equal(report.precision, "fp8");
    assert.equal(report.bytes_per_token, 163_840);
    const tokens = report.lengths.map((one: { tokens: number }) => one.tokens);
    assert.deepEqual(tokens, [1, 1000, 10_000, 100_000]);
    assert.match(report.notes.join(" "), /--precision bf16/);
    assert.match(report.notes.join(" "), /--mtp has no effect.* --encoder-tokens has no effect/);
  });
});

Deno.test("kvmark kv-size without a network says how to give a local file", async () => {
  const { code, stdout, stderr } = await kvmark(["kv-size", "org/model"], { env: NO_HUB });
  assert.equal(code, EXIT_CODES.io.code);
  assert.equal(stdout, "");
  assert.match(stderr, /Cannot reach the hub for the config\.json of org\/model/);
  assert.match(stderr, /hint: .*a config\.json, the folder that has it, or a \.gguf/);
});

Deno.test("kvmark kv-size tells all problems of its options at once", async () => {
  const wrong = ["--precision", "fp32", "--tp", "0", "--weights", "1GiB", "--custom-tokens", "0"];
  const { code, stderr } = await kvmark(["kv-size", "x", ...wrong]);
  assert.equal(code, EXIT_CODES.usage.code);
  for (const problem of ["--precision", "--tp", "--weights needs --hbm", "--custom-tokens"]) {
    assert.ok(stderr.includes(problem), stderr);
  }
  const none = await kvmark(["kv-size"]);
  assert.equal(none.code, EXIT_CODES.usage.code);
  assert.match(none.stderr, /No model is given/);
});
