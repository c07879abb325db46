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

Deno.test("LagMeter tells when the loop was blocked, once, and before the heartbeat says so", async () => {
  const meter = new LagMeter(() => performance.now());
  await meter.calibrate();
  meter.start();
  const startAtMs = performance.now();
  while (performance.now() < startAtMs + 100);
  const stalls = meter.takeStalls();
  assert.equal(stalls.length, 2);
  const [fromMs = NaN, toMs = NaN] = stalls;
  assert(fromMs > startAtMs && fromMs < startAtMs + 10, `${fromMs - startAtMs}`);
  assert(toMs >= startAtMs + 100);
  assert.deepEqual(meter.takeStalls(), []);
  meter.stop();
  assert.deepEqual(meter.takeStalls(), [], "nobody is waited for any more");
});

Deno.test("LagMeter notes stalls in order", () => {
  let atMs = 0;
  const meter = new LagMeter(() => atMs);
  meter.start();
  const taken: number[] = [];
  for (let i = 0; i < 100; i++) {
    atMs += 10 + i;
    taken.push(...meter.takeStalls());
  }
  meter.stop();
  assert.equal(taken.length, 200);
  for (let i = 2; i < taken.length; i += 2) assert(taken[i]! >= taken[i - 1]!, "in order");
});

Deno.test("quantile() is linear between the closest ranks, as NumPy's", () => {
  assert.equal(quantile([5], 0.99), 5);
  assert.equal(quantile([1, 2, 3, 4], 0.5), 2.5);
  assert.equal(quantile([0, 100], 0.99), 99);
  assert.equal(quantile([1, 2, 3], 1), 3);
});
