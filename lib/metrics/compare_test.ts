import assert from "node:assert/strict";
import { type RandomStream, randomStream, seedFor } from "../random.ts";
import {
  COMPARED_METRICS,
  comparedMetric,
  type ComparedRequest,
  compareFigures,
  type ComparisonVerdict,
  drawMetrics,
  figureInterval,
} from "./compare.ts";
import { percentile, sortedCopy } from "./intervals.ts";

const MEAN = COMPARED_METRICS.filter((metric) => metric.name === "avg_ttft");

/** Requests of which `together` in a row share a part of their TTFT, as those in one batch do. */
function requests(
  count: number,
  stream: RandomStream,
  options: { scale?: number; together?: number } = {},
): ComparedRequest[] {
  const { scale = 1, together = 1 } = options;
  const exponential = () => -Math.log(1 - stream.nextFloat());
  let shared = 1;
  return Array.from({ length: count }, (_, i) => {
    if (i % together === 0) shared = exponential();
    const ttft = scale * (together === 1 ? shared : 0.8 * shared + 0.2 * exponential());
    return {
      sentAtSec: i,
      measured: true,
      ttft,
      busySec: ttft + 1,
      inputTokens: 1000,
      outputTokens: 10,
    };
  });
}

function figure(rows: readonly ComparedRequest[], seed: string, concurrency: number) {
  const stream = randomStream(seedFor(seed));
  const draws = drawMetrics(rows, { stream, concurrency, resamples: 150 }, MEAN).get("avg_ttft");
  return { value: draws?.estimate ?? NaN, ...(draws === undefined ? {} : { draws }) };
}

/** How often two runs of the same server are told apart, in percent. */
function falseAlarms(together: number, concurrency: number): number {
  const trials = 120;
  let alarms = 0;
  for (let trial = 0; trial < trials; trial++) {
    const verdicts = ["a", "b"].map((name) => {
      const stream = randomStream(seedFor(name, trial, together));
      return figure(requests(240, stream, { together }), `${name}${trial}`, concurrency);
    });
    const [a, b] = verdicts;
    if (a === undefined || b === undefined) throw new Error("two runs");
    if (compareFigures(a, b, "lower").verdict !== "within noise") alarms++;
  }
  return alarms / trials * 100;
}

Deno.test("compareFigures() tells two runs of one server apart about once in 20 times", () => {
  const alarms = falseAlarms(1, 1);
  assert.ok(alarms > 0.5 && alarms < 10, `${alarms} %`);
});

Deno.test("drawMetrics() draws blocks, without which requests in one batch would raise alarms", () => {
  assert.ok(falseAlarms(8, 1) > 25);
  const alarms = falseAlarms(8, 8);
  assert.ok(alarms < 14, `${alarms} %`);
});

Deno.test("compareFigures() finds a difference that is there, and which way it goes", () => {
  const a = figure(requests(400, randomStream(1n)), "a", 4);
  const b = figure(requests(400, randomStream(2n), { scale: 1.6 }), "b", 4);
  const slower = compareFigures(a, b, "lower");
  assert.equal(slower.verdict, "worse");
  assert.equal(compareFigures(a, b, "higher").verdict, "better");
  assert.equal(compareFigures(b, a, "lower").verdict, "better");
  const { estimate = NaN, low = NaN, high = NaN } = slower.ratio ?? {};
  assert.ok(low < estimate && estimate < high && low > 1);
  assert.ok((slower.difference.low ?? NaN) > 0);
  assert.ok(Math.abs(estimate - b.value / a.value) < 1e-12);
});

Deno.test("compareFigures() says nothing of a difference below 1 %, however sure", () => {
  const exact = (ttft: number) =>
    figure(
      Array.from({ length: 100 }, (_, i) => ({ sentAtSec: i, measured: true, ttft })),
      "exact",
      1,
    );
  assert.equal(compareFigures(exact(1), exact(1.009), "lower").verdict, "within noise");
  assert.equal(compareFigures(exact(1), exact(1.011), "lower").verdict, "worse");
});

Deno.test("compareFigures() without rows gives no interval and no verdict", () => {
  const found = compareFigures({ value: 2 }, { value: 3 }, "higher");
  assert.deepEqual(found, {
    base: { estimate: 2 },
    value: { estimate: 3 },
    difference: { estimate: 1 },
    ratio: { estimate: 1.5 },
    verdict: "unknown" satisfies ComparisonVerdict,
  });
  assert.equal(compareFigures({ value: 0 }, { value: 3 }, "higher").ratio, undefined);
});

Deno.test("drawMetrics() estimates what the rows amount to", () => {
  const rows = requests(120, randomStream(3n));
  const draws = drawMetrics(rows, { stream: randomStream(4n), concurrency: 4, resamples: 20 });
  const ttfts = sortedCopy(rows.map((row) => row.ttft ?? NaN));
  for (
    const [name, percent] of [["median_ttft", 50], ["p95_ttft", 95], ["p99_ttft", 99]] as const
  ) {
    const expected = percentile(ttfts, percent) ?? NaN;
    assert.ok(Math.abs((draws.get(name)?.estimate ?? NaN) - expected) < 1e-12, name);
  }
  const busy = rows.reduce((sum, row) => sum + (row.busySec ?? NaN), 0);
  const rate = draws.get("input_tokens_per_sec");
  assert.ok(Math.abs((rate?.estimate ?? NaN) - 120_000 / busy) < 1e-9);
  assert.equal(rate?.values.length, 20);
  assert.equal(draws.get("avg_tpot"), undefined, "no request has one");
});

Deno.test("drawMetrics() gives no P99 of 99 requests, and no P95 of 19", () => {
  const drawn = (count: number) =>
    drawMetrics(requests(count, randomStream(5n)), {
      stream: randomStream(6n),
      concurrency: 1,
      resamples: 5,
    });
  assert.equal(drawn(99).has("p99_ttft"), false);
  assert.equal(drawn(100).has("p99_ttft"), true);
  assert.equal(drawn(19).has("p95_ttft"), false);
  assert.equal(drawn(20).has("p95_ttft"), true);
  assert.equal(drawn(7).has("avg_ttft"), false);
  assert.equal(drawn(0).size, 0);
});

Deno.test("figureInterval() stands around the value that is reported, not that of the rows", () => {
  const rows = figure(requests(200, randomStream(8n)), "scaled", 1);
  const [own, doubled] = [rows, { ...rows, value: rows.value * 2 }].map(figureInterval);
  assert.ok((own?.low ?? NaN) < rows.value && rows.value < (own?.high ?? NaN));
  assert.ok(Math.abs((doubled?.low ?? NaN) - 2 * (own?.low ?? NaN)) < 1e-9);
});

Deno.test("comparedMetric() knows the direction of every metric", () => {
  assert.equal(comparedMetric("p95_ttft")?.better, "lower");
  assert.equal(comparedMetric("input_tokens_per_sec")?.better, "higher");
  assert.equal(comparedMetric("no_such"), undefined);
  assert.equal(new Set(COMPARED_METRICS.map((one) => one.name)).size, COMPARED_METRICS.length);
});
