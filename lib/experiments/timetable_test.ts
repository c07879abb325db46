import assert from "node:assert/strict";
import { endOf, timetable } from "./timetable.ts";

const PLAN = { startAtWallMs: 1000, warmUpMs: 100, periodMs: 50, gapMs: 5, periodsPerCell: 2 };

Deno.test("timetable() gives a warm-up to each new key and then the periods with their gaps", () => {
  const times = timetable([
    { cellId: "a", warmKey: "1" },
    { cellId: "b", warmKey: "1" },
    { cellId: "c", warmKey: "2" },
  ], PLAN);
  assert.deepEqual(times.get("a"), {
    warmUpAtWallMs: 1000,
    periods: [
      { startAtWallMs: 1100, stopAtWallMs: 1150 },
      { startAtWallMs: 1155, stopAtWallMs: 1205 },
    ],
    stopAtWallMs: 1205,
  });
  assert.equal(times.get("b")?.warmUpAtWallMs, undefined);
  assert.equal(times.get("b")?.periods[0]?.startAtWallMs, 1210);
  assert.equal(times.get("c")?.warmUpAtWallMs, 1320);
  assert.equal(times.get("c")?.periods[0]?.startAtWallMs, 1420);
  assert.equal(endOf(times, 1000), 1525);
});

Deno.test("timetable() gives a warm-up to each period where there is no key", () => {
  const times = timetable([{ cellId: "a" }], PLAN);
  assert.deepEqual(times.get("a")?.periods, [
    { warmUpAtWallMs: 1000, startAtWallMs: 1100, stopAtWallMs: 1150 },
    { warmUpAtWallMs: 1155, startAtWallMs: 1255, stopAtWallMs: 1305 },
  ]);
});

Deno.test("endOf() of nothing is the start", () => {
  assert.equal(endOf(timetable([], PLAN), 1000), 1000);
});
