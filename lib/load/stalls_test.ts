import assert from "node:assert/strict";
import fc from "fast-check";
import { StallLog, stoppedMs, stopProblem } from "./stalls.ts";

function logOf(...stalls: readonly (readonly [number, number])[]): StallLog {
  const log = new StallLog();
  log.add(stalls.flat());
  return log;
}

const REQUEST = { dueAtMs: 100, sentAtMs: 100, firstContentAtMs: 200, endAtMs: 300 };

Deno.test("heldUp() finds nothing where nothing was held up", () => {
  assert.deepEqual(new StallLog().heldUp(REQUEST), {});
  const elsewhere = logOf([10, 90], [120, 180], [210, 250], [305, 400]);
  assert.deepEqual(elsewhere.heldUp(REQUEST), {}, "before, between, and after its instants");
});

Deno.test("heldUp() is the part of the stall before the read, the end, and after the sending", () => {
  assert.deepEqual(logOf([180, 200]).heldUp(REQUEST), { ttftHeldMs: 20 });
  assert.deepEqual(logOf([180, 197]).heldUp(REQUEST), { ttftHeldMs: 20 }, "read a turn later");
  assert.deepEqual(logOf([180, 195]).heldUp(REQUEST), {}, "the loop was free before the read");
  assert.deepEqual(logOf([280, 310]).heldUp(REQUEST), { endHeldMs: 20 });
  assert.deepEqual(logOf([90, 115]).heldUp(REQUEST), { ttftHeldMs: 15 }, "queued, not yet sent");
  assert.deepEqual(
    logOf([50, 240]).heldUp(REQUEST),
    { ttftHeldMs: 100 },
    "all of the TTFT, and not more",
  );
});

Deno.test("heldUp() counts the backlog of a stall to it, and not a stall of another time", () => {
  assert.deepEqual(logOf([150, 190], [192, 205]).heldUp(REQUEST), { ttftHeldMs: 50 });
  assert.deepEqual(logOf([110, 150], [195, 205]).heldUp(REQUEST), { ttftHeldMs: 5 });
});

Deno.test("heldUp() marks what overlaps a long stall, and the burst after it", () => {
  const log = logOf([1000, 1300]);
  const at = (dueAtMs: number, endAtMs: number) =>
    log.heldUp({ dueAtMs, sentAtMs: dueAtMs, endAtMs }).stalled;
  assert.deepEqual([at(500, 990), at(500, 1010), at(1100, 1900)], [undefined, true, true]);
  assert.deepEqual([at(1310, 1400), at(1400, 1500)], [true, undefined]);
  assert.equal(
    logOf([1000, 1200]).heldUp({ dueAtMs: 1, sentAtMs: 1, endAtMs: 2000 }).stalled,
    undefined,
  );
});

Deno.test("stoppedMs() is the time in which all workers stood still, within the window", () => {
  const window = { startAtMs: 0, endAtMs: 10_000 };
  const stopped = [logOf([1000, 3000], [9500, 12_000]), logOf([1200, 3100], [9000, 12_000])];
  assert.equal(stoppedMs(stopped, window), 1800 + 500);
  assert.equal(stoppedMs([...stopped, logOf([1000, 1200])], window), 0, "one worker went on");
  assert.equal(stoppedMs([logOf([1000, 1100])], window), 0, "not long");
});

Deno.test("stopProblem() begins beyond 3 % of the window", () => {
  assert.equal(stopProblem(300, 10_000), undefined);
  assert.match(stopProblem(8000, 30_000) ?? "", /stood still for 8.* of 30/);
});

Deno.test("property: no request is held up longer than it took, and none before its first stall", () => {
  const stall = fc.tuple(
    fc.double({ min: 0, max: 500, noNaN: true }),
    fc.double({ min: 0, max: 500, noNaN: true }),
  );
  fc.assert(fc.property(
    fc.array(stall, { maxLength: 30 }),
    fc.array(fc.double({ min: 0, max: 800, noNaN: true }), { minLength: 4, maxLength: 4 }),
    (gaps, steps) => {
      let atMs = 0;
      const stalls = gaps.map(([gapMs, lengthMs]) => {
        const startAtMs = atMs + gapMs;
        atMs = startAtMs + lengthMs;
        return [startAtMs, atMs] as const;
      });
      const [due = 0, sent = 0, first = 0, end = 0] = steps;
      const dueAtMs = due;
      const sentAtMs = dueAtMs + sent;
      const firstContentAtMs = sentAtMs + first;
      const endAtMs = firstContentAtMs + end;
      const held = logOf(...stalls).heldUp({ dueAtMs, sentAtMs, firstContentAtMs, endAtMs });
      assert((held.ttftHeldMs ?? 0) <= first + 1e-9);
      assert((held.endHeldMs ?? 0) <= first + end + 1e-9);
      const before = stalls.some(([startAtMs]) => startAtMs < endAtMs + 5);
      if (!before) assert.deepEqual(held, {});
    },
  ));
});

Deno.test("a log of any length keeps its long stalls, and forgets the oldest others", () => {
  const log = logOf([100, 400]);
  for (let i = 0; i < 30_000; i++) log.add([1000 + i * 10, 1005 + i * 10]);
  assert.equal(log.heldUp({ dueAtMs: 90, sentAtMs: 90, endAtMs: 200 }).stalled, true);
  const endAtMs = 1000 + 29_999 * 10 + 5;
  assert.equal(log.heldUp({ dueAtMs: 90, sentAtMs: 90, endAtMs }).endHeldMs, 5);
});
