import assert from "node:assert/strict";
import { accelerate, type LatencyModel, loneTtftMs, scheduleRead, stepMs } from "./latency.ts";

const MODEL: LatencyModel = {
  prefillTokensPerSec: 10_000,
  itlMs: 10,
  itlGrowthMs: 0.5,
  dram: { readTokensPerSec: 100_000, latencyMs: 2 },
  ssd: { readTokensPerSec: 20_000, latencyMs: 5 },
};

Deno.test("stepMs() is bound by prefill, then by the weights, and grows with the batch", () => {
  assert.equal(stepMs(MODEL, 2000, 0), 200);
  assert.equal(stepMs(MODEL, 1, 0), 10);
  assert.equal(stepMs(MODEL, 0, 1), 10);
  assert.equal(stepMs(MODEL, 0, 5), 12);
  assert.equal(stepMs(MODEL, 2000, 3), 201);
});

Deno.test("scheduleRead() queues on the link, and the latency does not hold the link", () => {
  assert.deepEqual(scheduleRead(MODEL.dram, 1000, 50, 0), { readyAtMs: 62, linkFreeAtMs: 60 });
  assert.deepEqual(scheduleRead(MODEL.dram, 1000, 50, 60), { readyAtMs: 72, linkFreeAtMs: 70 });
});

Deno.test("loneTtftMs() adds the slower of the reads and the chunks that are computed", () => {
  const request = { promptTokens: 8000, hbmTokens: 0, dramTokens: 0, ssdTokens: 0 };
  assert.equal(loneTtftMs(MODEL, { ...request, maxBatchedTokens: 2000 }), 800);
  const cached = { promptTokens: 8000, hbmTokens: 2000, dramTokens: 3000, ssdTokens: 2000 };
  // DRAM: 2 + 30; SSD: 5 + 100; 1000 tokens are computed in 100 ms.
  assert.equal(loneTtftMs(MODEL, { ...cached, maxBatchedTokens: 2048 }), 205);
  // The last chunk of 52 tokens takes as long as the weights do.
  const uneven = { ...request, promptTokens: 2100 };
  assert.equal(loneTtftMs(MODEL, { ...uneven, maxBatchedTokens: 2048 }), 204.8 + 10);
});

Deno.test("accelerate() divides every duration by the speedup", () => {
  const fast = accelerate(MODEL, 4);
  for (const [prefill, decode] of [[2000, 0], [0, 7], [300, 2]] as const) {
    assert.equal(stepMs(fast, prefill, decode), stepMs(MODEL, prefill, decode) / 4);
  }
  assert.equal(
    scheduleRead(fast.ssd, 640, 0, 0).readyAtMs,
    scheduleRead(MODEL.ssd, 640, 0, 0).readyAtMs / 4,
  );
});
