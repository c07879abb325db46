import assert from "node:assert/strict";
import { EngineDriver } from "./driver.ts";
import type { Emission, EngineRequest } from "./engine.ts";

/** An engine that has one emission at each of its instants. */
class Scripted {
  readonly #atMs: number[];

  constructor(...atMs: number[]) {
    this.#atMs = atMs;
  }

  submit(_request: EngineRequest): void {}
  abort(_id: number): void {}

  nextEventAtMs(): number | undefined {
    return this.#atMs[0];
  }

  advanceTo(nowMs: number): Emission[] {
    const due: Emission[] = [];
    for (let atMs = this.#atMs[0]; atMs !== undefined && atMs <= nowMs; atMs = this.#atMs[0]) {
      this.#atMs.shift();
      const cached = { hbm: 0, dram: 0, ssd: 0 };
      due.push({ id: 1, atMs, index: 0, token: 0, isLast: true, cached, scheduledAtMs: 0 });
    }
    return due;
  }
}

Deno.test("EngineDriver delivers in order, never early, and stops by itself", async () => {
  const startMs = performance.now();
  const nowMs = () => performance.now() - startMs;
  const delivered: { atMs: number; nowMs: number }[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const driver = new EngineDriver([new Scripted(2, 3.5, 20), new Scripted(12.25)], (emission) => {
    delivered.push({ atMs: emission.atMs, nowMs: nowMs() });
    if (delivered.length === 4) resolve();
  }, nowMs);
  driver.wake();
  await promise;
  assert.deepEqual(delivered.map(({ atMs }) => atMs), [2, 3.5, 12.25, 20]);
  for (const { atMs, nowMs } of delivered) assert.ok(nowMs >= atMs, `${atMs} at ${nowMs}`);
  // Deno's test runner fails here if a timer were left behind.
});

Deno.test("EngineDriver.stop() leaves the rest undelivered, wake() goes on", async () => {
  let delivered = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const driver = new EngineDriver([new Scripted(0)], () => {
    delivered++;
    resolve();
  }, () => 1);
  driver.wake();
  driver.stop();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(delivered, 0);
  driver.wake();
  await promise;
  assert.equal(delivered, 1);
});
