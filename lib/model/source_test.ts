import assert from "node:assert/strict";
import { memoryFiles } from "../../tests/support/tokenizers.ts";
import { KvmarkError } from "../errors.ts";
import { bytesPerTokenOf } from "./bytes_per_token.ts";
import { findModel, type ModelOptions } from "./source.ts";

const LLAMA = JSON.stringify({
  model_type: "llama",
  torch_dtype: "bfloat16",
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  hidden_size: 4096,
});
const REPO = "/cache/models--org--model";
const HUB = "http://hub.test";

function options(texts: Record<string, string>, more: Partial<ModelOptions> = {}): ModelOptions {
  const values: Record<string, string> = { HF_HUB_CACHE: "/cache", HF_ENDPOINT: HUB };
  const fetchHub: typeof fetch = () => Promise.reject(new TypeError("no network"));
  return { files: memoryFiles(texts), env: (name) => values[name], fetchHub, ...more };
}

/** A hub that has `config.json` of one model at one revision. */
function hub(requests: string[]): typeof fetch {
  return (input, init) => {
    const { pathname } = new URL(String(input));
    requests.push(pathname);
    if (pathname === "/api/models/org/model/revision/v2") {
      return Promise.resolve(Response.json({ _id: "1", id: "org/model", sha: "abc123" }));
    }
    if (pathname !== "/org/model/resolve/abc123/config.json") {
      return Promise.resolve(new Response("", { status: 404 }));
    }
    const part = new Headers(init?.headers).get("Range") === "bytes=0-0";
    const size = new TextEncoder().encode(LLAMA).length;
    return Promise.resolve(
      part
        ? new Response(LLAMA.slice(0, 1), {
          status: 206,
          headers: { ETag: '"e"', "content-range": `bytes 0-0/${size}` },
        })
        : new Response(LLAMA),
    );
  };
}

async function failure(name: string, modelOptions: ModelOptions): Promise<KvmarkError> {
  try {
    await findModel(name, modelOptions);
  } catch (error) {
    assert.ok(error instanceof KvmarkError, String(error));
    return error;
  }
  throw new Error("it did not fail");
}

Deno.test("findModel() takes a folder, a config and the cache, in this order", async () => {
  const texts = {
    "/m/config.json": LLAMA,
    "other.json": LLAMA,
    [`${REPO}/refs/main`]: "aaa",
    [`${REPO}/snapshots/aaa/config.json`]: LLAMA,
    [`${REPO}/snapshots/bbb/config.json`]: LLAMA.replace("32", "16"),
  };
  const sources = {
    "/m": "config.json in /m",
    "/m/config.json": "config /m/config.json",
    "other.json": "config other.json",
    "org/model": "config.json of org/model (Hugging Face cache)",
  };
  for (const [name, source] of Object.entries(sources)) {
    const found = await findModel(name, options(texts));
    assert.equal(found.source, source);
    assert.equal(found.shape.layers, 32);
    assert.equal(found.isGguf, false);
  }
  const other = await findModel("org/model", options(texts, { revision: "bbb" }));
  assert.equal(other.shape.layers, 16);
});

Deno.test("findModel() downloads a revision into the cache, and finds it there", async () => {
  const requests: string[] = [];
  const modelOptions = options({}, { fetchHub: hub(requests), revision: "v2" });
  const first = await findModel("org/model", modelOptions);
  assert.equal(first.source, "config.json of org/model (Hugging Face hub)");
  const asked = requests.length;
  assert.ok(asked > 0);
  const second = await findModel("org/model", modelOptions);
  assert.equal(second.source, "config.json of org/model (Hugging Face cache)");
  assert.equal(requests.length, asked);
});

Deno.test("findModel() without a network says how to give a local file", async () => {
  const hint = /give a local file instead: a config\.json, the folder that has it, or a \.gguf/;
  const down = await failure("org/model", options({}));
  assert.equal(down.kind, "io");
  assert.match(
    down.message,
    /^Cannot reach the hub for the config\.json of org\/model: no answer$/,
  );
  assert.match(down.hint!, hint);
  const offline = await failure("org/model", options({}, { offline: true }));
  assert.match(offline.message, /offline mode is on/);
  assert.match(offline.hint!, hint);
  const gone = await failure("org/none", options({}, { fetchHub: hub([]) }));
  assert.match(gone.message, /has no model org\/none/);
  assert.match(gone.hint!, hint);
});

Deno.test("findModel() says what is wrong with a file", async () => {
  const texts = {
    "/empty/readme.md": "",
    "bad.json": "{",
    "lfs.json": "version https://git-lfs.github.com/spec/v1\n",
    "list.json": "[]",
    "big.json": " ".repeat(10_000_001),
  };
  const say = async (name: string) => {
    const { kind, message, hint } = await failure(name, options(texts));
    assert.equal(kind, "usage");
    return `${message}; ${hint}`;
  };
  assert.match(await say("/empty"), /The folder \/empty has no config\.json and no \.gguf file/);
  assert.match(await say("bad.json"), /it is not valid JSON; download/);
  assert.match(await say("lfs.json"), /Git LFS pointer/);
  assert.match(await say("list.json"), /it is no JSON object/);
  assert.match(await say("big.json"), /it has 10000001 bytes/);
  for (const name of ["./none", "/none", "none.gguf", "a b", "../x/y", "a/b/c"]) {
    assert.match(await say(name), /There is no file or folder .*, and it is no hub id/);
  }
});

Deno.test("bytesPerTokenOf() gives a figure with its source, or nothing; it never asks the hub", async () => {
  const texts = {
    [`${REPO}/snapshots/aaa/config.json`]: LLAMA,
    "/unknown/config.json": LLAMA.replace("llama", "brand_new"),
  };
  const requests: string[] = [];
  const modelOptions = options(texts, { fetchHub: hub(requests) });
  assert.deepEqual(await bytesPerTokenOf("org/model", modelOptions), {
    bytesPerToken: 131_072,
    precision: "bf16",
    source: "config.json of org/model (Hugging Face cache), bf16",
  });
  const fp8 = await bytesPerTokenOf("org/model", { ...modelOptions, precision: "fp8" });
  assert.equal(fp8?.bytesPerToken, 65_536);
  for (const name of ["alias", "org/none", "/unknown", "/nowhere", ""]) {
    assert.equal(await bytesPerTokenOf(name, modelOptions), undefined, name);
  }
  assert.equal(requests.length, 0);
  const online = options({}, { fetchHub: hub(requests), revision: "v2" });
  assert.equal(
    (await bytesPerTokenOf("org/model", { ...online, online: true }))?.precision,
    "bf16",
  );
  assert.ok(requests.length > 0);
});
