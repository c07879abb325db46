import assert from "node:assert/strict";
import { canonicalSeries, METRIC_NAMES, sumByKey } from "./counters.ts";
import { parseExposition } from "./exposition.ts";
import { canTellHits, hitsFromCounters, tierHitsFromCounters } from "./hits.ts";

function read(text: string) {
  return canonicalSeries(parseExposition(text));
}

Deno.test("canonicalSeries() takes counters with and without _total, and a pair of both once", () => {
  for (const names of [["hits_total"], ["hits"], ["hits", "hits_total"], ["hits_total", "hits"]]) {
    const text = names.map((name) => `vllm:prefix_cache_${name}{engine="0"} 7`).join("\n");
    assert.deepEqual(sumByKey(read(text)), { prefixHits: 7 });
  }
});

Deno.test("sumByKey() adds ranks up and averages shares", () => {
  const text = `vllm:prompt_tokens_total{engine="0"} 5
vllm:prompt_tokens_total{engine="1"} 6
vllm:kv_cache_usage_perc{engine="0"} 0.5
vllm:kv_cache_usage_perc{engine="1"} 0.1`;
  assert.deepEqual(sumByKey(read(text)), { promptTokens: 11, kvUsage: 0.3 });
});

Deno.test("canonicalSeries() reads an old name only where the new one is missing", () => {
  const old = "vllm:gpu_cache_usage_perc 0.9\n";
  assert.deepEqual(sumByKey(read(old)), { kvUsage: 0.9 });
  assert.deepEqual(sumByKey(read(`${old}vllm:kv_cache_usage_perc 0.2`)), { kvUsage: 0.2 });
});

Deno.test("canonicalSeries() splits by source and by direction of transfer", () => {
  const text = `vllm:prompt_tokens_by_source_total{source="local_compute"} 10
vllm:prompt_tokens_by_source_total{source="local_cache_hit"} 20
vllm:kv_offload_total_bytes_total{transfer_type="CPU_to_GPU"} 3
vllm:kv_offload_total_bytes_total{transfer_type="GPU_to_CPU"} 4`;
  assert.deepEqual(sumByKey(read(text)), {
    "promptTokensBySource.local_compute": 10,
    "promptTokensBySource.local_cache_hit": 20,
    offloadLoadBytes: 3,
    offloadStoreBytes: 4,
  });
});

Deno.test("canonicalSeries() leaves NaN out", () => {
  assert.deepEqual(read("vllm:kv_cache_usage_perc NaN"), []);
});

Deno.test("hitsFromCounters() prefers prompt tokens by source over the counters that lied", () => {
  const hits = hitsFromCounters({
    "promptTokensBySource.local_compute": 100,
    "promptTokensBySource.local_cache_hit": 250,
    "promptTokensBySource.external_kv_transfer": 50,
    prefixQueries: 400,
    prefixHits: 390,
  });
  assert.deepEqual([hits?.queryTokens, hits?.hitTokens], [400, 300]);
});

Deno.test("hitsFromCounters() adds external hits to the hits in HBM", () => {
  const hits = hitsFromCounters({
    prefixQueries: 1000,
    prefixHits: 300,
    externalQueries: 700,
    externalHits: 200,
  });
  assert.deepEqual([hits?.queryTokens, hits?.hitTokens], [1000, 500]);
});

Deno.test("hitsFromCounters() adds llama.cpp's cached tokens to its uncached prompt tokens", () => {
  const text = "llamacpp:prompt_tokens_total 40\nllamacpp:prompt_tokens_cached_total 60";
  const hits = hitsFromCounters(sumByKey(read(text)));
  assert.deepEqual([hits?.queryTokens, hits?.hitTokens], [100, 60]);
});

Deno.test("hitsFromCounters() adds SGLang's tiers up", () => {
  const text = `sglang:prompt_tokens_total 100
sglang:cached_tokens_total{cache_source="device"} 30
sglang:cached_tokens_total{cache_source="host"} 20`;
  assert.deepEqual(hitsFromCounters(sumByKey(read(text)))?.hitTokens, 50);
});

Deno.test("hitsFromCounters() says nothing without tokens, or from TGI", () => {
  assert.equal(hitsFromCounters({ prefixQueries: 0, prefixHits: 0 }), undefined);
  assert.equal(canTellHits(read("tgi_queue_size 1\ntgi_batch_current_size 2")), false);
  assert.equal(canTellHits(read("vllm:prefix_cache_queries 0\nvllm:prefix_cache_hits 0")), true);
});

Deno.test("METRIC_NAMES has each name once per key, part and labels", () => {
  const seen = METRIC_NAMES.map((entry) => JSON.stringify([entry.key, entry.name, entry.labels]));
  assert.equal(new Set(seen).size, seen.length);
});

Deno.test("tierHitsFromCounters() knows the engines' names of the tiers", () => {
  const cases: [Record<string, number>, Record<string, number>][] = [
    [{ "cachedTokensByTier.hbm": 5, "cachedTokensByTier.dram": 3, "cachedTokensByTier.ssd": 1 }, {
      hbm: 5,
      dram: 3,
      ssd: 1,
    }],
    [{ "cachedTokensByTier.device": 5, "cachedTokensByTier.host": 3 }, { hbm: 5, dram: 3 }],
    [{ "cachedTokensByTier.storage_file": 2, "cachedTokensByTier.storage_nixl": 1 }, { ssd: 3 }],
    [{
      "promptTokensBySource.local_compute": 9,
      "promptTokensBySource.local_cache_hit": 4,
      "promptTokensBySource.external_kv_transfer": 2,
    }, { hbm: 4, offload: 2 }],
    [{ prefixHits: 7, externalHits: 1 }, { hbm: 7, offload: 1 }],
    [{ cachedTokens: 7, promptTokens: 9 }, {}],
    // What vLLM counts as external is what LMCache found in its tiers.
    [{ prefixHits: 7, externalHits: 6, "lmcacheHitsByTier.L1": 4, "lmcacheHitsByTier.L2": 2 }, {
      hbm: 7,
      dram: 4,
      ssd: 2,
    }],
  ];
  for (const [deltas, tiers] of cases) assert.deepEqual(tierHitsFromCounters(deltas), tiers);
});
