import assert from "node:assert/strict";
import fc from "fast-check";
import { KvmarkError } from "../errors.ts";
import { randomStream, seedFor } from "../random.ts";
import { renderText } from "./generator.ts";
import type { Vocabulary } from "./words.ts";
import {
  accessOrder,
  effectiveWorkingSet,
  planPrompt,
  promptCount,
  type PromptOptions,
  promptSegments,
  workingSetSegments,
} from "./working_set.ts";

const NONE = { beforeTokens: 0, afterTokens: 0 };

const optionsArbitrary: fc.Arbitrary<PromptOptions> = fc.record({
  contextSizeTokens: fc.integer({ min: 64, max: 200_000 }),
  hitRatePercent: fc.oneof(
    fc.integer({ min: 0, max: 100 }),
    fc.double({ min: 0, max: 100, noNaN: true }),
  ),
  chunkTokens: fc.constantFrom(1, 16, 17, 64, 256),
  blockTokens: fc.constantFrom(1, 16, 64, 128),
  overhead: fc.record({ beforeTokens: fc.nat(40), afterTokens: fc.nat(20) }),
}, { requiredKeys: ["contextSizeTokens", "hitRatePercent", "chunkTokens", "overhead"] });

Deno.test("planPrompt() adds up, for every context, rate, chunk, block and overhead", () => {
  fc.assert(
    fc.property(optionsArbitrary, (options) => {
      const { contextSizeTokens, hitRatePercent, chunkTokens, blockTokens, overhead } = options;
      const shape = planPrompt(options);
      const { sharedTokens, achievableTokens, promptTokens } = shape.plan;
      assert.equal(promptTokens, contextSizeTokens);
      assert.equal(
        overhead.beforeTokens + shape.sharedContentTokens + shape.uniqueContentTokens +
          overhead.afterTokens,
        contextSizeTokens,
      );
      assert.ok(achievableTokens <= sharedTokens);
      assert.ok(achievableTokens <= contextSizeTokens - 1);
      assert.equal(achievableTokens % (blockTokens ?? 1), 0);
      if (hitRatePercent === 100) {
        assert.equal(sharedTokens, contextSizeTokens);
        assert.equal(shape.uniqueContentTokens, 0);
      } else {
        assert.ok(shape.uniqueContentTokens >= 1);
        const templateBlocks = Math.floor(overhead.beforeTokens / (blockTokens ?? Infinity));
        if (templateBlocks === 0) {
          assert.equal(sharedTokens % chunkTokens, 0);
          assert.ok(sharedTokens <= contextSizeTokens * hitRatePercent / 100 + 1e-6);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("planPrompt() rounds the shared part down to the chunk and to the block", () => {
  const plan = (hitRatePercent: number, more: Partial<PromptOptions> = {}) =>
    planPrompt({
      contextSizeTokens: 1000,
      hitRatePercent,
      chunkTokens: 64,
      overhead: NONE,
      ...more,
    })
      .plan;
  assert.deepEqual(plan(0), { promptTokens: 1000, sharedTokens: 0, achievableTokens: 0 });
  assert.deepEqual(plan(50), { promptTokens: 1000, sharedTokens: 448, achievableTokens: 448 });
  assert.equal(plan(50, { blockTokens: 128 }).achievableTokens, 384);
  assert.deepEqual(plan(100), { promptTokens: 1000, sharedTokens: 1000, achievableTokens: 999 });
  assert.equal(plan(100, { blockTokens: 16 }).achievableTokens, 992);
  // A fully cached prompt of whole blocks: the block with the last token is computed again.
  assert.equal(plan(100, { contextSizeTokens: 1024, blockTokens: 16 }).achievableTokens, 1008);
  assert.equal(plan(33.3, { chunkTokens: 1 }).sharedTokens, 333);
});

Deno.test("planPrompt() counts the template as the first part of the shared tokens", () => {
  const overhead = { beforeTokens: 10, afterTokens: 5 };
  const options = { contextSizeTokens: 1000, chunkTokens: 64, blockTokens: 16, overhead };
  const half = planPrompt({ ...options, hitRatePercent: 50 });
  assert.equal(half.plan.sharedTokens, 448);
  assert.equal(half.sharedContentTokens, 438);
  assert.equal(half.contentTokens, 985);
  assert.equal(planPrompt({ ...options, hitRatePercent: 0 }).plan.achievableTokens, 0);
  // Nearly everything shared: what follows the content still cannot be.
  const most = planPrompt({ ...options, hitRatePercent: 99.9, chunkTokens: 1 });
  assert.equal(most.uniqueContentTokens, 1);
  assert.equal(most.plan.sharedTokens, 994);
});

Deno.test("planPrompt() counts template blocks as shared at every rate unless they are salted", () => {
  const options = {
    contextSizeTokens: 1000,
    hitRatePercent: 0,
    chunkTokens: 64,
    blockTokens: 16,
    overhead: { beforeTokens: 36, afterTokens: 5 },
  };
  assert.deepEqual(planPrompt(options).plan, {
    promptTokens: 1000,
    sharedTokens: 32,
    achievableTokens: 32,
  });
  const salted = planPrompt({ ...options, saltsColdPrompts: true }).plan;
  assert.deepEqual(salted, { promptTokens: 1000, sharedTokens: 0, achievableTokens: 0 });
  assert.equal(planPrompt(options).sharedContentTokens, 0);
});

Deno.test("planPrompt() says that the context is too small for the template", () => {
  const options = {
    contextSizeTokens: 20,
    hitRatePercent: 0,
    chunkTokens: 1,
    overhead: { beforeTokens: 15, afterTokens: 5 },
  };
  assert.throws(() => planPrompt(options), (error) => {
    assert.ok(error instanceof KvmarkError && error.kind === "usage");
    assert.match(error.message, /20 tokens is too small/);
    return true;
  });
  assert.throws(() => planPrompt({ ...options, hitRatePercent: 101 }), RangeError);
  assert.throws(() => planPrompt({ ...options, chunkTokens: 0 }), RangeError);
});

Deno.test("effectiveWorkingSet() counts what is generated, in whole blocks, but for the last token", () => {
  const round = { promptCount: 10, contextSizeTokens: 1000, blockTokens: 16 };
  assert.equal(effectiveWorkingSet({ ...round, outputTokens: 257 }), 10 * 78 * 16);
  assert.equal(effectiveWorkingSet({ ...round, outputTokens: 1 }), 10 * 62 * 16);
  assert.equal(effectiveWorkingSet({ ...round, outputTokens: 0 }), 10 * 62 * 16);
  const { blockTokens: _unknown, ...unstated } = round;
  assert.equal(effectiveWorkingSet({ ...unstated, outputTokens: 3 }), 10_020);
});

Deno.test("promptCount() rounds up and is at least one", () => {
  assert.equal(promptCount(0, 1000), 1);
  assert.equal(promptCount(999, 1000), 1);
  assert.equal(promptCount(2000, 1000), 2);
  assert.equal(promptCount(2001, 1000), 3);
});

Deno.test("accessOrder() goes round in cyclic order", () => {
  const next = accessOrder("cyclic", 3, randomStream(0n));
  assert.deepEqual([1, 2, 3, 4, 5].map(next), [0, 1, 2, 0, 1]);
});

Deno.test("accessOrder() draws with the documented weights", () => {
  const harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4;
  const expected = {
    random: [0.25, 0.25, 0.25, 0.25],
    zipf: [1, 1 / 2, 1 / 3, 1 / 4].map((weight) => weight / harmonic),
  };
  for (const order of ["random", "zipf"] as const) {
    const next = accessOrder(order, 4, randomStream(seedFor("order", order)));
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 40_000; i++) counts[next()]!++;
    // Six standard deviations of a share are 0.015 at most.
    counts.forEach((count, i) => assert.ok(Math.abs(count / 40_000 - expected[order][i]!) < 0.015));
  }
  assert.throws(() => accessOrder("cyclic", 0, randomStream(0n)), RangeError);
});

const vocabulary: Vocabulary = {
  words: Array.from(
    { length: 256 },
    (_, i) => ` w${i.toString(26).replace(/\d/g, (d) => "abcdefghij"[+d]!)}x`,
  ),
  starters: ["start"],
  source: "test",
  proof: "assumed",
  notes: [],
};

Deno.test("promptSegments() shares the beginning of the warm-up prompt, and only that", () => {
  fc.assert(fc.property(optionsArbitrary, fc.nat(50), fc.nat(1000), (options, promptIndex, n) => {
    const shape = planPrompt({
      ...options,
      contextSizeTokens: options.contextSizeTokens % 3000 + 100,
    });
    const seeds = { runSeed: "run", cellSeed: "cell", promptIndex };
    const segments = promptSegments(shape, { ...seeds, requestNumber: n });
    const [warm] = workingSetSegments(shape, "run", promptIndex);
    assert.equal(segments.reduce((sum, s) => sum + s.tokens, 0), shape.contentTokens);
    assert.equal(warm!.tokens, shape.contentTokens);
    const again = promptSegments(shape, { ...seeds, cellSeed: "other", requestNumber: n });
    if (shape.sharedContentTokens > 0) {
      assert.deepEqual(segments[0], { seed: warm!.seed, tokens: shape.sharedContentTokens });
      assert.deepEqual(again[0], segments[0]);
    }
    if (shape.uniqueContentTokens > 0) {
      assert.notEqual(segments.at(-1)!.seed, again.at(-1)!.seed);
      assert.notEqual(segments.at(-1)!.seed, warm!.seed);
    }
  }));
});

Deno.test("promptSegments() never repeats a block of unique text, whatever differs", () => {
  const shape = planPrompt({
    contextSizeTokens: 17,
    hitRatePercent: 0,
    chunkTokens: 16,
    overhead: NONE,
  });
  const seen = new Set<string>();
  let built = 0;
  // The first word is the starter, the same everywhere: 16 words follow, one block.
  for (const runSeed of ["run-1", "run-2", "run-11"]) {
    for (const cellSeed of ["8000_0", "8000_5", "80000_0", "8000_50"]) {
      for (let requestNumber = 0; requestNumber < 500; requestNumber++) {
        seen.add(
          renderText(vocabulary, promptSegments(shape, { runSeed, cellSeed, requestNumber })),
        );
        built++;
      }
    }
    for (let index = 0; index < 500; index++) {
      seen.add(renderText(vocabulary, workingSetSegments(shape, runSeed, index)));
      built++;
    }
  }
  assert.equal(seen.size, built);
});

Deno.test("promptSegments() gives different first blocks to different contexts and runs", () => {
  const shape = (contextSizeTokens: number) =>
    planPrompt({ contextSizeTokens, hitRatePercent: 100, chunkTokens: 64, overhead: NONE });
  const text = (contextSizeTokens: number, runSeed: string) =>
    renderText(vocabulary, workingSetSegments(shape(contextSizeTokens), runSeed, 0))
      .split(" ").slice(0, 16).join(" ");
  assert.notEqual(text(100, "a"), text(200, "a"));
  assert.notEqual(text(100, "a"), text(100, "b"));
  assert.equal(text(100, "a"), text(100, "a"));
});

Deno.test("promptSegments() needs the prompt index if something is shared", () => {
  const shape = planPrompt({
    contextSizeTokens: 100,
    hitRatePercent: 50,
    chunkTokens: 1,
    overhead: NONE,
  });
  const seeds = { runSeed: "r", cellSeed: "c", requestNumber: 0 };
  assert.throws(() => promptSegments(shape, seeds), RangeError);
});
