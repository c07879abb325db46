import assert from "node:assert/strict";
import fc from "fast-check";
import { CacheModel, type SentRequest, theoreticalHits } from "./lru.ts";

function whole(promptIndex: number, tokens = 160): SentRequest {
  return { promptIndex, sharedTokens: tokens, achievableTokens: tokens - 16, promptTokens: tokens };
}

function cyclic(prompts: number, rounds: number): SentRequest[] {
  return Array.from({ length: prompts * rounds }, (_, i) => ({
    ...whole(i % prompts),
    counted: i >= prompts,
  }));
}

Deno.test("theoreticalHits() of a working set that fits is the achievable rate", () => {
  const hits = theoreticalHits(cyclic(10, 4), { capacityTokens: 1600, blockTokens: 16 });
  assert.equal(hits?.hitRatePercent, 90);
});

Deno.test("theoreticalHits() of a cyclic scan one prompt too large falls to nothing", () => {
  const hits = theoreticalHits(cyclic(11, 4), { capacityTokens: 1600, blockTokens: 16 });
  assert.equal(hits?.hitRatePercent, 0);
});

Deno.test("theoreticalHits() lets unique text push shared text out", () => {
  const ask: SentRequest = {
    promptIndex: 0,
    sharedTokens: 80,
    achievableTokens: 80,
    promptTokens: 160,
  };
  const noise: SentRequest = { sharedTokens: 0, achievableTokens: 0, promptTokens: 800 };
  const sent = [ask, noise, ask].map((request, i) => ({ ...request, counted: i === 2 }));
  assert.equal(theoreticalHits(sent, { capacityTokens: 880, blockTokens: 16 })?.hitTokens, 80);
  // One block less: the last shared block is gone, the ones before it are not.
  assert.equal(theoreticalHits(sent, { capacityTokens: 864, blockTokens: 16 })?.hitTokens, 64);
  assert.equal(theoreticalHits(sent, { capacityTokens: 800, blockTokens: 16 })?.hitTokens, 0);
});

Deno.test("theoreticalHits() counts generated tokens as occupied room", () => {
  const sent = [whole(0), { ...whole(1), outputTokens: 160 }, whole(0)];
  const model = { capacityTokens: 320, blockTokens: 16 };
  assert.equal(theoreticalHits(sent, model)?.hitTokens, 0);
});

Deno.test("theoreticalHits() says nothing without counted requests", () => {
  assert.equal(theoreticalHits([], { capacityTokens: 10 }), undefined);
  assert.equal(
    theoreticalHits([{ ...whole(0), counted: false }], { capacityTokens: 10 }),
    undefined,
  );
});

Deno.test("theoreticalHits() makes its grain coarser rather than spend too many steps", () => {
  const hits = theoreticalHits(cyclic(10, 4), {
    capacityTokens: 1600,
    blockTokens: 16,
    maxSteps: 100,
  });
  assert.equal(hits?.grainTokens, 64);
});

const request = fc.record({
  promptIndex: fc.nat(5),
  shared: fc.nat(20),
  unique: fc.nat(5),
}).map(({ promptIndex, shared, unique }): SentRequest => ({
  promptIndex,
  sharedTokens: shared * 16,
  achievableTokens: shared * 16,
  promptTokens: (shared + unique) * 16,
}));

Deno.test("theoreticalHits() never falls with a larger cache, and never exceeds the achievable", () => {
  fc.assert(fc.property(fc.array(request), fc.nat(60), fc.nat(60), (sent, a, b) => {
    const at = (blocks: number) =>
      theoreticalHits(sent, { capacityTokens: blocks * 16, blockTokens: 16 })?.hitTokens ?? 0;
    const [small, large] = [at(Math.min(a, b)), at(Math.max(a, b))];
    assert.ok(small <= large);
    assert.ok(large <= sent.reduce((sum, { achievableTokens }) => sum + achievableTokens, 0));
  }));
});

Deno.test("CacheModel plays a run in parts as theoreticalHits() does as a whole", () => {
  for (const prompts of [10, 11]) {
    const requests = cyclic(prompts, 4);
    const model = new CacheModel({ capacityTokens: 1600, blockTokens: 16 });
    const played = requests.map((request) => ({ request, hit: model.play(request) }));
    const counted = played.filter(({ request }) => request.counted !== false);
    const hitTokens = counted.reduce((sum, { hit }) => sum + (hit ?? NaN), 0);
    const whole = theoreticalHits(requests, { capacityTokens: 1600, blockTokens: 16 });
    assert.equal(hitTokens, whole?.hitTokens);
  }
});

Deno.test("CacheModel tells prompts of one index but different sizes apart, and forgets", () => {
  const model = new CacheModel({ capacityTokens: 16_000, blockTokens: 16 });
  const small = { ...whole(0), promptIndex: "160:0" };
  const large = { ...whole(0, 320), promptIndex: "320:0" };
  assert.equal(model.play(small), 0);
  assert.equal(model.play(large), 0);
  assert.equal(model.play(small), 144);
  model.clear();
  assert.equal(model.play(small), 0);
});

Deno.test("CacheModel of a huge cache says nothing about prompts that are small for its grain", () => {
  const model = new CacheModel({ capacityTokens: 1e9, blockTokens: 16 });
  assert.ok(model.grainTokens > 160);
  assert.equal(model.play(whole(0)), undefined);
  const large = whole(1, 100 * model.grainTokens);
  assert.equal(model.play(large), 0);
  assert.equal(model.play(large), large.achievableTokens);
});
