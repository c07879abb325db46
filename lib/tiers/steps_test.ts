import assert from "node:assert/strict";
import fc from "fast-check";
import { findSteps, searchSteps, shareStep } from "./steps.ts";

function curve(values: readonly number[], error = 0) {
  return values.map((value) => ({ log: Math.log(value), error }));
}

Deno.test("findSteps() finds one step, and where", () => {
  const [step, ...more] = findSteps(curve([10, 10.1, 9.9, 10, 30, 30.2, 29.8, 30]));
  assert.deepEqual(more, []);
  assert.deepEqual([step?.before, step?.after], [3, 4]);
  assert.ok(Math.abs((step?.ratio ?? NaN) - 3) < 0.05);
});

Deno.test("findSteps() takes a size between two levels for a part of one step", () => {
  const steps = findSteps(curve([10, 10.1, 9.9, 10, 18, 30, 30.2, 29.8, 30]));
  assert.deepEqual(steps.map(({ before, after }) => [before, after]), [[3, 5]]);
});

Deno.test("findSteps() finds three steps of different heights", () => {
  const values = [10, 10, 10.1, 20, 20.1, 20, 50, 50.3, 50, 300, 301, 299];
  assert.deepEqual(findSteps(curve(values)).map((step) => step.before), [2, 5, 8]);
});

Deno.test("findSteps() needs two points on each side", () => {
  assert.deepEqual(findSteps(curve([10, 10.1, 9.9, 10, 10.1, 30])), []);
  assert.deepEqual(findSteps(curve([10, 30, 30.1, 29.9, 30, 30.1])), []);
  assert.deepEqual(findSteps(curve([10, 30])), []);
  assert.deepEqual(findSteps([]), []);
});

Deno.test("findSteps() takes neither a peak nor a fall nor a slope for a step", () => {
  assert.deepEqual(findSteps(curve([10, 10.1, 9.9, 40, 10, 10.1, 9.9, 10])), [], "one slow size");
  assert.deepEqual(findSteps(curve([30, 30.1, 29.9, 30, 10, 10.1, 9.9, 10])), [], "faster");
  const slope = Array.from({ length: 12 }, (_, i) => 10 * 1.5 ** i);
  assert.deepEqual(findSteps(curve(slope)), [], "even slope");
  const bent = [10, 10.1, 9.9, 10, 10.1, 10, 15, 22, 34, 50, 75];
  assert.deepEqual(findSteps(curve(bent)), [], "a slope that begins");
});

Deno.test("searchSteps() says why a rise is no step", () => {
  const refusals = (values: readonly number[], error = 0) =>
    searchSteps(curve(values, error)).refused.map(({ before, after, why }) => [before, after, why]);
  assert.deepEqual(refusals([10, 10.1, 9.9, 10, 10.1, 30]), [
    [4, 5, { kind: "few", side: "after", isEdge: true }],
  ]);
  assert.deepEqual(refusals([10, 30, 30.1, 29.9, 30, 30.1]), [
    [0, 1, { kind: "few", side: "before", isEdge: true }],
  ]);
  const [between] = refusals([10, 10.1, 10, 20, 60, 60.1, 60, 60.2, 60, 59.9]);
  assert.equal(between, undefined, "a size between two levels belongs to the step");
  const within = refusals([10, 10.1, 9.9, 10, 15, 15.1, 14.9, 15], 0.1);
  assert.deepEqual(within, [], "within three times the scatter nothing stands out");
  const some = searchSteps(curve([10, 10.1, 9.9, 10, 15, 15.1, 14.9, 15], 0.05));
  assert.deepEqual(some.refused.map(({ why }) => why), [{ kind: "noise" }]);
  // 5 × (1 + 3 / 7) times the scatter of a difference of two sizes.
  const { noise = NaN, leastRatio = NaN } = some.threshold ?? {};
  assert.ok(Math.abs(noise - 0.05 * Math.SQRT2) < 1e-9);
  assert.ok(Math.abs(Math.log(leastRatio) - 5 * 10 / 7 * noise) < 0.02, `${leastRatio}`);
  assert.deepEqual(refusals([10, 10.1, 9.9, 10, 10.1, 9.9, 10, 10.1, 10, 15, 22, 34]), [
    [8, 11, { kind: "slope" }],
  ]);
  assert.deepEqual(refusals([10, 10.1, 9.9, 40, 10, 10.1, 9.9, 10]), [
    [2, 3, { kind: "passing" }],
  ]);
  assert.deepEqual(refusals([10, 10.1, 9.9, 10, 30, 30.2, 29.8, 30]), [], "a step is not refused");
});

Deno.test("findSteps() asks for more where the points themselves are uncertain", () => {
  const values = [10, 10.1, 9.9, 10, 15, 15.1, 14.9, 15];
  assert.equal(findSteps(curve(values)).length, 1);
  assert.equal(findSteps(curve(values, 0.1)).length, 0);
});

Deno.test("findSteps() does not depend on the unit, and its steps do not overlap", () => {
  const value = fc.double({ min: 1, max: 1000, noNaN: true });
  fc.assert(fc.property(fc.array(value, { maxLength: 30 }), (values) => {
    const steps = findSteps(curve(values));
    const scaled = findSteps(curve(values.map((one) => one * 1024)));
    assert.deepEqual(
      scaled.map(({ before, after }) => [before, after]),
      steps.map(({ before, after }) => [before, after]),
    );
    steps.forEach((step, i) => {
      assert.ok(step.ratio >= 1.15 - 1e-9);
      assert.ok(step.before >= (steps[i - 1]?.after ?? 0) + 1);
      assert.ok(step.before < step.after && step.after <= values.length - 2);
    });
  }));
});

Deno.test("shareStep() wants nearly all before and nearly none after", () => {
  assert.deepEqual(shareStep([1, 0.97, 0.02, 0]), { before: 1, after: 2, ratio: Infinity });
  assert.deepEqual(shareStep([1, 0.97, 0.5, 0.1]), { before: 1, after: 3, ratio: Infinity });
  assert.equal(shareStep([1, 1, 1]), undefined);
  assert.equal(shareStep([0, 0, 0]), undefined);
  assert.equal(shareStep([1, 0.7, 0.5, 0.4]), undefined);
  assert.equal(shareStep([1, 0.1, 0.9]), undefined);
  assert.equal(shareStep([1, undefined, 0]), undefined);
});
