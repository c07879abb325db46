import assert from "node:assert/strict";
import { watchClocks } from "./clock_jump.ts";

function jumpAfter(nowMs: number, wallMs: number): string | undefined {
  const clock = { now: 5, wall: 1e12 };
  const jump = watchClocks({ nowMs: () => clock.now, wallMs: () => clock.wall });
  clock.now += nowMs;
  clock.wall += wallMs;
  return jump();
}

Deno.test("watchClocks() tells a jump of the wall clock against the monotonic one", () => {
  assert.equal(jumpAfter(60_000, 60_400), undefined);
  assert.equal(jumpAfter(60_000, 59_600), undefined);
  assert.match(jumpAfter(60_000, 3_660_000) ?? "", /jumped 1h 0m ahead \(the machine slept/);
  assert.match(jumpAfter(60_000, 0) ?? "", /jumped 60 s back/);
});
