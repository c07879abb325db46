import assert from "node:assert/strict";
import fc from "fast-check";
import { type PromptWork, shortestPathAt, tokensWorkedOn } from "./even_work.ts";

/** Tubes from 0 to a total: `low` grows, `high` is never below it. */
const TUBE = fc.array(
  fc.record({ step: fc.integer({ min: 1, max: 9 }), rise: fc.nat(9), room: fc.nat(12) }),
  { minLength: 1, maxLength: 9 },
).map((parts) => {
  let [at, low, high] = [0, 0, 0];
  const tube = { atMs: [0], low: [0], high: [0] };
  for (const { step, rise, room } of parts) {
    at += step;
    low += rise;
    high = Math.max(high, low + room);
    tube.atMs.push(at);
    tube.low.push(low);
    tube.high.push(high);
  }
  tube.high = tube.high.map((value) => Math.min(value, low));
  return tube;
});

/** The same by a method that cannot be misunderstood: pull the string until it does not move. */
function pulled({ atMs, low, high }: { atMs: number[]; low: number[]; high: number[] }): number[] {
  const path = [...low];
  const at = (k: number) => atMs[k] ?? NaN;
  for (let round = 0; round < 4000; round++) {
    for (let k = 1; k < path.length - 1; k++) {
      const share = (at(k) - at(k - 1)) / (at(k + 1) - at(k - 1));
      const before = path[k - 1] ?? NaN;
      const straight = before + ((path[k + 1] ?? NaN) - before) * share;
      path[k] = Math.min(high[k] ?? NaN, Math.max(low[k] ?? NaN, straight));
    }
  }
  return path;
}

Deno.test("shortestPathAt() is the path of a string that is pulled taut", () => {
  fc.assert(
    fc.property(TUBE, (tube) => {
      const expected = pulled(tube);
      for (let k = 1; k < expected.length; k++) {
        const [atMs, low, high] = [tube.atMs, tube.low, tube.high].map((v) => Float64Array.from(v));
        const value = shortestPathAt(atMs!, low!, high!, k);
        assert.ok(Math.abs(value - (expected[k] ?? NaN)) < 1e-3, `${value}, not ${expected[k]}`);
      }
    }),
    { numRuns: 60 },
  );
});

const WORKS = fc.array(
  fc.record({ sent: fc.integer({ min: 0, max: 900 }), ttft: fc.integer({ min: 1, max: 2000 }) })
    .map(({ sent, ttft }): PromptWork => ({ sentAtMs: sent, firstContentAtMs: sent + ttft })),
  { minLength: 1, maxLength: 20 },
);

Deno.test("tokensWorkedOn() is never more than was sent, nor less than was answered", () => {
  fc.assert(
    fc.property(WORKS, fc.integer({ min: 1, max: 3000 }), (works, toMs) => {
      const tokens = works.map(() => 10);
      const done = tokensWorkedOn(works, tokens, { fromMs: 0, toMs });
      const sent = works.filter((work) => work.sentAtMs < toMs).length * 10;
      const answered = works.filter((work) => work.firstContentAtMs <= toMs).length * 10;
      assert.ok(done <= sent + 1e-6 && done >= answered - 1e-6, `${answered} ${done} ${sent}`);
    }),
    { numRuns: 100 },
  );
});

Deno.test("tokensWorkedOn() over adjacent windows adds up to the tokens", () => {
  fc.assert(
    fc.property(WORKS, fc.integer({ min: 1, max: 3000 }), (works, cutMs) => {
      const tokens = works.map((_, i) => i + 1);
      const parts = [[0, cutMs], [cutMs, 5000]].map(([fromMs = 0, toMs = 0]) =>
        tokensWorkedOn(works, tokens, { fromMs, toMs })
      );
      const total = tokens.reduce((sum, one) => sum + one, 0);
      assert.ok(Math.abs(parts[0]! + parts[1]! - total) < total * 1e-3, `${parts} of ${total}`);
    }),
    { numRuns: 100 },
  );
});
