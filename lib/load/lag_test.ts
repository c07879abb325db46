import assert from "node:assert/strict";
import { LagMeter, quantile } from "./lag.ts";

Deno.test("LagMeter sees how long the event loop was blocked, and forgets it at the next start", async () => {
  const meter = new LagMeter(() => performance.now());
  await meter.calibrate();
  meter.start();
  const untilMs = performance.now() + 100;
  while (performance.now() < untilMs); // nothing else runs meanwhile
  await new Promise((resolve) => setTimeout(resolve, 1));
  // The timer was due 10 ms after the start and a little; a loaded machine only makes it later.
  const { eventLoopLagMaxMs = 0, eventLoopLagP99Ms = 0 } = meter.stop();
  assert(eventLoopLagMaxMs > 50, `${eventLoopLagMaxMs}`);
  assert(eventLoopLagP99Ms <= eventLoopLagMaxMs);
  meter.start();
  assert.deepEqual(meter.stop(), {}, "nothing is known of no time at all");
});

Deno.test("quantile() is linear between the closest ranks, as NumPy's", () => {
  assert.equal(quantile([5], 0.99), 5);
  assert.equal(quantile([1, 2, 3, 4], 0.5), 2.5);
  assert.equal(quantile([0, 100], 0.99), 99);
  assert.equal(quantile([1, 2, 3], 1), 3);
});
