import assert from "node:assert/strict";
import { parseCapture } from "../../tests/support/capture.ts";
import { canonicalSeries, sumByKey } from "./counters.ts";
import { detectEngine, servedModels, statedLimits } from "./detect.ts";
import type { Documents, Json } from "./documents.ts";
import { parseExposition } from "./exposition.ts";
import { hitsFromCounters } from "./hits.ts";

const CAPTURES = new URL("../../tests/fixtures/captures/vllm-0.26.0/", import.meta.url);

async function captured(name: string): Promise<string> {
  const capture = parseCapture(await Deno.readTextFile(new URL(`${name}.txt`, CAPTURES)));
  const decoder = new TextDecoder();
  return capture.reads.map(({ bytes }) => decoder.decode(bytes, { stream: true })).join("");
}

/** The documents of a real vLLM 0.26.0 on a CPU. */
async function realVllm(): Promise<Documents> {
  const text = await captured("models");
  return {
    models: {
      url: "http://server/v1/models",
      status: 200,
      headers: new Headers(),
      text,
      json: JSON.parse(text),
      truncated: false,
      elapsedMs: 1,
    },
    version: JSON.parse(await captured("version")) as Json,
    metrics: {
      url: "http://server/metrics",
      exposition: parseExposition(await captured("metrics")),
      evidence: "test",
      jsonTrap: false,
    },
  };
}

Deno.test("detectEngine() and statedLimits() read a real vLLM 0.26.0", async () => {
  const documents = await realVllm();
  assert.equal(documents.metrics.exposition?.malformedLines, 0);
  const models = servedModels(documents.models.json) ?? [];
  assert.deepEqual(models.map(({ id, root, adapter }) => [id, root, adapter]), [
    ["kvmark-tiny", "./model", false],
  ]);
  const { engine, version } = detectEngine(documents, models);
  assert.deepEqual([engine, version], ["vllm", "0.26.0"]);
  const limits = statedLimits(documents, models[0]);
  assert.equal(limits.maxContextTokens?.value, 32_768);
  assert.equal(limits.blockTokens?.value, 128);
  assert.equal(limits.hbmTokens?.value, 1_048_576);
  assert.equal(limits.prefixCaching?.on, true);
  assert.deepEqual(limits.tiers.map(({ name }) => name), ["HBM"]);
});

Deno.test("the counters of a real vLLM 0.26.0 tell its hits, twice over", async () => {
  const { metrics } = await realVllm();
  assert.ok(metrics.exposition);
  const sums = sumByKey(canonicalSeries(metrics.exposition));
  assert.deepEqual(hitsFromCounters(sums), {
    queryTokens: 4512,
    hitTokens: 3456,
    source: "prompt tokens by source",
  });
  const { prefixQueries, prefixHits } = sums;
  assert.deepEqual([prefixQueries, prefixHits], [4512, 3456]);
});

function documentsWith(labels: string): Documents {
  const models = {
    url: "",
    status: 200,
    headers: new Headers(),
    text: "",
    truncated: false,
    elapsedMs: 1,
  };
  const exposition = parseExposition(`vllm:cache_config_info{${labels}} 1`);
  return { models, metrics: { exposition, evidence: "test", jsonTrap: false } };
}

Deno.test("statedLimits() takes no None for a number, and an offload size for a tier", () => {
  const none = statedLimits(
    documentsWith(`block_size="None",num_gpu_blocks="None",kv_offloading_size="None"`),
    undefined,
  );
  assert.deepEqual(none, { tiers: [] });
  const offload = statedLimits(
    documentsWith(`block_size="16",num_gpu_blocks="10",kv_offloading_size="4.0"`),
    undefined,
  );
  assert.equal(offload.hbmTokens?.value, 160);
  assert.deepEqual(
    offload.tiers.map(({ name, capacityTokens, capacityBytes }) => [
      name,
      capacityTokens,
      capacityBytes,
    ]),
    [["HBM", 160, undefined], ["DRAM", undefined, 4 * 2 ** 30]],
  );
});
