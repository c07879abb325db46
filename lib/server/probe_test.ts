import assert from "node:assert/strict";
import {
  LLAMACPP,
  modelList,
  probe,
  TRTLLM,
  VLLM,
  vllmMetrics,
} from "../../tests/support/stand_in_scripts.ts";
import { type StandInState, startStandIn } from "../../tests/support/stand_ins.ts";
import type { ServerFacts } from "./probe.ts";

function states(facts: ServerFacts, ...names: (keyof ServerFacts["capabilities"])[]) {
  return Object.fromEntries(names.map((name) => [name, facts.capabilities[name].state]));
}

Deno.test("probeServer() knows vLLM in development mode with token details", async () => {
  const { facts, standIn } = await probe(VLLM);
  const { engine, engineVersion, model, modelRoot, api, maxContextTokens, blockTokens } = facts;
  assert.deepEqual(
    { engine, engineVersion, model, modelRoot, api, maxContextTokens, blockTokens },
    {
      engine: "vllm",
      engineVersion: "0.21.0",
      model: "m",
      modelRoot: "org/model",
      api: "completions",
      maxContextTokens: 8192,
      blockTokens: 16,
    },
  );
  assert.equal(facts.hbmTokens, 16_000);
  const { recompute, resetExternal, keepAlive, ...rest } = facts.capabilities;
  for (const [name, { state, evidence }] of Object.entries(rest)) {
    assert.equal(state, "yes", `${name}: ${evidence}`);
  }
  assert.deepEqual([recompute.state, resetExternal.state], ["unknown", "unknown"]);
  assert.equal(keepAlive.state, "unknown", "no connection of its own was offered");
  assert.equal(facts.cachedTokensAbsentMeansZero, true);
  assert.equal(facts.cachedTokensDisproved, false);
  // A probe must not reset anything.
  assert.deepEqual(standIn.state.asked.filter((asked) => /reset/.test(asked)), [
    "OPTIONS /reset_prefix_cache",
  ]);
});

Deno.test("probeServer() learns the context length from /tokenize where the model card is silent", async () => {
  const models = modelList("m", "vllm");
  const tokenize = (more: Record<string, unknown>) => ({
    "/tokenize": () => Response.json({ tokens: [1, 2, 3, 4], ...more }),
  });
  const told = await probe({ ...VLLM, models, posts: tokenize({ max_model_len: 4096 }) });
  assert.equal(told.facts.maxContextTokens, 4096);
  assert.match(told.facts.evidence["maxContextTokens"] ?? "", /\/tokenize/);
  const silent = await probe({ ...VLLM, models, posts: tokenize({}) });
  assert.equal(silent.facts.maxContextTokens, undefined);
});

Deno.test("probeServer() does not think that a server recomputes that refuses the field", async () => {
  const fields = { ...VLLM.fields, kv_transfer_params: "string" } as const;
  const { facts } = await probe({ ...VLLM, fields });
  assert.equal(facts.capabilities.recompute.state, "no");
  assert.match(facts.capabilities.recompute.evidence, /kv_transfer_params is refused with 400/);
});

Deno.test("probeServer() names the flags that a plain vLLM lacks", async () => {
  const { "/reset_prefix_cache": _, ...posts } = VLLM.posts ?? {};
  const { facts } = await probe({ ...VLLM, posts, cachedTokens: "never" });
  assert.deepEqual(states(facts, "prefixCaching", "cachedTokens", "reset", "cacheSalt"), {
    prefixCaching: "yes",
    cachedTokens: "no",
    reset: "no",
    cacheSalt: "unknown",
  });
  assert.match(facts.capabilities.cachedTokens.enable ?? "", /--enable-prompt-tokens-details/);
  assert.match(facts.capabilities.reset.enable ?? "", /VLLM_SERVER_DEV_MODE=1/);
  assert.match(facts.capabilities.prefixCaching.evidence, /counters gained/);
});

Deno.test("probeServer() tells vLLM without caching from vLLM without the flag", async () => {
  const off = (state: StandInState) => vllmMetrics(state).replace(`g="True"`, `g="False"`);
  const { facts } = await probe({ ...VLLM, blockTokens: 0, metrics: { "/metrics": off } });
  assert.deepEqual(states(facts, "prefixCaching", "cachedTokens"), {
    prefixCaching: "no",
    cachedTokens: "unknown",
  });
  assert.match(facts.capabilities.prefixCaching.enable ?? "", /--enable-prefix-caching/);
});

Deno.test("probeServer() sees caching of blocks larger than its first prompt", async () => {
  const { facts } = await probe({ ...VLLM, metrics: {}, blockTokens: 544 });
  assert.deepEqual(states(facts, "prefixCaching", "cachedTokens", "metrics"), {
    prefixCaching: "yes",
    cachedTokens: "yes",
    metrics: "no",
  });
  assert.equal(facts.blockTokens, undefined);
});

Deno.test("probeServer() knows SGLang, and does not flush it", async () => {
  const { facts, standIn } = await probe({
    models: modelList("m", "sglang", { max_model_len: 4096 }),
    documents: {
      "/server_info": { version: "0.5.1", page_size: 64, max_total_num_tokens: 50_000 },
    },
    metrics: {
      "/metrics": ({ promptTokens, hits }) =>
        `sglang:num_running_reqs{model_name="m"} 0.0
sglang:hicache_host_total_tokens{model_name="m"} 100000.0
sglang:prompt_tokens_total{model_name="m"} ${promptTokens}.0
sglang:cached_tokens_total{cache_source="device",model_name="m"} ${hits}.0
`,
    },
    posts: {
      "/flush_cache": () => new Response("Cache flushed."),
      "/clear_hicache_storage_backend": () => new Response("ok"),
    },
    fields: { ignore_eos: "boolean", min_tokens: "number", stream_options: "object" },
    blockTokens: 64,
    cachedTokens: "never",
    usage: "asked",
  });
  assert.deepEqual([facts.engine, facts.engineVersion, facts.blockTokens], ["sglang", "0.5.1", 64]);
  assert.deepEqual([facts.maxContextTokens, facts.hbmTokens], [4096, 50_000]);
  assert.deepEqual(facts.tiers?.map(({ name }) => name), ["HBM", "DRAM"]);
  assert.deepEqual(states(facts, "reset", "resetExternal", "cachedTokens", "prefixCaching"), {
    reset: "yes",
    resetExternal: "yes",
    cachedTokens: "no",
    prefixCaching: "yes",
  });
  assert.match(facts.capabilities.cachedTokens.enable ?? "", /--enable-cache-report/);
  assert.deepEqual(standIn.state.asked.filter((asked) => /flush/.test(asked)), [
    "OPTIONS /flush_cache",
  ]);
});

Deno.test("probeServer() reads the JSON /metrics of trtllm-serve once, and finds the other", async () => {
  const { facts, standIn } = await probe({
    ...TRTLLM,
    metrics: {
      "/prometheus/metrics": ({ promptTokens, hits }) =>
        `trtllm_kv_cache_tokens_per_block 32\ntrtllm_kv_cache_max_blocks 100
trtllm_prompt_tokens_total ${promptTokens}\ntrtllm_prompt_cached_tokens_total ${hits}\n`,
    },
  });
  assert.deepEqual([facts.engine, facts.engineVersion], ["trtllm", "1.2.0"]);
  assert.deepEqual([facts.blockTokens, facts.hbmTokens], [32, 3200]);
  assert.equal(facts.metricsUrl, `${standIn.url}/prometheus/metrics`);
  assert.equal(standIn.state.asked.filter((asked) => asked === "GET /metrics").length, 1);
  assert.deepEqual(states(facts, "metrics", "cacheCounters", "reset", "cachedTokens"), {
    metrics: "yes",
    cacheCounters: "yes",
    reset: "no",
    cachedTokens: "yes",
  });
});

Deno.test("probeServer() says how trtllm-serve gets a metrics route", async () => {
  const { facts } = await probe(TRTLLM);
  assert.equal(facts.metricsUrl, undefined);
  assert.match(facts.capabilities.metrics.evidence, /\/metrics is JSON.*prometheus.*404/);
  assert.match(facts.capabilities.metrics.enable ?? "", /return_perf_metrics/);
});

Deno.test("probeServer() knows a Dynamo frontend", async () => {
  const { facts } = await probe({
    models: modelList("m", "nvidia"),
    metrics: {
      "/metrics": ({ promptTokens, hits }) =>
        `dynamo_frontend_inflight_requests{model="m"} 0
dynamo_frontend_model_kv_cache_block_size{model="m"} 64
dynamo_frontend_model_total_kv_blocks{model="m"} 500
dynamo_frontend_input_sequence_tokens_sum{model="m"} ${promptTokens}
dynamo_frontend_cached_tokens_sum{model="m"} ${hits}
`,
    },
    fields: { stream_options: "object" },
    blockTokens: 64,
    cachedTokens: "always",
    usage: "asked",
  });
  assert.deepEqual([facts.engine, facts.blockTokens, facts.hbmTokens], ["dynamo", 64, 32_000]);
  // Without its own field check a frontend may drop ignore_eos.
  assert.deepEqual(states(facts, "cacheCounters", "ignoreEos", "minTokens"), {
    cacheCounters: "yes",
    ignoreEos: "unknown",
    minTokens: "unknown",
  });
});

Deno.test("probeServer() knows llama.cpp: token blocks, any model name, slots", async () => {
  const { facts } = await probe(LLAMACPP, { model: "any" });
  assert.deepEqual([facts.engine, facts.engineVersion], ["llamacpp", "b6000-abc"]);
  assert.deepEqual([facts.blockTokens, facts.maxContextTokens], [1, 4096]);
  assert.equal(facts.model, "any");
  assert.match(facts.notes.join(), /does not check the model name/);
  assert.deepEqual(states(facts, "minTokens", "ignoreEos", "reset", "tokenize", "cacheSalt"), {
    minTokens: "no",
    ignoreEos: "yes",
    reset: "no",
    tokenize: "yes",
    cacheSalt: "no",
  });
  assert.match(facts.capabilities.metrics.enable ?? "", /--metrics/);
  assert.equal(facts.capabilities.recompute.state, "yes");
  const { facts: deaf } = await probe({ ...LLAMACPP, cachePrompt: false });
  assert.equal(deaf.capabilities.recompute.state, "no", "cache_prompt: false was ignored");
});

Deno.test("probeServer() asks llama.cpp for an action that there is not: 400 where slots can be erased, else 501", async () => {
  for (const [status, state] of [[400, "yes"], [501, "no"], [500, "unknown"]] as const) {
    const posts = {
      ...LLAMACPP.posts,
      "/slots/0": () => Response.json({ error: { code: status } }, { status }),
    };
    const { facts } = await probe({ ...LLAMACPP, posts });
    const { reset } = facts.capabilities;
    assert.equal(reset.state, state, reset.evidence);
    assert.match(reset.evidence, new RegExp(`answers ${status}`));
    if (state === "no") assert.match(reset.enable ?? "", /--slot-save-path/);
    if (state === "yes") assert.equal(reset.enable, undefined, "it is not asked for again");
  }
});

Deno.test("probeServer() knows TGI and what it cannot do", async () => {
  const { facts } = await probe({
    models: modelList("m", "m"),
    documents: {
      "/info": { model_id: "m", version: "3.3.0", router: "tgi", max_total_tokens: 2048 },
    },
    metrics: { "/metrics": () => "tgi_queue_size 0\ntgi_batch_current_size 0\n" },
    posts: { "/tokenize": () => Response.json([{ id: 5, text: "a" }]) },
    blockTokens: 16,
    cachedTokens: "never",
    usage: "asked",
  });
  assert.deepEqual([facts.engine, facts.engineVersion, facts.maxContextTokens], [
    "tgi",
    "3.3.0",
    2048,
  ]);
  assert.deepEqual(
    states(facts, "ignoreEos", "minTokens", "reset", "cacheCounters", "prefixCaching", "tokenize"),
    {
      ignoreEos: "no",
      minTokens: "no",
      reset: "no",
      cacheCounters: "unknown",
      prefixCaching: "unknown",
      tokenize: "yes",
    },
  );
});

Deno.test("probeServer() sees LMCache inside vLLM and reads the chunk of one beside it", async () => {
  await using lmcache = startStandIn({
    documents: { "/status": { chunk_size: 256 } },
    metrics: {
      "/metrics": () => "lmcache_mp_lookup_requested_tokens_total 0\nvllm:prompt_tokens_total 0\n",
    },
    blockTokens: 0,
    cachedTokens: "never",
  });
  const { facts } = await probe(VLLM, { access: { metricsUrl: `${lmcache.url}/metrics` } });
  assert.equal(facts.lmcacheChunkTokens, 256);
  assert.equal(facts.metricsUrl, `${lmcache.url}/metrics`);
  assert.match(facts.notes.join(), /LMCache counts only/);
});

Deno.test("probeServer() tells an LMCache server from an engine", async () => {
  await assert.rejects(
    probe({ documents: { "/status": { chunk_size: 256 } }, blockTokens: 0, cachedTokens: "never" }),
    /is LMCache itself/,
  );
});

Deno.test("probeServer() degrades on a strict gateway: chat only, no unknown fields", async () => {
  const { facts } = await probe({
    models: { object: "list", data: [{ id: "gpt", object: "model" }] },
    apis: ["chat"],
    strict: true,
    blockTokens: 0,
    cachedTokens: "never",
    usage: "always",
  });
  assert.deepEqual([facts.engine, facts.api], ["unknown", "chat"]);
  assert.deepEqual(
    states(facts, "completions", "chat", "streamUsage", "ignoreEos", "minTokens", "cacheSalt"),
    {
      completions: "no",
      chat: "yes",
      streamUsage: "no",
      ignoreEos: "no",
      minTokens: "no",
      cacheSalt: "no",
    },
  );
  assert.deepEqual(states(facts, "cachedTokens", "metrics", "reset", "tokenize", "tokenIds"), {
    cachedTokens: "no",
    metrics: "no",
    reset: "no",
    tokenize: "no",
    tokenIds: "no",
  });
});

Deno.test("probeServer() does not take a gateway that accepts everything for an engine", async () => {
  const { facts } = await probe({
    models: modelList("m", "someone"),
    blockTokens: 0,
    cachedTokens: "always",
    usage: "always",
  });
  assert.deepEqual(states(facts, "ignoreEos", "minTokens", "cacheSalt", "prefixCaching"), {
    ignoreEos: "unknown",
    minTokens: "unknown",
    cacheSalt: "unknown",
    prefixCaching: "no",
  });
});

Deno.test("probeServer() survives odd documents on every route", async () => {
  for (const odd of ["<html>hello</html>", "null", "[1]", `{"a":`, "", `{"version":5}`]) {
    const paths = ["/version", "/props", "/server_info", "/info", "/status", "/metrics", "/slots"];
    const { facts } = await probe({
      models: { object: "list", data: [null, 5, { id: 7 }, { id: "m", max_model_len: "x" }] },
      documents: Object.fromEntries(paths.map((path) => [path, odd])),
      posts: { "/tokenize": () => new Response(odd) },
      blockTokens: 16,
      cachedTokens: "always",
      usage: "always",
    });
    assert.deepEqual([facts.engine, facts.model], ["unknown", "m"], odd);
    assert.equal(facts.capabilities.prefixCaching.state, "yes");
  }
});

Deno.test("probeServer() sees a second tier by the look-ups that it counts there", async () => {
  const counted = (queries: number) => (state: StandInState) =>
    `${vllmMetrics(state)}vllm:external_prefix_cache_queries_total{engine="0"} ${queries}.0\n`;
  for (const queries of [0, 4096]) {
    const { facts } = await probe({ ...VLLM, metrics: { "/metrics": counted(queries) } });
    assert.equal(facts.hbmTokens, 16_000);
    assert.equal(facts.offload !== undefined, queries > 0);
  }
});
