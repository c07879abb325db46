import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import { runSimWorker, SIM_WORKER_NAME, startSimulatorThread } from "./worker.ts";

// This module is also the module of the thread, as main.ts is in the product.
if (self.name === SIM_WORKER_NAME) runSimWorker();
else {
  Deno.test("startSimulatorThread() answers from its own thread until it is closed", async () => {
    const simulator = await startSimulatorThread(import.meta.url, { port: 0, model: "m" });
    assert.equal(simulator.settings.model, "m");
    const body = JSON.stringify({ prompt: "the house", max_tokens: 2, ignore_eos: true });
    const answer = await fetch(`${simulator.url}/v1/completions`, { method: "POST", body });
    assert.equal((await answer.json()).usage.completion_tokens, 2);
    await simulator.close();
    await simulator.close();
    await assert.rejects(fetch(`${simulator.url}/health`), TypeError);
  });

  Deno.test("startSimulatorThread() throws what startSimulator() throws", async () => {
    await assert.rejects(
      startSimulatorThread(import.meta.url, { port: 0, itlMs: -1, blockTokens: 0 }),
      (error) => {
        assert.ok(error instanceof KvmarkError);
        assert.equal(error.kind, "usage");
        assert.equal(error.problems.length, 2);
        return true;
      },
    );
  });
}
