import assert from "node:assert/strict";
import { briefText } from "./_brief.ts";

Deno.test("briefText() prints the lines of the Python suite", () => {
  const row = {
    ...{ context_size: 8000, cache_hit_rate: 50, model: "m", total_requests: 20 },
    ...{ test_duration: 10, input_tokens_per_sec: 16000, output_tokens_per_sec: 64 },
    ...{ avg_ttft: 0.25, p95_ttft: 0.5, peak_concurrency: 4 },
  };
  const failed = { context_size: 8000, cache_hit_rate: 100, model: "m", failed_requests: 3 };
  const labels = {
    endpoint: "http://localhost:8000",
    by: "cache_rate",
    fixed: "working_set: 60000",
    dir: "out",
  } as const;
  assert.deepEqual(briefText([row, failed], labels).split("\n"), [
    "model: m",
    "endpoint: http://localhost:8000",
    "working_set: 60000",
    "",
    "context_size,cache_rate,requests,input_tokens,output_tokens,input_tps,output_tps,avg_ttft," +
    "p95_ttft,concurrency",
    "8000,50,20,160000,640,16000,64,0.25,0.5,4",
    "8000,100,,,,,,,,",
    "",
    "total_requests: 20",
    "total_input_tokens: 160000",
    "total_output_tokens: 640",
    "output: out",
    "",
  ]);
});
