import assert from "node:assert/strict";
import fc from "fast-check";
import { blockKeys } from "./block_hash.ts";
import { type Emission, Engine, type EngineRequest } from "./engine.ts";
import { type LatencyModel, loneTtftMs } from "./latency.ts";
import { type CacheSettings, TieredCache } from "./tiered_cache.ts";

const LATENCY: LatencyModel = {
  prefillTokensPerSec: 1000, // 1 token a millisecond
  itlMs: 10,
  itlGrowthMs: 2,
  dram: { readTokensPerSec: 10_000, latencyMs: 3 },
  ssd: { readTokensPerSec: 5_000, latencyMs: 7 },
};

interface Options extends Partial<CacheSettings> {
  maxBatch?: number;
  maxBatchedTokens?: number;
}

function engineOf(options: Options = {}): { engine: Engine; cache: TieredCache } {
  const { maxBatch = 8, maxBatchedTokens = 100, ...sizes } = options;
  const cache = new TieredCache({
    blockTokens: 16,
    hbmTokens: 16_000,
    dramTokens: 0,
    ssdTokens: 0,
    ...sizes,
  });
  return { engine: new Engine({ latency: LATENCY, maxBatch, maxBatchedTokens }, cache), cache };
}

function request(
  id: number,
  arrivedAtMs: number,
  promptTokens: number,
  outputTokens: number,
  promptId = id,
): EngineRequest {
  const tokens = Array.from({ length: promptTokens }, (_, i) => promptId * 100_000 + i);
  return {
    id,
    promptTokens,
    rootKey: 0,
    blockKeys: blockKeys(tokens, 16),
    lastTokens: tokens.slice(promptTokens - promptTokens % 16),
    useCache: true,
    outputTokens,
    arrivedAtMs,
    outputToken: (n) => 5_000_000 + id * 1000 + n,
  };
}

function timesOf(emissions: readonly Emission[], id: number): number[] {
  return emissions.filter((emission) => emission.id === id).map(({ atMs }) => atMs);
}

Deno.test("advanceTo() gives a lone request its exact TTFT and then one token a step", () => {
  const { engine } = engineOf();
  engine.submit(request(1, 1000, 250, 3));
  assert.equal(engine.nextEventAtMs(), 1000);
  const emissions = engine.advanceTo(5000);
  // Chunks of 100, 100 and 50 tokens, then two decode steps of 10 ms.
  assert.deepEqual(timesOf(emissions, 1), [1250, 1260, 1270]);
  assert.deepEqual(emissions.map(({ isLast }) => isLast), [false, false, true]);
  assert.deepEqual(emissions.map(({ index }) => index), [0, 1, 2]);
  assert.equal(engine.nextEventAtMs(), undefined);
  assert.deepEqual(engine.load, { running: 0, waiting: 0 });
});

Deno.test("advanceTo() gives the same tokens however often it is called", () => {
  const submitAll = (engine: Engine) => {
    for (let i = 0; i < 6; i++) engine.submit(request(i, i * 37, 90 + 30 * i, 1 + i, i % 3));
  };
  const { engine: once } = engineOf({ hbmTokens: 640, dramTokens: 320, maxBatch: 3 });
  submitAll(once);
  const expected = once.advanceTo(1e6);
  assert.equal(expected.length, 1 + 2 + 3 + 4 + 5 + 6);
  const { engine: often } = engineOf({ hbmTokens: 640, dramTokens: 320, maxBatch: 3 });
  submitAll(often);
  const emissions: Emission[] = [];
  for (let next = often.nextEventAtMs(); next !== undefined; next = often.nextEventAtMs()) {
    const batch = often.advanceTo(next);
    for (const { atMs } of batch) assert.equal(atMs, next);
    emissions.push(...batch);
  }
  assert.deepEqual(emissions, expected);
});

Deno.test("all requests together prefill at the prefill speed", () => {
  const { engine } = engineOf({ hbmTokens: 160_000 });
  for (let i = 0; i < 8; i++) engine.submit(request(i, 0, 1000, 1));
  const emissions = engine.advanceTo(1e6);
  assert.equal(emissions.length, 8);
  assert.equal(emissions.at(-1)?.atMs, 8000);
  assert.deepEqual(
    emissions.map(({ atMs }) => atMs),
    [1, 2, 3, 4, 5, 6, 7, 8].map((n) => n * 1000),
  );
});

Deno.test("a decode step grows with the batch and rides along with prefill", () => {
  const { engine } = engineOf();
  for (const id of [1, 2, 3]) engine.submit(request(id, 0, 16, 4));
  // One step of 48 tokens, then three of 10 + 2 * 2 ms.
  const emissions = engine.advanceTo(89);
  assert.deepEqual(timesOf(emissions, 2), [48, 62, 76]);
  // The fourth request waits for the running step, then its 40 tokens and 3 tokens decode together.
  const late = engineOf().engine;
  late.submit(request(1, 0, 16, 3));
  late.submit(request(4, 20, 40, 1));
  const both = late.advanceTo(1000);
  assert.deepEqual(timesOf(both, 1), [16, 26, 66]);
  assert.deepEqual(timesOf(both, 4), [66]);
});

Deno.test("a repeated prompt computes only what the cache does not hold", () => {
  const { engine } = engineOf();
  engine.submit(request(1, 0, 250, 1, 7));
  engine.submit(request(2, 1000, 250, 1, 7));
  const [cold, warm] = engine.advanceTo(5000);
  assert.deepEqual(cold?.cached, { hbm: 0, dram: 0, ssd: 0 });
  assert.deepEqual(warm?.cached, { hbm: 240, dram: 0, ssd: 0 });
  assert.equal(warm?.atMs, 1010); // 10 tokens left, but no step is shorter than 10 ms
  assert.deepEqual(engine.counters, {
    prefixCacheQueries: 500,
    hits: { hbm: 240, dram: 0, ssd: 0 },
    promptTokensComputed: 260,
    promptTokensBySource: { local: 240, external: 0 },
    promptTokens: 500,
    generationTokens: 2,
    preemptions: 0,
  });
});

Deno.test("requests with one new prefix share what is scheduled before they are taken in", () => {
  // Both fit into one step: the second finds the blocks of the first in the same step.
  const wide = engineOf({ maxBatchedTokens: 1000 }).engine;
  wide.submit(request(1, 0, 160, 1, 7));
  wide.submit(request(2, 0, 160, 1, 7));
  const same = wide.advanceTo(1e6);
  assert.equal(same[1]?.cached.hbm, 144);
  assert.deepEqual(same.map(({ atMs }) => atMs), [176, 176]);
  // With 100 tokens a step the first has scheduled its last 60 when the second comes in.
  const narrow = engineOf().engine;
  narrow.submit(request(1, 0, 160, 1, 7));
  narrow.submit(request(2, 0, 160, 1, 7));
  const later = narrow.advanceTo(1e6);
  assert.deepEqual(later.map(({ cached }) => cached.hbm), [0, 144]);
  // 100, then 60 + 16.
  assert.deepEqual(later.map(({ atMs }) => atMs), [176, 176]);
  // A budget that leaves room after the first chunk: the second shares only that chunk.
  const partial = engineOf({ maxBatchedTokens: 100 }).engine;
  partial.submit(request(0, 0, 16, 30));
  partial.submit(request(1, 0, 96, 1, 7));
  const first = partial.advanceTo(1e6).find(({ id }) => id === 1);
  assert.equal(first?.cached.hbm, 0);
});

Deno.test("a read from a lower tier delays its request, not the others, and links queue", () => {
  const { engine } = engineOf({ hbmTokens: 160, dramTokens: 160, ssdTokens: 320 });
  engine.submit(request(1, 0, 160, 1, 7));
  engine.submit(request(2, 1000, 160, 1, 8)); // pushes prompt 7 into DRAM
  engine.advanceTo(1999);
  engine.submit(request(3, 2000, 160, 1, 7));
  const [warm] = engine.advanceTo(2999);
  assert.deepEqual(warm?.cached, { hbm: 0, dram: 144, ssd: 0 });
  // Read: 3 + 14.4 ms; then one step of 16 tokens.
  assert.equal(warm?.atMs, 2000 + 14.4 + 3 + 16);
  const formulaMs = loneTtftMs(LATENCY, {
    promptTokens: 160,
    hbmTokens: 0,
    dramTokens: 144,
    ssdTokens: 0,
    maxBatchedTokens: 100,
  });
  assert.ok(Math.abs((warm?.atMs ?? 0) - 2000 - formulaMs) < 1e-9);
  assert.equal(warm?.scheduledAtMs, 2000);
});

Deno.test("two reads at once: the second waits for the link, a shared prefix is read once", () => {
  const { engine } = engineOf({ hbmTokens: 640, dramTokens: 640 });
  engine.submit(request(1, 0, 160, 1, 1));
  engine.submit(request(2, 0, 160, 1, 2));
  engine.submit(request(3, 1000, 640, 1, 3)); // pushes both into DRAM
  engine.advanceTo(3000);
  engine.submit(request(4, 4000, 160, 1, 1));
  engine.submit(request(5, 4000, 160, 1, 2));
  engine.submit(request(6, 4000, 160, 1, 1));
  const emissions = engine.advanceTo(6000);
  const found = (id: number) => emissions.find((emission) => emission.id === id)?.cached;
  assert.deepEqual(found(4), { hbm: 0, dram: 144, ssd: 0 });
  assert.deepEqual(found(5), { hbm: 0, dram: 144, ssd: 0 });
  assert.deepEqual(found(6), { hbm: 144, dram: 0, ssd: 0 });
  // 4 and 6 are ready at 4017.4 and compute 16 tokens each; 5 is ready at 4031.8, in that step.
  assert.deepEqual(timesOf(emissions, 4), [4000 + 14.4 + 3 + 32]);
  assert.deepEqual(timesOf(emissions, 6), timesOf(emissions, 4));
  assert.deepEqual(timesOf(emissions, 5), [4000 + 14.4 + 3 + 32 + 16]);
});

Deno.test("--max-batch holds requests in the queue until one ends", () => {
  const { engine } = engineOf({ maxBatch: 2 });
  for (const id of [1, 2, 3]) engine.submit(request(id, 0, 20, 2));
  engine.advanceTo(0);
  assert.deepEqual(engine.load, { running: 2, waiting: 1 });
  const emissions = engine.advanceTo(1e5);
  // 40 tokens, a decode step of 12 ms, then the third alone.
  assert.deepEqual(timesOf(emissions, 2), [40, 52]);
  assert.deepEqual(timesOf(emissions, 3), [72, 82]);
});

Deno.test("a full pool makes requests wait, and preempts what came last", () => {
  const { engine, cache } = engineOf({ hbmTokens: 64, maxBatchedTokens: 1000 });
  engine.submit(request(1, 0, 32, 20));
  engine.submit(request(2, 0, 32, 20));
  engine.submit(request(3, 0, 32, 1));
  const emissions = engine.advanceTo(1e6);
  assert.equal(timesOf(emissions, 1).length, 20);
  assert.equal(timesOf(emissions, 2).length, 20);
  assert.equal(timesOf(emissions, 3).length, 1);
  assert.ok(engine.counters.preemptions > 0);
  assert.equal(cache.usedShare(), 0);
  // Nothing is generated twice.
  for (const id of [1, 2]) {
    const indexes = emissions.filter((e) => e.id === id).map(({ index }) => index);
    assert.deepEqual(indexes, Array.from({ length: 20 }, (_, i) => i));
  }
  // The first came first: it is never preempted, so that its steps go on.
  assert.ok((timesOf(emissions, 1).at(-1) ?? 0) < (timesOf(emissions, 2).at(-1) ?? 0));
});

Deno.test("generated tokens are cached like prompt tokens", () => {
  const { engine } = engineOf();
  engine.submit(request(1, 0, 10, 40));
  engine.advanceTo(1e5);
  const conversation = [
    ...Array.from({ length: 10 }, (_, i) => 100_000 + i),
    ...Array.from({ length: 40 }, (_, i) => 5_001_000 + i),
  ];
  const again: EngineRequest = {
    ...request(2, 2e5, 50, 1),
    blockKeys: blockKeys(conversation, 16),
    lastTokens: conversation.slice(48),
  };
  engine.submit(again);
  // 50 tokens are known, 49 of them were computed: three whole blocks.
  assert.equal(engine.advanceTo(1e6)[0]?.cached.hbm, 48);
});

Deno.test("abort() frees the place at once, wherever the request is", () => {
  const { engine, cache } = engineOf({ maxBatch: 1 });
  for (const id of [1, 2, 3]) engine.submit(request(id, 0, 100, 5));
  engine.advanceTo(50);
  engine.abort(2); // waits
  engine.abort(1); // runs
  engine.abort(99);
  const emissions = engine.advanceTo(1e5);
  assert.deepEqual([...new Set(emissions.map(({ id }) => id))], [3]);
  // The step that was running is played to its end.
  assert.deepEqual(timesOf(emissions, 3), [200, 210, 220, 230, 240]);
  assert.equal(cache.usedShare(), 0);
});

Deno.test("preemptAll() starts running requests again without losing tokens", () => {
  const { engine, cache } = engineOf();
  engine.submit(request(1, 0, 100, 3));
  const before = engine.advanceTo(115);
  engine.preemptAll();
  assert.equal(cache.reset(true), true);
  const after = engine.advanceTo(1e5);
  // Two tokens were out; from 120 on the 102 tokens are computed again, in 100 and 10 ms.
  assert.deepEqual(timesOf([...before, ...after], 1), [100, 110, 230]);
});

Deno.test("any mix of requests ends with every token once and all blocks free", () => {
  const requests = fc.array(
    fc.record({
      arrivedAtMs: fc.nat(500),
      promptTokens: fc.integer({ min: 1, max: 150 }),
      outputTokens: fc.integer({ min: 1, max: 30 }),
      promptId: fc.nat(3),
      abortAtMs: fc.option(fc.nat(800)),
    }),
    { maxLength: 12 },
  );
  const sizes = fc.record({
    hbmTokens: fc.constantFrom(0, 192, 640),
    dramTokens: fc.constantFrom(0, 160),
    ssdTokens: fc.constantFrom(0, 320),
    maxBatch: fc.integer({ min: 1, max: 4 }),
    maxBatchedTokens: fc.integer({ min: 4, max: 200 }),
  });
  fc.assert(fc.property(sizes, requests, (options, list) => {
    const { engine, cache } = engineOf(options);
    list.sort((a, b) => a.arrivedAtMs - b.arrivedAtMs);
    list.forEach((r, id) =>
      engine.submit(request(id, r.arrivedAtMs, r.promptTokens, r.outputTokens, r.promptId))
    );
    const emissions: Emission[] = [];
    const aborts = list.map((r, id) => ({ id, atMs: r.abortAtMs })).filter((a) => a.atMs !== null)
      .sort((a, b) => (a.atMs as number) - (b.atMs as number));
    for (const { id, atMs } of aborts) {
      emissions.push(...engine.advanceTo(atMs as number));
      engine.abort(id);
    }
    emissions.push(...engine.advanceTo(1e9));
    list.forEach((r, id) => {
      const own = emissions.filter((emission) => emission.id === id);
      own.forEach(({ index }, i) => assert.equal(index, i));
      if (r.abortAtMs === null) assert.equal(own.length, r.outputTokens);
      const times = own.map(({ atMs }) => atMs);
      for (let i = 1; i < times.length; i++) {
        assert.ok((times[i] as number) >= (times[i - 1] as number) + LATENCY.itlMs - 1e-9);
      }
      assert.ok((times[0] ?? Infinity) >= r.arrivedAtMs + LATENCY.itlMs);
    });
    assert.deepEqual(engine.load, { running: 0, waiting: 0 });
    assert.ok(!(cache.usedShare() > 0));
    assert.equal(engine.nextEventAtMs(), undefined);
  }));
});
