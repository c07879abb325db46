import assert from "node:assert/strict";
import { capacityTokensOf } from "./sent_requests.ts";
import { cachedGrain } from "./verdict.ts";

function outcome(cached: readonly number[]) {
  const records = cached.map((cachedTokens) => ({ usage: { cachedTokens } }));
  return [{ records }] as unknown as Parameters<typeof cachedGrain>[0];
}

Deno.test("cachedGrain() concludes no step against a known block from few values", () => {
  assert.deepEqual(cachedGrain(outcome([...Array(16).fill(2048), 0]), 128), {});
  assert.deepEqual(cachedGrain(outcome([3840, 3840]), 1), {});
  assert.deepEqual(cachedGrain(outcome([512, 1024, 1536, 0]), 128), { cachedTokensGcd: 512 });
  assert.deepEqual(cachedGrain(outcome([2048, 0]), undefined), { cachedTokensGcd: 2048 });
});

Deno.test("capacityTokensOf() knows no capacity where a tier of unknown size is below", () => {
  const tiers = [{ name: "HBM" as const, capacityTokens: 32_768, evidence: "stated" }];
  assert.equal(capacityTokensOf({ tiers }), 32_768);
  assert.equal(capacityTokensOf({ tiers, offload: "a second tier is on" }), undefined);
});
