import assert from "node:assert/strict";
import fc from "fast-check";
import { crossoversOf, type GainPoint, stretchesOf } from "./crossover.ts";

function point(x: number, estimate: number, spread?: number): GainPoint {
  const gain = spread === undefined
    ? { estimate }
    : { estimate, low: estimate / spread, high: estimate * spread };
  return { x, gain, verdict: "unknown" };
}

Deno.test("crossoversOf() finds where a gain of known slope goes through 1, with its interval", () => {
  // log gain = log(x / 1.8): it is 1 at 1.8; a spread of 1.2 moves that to 1.5 and 2.16.
  const points = [0.9, 1.2, 1.7, 2, 2.5, 4].map((x) => point(x, x / 1.8, 1.2));
  const [only, ...others] = crossoversOf(points);
  assert.deepEqual(others, []);
  assert.ok(Math.abs((only?.x ?? NaN) - 1.8) < 1e-9);
  assert.ok(Math.abs((only?.low ?? NaN) - 1.5) < 1e-9);
  assert.ok(Math.abs((only?.high ?? NaN) - 2.16) < 1e-9);
});

Deno.test("crossoversOf() leaves open the end that the sweep does not reach", () => {
  const [only] = crossoversOf([1.5, 1.9].map((x) => point(x, x / 1.8, 1.1)));
  assert.equal(only?.high, undefined);
  assert.ok((only?.low ?? NaN) < 1.8);
  assert.deepEqual(crossoversOf([point(1, 2), point(2, 3)]), []);
  assert.equal(crossoversOf([point(0, 0.5), point(50, 2)])[0]?.x, 25, "hit rates are linear");
});

Deno.test("stretchesOf() keeps every point once, in order, and neighbours apart", () => {
  const sides = fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { maxLength: 30 });
  fc.assert(fc.property(sides, (gains) => {
    const points = gains.map((gain, x) => point(x + 1, gain));
    const stretches = stretchesOf(points);
    assert.deepEqual(stretches.flatMap((one) => one.points), points);
    stretches.slice(1).forEach((one, i) => assert.notEqual(one.side, stretches[i]?.side));
  }));
});

Deno.test("stretchesOf() takes a point within noise for even, however far its value", () => {
  const noise = { ...point(2, 1.4), verdict: "within noise" as const };
  assert.deepEqual(stretchesOf([point(1, 0.8), noise, point(3, 3)]).map((one) => one.side), [
    "behind",
    "even",
    "ahead",
  ]);
});
