import assert from "node:assert/strict";
import type { SinglePromptRow } from "../results/schema.ts";
import { coldAndCached } from "./cold_and_cached.ts";

function row(promptType: string, iteration: number, ttft: number, more: SinglePromptRow = {}) {
  return {
    context_size: 4000,
    iteration,
    prompt_type: promptType,
    prompt_tokens: 4000,
    ttft,
    launch_time: 100 * iteration,
    ...more,
  };
}

Deno.test("coldAndCached() gives speed-up, saved time and prefill rate of a size", () => {
  const [point] = coldAndCached([
    row("unique", 0, 2),
    row("cached", 0, 0.2),
    row("cached_r2", 0, 0.3),
    row("unique", 1, 3),
    row("cached", 1, 0.25),
    row("unique", 2, 9, { error_kind: "timeout" }),
  ]);
  assert.equal(point?.failed, 1);
  assert.equal(point?.speedup, 10);
  assert.deepEqual(point?.savedSecondsPer1000Tokens, 2.25 / 4);
  assert.equal(point?.coldPrefillTokensPerSec, 8000 / 5);
  const { low = NaN, high = NaN } = point?.speedupInterval ?? {};
  assert.ok(low >= 2 / 0.3 && low < 10 && high > 10 && high <= 3 / 0.2, `${low} to ${high}`);
});

Deno.test("coldAndCached() takes prompts that are sent together from the first to the last", () => {
  const [point] = coldAndCached([
    row("unique", 0, 1),
    row("unique", 0, 1.5, { launch_time: 0.5 }),
    row("unique", 1, 2),
  ]);
  assert.equal(point?.coldPrefillTokensPerSec, 12_000 / (2 + 2));
  assert.equal(point?.speedup, undefined);
});

Deno.test("coldAndCached() claims no interval from one request of a kind", () => {
  const [point] = coldAndCached([row("unique", 0, 1), row("cached", 0, 0.1)]);
  assert.equal(point?.speedup, 10);
  assert.equal(point?.speedupInterval, undefined);
});
