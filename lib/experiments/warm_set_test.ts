import assert from "node:assert/strict";
import { decideWarmUp, missingText } from "./warm_set.ts";

const SET = { key: "8000", failed: 0, restarts: 0, uniqueTextSince: true };
const CELL = { warmKey: "8000", hitRatePercent: 50, checkWarmSet: true };

Deno.test("decideWarmUp() looks for the set where unique text may have driven it out", () => {
  assert.equal(decideWarmUp(CELL, undefined, 0).action, "warm");
  assert.equal(decideWarmUp(CELL, { ...SET, key: "4000" }, 0).action, "warm");
  assert.equal(decideWarmUp(CELL, SET, 1).action, "warm");
  assert.equal(decideWarmUp(CELL, SET, 0).action, "check");
  assert.equal(decideWarmUp(CELL, { ...SET, uniqueTextSince: false }, 0).action, "keep");
  assert.equal(decideWarmUp({ ...CELL, hitRatePercent: 0 }, SET, 0).action, "keep");
  assert.equal(decideWarmUp({ ...CELL, checkWarmSet: false }, SET, 0).action, "keep");
  assert.equal(decideWarmUp({ hitRatePercent: 50 }, SET, 0).action, "keep");
});

Deno.test("missingText() trusts reported tokens only, and all of the sample", () => {
  const of = (...tokens: (number | undefined)[]) =>
    tokens.map((cachedTokens) => cachedTokens === undefined ? {} : { usage: { cachedTokens } });
  assert.equal(missingText(of(4000, 8000), 2, 4000), undefined);
  assert.match(missingText(of(4000, 0), 2, 4000) ?? "", /1 of 2 prompts .* gone/);
  assert.match(missingText(of(4000, undefined), 2, 4000) ?? "", /does not say/);
  assert.match(missingText(of(4000), 2, 4000) ?? "", /does not say/);
});
