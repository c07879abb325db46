import assert from "node:assert/strict";
import { denoHost } from "../host.ts";
import { calibrateClient, capacityFrom, type CapacityLevel } from "./client_capacity.ts";

function level(streams: number, changes: Partial<CapacityLevel> = {}): CapacityLevel {
  const tokensPerSec = streams * 98;
  return {
    streams,
    tokensPerSec,
    idealTokensPerSec: streams * 99,
    clientLimited: false,
    reasons: [],
    ...changes,
  };
}

Deno.test("capacityFrom() takes the highest level that was driven", () => {
  const found = capacityFrom([level(32), level(128), level(512, { tokensPerSec: 30_000 })]);
  assert.deepEqual([found.streams, found.tokensPerSec], [128, 128 * 98]);
  assert.match(found.evidence, /at 512 the simulator/);
});

Deno.test("capacityFrom() does not count a level at which the client was the limit", () => {
  const found = capacityFrom([
    level(32),
    level(128, { clientLimited: true, reasons: ["event loop"] }),
  ]);
  assert.equal(found.streams, 32);
  assert.match(found.evidence, /at 128 the client is the limit \(event loop\)/);
});

Deno.test("capacityFrom() says so when no level failed, or none was driven", () => {
  assert.match(capacityFrom([level(32), level(128)]).evidence, /can do more/);
  assert.equal(capacityFrom([level(32, { clientLimited: true })]).streams, 0);
});

Deno.test("calibrateClient() drives a simulator of its own", async () => {
  const host = denoHost(new URL("../../main.ts", import.meta.url).href);
  const found = await calibrateClient(host, 1, [2]);
  // How much can be driven depends on the machine; that it was tried does not.
  assert.match(found.evidence, /against the simulator on this host: (the highest|at 2)/);
});
