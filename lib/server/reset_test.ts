import assert from "node:assert/strict";
import {
  type StandInScript,
  type StandInState,
  startStandIn,
} from "../../tests/support/stand_ins.ts";
import {
  CAPABILITIES,
  type Capability,
  type CapabilityName,
  type Engine,
  no,
  yes,
} from "./facts.ts";
import { proveCold, proveUnseen, resetCaches } from "./reset.ts";

function factsOf(engine: Engine, missing: readonly CapabilityName[] = []) {
  const names = Object.keys(CAPABILITIES) as CapabilityName[];
  const capabilities = Object.fromEntries(
    names.map((name) => [name, missing.includes(name) ? no("none") : yes("test")]),
  ) as Record<CapabilityName, Capability>;
  return {
    engine,
    capabilities,
    model: "m",
    cachedTokensAbsentMeansZero: false,
    cachedTokensDisproved: false,
  };
}

type Posts = NonNullable<StandInScript["posts"]>;

function script(posts: Posts, more: Partial<StandInScript> = {}): StandInScript {
  return { blockTokens: 16, cachedTokens: "always", usage: "always", posts, ...more };
}

async function reset(engine: Engine, posts: Posts, more: Partial<StandInScript> = {}) {
  await using standIn = startStandIn(script(posts, more));
  const outcome = await resetCaches({ baseUrl: standIn.url, headers: {}, fetch }, factsOf(engine));
  return { outcome, asked: standIn.state.asked };
}

Deno.test("resetCaches() takes a 200 that says success: false as a failure", async () => {
  const { outcome, asked } = await reset("vllm", {
    "/reset_prefix_cache": () => Response.json({ success: false }),
  });
  assert.equal(outcome.accepted, false);
  assert.equal(outcome.tiers[0]?.outcome, "failed");
  // Blocks of a request that has just ended are still held: it is asked again.
  assert.equal(asked.length, 3);
  assert.match(asked[0] ?? "", /reset_external=true/);
  assert.doesNotMatch(asked[0] ?? "", /reset_running_requests/);
});

Deno.test("resetCaches() asks again until the blocks are let go", async () => {
  let times = 0;
  const { outcome } = await reset("vllm", {
    "/reset_prefix_cache": () => Response.json({ success: ++times === 3 }),
  });
  assert.deepEqual([outcome.accepted, outcome.tiers[0]?.outcome], [true, "dropped"]);
});

Deno.test("resetCaches() does not take an empty 200 for a proof", async () => {
  const { outcome } = await reset("vllm", { "/reset_prefix_cache": () => new Response("") });
  assert.deepEqual([outcome.accepted, outcome.tiers[0]?.outcome], [true, "unknown"]);
});

Deno.test("resetCaches() drops SGLang's memory and storage, by the old name too", async () => {
  const { outcome, asked } = await reset("sglang", {
    "/flush_cache": () => new Response("Cache flushed.\n"),
    "/clear_hicache_storage_backend": () => new Response("Hierarchical cache storage cleared."),
  });
  assert.deepEqual(outcome.tiers.map(({ tier, outcome }) => [tier, outcome]), [
    ["HBM", "dropped"],
    ["storage", "dropped"],
  ]);
  assert.match(asked[0] ?? "", /^POST \/flush_cache/);
});

Deno.test("resetCaches() fails if SGLang has running requests", async () => {
  const { outcome } = await reset("sglang", {
    "/flush_cache": () => new Response("Failed: running requests", { status: 400 }),
  });
  assert.equal(outcome.accepted, false);
});

Deno.test("resetCaches() erases each slot of llama.cpp, or says that it may not", async () => {
  const documents = { "/slots": [{ id: 0 }, { id: 3 }] };
  const erase = () => Response.json({ id_slot: 0, n_erased: 12 });
  const erased = await reset("llamacpp", { "/slots/0": erase, "/slots/3": erase }, { documents });
  assert.deepEqual(erased.outcome.tiers.map(({ tier, outcome }) => [tier, outcome]), [
    ["slot 0", "dropped"],
    ["slot 3", "dropped"],
  ]);
  const refuse = () => Response.json({ error: { message: "not supported" } }, { status: 501 });
  const refused = await reset("llamacpp", { "/slots/0": refuse }, { documents });
  assert.equal(refused.outcome.accepted, false);
  assert.match(refused.outcome.tiers[0]?.evidence ?? "", /501: "not supported"/);
});

Deno.test("resetCaches() asks nothing of a server without a route", async () => {
  await using standIn = startStandIn(script({}));
  const access = { baseUrl: standIn.url, headers: {}, fetch };
  const outcome = await resetCaches(access, factsOf("trtllm", ["reset"]));
  assert.equal(outcome.accepted, false);
  assert.deepEqual(standIn.state.asked, []);
});

Deno.test("resetCaches() clears LMCache beside the engine, and tells what stays", async () => {
  const posts = {
    "/reset_prefix_cache": () => Response.json({ success: true }),
    "/clear-cache": () => Response.json({ status: "ok" }),
  };
  await using standIn = startStandIn(script(posts));
  const access = {
    baseUrl: standIn.url,
    headers: {},
    fetch,
    metricsUrl: `${standIn.url}/metrics`,
  };
  const outcome = await resetCaches(access, { ...factsOf("vllm"), lmcacheChunkTokens: 256 });
  assert.deepEqual(outcome.tiers.map(({ outcome }) => outcome), ["dropped", "dropped"]);
  assert.match(outcome.tiers[1]?.tier ?? "", /L2 has no route/);
});

async function cold(
  clear: (state: StandInState) => Response,
  changes: Partial<ReturnType<typeof factsOf>> = {},
  more: Partial<StandInScript> = {},
) {
  await using standIn = startStandIn(script({ "/reset_prefix_cache": clear }, more));
  const access = { baseUrl: standIn.url, headers: {}, fetch };
  return await proveCold(access, { ...factsOf("vllm"), ...changes }, {
    api: "completions",
    nonce: "cold",
  });
}

function clearAll({ cached }: StandInState): Response {
  cached.clear();
  return Response.json({ success: true });
}

Deno.test("proveCold() is convinced by a canary that is gone", async () => {
  const proof = await cold(clearAll);
  assert.equal(proof.proved, true, proof.evidence.join());
  assert.match(proof.evidence.at(-1) ?? "", /reports 0 after/);
});

Deno.test("proveCold() is not convinced by success: true when the canary is still there", async () => {
  const proof = await cold(() => Response.json({ success: true }));
  assert.equal(proof.proved, false);
  assert.match(proof.evidence.at(-1) ?? "", /canary with 288 cached tokens reports 288 after/);
});

Deno.test("proveCold() needs counts, and takes an absent one for 0 only where that is known", async () => {
  const silent = await cold(clearAll, {}, { cachedTokens: "never" });
  assert.equal(silent.proved, false);
  const sparse = { cachedTokens: "absent-when-zero" } as const;
  assert.equal((await cold(clearAll, {}, sparse)).proved, false);
  const known = { cachedTokensAbsentMeansZero: true };
  assert.equal((await cold(clearAll, known, sparse)).proved, true);
});

async function unseen(
  more: Partial<StandInScript> = {},
  changes: Partial<ReturnType<typeof factsOf>> = {},
  beforeTokens = 0,
) {
  await using standIn = startStandIn(script({}, more));
  const access = { baseUrl: standIn.url, headers: {}, fetch };
  const options = { api: "completions", nonce: "unseen", beforeTokens } as const;
  return await proveUnseen(access, { ...factsOf("vllm"), ...changes }, options);
}

Deno.test("proveUnseen() needs a count of 0 first, and a hit when the text comes again", async () => {
  const proof = await unseen();
  assert.equal(proof.proved, true, proof.evidence);
  assert.match(proof.evidence, /reports 0 cached tokens, and 288 when it is sent again/);
  for (const more of [{ cachedTokens: "never" }, { blockTokens: 0 }] as const) {
    const silent = await unseen(more);
    assert.equal(silent.proved, false);
    assert.match(silent.evidence, /proves nothing/);
  }
  assert.equal((await unseen({}, { cachedTokensDisproved: true })).proved, false);
});

Deno.test("proveUnseen() needs no canary where nothing is reused at all", async () => {
  const proof = await unseen({ cachedTokens: "never" }, factsOf("vllm", ["prefixCaching"]));
  assert.equal(proof.proved, true);
});
