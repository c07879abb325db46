import assert from "node:assert/strict";
import fc from "fast-check";
import {
  bootstrapMean,
  bootstrapRatio,
  mean,
  median,
  percentile,
  percentileStatistic,
  sortedCopy,
  stddev,
  sum,
  tokensInWindow,
} from "./intervals.ts";
import { randomStream, seedFor } from "../random.ts";

const numbers = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), {
  minLength: 1,
  maxLength: 50,
});

Deno.test("percentile() interpolates between closest ranks, as NumPy does by default", () => {
  // By hand: 95 % of 4 gaps is rank 3.8, between 7.1 and 9.9.
  const sorted = sortedCopy([0.3, 7.1, 2.2, 9.9, 4.0]);
  const table: [number, number][] = [[0, 0.3], [25, 2.2], [50, 4], [95, 9.34], [99, 9.788], [
    100,
    9.9,
  ]];
  for (const [q, expected] of table) {
    assert.ok(Math.abs((percentile(sorted, q) ?? NaN) - expected) < 1e-12, `${q}`);
  }
});

Deno.test("percentile() agrees with a simple independent implementation", () => {
  fc.assert(fc.property(numbers, fc.double({ min: 0, max: 100, noNaN: true }), (values, q) => {
    const ordered = [...values].sort((a, b) => a - b);
    // Every value is a corner of a polyline at i / (n - 1); read off its height at q.
    let expected = ordered[0] ?? NaN;
    for (let i = 1; i < ordered.length; i++) {
      const [left, right] = [(i - 1) / (ordered.length - 1), i / (ordered.length - 1)];
      const at = q / 100;
      if (at >= left) {
        const [a = NaN, b = NaN] = [ordered[i - 1], ordered[i]];
        expected = a + (b - a) * Math.min(1, (at - left) / (right - left));
      }
    }
    const actual = percentile(sortedCopy(values), q) ?? NaN;
    assert.ok(Math.abs(actual - expected) <= 1e-6, `${actual} ${expected}`);
    assert.ok(actual >= (ordered[0] ?? NaN) && actual <= (ordered.at(-1) ?? NaN));
  }));
});

Deno.test("percentile(), mean(), median() and stddev() of nothing are absent", () => {
  assert.equal(percentile(new Float64Array(), 50), undefined);
  assert.equal(mean([]), undefined);
  assert.equal(median([]), undefined);
  assert.equal(stddev([]), undefined);
  assert.equal(stddev([3]), undefined);
});

Deno.test("stddev() divides by n - 1", () => {
  assert.equal(stddev([2, 4, 4, 4, 5, 5, 7, 9]), Math.sqrt(32 / 7));
});

Deno.test("sum() keeps small values beside large ones", () => {
  assert.equal(sum([1e16, 1, -1e16, 1]), 2);
});

Deno.test("tokensInWindow() over adjacent windows adds up to the tokens", () => {
  const instant = fc.integer({ min: 0, max: 100 });
  fc.assert(fc.property(
    instant,
    instant,
    fc.uniqueArray(instant, { maxLength: 8 }),
    (a, b, cuts) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      const edges = [-1, ...cuts.sort((x, y) => x - y), 101];
      let total = 0;
      for (let i = 1; i < edges.length; i++) {
        const window = { fromMs: edges[i - 1] ?? NaN, toMs: edges[i] ?? NaN };
        total += tokensInWindow(7, start, end, window);
      }
      assert.ok(Math.abs(total - 7) < 1e-12, `${total}`);
    },
  ));
});

Deno.test("tokensInWindow() leaves out what lies before and after", () => {
  const window = { fromMs: 10, toMs: 20 };
  assert.equal(tokensInWindow(8, 5, 25, window), 4);
  assert.equal(tokensInWindow(8, 0, 10, window), 0);
  assert.equal(tokensInWindow(8, 20, 30, window), 0);
  assert.equal(tokensInWindow(8, 20, 20, window), 0);
  assert.equal(tokensInWindow(8, 10, 10, window), 8);
});

function stream(name: string) {
  return randomStream(seedFor(name));
}

Deno.test("bootstrapMean() repeats with the seed and holds the estimate", () => {
  const values = [3, 1, 4, 1, 5, 9, 2, 6];
  const interval = bootstrapMean(values, stream("a"));
  assert.deepEqual(bootstrapMean(values, stream("a")), interval);
  assert.equal(interval?.estimate, 31 / 8);
  assert.ok(interval.low < interval.estimate && interval.estimate < interval.high);
});

Deno.test("bootstrapMean() covers the true mean about as often as it says", () => {
  // 200 experiments of 40 uniform values: 95 % +- 1.5 % is expected; 88 % to 99 % is 4 sigma.
  const source = stream("coverage");
  let covered = 0;
  for (let i = 0; i < 200; i++) {
    const values = Array.from({ length: 40 }, () => source.nextFloat());
    const interval = bootstrapMean(values, source, { resamples: 300 });
    if (interval !== undefined && interval.low <= 0.5 && 0.5 <= interval.high) covered++;
  }
  assert.ok(covered >= 176 && covered <= 199, `${covered} of 200`);
});

Deno.test("bootstrapRatio() of constant groups is the ratio, without width", () => {
  const interval = bootstrapRatio([6, 6, 6], [2, 2], stream("r"));
  assert.deepEqual(interval, { estimate: 3, low: 3, high: 3 });
});

Deno.test("bootstrapRatio() takes other statistics than the mean", () => {
  const values = Array.from({ length: 101 }, (_, i) => i);
  const doubled = values.map((value) => value * 2);
  const interval = bootstrapRatio(doubled, values, stream("p"), {
    statistic: percentileStatistic(95),
  });
  assert.equal(interval?.estimate, 2);
  assert.ok(interval.low < 2 && interval.high > 2);
});

Deno.test("bootstrapRatio() and bootstrapMean() are absent where there is no interval", () => {
  assert.equal(bootstrapMean([1], stream("x")), undefined);
  assert.equal(bootstrapRatio([1, 2], [1], stream("x")), undefined);
  assert.equal(bootstrapRatio([1, 2], [0, 0], stream("x")), undefined);
});
