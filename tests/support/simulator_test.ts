import assert from "node:assert/strict";
import { parseReadyLine, startSimulatorInProcess } from "./simulator.ts";

Deno.test("parseReadyLine() gives the URL and the settings", () => {
  const ready = parseReadyLine(`{"url":"http://127.0.0.1:8000","blockSize":16}`);
  assert.deepEqual(ready, { url: "http://127.0.0.1:8000", blockSize: 16 });
});

Deno.test("parseReadyLine() refuses anything else, also a server that is open to the network", () => {
  for (const line of ["ready", "null", "{}", `{"url":"http://0.0.0.0:8000"}`, `{"url":8000}`]) {
    assert.throws(() => parseReadyLine(line), TypeError, line);
  }
});

Deno.test("startSimulatorInProcess() answers on loopback", async () => {
  await using simulator = await startSimulatorInProcess();
  assert.match(simulator.url, /^http:\/\/127\.0\.0\.1:[1-9]/);
  const response = await fetch(`${simulator.url}/health`);
  await response.body?.cancel();
  assert.equal(response.status, 200);
});
