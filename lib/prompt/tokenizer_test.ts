import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import { hubCacheDir, isHubId } from "../hugging_face.ts";
import {
  memoryFiles,
  unigramTokenizer,
  wordPieceTokenizer,
} from "../../tests/support/tokenizers.ts";
import { findTokenizer, loadTokenizerJson } from "./tokenizer.ts";

const JSON_TEXT = JSON.stringify(unigramTokenizer(["red", "green"]));
const COMMIT = "0123abc";
const HUB = "http://hub.test";
const REPO = "/cache/models--org--model";

function environment(values: Record<string, string>): (name: string) => string | undefined {
  return (name) => values[name];
}
const env = environment({ HF_HUB_CACHE: "/cache", HF_ENDPOINT: `${HUB}/`, HF_TOKEN: "hf_secret" });

interface FakeHub {
  readonly fetchHub: typeof fetch;
  readonly requests: { path: string; authorization: string | null }[];
}

/** A hub with one model whose files are given; or one that gives every request the same answer. */
function fakeHub(
  texts: Record<string, string>,
  always?: () => Response | Promise<Response>,
): FakeHub {
  const requests: FakeHub["requests"] = [];
  const fetchHub: typeof fetch = (input, init) => {
    const { pathname, origin } = new URL(String(input));
    assert.equal(origin, HUB);
    const headers = new Headers(init?.headers);
    requests.push({ path: pathname, authorization: headers.get("Authorization") });
    if (always !== undefined) return Promise.resolve(always());
    if (pathname === "/api/models/org/model/revision/main") {
      return Promise.resolve(Response.json({ _id: "1", id: "org/model", sha: COMMIT }));
    }
    const text = texts[pathname.replace("/org/model/resolve/", "")];
    if (text === undefined) {
      const absent = { status: 404, headers: { "X-Error-Code": "EntryNotFound" } };
      return Promise.resolve(new Response("", absent));
    }
    const size = new TextEncoder().encode(text).length;
    return Promise.resolve(
      headers.get("Range") === "bytes=0-0"
        ? new Response(text.slice(0, 1), {
          status: 206,
          headers: { ETag: '"e"', "content-range": `bytes 0-0/${size}` },
        })
        : new Response(text),
    );
  };
  return { fetchHub, requests };
}

async function failure(promise: Promise<unknown>): Promise<KvmarkError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof KvmarkError, String(error));
    assert.ok(error.hint !== undefined && error.hint.length > 10);
    assert.doesNotMatch(error.message + error.hint, /hf_secret/);
    return error;
  }
  throw new Error("it did not fail");
}

Deno.test("loadTokenizerJson() encodes without special tokens", async () => {
  const json = unigramTokenizer(["red", "green"]) as Record<string, unknown>;
  const special = {
    ...json,
    added_tokens: [{ id: 30, content: "<s>", special: true, normalized: false }],
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [30], tokens: ["<s>"] } },
    },
  };
  const encoder = loadTokenizerJson(special, undefined, "test");
  assert.deepEqual(await encoder.encode("red green red"), [28, 29, 28]);
  assert.deepEqual(encoder.vocabularyWords?.(), ["red", "green"]);
});

Deno.test("loadTokenizerJson() says that it is no tokenizer", () => {
  for (const json of [null, 1, "x", [], {}, { model: {} }, { model: { type: "BPE" } }]) {
    assert.throws(() => loadTokenizerJson(json, undefined, "tokenizer of x"), (error) => {
      assert.ok(error instanceof KvmarkError && error.kind === "io");
      assert.match(error.message, /^The tokenizer of x cannot be used: /);
      return true;
    });
  }
});

Deno.test("findTokenizer() takes a folder, a file and the folder that the model is served from", async () => {
  const files = memoryFiles({
    "/m/tokenizer.json": JSON_TEXT,
    "/m/tokenizer_config.json": '{"x": 1}',
    "only.json": JSON_TEXT,
  });
  for (const tokenizer of ["/m", "/m/tokenizer.json", "only.json"]) {
    const { encoder } = await findTokenizer({ tokenizer, model: "x", files, env });
    assert.deepEqual(await encoder!.encode("green"), [29]);
    assert.ok(encoder!.source.includes(tokenizer));
  }
  const served = await findTokenizer({ model: "/m", files, env });
  assert.equal(served.encoder?.source, "tokenizer.json in /m");
});

Deno.test("findTokenizer() says what is wrong with a tokenizer that was named", async () => {
  const files = memoryFiles({
    "/empty/config.json": "{}",
    "/bad/tokenizer.json": "{",
    "/lfs/tokenizer.json": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n",
    "/config/tokenizer.json": JSON_TEXT,
    "/config/tokenizer_config.json": "nonsense",
  });
  const find = (tokenizer: string) =>
    failure(findTokenizer({ tokenizer, model: "x", files, env, offline: true }));
  assert.match((await find("/empty")).message, /\/empty has no tokenizer\.json/);
  assert.match((await find("/bad")).message, /tokenizer\.json is not valid JSON/);
  assert.match((await find("/lfs")).message, /Git LFS pointer/);
  assert.match((await find("/config")).message, /tokenizer_config\.json is not valid JSON/);
  const absent = await find("./no/such/file.json");
  assert.equal(absent.kind, "usage");
  assert.match(absent.message, /no file or folder \.\/no\/such\/file\.json/);
  assert.match((await find("org/model")).message, /offline mode/);
});

Deno.test("findTokenizer() prefers the main commit of the cache", async () => {
  const other = JSON.stringify(unigramTokenizer(["blue"]));
  const files = memoryFiles({
    [`${REPO}/refs/main`]: "bbb",
    [`${REPO}/snapshots/aaa/tokenizer.json`]: other,
    [`${REPO}/snapshots/bbb/tokenizer.json`]: JSON_TEXT,
    [`${REPO}/snapshots/ccc/tokenizer.json`]: other,
  });
  const found = await findTokenizer({ model: "org/model", files, env, places: ["local"] });
  assert.deepEqual(found.encoder?.vocabularyWords?.(), ["red", "green"]);
  files.texts.delete(`${REPO}/snapshots/bbb/tokenizer.json`);
  const next = await findTokenizer({ model: "org/model", files, env, places: ["local"] });
  assert.deepEqual(next.encoder?.vocabularyWords?.(), ["blue"]);
});

Deno.test("findTokenizer() notes a damaged file in the cache and goes on", async () => {
  const files = memoryFiles({ [`${REPO}/snapshots/aaa/tokenizer.json`]: "{" });
  const found = await findTokenizer({ model: "org/model", files, env, offline: true });
  assert.equal(found.encoder, undefined);
  assert.match(found.notes[0]!, /Hugging Face cache\) cannot be used: tokenizer.json is not valid/);
  assert.match(found.notes[1]!, /offline mode/);
});

Deno.test("findTokenizer() downloads into the cache, and finds it there the next time", async () => {
  const files = memoryFiles();
  const hub = fakeHub({
    [`${COMMIT}/tokenizer.json`]: JSON_TEXT,
    [`${COMMIT}/tokenizer_config.json`]: "{}",
  });
  const options = { model: "org/model", files, env, fetchHub: hub.fetchHub };
  const first = await findTokenizer(options);
  assert.equal(first.encoder?.source, "tokenizer.json of org/model (Hugging Face hub)");
  assert.deepEqual(first.notes, []);
  assert.ok(hub.requests.length > 0);
  for (const request of hub.requests) assert.equal(request.authorization, "Bearer hf_secret");
  assert.equal(files.texts.get(`${REPO}/refs/main`), COMMIT);
  assert.equal(files.texts.get(`${REPO}/snapshots/${COMMIT}/tokenizer.json`), JSON_TEXT);

  const asked = hub.requests.length;
  const second = await findTokenizer(options);
  assert.equal(second.encoder?.source, "tokenizer.json of org/model (Hugging Face cache)");
  assert.equal(hub.requests.length, asked);
});

Deno.test("findTokenizer() keeps the commit that the cache has", async () => {
  const files = memoryFiles({
    [`${REPO}/refs/main`]: "mine",
    [`${REPO}/snapshots/mine/config.json`]: "{}",
  });
  const hub = fakeHub({ "mine/tokenizer.json": JSON_TEXT });
  const found = await findTokenizer({ model: "org/model", files, env, fetchHub: hub.fetchHub });
  assert.ok(found.encoder !== undefined);
  assert.equal(files.texts.get(`${REPO}/refs/main`), "mine");
  assert.equal(files.texts.get(`${REPO}/snapshots/mine/tokenizer.json`), JSON_TEXT);
});

Deno.test("findTokenizer() asks the hub for org/name only, never for an alias or when offline", async () => {
  const hub = fakeHub({});
  const options = { files: memoryFiles(), env, fetchHub: hub.fetchHub };
  await findTokenizer({ ...options, model: "llama" });
  await findTokenizer({ ...options, model: "/models/x" });
  await findTokenizer({ ...options, model: "org/model", offline: true });
  const offlineEnv = environment({ HF_HUB_OFFLINE: "1", HF_ENDPOINT: HUB });
  await findTokenizer({ ...options, model: "org/model", env: offlineEnv });
  assert.equal(hub.requests.length, 0);
});

Deno.test("findTokenizer() says why the hub gives nothing", async () => {
  const named = (hub: FakeHub, environmentOf = env) =>
    failure(findTokenizer({
      tokenizer: "org/model",
      model: "x",
      files: memoryFiles(),
      env: environmentOf,
      fetchHub: hub.fetchHub,
    }));
  const gated = await named(fakeHub({}, () => new Response("", { status: 403 })));
  assert.match(gated.message, /refuses the tokenizer of org\/model \(403\): gated/);
  assert.match(gated.hint!, /HF_TOKEN/);
  const missing = await named(fakeHub({}, () => new Response("", { status: 404 })));
  assert.match(missing.message, /no model org\/model/);
  const broken = await named(fakeHub({}, () => new Response("", { status: 500 })));
  assert.match(broken.message, /Cannot reach the hub .* status 500/);
  const down = await named(fakeHub({}, () => Promise.reject(new TypeError("connection refused"))));
  assert.equal(down.kind, "io");
  assert.match(down.message, /Cannot reach the hub .* no answer/);
  assert.match((await named(fakeHub({}))).message, /has no tokenizer\.json/);
  const badToken = environment({ HF_TOKEN: "secret", HF_ENDPOINT: HUB });
  assert.match((await named(fakeHub({}), badToken)).message, /HF_TOKEN is not an access token/);
});

Deno.test("hubCacheDir() follows the variables in their order", () => {
  const all: Record<string, string> = {
    HF_HUB_CACHE: "/a",
    HUGGINGFACE_HUB_CACHE: "/b",
    HF_HOME: "~/c",
    XDG_CACHE_HOME: "/d",
    HOME: "/home/u",
  };
  const expected = [
    "/a",
    "/b",
    "/home/u/c/hub",
    "/d/huggingface/hub",
    "/home/u/.cache/huggingface/hub",
  ];
  for (const [i, dir] of expected.entries()) {
    const left = Object.fromEntries(Object.entries(all).slice(i));
    assert.equal(hubCacheDir(environment(left)), dir);
  }
  assert.equal(hubCacheDir(environment({})), undefined);
});

Deno.test("isHubId() takes no path", () => {
  for (const id of ["gpt2", "org/model", "meta-llama/Llama-3.1-8B"]) assert.ok(isHubId(id), id);
  for (const id of ["", "../x", "/x", "a/b/c", "./a", "a/..", "a b", "a/"]) {
    assert.ok(!isHubId(id), id);
  }
});

Deno.test("loadTokenizerJson() refuses ids for which a list would take all memory", () => {
  const base = wordPieceTokenizer(["one"]) as { model: { vocab: Record<string, unknown> } };
  for (const id of [1_192_703_380, -1, 0.5, 2 ** 53, "1", null]) {
    const model = { ...base.model, vocab: { ...base.model.vocab, two: id } };
    assert.throws(
      () => loadTokenizerJson({ ...base, model }, undefined, "file"),
      /no id of a token/,
    );
    const added_tokens = [{ id, content: "<x>", special: true }];
    assert.throws(
      () => loadTokenizerJson({ ...base, added_tokens }, undefined, "file"),
      /no id of a token/,
    );
  }
});
