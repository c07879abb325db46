import assert from "node:assert/strict";
import type { Clock } from "../host.ts";
import { readRows } from "./csv.ts";
import { openRunDir, type RunDir } from "./run_dir.ts";
import { DETAIL_COLUMNS, PHASE_COLUMNS, SUMMARY_COLUMNS } from "./schema.ts";
import { type Disk, memoryDisk } from "./test_disk.ts";

const CLOCK: Clock = { nowMs: () => 0, wallMs: () => 1.7e12, sleep: () => Promise.resolve() };
const CELLS = [[100, 0], [100, 50], [200, 0], [200, 50]] as const;
const NONE: readonly number[] = [];

/** A run of four cells; nothing succeeds in the cells whose place is in `failing`. */
async function sweep(
  disk: Disk,
  failing: readonly number[],
  again?: ReadonlySet<string>,
): Promise<RunDir> {
  const run = await openRunDir({
    files: disk.files,
    clock: CLOCK,
    dir: "out",
    experiment: "cache-rate",
    pid: 1,
    forceRestart: false,
    hostName: "here",
    nonce: () => `nonce${disk.operations()}`,
  });
  await run.begin({ context_sizes: [100, 200] }, again);
  for (const [place, [context_size, cache_hit_rate]] of CELLS.entries()) {
    const cell = `${context_size}_${cache_hit_rate}`;
    if (run.isFinished(cell)) continue;
    const redo = failing.includes(place);
    const text = redo ? { error: "no answer" } : {};
    await run.appendDetails(context_size, [{ context_size, cache_hit_rate, ...text }]);
    await run.appendPhase({ context_size, cache_hit_rate, phase_id: redo ? "failed" : "fine" });
    const row = { context_size, cache_hit_rate, total_requests: redo ? 0 : 1 };
    await run.finishCell(cell, row, { redo });
  }
  await run.close();
  return run;
}

/** The rows of all tables in a fixed order. */
function rowsOf(disk: Disk): string[] {
  return [...disk.contents].flatMap(([path, bytes]) => {
    const columns = path.includes("/summary_")
      ? SUMMARY_COLUMNS
      : path.includes("/phase_")
      ? PHASE_COLUMNS
      : DETAIL_COLUMNS;
    if (!path.endsWith(".csv")) return [];
    return readRows(bytes, columns).map((row) => `${path} ${JSON.stringify(row)}`);
  }).sort();
}

Deno.test("finishCell() with redo keeps the rows, and a resume runs the cell again", async () => {
  const whole = memoryDisk();
  await sweep(whole, NONE);
  for (const failing of [[0], [1], [3], [0, 2], [1, 2, 3], [0, 1, 2, 3]]) {
    const disk = memoryDisk();
    const first = await sweep(disk, failing);
    assert.equal(first.finishedRows().length, 4, "the table shows the failed cells too");
    assert.ok(rowsOf(disk).some((row) => row.includes("no answer")));
    const second = await sweep(disk, NONE);
    assert.deepEqual(rowsOf(disk), rowsOf(whole));
    assert.equal(second.finishedRows().filter((row) => row.total_requests === 1).length, 4);
  }
});

Deno.test("begin() takes the rows of given finished cells out, and they are run again", async () => {
  const disk = memoryDisk();
  await sweep(disk, [1, 2]);
  const before = rowsOf(disk);
  assert.ok(before.some((row) => row.includes("no answer")));
  await sweep(disk, NONE, new Set(["100_0", "200_50", "never_run"]));
  const whole = memoryDisk();
  await sweep(whole, NONE);
  assert.deepEqual(rowsOf(disk), rowsOf(whole), "each cell once, the failed ones too");
});

for (const fault of ["before", "half", "after"] as const) {
  Deno.test(`begin() after a kill ${fault} any step of taking cells out never mixes rows`, async () => {
    const whole = memoryDisk();
    await sweep(whole, NONE);
    const failed = memoryDisk();
    await sweep(failed, [1, 2]);
    const counted = memoryDisk(new Map(failed.contents));
    await sweep(counted, NONE);
    assert.ok(counted.operations() > 10);
    for (let at = 1; at <= counted.operations(); at++) {
      const disk = memoryDisk(new Map(failed.contents));
      disk.killAt(at, fault);
      await assert.rejects(sweep(disk, NONE), `operation ${at} did not fail`);
      const again = memoryDisk(disk.contents);
      await sweep(again, NONE);
      assert.deepEqual(rowsOf(again), rowsOf(whole), `killed at operation ${at}`);
    }
  });
}
