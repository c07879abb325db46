import assert from "node:assert/strict";
import fc from "fast-check";
import type { PromptPlan } from "./record.ts";
import {
  boundUsage,
  breachesIn,
  breachText,
  limitsOfPlan,
  limitsOfPrompt,
  OUTPUT_ALLOWANCE_TOKENS,
} from "./token_counts.ts";

const PLAN: PromptPlan = { promptTokens: 4000, sharedTokens: 2000, achievableTokens: 2000 };
const LIMITS = limitsOfPlan(PLAN, 8);

/** What a hostile server may put where a count belongs. */
const HOSTILE = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(0, -1, 1e300, 9e15, 2 ** 53, NaN, Infinity, -Infinity, 0.5, 100_000),
);

Deno.test("boundUsage() keeps nothing above what is possible, whatever a server says", () => {
  const usage = fc.record({
    promptTokens: HOSTILE,
    completionTokens: HOSTILE,
    cachedTokens: HOSTILE,
    cachedTokensByTier: fc.dictionary(fc.string(), HOSTILE),
  }, { requiredKeys: [] });
  fc.assert(fc.property(usage, fc.nat(20), (reported, chunks) => {
    const { usage: kept = {}, breaches } = boundUsage(reported, LIMITS, chunks);
    const { promptTokens, completionTokens, cachedTokens, cachedTokensByTier = {} } = kept;
    const tiers = Object.values(cachedTokensByTier);
    for (const one of [promptTokens, completionTokens, cachedTokens, ...tiers]) {
      if (one !== undefined) assert.ok(Number.isSafeInteger(one) && one >= 0);
    }
    assert.ok(Math.abs((promptTokens ?? 4000) - 4000) <= 4);
    assert.ok((completionTokens ?? 0) <= Math.max(8 + OUTPUT_ALLOWANCE_TOKENS, chunks));
    assert.ok((cachedTokens ?? 0) <= (promptTokens ?? 4004));
    assert.ok(tiers.reduce((sum, one) => sum + one, 0) <= (promptTokens ?? 4004));
    // What was left out is named.
    const named = new Set(breaches.map(({ count }) => count));
    assert.equal(named.has("prompt"), reported.promptTokens !== promptTokens);
    assert.equal(named.has("output"), reported.completionTokens !== completionTokens);
    assert.equal(named.has("cached"), reported.cachedTokens !== cachedTokens);
  }));
});

Deno.test("boundUsage() notices a prompt that is not as long as planned", () => {
  for (const off of [-20, 20, 300, -4000]) {
    const { usage, breaches } = boundUsage({ promptTokens: 4000 + off }, LIMITS, 8);
    assert.equal(usage, undefined);
    assert.deepEqual(breaches, [{ count: "prompt", reported: 4000 + off }]);
  }
  for (const off of [-2, 0, 1]) {
    assert.deepEqual(boundUsage({ promptTokens: 4000 + off }, LIMITS, 8).breaches, []);
  }
});

Deno.test("boundUsage() leaves room where the plan is an estimate", () => {
  const limits = limitsOfPlan({ ...PLAN, isEstimate: true }, 8);
  assert.deepEqual(boundUsage({ promptTokens: 4300 }, limits, 8).usage, { promptTokens: 4300 });
  for (const promptTokens of [0, 9e15]) {
    assert.equal(boundUsage({ promptTokens }, limits, 8).breaches.length, 1);
  }
});

Deno.test("boundUsage() compares the output with the text that came", () => {
  const breaches = (completionTokens: number, chunks: number) =>
    boundUsage({ completionTokens }, LIMITS, chunks).breaches.length;
  assert.equal(breaches(8, 2), 0, "four tokens a chunk");
  assert.equal(breaches(0, 1), 1, "text without a token");
  assert.equal(breaches(0, 0), 0);
  assert.equal(breaches(2, 8), 1, "a token is not spread over four chunks");
  assert.equal(breaches(40, 40), 0, "the server did not obey, and says so");
});

Deno.test("limitsOfPrompt() takes any text for at most its bytes and a template", () => {
  const limits = limitsOfPrompt("héllo", 1);
  assert.equal(boundUsage({ promptTokens: 1e6 }, limits, 1).breaches.length, 1);
  assert.equal(boundUsage({ promptTokens: 7 }, limits, 1).breaches.length, 0);
});

Deno.test("breachesIn() reads what breachText() wrote", () => {
  const breach = fc.record({
    count: fc.constantFrom("prompt" as const, "output" as const, "cached" as const),
    reported: fc.double({ noDefaultInfinity: false, noNaN: false }),
  });
  fc.assert(fc.property(fc.array(breach, { minLength: 1 }), (breaches) => {
    const read = breachesIn(breachText(breaches)) ?? [];
    assert.deepEqual(read.map((one) => one.count), breaches.map((one) => one.count));
    for (const [i, one] of read.entries()) {
      assert.ok(
        one.reported === breaches[i]!.reported ||
          Number.isNaN(one.reported),
      );
    }
  }));
  assert.equal(breachesIn(undefined), undefined);
});
