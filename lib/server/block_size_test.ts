import assert from "node:assert/strict";
import fc from "fast-check";
import { blockFrom, SHARED_TOKENS } from "./block_size.ts";

function seenWith(block: number, slackTokens = 0) {
  return SHARED_TOKENS.map((sharedTokens) => ({
    sharedTokens,
    slackTokens,
    cachedTokens: Math.floor(sharedTokens / block) * block,
  }));
}

Deno.test("blockFrom() finds every block size up to the shortest beginning", () => {
  const shortest = Math.min(...SHARED_TOKENS);
  for (let block = 1; block <= shortest; block++) {
    assert.equal(blockFrom(seenWith(block)).blockTokens, block);
  }
});

Deno.test("blockFrom() names no block that is larger than all beginnings", () => {
  const found = blockFrom(seenWith(1000));
  assert.equal(found.blockTokens, undefined);
  assert.match(found.evidence, /larger than 437/);
});

Deno.test("blockFrom() names no block for counts that follow none", () => {
  const counts = [0, 580, 0, 637, 16];
  const seen = SHARED_TOKENS.map((sharedTokens, i) => ({
    sharedTokens,
    slackTokens: 0,
    cachedTokens: counts[i] ?? 0,
  }));
  assert.match(blockFrom(seen).evidence, /no block size explains/);
});

Deno.test("blockFrom() never names a block that leaves more than itself over", () => {
  const seen = fc.array(
    fc.record({
      sharedTokens: fc.integer({ min: 1, max: 1000 }),
      slackTokens: fc.nat(3),
      cachedTokens: fc.nat(1000),
    }),
    { minLength: 1, maxLength: 5 },
  );
  fc.assert(fc.property(seen, (given) => {
    const { blockTokens } = blockFrom(given);
    if (blockTokens === undefined) return;
    for (const { sharedTokens, slackTokens, cachedTokens } of given) {
      assert.equal(cachedTokens % blockTokens, 0);
      assert.ok(Math.abs(sharedTokens - cachedTokens) < blockTokens + slackTokens + 1);
    }
  }));
});
