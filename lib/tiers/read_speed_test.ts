import assert from "node:assert/strict";
import { buildTierMap } from "./tier_map.ts";
import { logSizes, testRun } from "./test_rows.ts";

const LATENCY_MS = 30;
const TOKENS_PER_SEC = 400_000;

/** HBM, and a tier with a latency of its own, read by prompts of a length. */
function runOf(contextTokens: number) {
  const readMs = LATENCY_MS + (contextTokens - 1) / TOKENS_PER_SEC * 1000;
  return testRun({
    seed: 1,
    order: "cyclic",
    tiers: [{ tokens: 400_000, ttftMs: 20 }, { tokens: 1_200_000, ttftMs: 20 + readMs }],
    missMs: 4000,
    sizes: logSizes(200_000, 6_000_000, 24),
    contextTokens,
    withinNoise: 0.01,
    betweenNoise: 0.003,
    reportsCached: true,
  });
}

Deno.test("the read speed leaves the tier's latency out where prefixes have two lengths", () => {
  const [short, long] = [runOf(8000), runOf(32_000)];
  const map = buildTierMap({ ...short, details: [...short.details, ...long.details] });
  assert.equal(map.series.length, 2);
  for (const { tiers } of map.series) {
    const { tokensPerSec = NaN, low = NaN, high = NaN, basis } = tiers[1]?.bandwidth ?? {};
    assert.ok(Math.abs(tokensPerSec / TOKENS_PER_SEC - 1) < 0.06, `${tokensPerSec}`);
    assert.ok(low <= TOKENS_PER_SEC && TOKENS_PER_SEC <= high, `${low} to ${high}`);
    assert.match(basis ?? "", /so that the latency of the tier is not in it/);
  }
});

Deno.test("the read speed of one length of prefix says that it holds the latency", () => {
  const { tokensPerSec = NaN, basis } = buildTierMap(runOf(32_000)).tiers[1]?.bandwidth ?? {};
  assert.ok(tokensPerSec < 0.8 * TOKENS_PER_SEC, `${tokensPerSec}`);
  assert.match(basis ?? "", /with one length of prefix the latency of the tier is in it/);
});
