import assert from "node:assert/strict";
import fc from "fast-check";
import { COMPARED_METRICS } from "./compared_metrics.ts";
import { checkThresholds, outcomeText, parseThreshold, type ThresholdPoint } from "./thresholds.ts";

Deno.test("parseThreshold() reads metric, hit rate, operator, value and unit", () => {
  assert.deepEqual(parseThreshold(" p95_ttft > 1.10x "), {
    text: "p95_ttft > 1.10x",
    metric: "p95_ttft",
    operator: ">",
    value: 1.1,
    isRatio: true,
  });
  assert.deepEqual(parseThreshold("avg_ttft@100>=500ms"), {
    text: "avg_ttft@100>=500ms",
    metric: "avg_ttft",
    hitRatePercent: 100,
    operator: ">=",
    value: 0.5,
    isRatio: false,
  });
  assert.equal(parseThreshold("equal_load_ttft < 0.9x").metric, "equal_load_ttft");
});

Deno.test("parseThreshold() says what is wrong", () => {
  assert.throws(() => parseThreshold("p95_ttft"), /must look like/);
  assert.throws(() => parseThreshold("p95_ttft > fast"), /must look like/);
  assert.throws(() => parseThreshold("p95_ttft == 1"), /must look like/);
  assert.throws(() => parseThreshold("ttft_p95 > 1"), /ttft_p95 is not known.*p95_ttft/);
  assert.throws(() => parseThreshold("input_tokens_per_sec < 5ms"), /is in tokens\/s/);
});

Deno.test("parseThreshold() reads every metric, and never fails but with a RangeError", () => {
  const numbers = fc.integer({ min: 0, max: 1e6 }).map((n) => n / 1000);
  const metrics = fc.constantFrom(...COMPARED_METRICS.map((metric) => metric.name));
  fc.assert(fc.property(metrics, numbers, fc.constantFrom(">", "<"), (metric, value, operator) => {
    const read = parseThreshold(`${metric}@50 ${operator} ${value}`);
    assert.deepEqual([read.metric, read.value, read.operator], [metric, value, operator]);
  }));
  fc.assert(fc.property(fc.string(), (text) => {
    try {
      parseThreshold(text);
    } catch (error) {
      assert.ok(error instanceof RangeError);
    }
  }));
});

const POINT: ThresholdPoint = {
  where: "8,000 tokens at 50 %",
  hitRatePercent: 50,
  values: { p95_ttft: { estimate: 0.5, low: 0.4, high: 0.6 }, peak_concurrency: { estimate: 8 } },
  ratios: { p95_ttft: { estimate: 1.2, low: 1.05, high: 1.4 } },
};

function stateOf(text: string): string {
  return checkThresholds([parseThreshold(text)], [POINT])[0]?.state ?? "none";
}

Deno.test("checkThresholds() takes the interval into account", () => {
  assert.equal(stateOf("p95_ttft > 0.39"), "crossed");
  assert.equal(stateOf("p95_ttft > 0.45"), "unsure");
  assert.equal(stateOf("p95_ttft > 0.5"), "kept");
  assert.equal(stateOf("p95_ttft < 0.55"), "unsure");
  assert.equal(stateOf("p95_ttft < 0.61"), "crossed");
  assert.equal(stateOf("p95_ttft > 1.04x"), "crossed");
  assert.equal(stateOf("p95_ttft > 1.10x"), "unsure");
  assert.equal(stateOf("peak_concurrency < 9"), "crossed", "without an interval the value decides");
});

Deno.test("checkThresholds() only looks at the hit rate that is named, and tells if none has it", () => {
  assert.equal(stateOf("p95_ttft@50 > 0.1"), "crossed");
  assert.equal(stateOf("p95_ttft@100 > 0.1"), "unknown");
  assert.equal(stateOf("avg_ttft > 0.1"), "unknown");
});

Deno.test("outcomeText() gives value, interval and doubt", () => {
  const [crossed] = checkThresholds([parseThreshold("p95_ttft > 1.10x")], [POINT]);
  assert.ok(crossed !== undefined);
  assert.equal(
    outcomeText(crossed),
    "p95_ttft > 1.10x at 8,000 tokens at 50 %: 1.2x (95 %: 1.05x to 1.4x); this may be noise",
  );
});
