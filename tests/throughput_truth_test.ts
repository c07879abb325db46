import assert from "node:assert/strict";
import { summarisePeriod } from "../lib/metrics/summary.ts";
import { type SimulatedLoad, simulatePeriod, type TrueRates } from "./support/simulated_period.ts";

const PREFILL_PER_SEC = 20_000;

/** Errors of the four rates in percent, and how the computed rate compares with what is possible. */
function errorsOf(load: SimulatedLoad) {
  const { outcome, truth } = simulatePeriod({ readDelayMs: 3, ...load });
  assert.ok(outcome.records.length > 0);
  const summary = summarisePeriod(outcome, { strictTimeWindow: false });
  const error = (measured: number | undefined, name: keyof TrueRates) => {
    assert.ok(measured !== undefined, `${name} is absent`);
    return truth[name] > 0 ? (measured / truth[name] - 1) * 100 : measured;
  };
  return {
    errors: {
      input: error(summary.inputTokensPerSec, "input"),
      computed: error(summary.computedTokensPerSec, "computed"),
      reused: error(summary.reusedTokensPerSec, "reused"),
      output: error(summary.outputTokensPerSec, "output"),
    },
    ofCapacity: (summary.computedTokensPerSec ?? NaN) / PREFILL_PER_SEC,
    unanswered: summary.unansweredInputPercent ?? NaN,
  };
}

function assertTrue(load: SimulatedLoad): void {
  const { errors, ofCapacity } = errorsOf(load);
  const text = JSON.stringify({ load, errors, ofCapacity });
  for (const percent of Object.values(errors)) assert.ok(Math.abs(percent) <= 1, text);
  // What reads that are up to 3 ms late, and the steps that prompts share, can move.
  assert.ok(ofCapacity <= 1.0025, text);
}

// Contexts, concurrency, hit rate, output tokens, seconds; the queue is from none to 102 s long.
const LOADS = [
  [1000, 1, 0, 1, 15],
  [1000, 64, 0, 256, 15],
  [1000, 32, 95, 64, 60],
  [4000, 8, 50, 8, 15],
  [4000, 64, 0, 8, 60],
  [8000, 16, 0, 8, 15],
  [8000, 32, 0, 8, 15],
  [8000, 64, 50, 64, 15],
  [16_000, 2, 0, 256, 15],
  [16_000, 32, 95, 8, 60],
  [32_000, 1, 0, 256, 15],
  [32_000, 8, 50, 1, 15],
  [32_000, 32, 0, 8, 15],
  [32_000, 64, 0, 64, 60],
] as const;

for (const maxBatchedTokens of [2048, 8192]) {
  Deno.test(`rates are those of the engine within 1 %, ${maxBatchedTokens} tokens a step`, () => {
    for (const [contextTokens, concurrency, hitRatePercent, outputTokens, seconds] of LOADS) {
      const periodMs = seconds * 1000;
      const load = { contextTokens, concurrency, hitRatePercent, outputTokens, periodMs };
      assertTrue({ ...load, maxBatchedTokens });
    }
  });
}

Deno.test("rates of a cell whose every answer comes after the period are those of the engine", () => {
  const load = { contextTokens: 32_000, concurrency: 32, hitRatePercent: 0, outputTokens: 4 };
  assertTrue({ ...load, periodMs: 1500 });
  const { unanswered } = errorsOf({ ...load, periodMs: 1500 });
  assert.equal(unanswered, 100, "all of it rests on an even rate");
});

Deno.test("rates with failures in between are those of the answered requests", () => {
  const load = { contextTokens: 4000, concurrency: 32, hitRatePercent: 0, outputTokens: 8 };
  assertTrue({ ...load, periodMs: 60_000, failEvery: 10 });
});

Deno.test("rates of several engines behind one address are those of all of them", () => {
  const load = { contextTokens: 8000, concurrency: 32, hitRatePercent: 0, outputTokens: 8 };
  const { errors } = errorsOf({ ...load, periodMs: 15_000, engines: 4 });
  for (const percent of Object.values(errors)) assert.ok(Math.abs(percent) <= 1, `${percent} %`);
});

Deno.test("more requests in flight than a server can use do not make it faster", () => {
  const load = { contextTokens: 8000, hitRatePercent: 0, outputTokens: 8, periodMs: 30_000 };
  const rates = [16, 32, 64].map((concurrency) => {
    const { outcome } = simulatePeriod({ ...load, concurrency });
    return summarisePeriod(outcome, { strictTimeWindow: false }).inputTokensPerSec ?? NaN;
  });
  assert.ok(Math.max(...rates) / Math.min(...rates) < 1.005, rates.join(" "));
  assert.ok(Math.max(...rates) <= PREFILL_PER_SEC * 1.0005, rates.join(" "));
});
