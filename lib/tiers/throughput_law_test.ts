import assert from "node:assert/strict";
import fc from "fast-check";
import { randomStream, seedFor } from "../random.ts";
import { fitThroughput, type LoadPoint } from "./throughput_law.ts";

const CONTEXT = 64_000;
const FOOTPRINT = { keptTokens: CONTEXT, passingTokens: 0 };
const SIZES = Array.from({ length: 20 }, (_, i) => 10 + 4 * i);

/** Periods at each size whose cost of a prompt is given, with noise. */
function periods(costSec: (prompts: number) => number, noise: number, seed: number): LoadPoint[] {
  const stream = randomStream(seedFor("throughput law", seed));
  return SIZES.flatMap((prompts) =>
    [4, 8].map((concurrency) => ({
      prompts,
      concurrency,
      requests: 100,
      inputTokensPerSec: CONTEXT / costSec(prompts) *
        Math.exp(noise * 3.46 * (stream.nextFloat() - 0.5)),
    }))
  );
}

function shapeOf(order: "random" | "cyclic") {
  return { order, contextTokens: CONTEXT, footprint: FOOTPRINT };
}

Deno.test("fitThroughput() gives back the capacity and both costs, for any of them", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 14, max: 60, noNaN: true }),
      fc.double({ min: 2.5, max: 20, noNaN: true }),
      fc.integer({ min: 1, max: 1000 }),
      (held, ratio, seed) => {
        const share = (prompts: number) => Math.min(1, held / prompts);
        const cost = (prompts: number) => 0.1 * (share(prompts) + ratio * (1 - share(prompts)));
        const fit = fitThroughput(periods(cost, 0.02, seed), shapeOf("random"));
        assert.ok(fit !== undefined, `${held} ${ratio}`);
        assert.ok(Math.abs(fit.capacityTokens / (held * CONTEXT) - 1) < 0.12, `${held} ${ratio}`);
        assert.ok(fit.low <= fit.capacityTokens && fit.capacityTokens <= fit.high);
        assert.ok(Math.abs(fit.hitMs / 100 - 1) < 0.1, `${fit.hitMs} ms a hit`);
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("fitThroughput() claims no end of a flat, a noisy or a sloped server", () => {
  const servers: Readonly<Record<string, readonly [(prompts: number) => number, number]>> = {
    flat: [() => 0.2, 0.03],
    noisy: [() => 0.2, 0.2],
    sloped: [(prompts) => 0.02 * Math.sqrt(prompts), 0.03],
    steep: [(prompts) => 0.004 * prompts, 0.03],
  };
  for (const [name, [cost, noise]] of Object.entries(servers)) {
    for (const order of ["random", "cyclic"] as const) {
      let claims = 0;
      for (let seed = 0; seed < 60; seed++) {
        if (fitThroughput(periods(cost, noise, seed), shapeOf(order)) !== undefined) claims++;
      }
      assert.ok(claims <= 1, `${name}, ${order}: ${claims} of 60`);
    }
  }
});

Deno.test("fitThroughput() places a step between the sizes on either side of it", () => {
  const fit = fitThroughput(periods((n) => n <= 31 ? 0.1 : 0.9, 0.03, 1), shapeOf("cyclic"));
  assert.deepEqual([fit?.low, fit?.high], [30 * CONTEXT, 34 * CONTEXT]);
  assert.equal(fitThroughput([], shapeOf("cyclic")), undefined);
});
