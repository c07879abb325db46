import assert from "node:assert/strict";
import { ConstantLatencyEngine } from "./constant_latency.ts";
import { type EngineRequest, newCounters } from "./engine.ts";

function request(id: number, arrivedAtMs: number, promptTokens: number): EngineRequest {
  return {
    id,
    arrivedAtMs,
    promptTokens,
    rootKey: 0,
    blockKeys: [],
    lastTokens: [],
    useCache: false,
    outputTokens: 3,
    outputToken: (n) => n,
  };
}

Deno.test("ConstantLatencyEngine is as fast for a long prompt in a crowd as for a short one alone", () => {
  const counters = newCounters();
  const engine = new ConstantLatencyEngine({ ttftMs: 100, itlMs: 10 }, counters);
  for (let id = 0; id < 50; id++) engine.submit(request(id, id * 3, 1 + id * 1000));
  assert.equal(engine.nextEventAtMs(), 100);
  const emissions = engine.advanceTo(1e6);
  for (let id = 0; id < 50; id++) {
    const own = emissions.filter((emission) => emission.id === id);
    assert.deepEqual(own.map(({ atMs }) => atMs - id * 3), [100, 110, 120]);
    assert.deepEqual(own.map(({ isLast }) => isLast), [false, false, true]);
  }
  const times = emissions.map(({ atMs }) => atMs);
  assert.deepEqual(times, [...times].sort((a, b) => a - b));
  assert.equal(engine.nextEventAtMs(), undefined);
  assert.equal(counters.generationTokens, 150);
  assert.equal(counters.promptTokens, 50 + 1000 * 49 * 25);
  assert.equal(counters.promptTokensComputed, counters.promptTokens);
});

Deno.test("ConstantLatencyEngine gives each token once however often it is asked", () => {
  const engine = new ConstantLatencyEngine({ ttftMs: 100, itlMs: 10 }, newCounters());
  engine.submit(request(1, 0, 5));
  engine.submit(request(2, 5, 5));
  engine.abort(2);
  assert.deepEqual(engine.advanceTo(99.9), []);
  assert.deepEqual(engine.advanceTo(105).map(({ index }) => index), [0]);
  assert.deepEqual(engine.advanceTo(105), []);
  assert.deepEqual(engine.advanceTo(200).map(({ index }) => index), [1, 2]);
  assert.equal(engine.load.running, 0);
});
