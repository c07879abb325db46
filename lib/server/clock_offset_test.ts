import assert from "node:assert/strict";
import type { Clock } from "../host.ts";
import { intersect, measureClockOffset } from "./clock_offset.ts";

/** A clock that only moves when somebody sleeps or asks the server. */
function steppedClock() {
  let atMs = Date.UTC(2026, 0, 1);
  const clock: Clock = {
    nowMs: () => atMs,
    wallMs: () => atMs,
    sleep: (ms) => Promise.resolve(void (atMs += ms)),
  };
  return { clock, pass: (ms: number) => void (atMs += ms) };
}

function accessTo(fetchDate: () => string | undefined) {
  const answer = () => {
    const date = fetchDate();
    const headers: HeadersInit = date === undefined ? {} : { date };
    return Promise.resolve(new Response("ok", { headers }));
  };
  return { baseUrl: "http://server", headers: {}, fetch: answer as typeof fetch };
}

Deno.test("measureClockOffset() finds the difference of two clocks within its bounds", async () => {
  for (const differenceMs of [0, 1, -740, 3333, 86_400_000]) {
    const { clock, pass } = steppedClock();
    const access = accessTo(() => {
      pass(4);
      const date = new Date(clock.wallMs() + differenceMs).toUTCString();
      pass(4);
      return date;
    });
    const offset = await measureClockOffset(access, clock);
    assert.ok(offset !== undefined);
    assert.ok(Math.abs(offset.offsetMs - differenceMs) <= offset.plusMinusMs + 1e-6);
    assert.ok(offset.plusMinusMs < 50, "a second edge was between two answers");
  }
});

Deno.test("measureClockOffset() knows nothing of a server without a Date, or without an answer", async () => {
  const { clock } = steppedClock();
  assert.equal(await measureClockOffset(accessTo(() => undefined), clock), undefined);
  const refused = accessTo(() => {
    throw new TypeError("refused");
  });
  assert.equal(await measureClockOffset(refused, clock), undefined);
});

Deno.test("intersect() says nothing where answers contradict each other", () => {
  const near = { leastMs: 0, mostMs: 10 };
  assert.equal(intersect([near, { leastMs: 20, mostMs: 30 }]), undefined);
  assert.deepEqual(intersect([near, { leastMs: 4, mostMs: 30 }]), {
    offsetMs: 7,
    plusMinusMs: 3,
    answers: 2,
  });
});
