import assert from "node:assert/strict";
import { parseExposition } from "../server/exposition.ts";
import { formatMetrics, Histogram, TTFT_BUCKETS_S } from "./exposition.ts";
import { resolveSettings } from "./settings.ts";

Deno.test("formatMetrics() is read by a Prometheus parser, with vLLM's names and the values", async () => {
  const ttftSeconds = new Histogram(TTFT_BUCKETS_S);
  for (const seconds of [0.001, 0.3, 9999]) ttftSeconds.observe(seconds);
  const text = formatMetrics({
    settings: await resolveSettings({ model: 'a"\\b', hbmTokens: 1600, dramTokens: 1600 }),
    counters: {
      prefixCacheQueries: 1000,
      hits: { hbm: 400, dram: 200, ssd: 100 },
      promptTokensComputed: 300,
      promptTokensBySource: { local: 390, external: 290 },
      promptTokens: 980,
      generationTokens: 50,
      preemptions: 2,
    },
    running: 3,
    waiting: 4,
    kvUsedShare: 0.25,
    resident: { hbm: 16, dram: 32, ssd: 48 },
    startedAtMs: 1_700_000_000_500,
    ttftSeconds,
    finished: { length: 5, stop: 6, abort: 7 },
  });
  const { samples } = parseExposition(text);
  const sample = (name: string, labels: Record<string, string> = {}) =>
    samples.find((one) =>
      one.name === name &&
      Object.entries(labels).every(([key, text]) => one.labels[key] === text)
    );
  const value = (name: string, labels: Record<string, string> = {}) => sample(name, labels)?.value;
  assert.equal(value("vllm:prefix_cache_queries_total"), 1000);
  assert.equal(value("vllm:prefix_cache_hits_total"), 400);
  assert.equal(value("vllm:external_prefix_cache_queries_total"), 600);
  assert.equal(value("vllm:external_prefix_cache_hits_total"), 300);
  const source = "vllm:prompt_tokens_by_source_total";
  assert.equal(value(source, { source: "local_compute" }), 300);
  assert.equal(value(source, { source: "local_cache_hit" }), 390);
  assert.equal(value(source, { source: "external_kv_transfer" }), 290);
  assert.equal(value("vllm:num_requests_running"), 3);
  assert.equal(value("vllm:num_requests_waiting"), 4);
  assert.equal(value("vllm:kv_cache_usage_perc"), 0.25);
  assert.equal(value("kvmark_sim:tier_hit_tokens_total", { tier: "ssd" }), 100);
  assert.equal(value("vllm:request_success_total", { finished_reason: "abort" }), 7);
  assert.equal(value("kvmark_sim:dram_capacity_tokens"), 1600);
  assert.equal(value("process_start_time_seconds"), 1_700_000_000.5);
  const info = sample("vllm:cache_config_info")?.labels;
  assert.equal(info?.num_gpu_blocks, "100");
  assert.equal(info?.block_size, "16");
  const ttft = "vllm:time_to_first_token_seconds";
  assert.ok(text.includes(`# TYPE ${ttft} histogram`));
  const buckets = ["0.001", "0.5", "+Inf"].map((le) => value(`${ttft}_bucket`, { le }));
  assert.deepEqual(buckets, [1, 2, 3]);
  assert.equal(value(`${ttft}_count`), 3);
  assert.equal(value(`${ttft}_sum`), 9999.301);
  assert.ok(text.includes(`model_name="a\\"\\\\b"`));
});
