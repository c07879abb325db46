import assert from "node:assert/strict";
import { speedOf, type SpeedSettings } from "./speed.ts";

const STEADY: SpeedSettings = {
  warmingPercent: 0,
  warmingSeconds: 60,
  slowingPercent: 0,
  slowingSeconds: 60,
  swingPercent: 0,
  swingSeconds: 60,
  wanderPercent: 0,
  wanderSeed: 0,
};

Deno.test("speedOf() is 1 at all times unless something is to change it", () => {
  for (const ms of [0, 1, 30_000, 1e9]) assert.equal(speedOf(STEADY)(ms), 1);
});

Deno.test("speedOf() warms up, slows down and swings as the formula says", () => {
  const warming = speedOf({ ...STEADY, warmingPercent: 50 });
  assert.deepEqual([0, 30_000, 60_000, 90_000].map(warming), [0.5, 0.75, 1, 1]);
  const slowing = speedOf({ ...STEADY, slowingPercent: 20 });
  assert.deepEqual([0, 30_000, 60_000, 90_000].map(slowing), [1, 0.9, 0.8, 0.8]);
  const swing = speedOf({ ...STEADY, swingPercent: 10 });
  assert.ok(Math.abs(swing(15_000) - 1.1) < 1e-12 && Math.abs(swing(45_000) - 0.9) < 1e-12);
});

Deno.test("speedOf() is another one each start, within the bound, and the same for a seed", () => {
  const starts = Array.from(
    { length: 50 },
    (_, wanderSeed) => speedOf({ ...STEADY, wanderPercent: 5, wanderSeed })(0),
  );
  assert.ok(starts.every((one) => one >= 0.95 && one <= 1.05));
  assert.ok(new Set(starts).size > 40);
  assert.equal(speedOf({ ...STEADY, wanderPercent: 5, wanderSeed: 7 })(0), starts[7]);
});
