import assert from "node:assert/strict";
import { capacityFrom, type CapacityLevel } from "./client_capacity.ts";

function level(streams: number, changes: Partial<CapacityLevel> = {}): CapacityLevel {
  const tokensPerSec = streams * 98;
  return {
    streams,
    tokensPerSec,
    idealTokensPerSec: streams * 99,
    clientLimited: false,
    ...changes,
  };
}

Deno.test("capacityFrom() takes the highest level that was driven", () => {
  const found = capacityFrom([level(32), level(128), level(512, { tokensPerSec: 30_000 })]);
  assert.deepEqual([found.streams, found.tokensPerSec], [128, 128 * 98]);
  assert.match(found.evidence, /at 512 the simulator/);
});

Deno.test("capacityFrom() does not count a level at which the client was the limit", () => {
  const found = capacityFrom([level(32), level(128, { clientLimited: true })]);
  assert.equal(found.streams, 32);
  assert.match(found.evidence, /at 128 the client is the limit/);
});

Deno.test("capacityFrom() says so when no level failed, or none was driven", () => {
  assert.match(capacityFrom([level(32), level(128)]).evidence, /can do more/);
  assert.equal(capacityFrom([level(32, { clientLimited: true })]).streams, 0);
});
