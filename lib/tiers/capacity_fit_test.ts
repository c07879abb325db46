import assert from "node:assert/strict";
import { randomStream, seedFor } from "../random.ts";
import { fitCapacity, type HitCount, shareOfHits } from "./capacity_fit.ts";

const FOOTPRINT = { keptTokens: 1000, passingTokens: 0 };

function counts(share: (prompts: number) => number, seed: number, requests = 60): HitCount[] {
  const stream = randomStream(seedFor("fit", seed));
  return [20, 40, 60, 80, 120, 160, 240, 320].map((prompts) => ({
    prompts,
    requests,
    hits: Array.from({ length: requests }, () => stream.nextFloat())
      .filter((one) => one < share(prompts)).length,
  }));
}

Deno.test("fitCapacity() finds the capacity, and its interval holds it 95 times in 100", () => {
  let held = 0;
  for (let seed = 0; seed < 100; seed++) {
    const fit = fitCapacity(counts((n) => Math.min(1, 70 / n), seed), FOOTPRINT);
    assert.ok(fit !== undefined);
    assert.ok(Math.abs(fit.tokens / 70_000 - 1) < 0.2, `seed ${seed}: ${fit.tokens}`);
    assert.ok(fit.low <= fit.tokens && fit.tokens <= fit.high);
    if (fit.low <= 70_000 && 70_000 <= fit.high) held++;
  }
  assert.ok(held >= 90, `${held} of 100`);
});

Deno.test("fitCapacity() claims nothing for a share of hits that does not fall by this law", () => {
  for (let seed = 0; seed < 20; seed++) {
    assert.equal(fitCapacity(counts(() => 1, seed), FOOTPRINT), undefined, "all hits");
    assert.equal(fitCapacity(counts(() => 0.7, seed), FOOTPRINT), undefined, "constant");
    assert.equal(fitCapacity(counts(() => 0, seed), FOOTPRINT), undefined, "no hits");
    assert.equal(fitCapacity(counts((n) => n / 400, seed), FOOTPRINT), undefined, "rising");
    const step = counts((n) => n <= 100 ? 1 : 0, seed);
    assert.equal(fitCapacity(step, FOOTPRINT), undefined, "a step");
  }
  assert.equal(fitCapacity([], FOOTPRINT), undefined);
});

Deno.test("fitCapacity() widens the interval where counts scatter", () => {
  const even = counts((n) => Math.min(1, 70 / n), 1, 200);
  const uneven = even.map((one, i) => ({
    ...one,
    hits: Math.min(one.requests, Math.max(0, one.hits + (i % 2 === 0 ? 12 : -12))),
  }));
  const [narrow, wide] = [fitCapacity(even, FOOTPRINT), fitCapacity(uneven, FOOTPRINT)];
  assert.ok(narrow !== undefined && wide !== undefined);
  assert.ok(wide.high / wide.low > narrow.high / narrow.low);
  assert.ok(wide.dispersion > 1.5);
});

Deno.test("shareOfHits() is capacity / working set, less where text passes between two uses", () => {
  assert.equal(shareOfHits(50_000, 100, 40, FOOTPRINT), 0.5);
  assert.equal(shareOfHits(500_000, 100, 40, FOOTPRINT), 1);
  const passing = { keptTokens: 500, passingTokens: 500 };
  // Right after the warm-up each prompt takes both parts.
  assert.ok(Math.abs(shareOfHits(50_000, 100, 1, passing) - 0.5) < 1e-6);
  // After many requests the share x of resident prompts solves x − ln(1 − x) = 1.
  assert.ok(Math.abs(shareOfHits(50_000, 100, 100_000, passing) - 0.4328) < 2e-3);
  assert.ok(shareOfHits(1e9, 100, 100, passing) > 0.999);
});

Deno.test("shareOfHits() is what a simulated LRU cache of prompts and passing text finds", () => {
  const [prompts, requests, kept, passing] = [80, 200, 700, 300];
  let [hits, all] = [0, 0];
  for (let seed = 0; seed < 20; seed++) {
    const stream = randomStream(seedFor("lru", seed));
    const uses = Array.from({ length: prompts }, (_, i) => i);
    for (let k = 0; k < requests; k++) {
      const index = stream.nextBelow(prompts);
      const since = uses.slice(uses.lastIndexOf(index) + 1);
      const tokens = (new Set(since).size + 1) * kept + since.length * passing;
      [hits, all] = [hits + (tokens <= 45_000 ? 1 : 0), all + 1];
      uses.push(index);
    }
  }
  const expected = shareOfHits(45_000, prompts, requests, {
    keptTokens: kept,
    passingTokens: passing,
  });
  assert.ok(Math.abs(hits / all - expected) < 0.02, `${hits / all} against ${expected}`);
});
