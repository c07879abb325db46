import assert from "node:assert/strict";
import fc from "fast-check";
import { coverageOf } from "../../tests/support/comparison_coverage.ts";
import {
  compareFigures,
  familyVerdicts,
  type FigureComparison,
  type Sample,
  sampleInterval,
} from "./compare.ts";
import { COMPARED_METRICS, comparedMetric, figureOfRequests } from "./compared_metrics.ts";

const THROUGHPUT = comparedMetric("input_tokens_per_sec")!;

/** A sample of runs with these values, without repeats. */
function runs(...values: readonly number[]): Sample {
  return values.map((value) => ({ value, repeats: [] }));
}

/** One run with repeats. */
function repeated(...repeats: readonly number[]): Sample {
  return [{ value: repeats.reduce((a, b) => a + b, 0) / repeats.length, repeats }];
}

function verdictOf(comparison: FigureComparison) {
  return familyVerdicts([comparison], "higher")[0];
}

const NOISY = { runs: 1, periods: 2, periodSec: 15, runDeviation: 0.03, periodDeviation: 0.01 };

Deno.test("compareFigures() claims nothing from one run a side on a server that wanders", () => {
  for (const { metric, falseClaims } of coverageOf(NOISY, 120, "one run")) {
    assert.ok(falseClaims <= 0.06, `${metric}: ${falseClaims}`);
  }
});

Deno.test("compareFigures() covers the truth with three replicates, and finds 10 %", () => {
  const scenario = { ...NOISY, runs: 3, periods: 4, periodSec: 30, runDeviation: 0.02 };
  for (const { metric, falseClaims, coverage, found } of coverageOf(scenario, 150, "three")) {
    assert.ok(falseClaims <= 0.11, `${metric}: ${falseClaims} false claims`);
    assert.ok(coverage >= 0.89 && coverage < 1, `${metric}: coverage ${coverage}`);
    // A p95 of 30 s is known less well than a mean of it.
    assert.ok(found >= (metric === "p95_ttft" ? 0.6 : 0.75), `${metric}: found ${found}`);
  }
});

Deno.test("compareFigures() agrees with a two-sample t test computed by hand", () => {
  // log 100, 104, 102 against log 110, 113, 108, equal numbers: pooled variance, 4 degrees.
  const { ratio, basis, pValue = NaN } = compareFigures(
    runs(100, 104, 102),
    runs(110, 113, 108),
    THROUGHPUT,
  );
  const [a, b] = [[100, 104, 102], [110, 113, 108]].map((values) => values.map(Math.log));
  const mean = (values: readonly number[]) => values.reduce((x, y) => x + y, 0) / values.length;
  const squares = (values: readonly number[]) =>
    values.reduce((total, value) => total + (value - mean(values)) ** 2, 0);
  const error = Math.sqrt((squares(a!) + squares(b!)) / 4 * (2 / 3));
  const difference = mean(b!) - mean(a!);
  assert.equal(basis, "replicates");
  assert.ok(Math.abs((ratio?.low ?? NaN) - Math.exp(difference - 2.7764451 * error)) < 1e-6);
  assert.ok(Math.abs((ratio?.high ?? NaN) - Math.exp(difference + 2.7764451 * error)) < 1e-6);
  assert.ok(pValue > 0 && pValue < 0.05);
});

Deno.test("compareFigures() has no interval without repeats, whatever the difference", () => {
  const found = compareFigures(runs(2), runs(30), THROUGHPUT);
  assert.deepEqual(found, {
    base: { estimate: 2 },
    value: { estimate: 30 },
    difference: { estimate: 28 },
    ratio: { estimate: 15 },
    basis: "none",
  });
  assert.equal(verdictOf(found), "unknown");
  assert.equal(compareFigures(runs(0), runs(3), THROUGHPUT).ratio, undefined);
});

Deno.test("compareFigures() of one run a side is never narrower than what runs are assumed to differ by", () => {
  const positive = fc.array(fc.double({ min: 1, max: 1e6, noNaN: true }), {
    minLength: 2,
    maxLength: 6,
  });
  fc.assert(fc.property(positive, positive, (a, b) => {
    const { ratio, basis } = compareFigures(repeated(...a), repeated(...b), THROUGHPUT);
    const { low = NaN, high = NaN, estimate = NaN } = ratio ?? {};
    assert.equal(basis, "assumed");
    assert.ok(low <= estimate && estimate <= high);
    assert.ok(Math.log(high / estimate) >= 1.95 * Math.SQRT2 * 0.1);
  }));
});

Deno.test("compareFigures() turned round is the same comparison turned round", () => {
  const some = fc.array(fc.double({ min: 1, max: 1e6, noNaN: true }), {
    minLength: 1,
    maxLength: 5,
  });
  fc.assert(fc.property(some, some, (a, b) => {
    const there = compareFigures(runs(...a), runs(...b), THROUGHPUT);
    const back = compareFigures(runs(...b), runs(...a), THROUGHPUT);
    const close = (x = NaN, y = NaN) => Math.abs(Math.log(x * y)) < 1e-6;
    assert.ok(close(there.ratio?.estimate, back.ratio?.estimate));
    assert.equal(there.basis, back.basis);
    if (there.basis === "none" || (there.ratio?.high ?? NaN) > 1e100) return;
    assert.ok(close(there.ratio?.low, back.ratio?.high));
  }));
});

Deno.test("familyVerdicts() says nothing of a difference below 1 %, however sure", () => {
  const exact = (value: number) =>
    compareFigures(runs(1, 1, 1), runs(value, value, value), THROUGHPUT);
  assert.equal(verdictOf(exact(1.009)), "within noise");
  assert.equal(verdictOf(exact(1.011)), "better");
  assert.equal(verdictOf(exact(1)), "within noise");
});

Deno.test("familyVerdicts() marks fewer points of many than it would of each alone", () => {
  const slight = compareFigures(runs(100, 103, 101), runs(104, 107, 105), THROUGHPUT);
  assert.equal(verdictOf(slight), "better");
  const none = compareFigures(runs(100, 103, 101), runs(101, 102, 101), THROUGHPUT);
  const family = [slight, ...Array.from({ length: 20 }, () => none)];
  assert.equal(familyVerdicts(family, "higher")[0], "within noise");
  assert.equal(familyVerdicts([slight], "lower")[0], "worse");
});

Deno.test("sampleInterval() is over the runs, or over the repeats of the only one", () => {
  assert.deepEqual(sampleInterval(runs(5)), { estimate: 5 });
  const several = sampleInterval(runs(90, 100, 111.1111111));
  assert.ok(Math.abs(several.estimate - 100) < 1e-6);
  assert.ok((several.low ?? NaN) < 90 && (several.high ?? NaN) > 111);
  const one = sampleInterval([{ value: 100, repeats: [99, 101, 100] }]);
  assert.ok((one.low ?? NaN) > 97 && (one.high ?? NaN) < 103 && (one.low ?? NaN) < 100);
});

Deno.test("figureOfRequests() counts what is measured, and knows a percentile of too few", () => {
  const requests = Array.from({ length: 30 }, (_, i) => ({ measured: i >= 10, ttft: i }));
  const p95 = figureOfRequests(comparedMetric("p95_ttft")!, requests);
  assert.deepEqual(p95, { value: 28.05, requests: 20, isSound: true });
  assert.equal(figureOfRequests(comparedMetric("p99_ttft")!, requests)?.isSound, false);
  assert.equal(figureOfRequests(comparedMetric("avg_ttft")!, requests)?.value, 19.5);
  assert.equal(figureOfRequests(comparedMetric("avg_tpot")!, requests), undefined);
  assert.equal(figureOfRequests(THROUGHPUT, requests), undefined);
});

Deno.test("comparedMetric() knows the direction of every metric", () => {
  assert.equal(comparedMetric("p95_ttft")?.better, "lower");
  assert.equal(comparedMetric("input_tokens_per_sec")?.better, "higher");
  assert.equal(comparedMetric("no_such"), undefined);
  assert.equal(new Set(COMPARED_METRICS.map((one) => one.name)).size, COMPARED_METRICS.length);
});
