import assert from "node:assert/strict";
import { kvSize } from "./kv_size.ts";
import { knownModel } from "./known_model.ts";

Deno.test("knownModel() finds a model by its name, whatever its weights are quantised to", () => {
  for (const name of ["Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8", "x/qwen3-coder-30b-a3b-instruct"]) {
    const found = knownModel(name);
    assert.ok(found !== undefined, name);
    // 48 layers x 4 KV heads x 128 x key and value x 2 bytes.
    assert.equal(kvSize(found.shape, { precision: "bf16" }).bytesPerToken, 98_304);
  }
});

Deno.test("knownModel() gives nothing for a name that only resembles a published one", () => {
  for (
    const name of ["", "/", "Qwen3", "my-Qwen3-Coder-30B-A3B-Instruct-finetune", "FP8", "-fp8"]
  ) {
    assert.equal(knownModel(name), undefined, name);
  }
});
