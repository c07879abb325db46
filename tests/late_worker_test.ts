import assert from "node:assert/strict";
import { systemClock } from "../lib/host.ts";
import { openPool } from "../lib/load/pool.ts";
import { startSimulatorThread } from "../lib/sim/worker.ts";

const workerModule = new URL("./support/late_worker_main.ts", import.meta.url).href;

Deno.test("startSimulatorThread() waits for a thread that loads slowly", async () => {
  await using simulator = await startSimulatorThread(workerModule, { port: 0 });
  const response = await fetch(`${simulator.url}/health`);
  assert.equal(response.status, 200);
  await response.body?.cancel();
});

Deno.test("openPool() waits for workers that load slowly", async () => {
  const pool = await openPool({
    workers: 2,
    headers: {},
    workerModule,
    clock: systemClock,
    cpuMs: () => 0,
  });
  assert.equal(pool.workers, 2);
  await pool.close();
});
