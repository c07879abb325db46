import assert from "node:assert/strict";
import type { Clock } from "../host.ts";
import { readRun } from "./read.ts";
import { openRunDir, type RunDir } from "./run_dir.ts";
import { type Disk, memoryDisk } from "./test_disk.ts";

const CLOCK: Clock = { nowMs: () => 0, wallMs: () => 1.7e12, sleep: () => Promise.resolve() };
const COLD = { asked: "reset", by: "reset", proved: true, evidence: ["It is gone."] } as const;

async function open(disk: Disk): Promise<RunDir> {
  const run = await openRunDir({
    files: disk.files,
    clock: CLOCK,
    dir: "out",
    experiment: "cache-rate",
    pid: 1,
    forceRestart: false,
    hostName: "here",
    nonce: () => "nonce",
  });
  await run.begin({ context_sizes: [100] });
  return run;
}

async function cell(run: RunDir, rate: number, finish: boolean): Promise<void> {
  const where = { context_size: 100, cache_hit_rate: rate, phase_id: "RAMP_c2" };
  await run.appendServerMetrics([{ ...where, running: rate }, { ...where, interval_s: 5 }]);
  if (finish) await run.finishCell(`100_${rate}`, { context_size: 100, cache_hit_rate: rate });
}

Deno.test("appendServerMetrics() rows are those of finished cells, each once, after a resume", async () => {
  const disk = memoryDisk();
  const first = await open(disk);
  await cell(first, 0, true);
  await cell(first, 50, false);
  await first.close();
  const second = await open(disk);
  assert.equal(second.isFinished("100_50"), false);
  await cell(second, 50, true);
  await second.writeRunJson({ cold: COLD });
  await second.close();
  const run = await readRun(disk.files, "out");
  assert.deepEqual(run.problems, []);
  assert.deepEqual(run.serverMetrics?.map((row) => [row.cache_hit_rate, row.running]), [
    [0, 0],
    [0, undefined],
    [50, 50],
    [50, undefined],
  ]);
  assert.deepEqual(run.config.cold, COLD);
});

Deno.test("a run whose servers have no metrics has no such file", async () => {
  const disk = memoryDisk();
  const run = await open(disk);
  await run.appendServerMetrics([]);
  await run.finishCell("100_0", { context_size: 100, cache_hit_rate: 0 });
  await run.close();
  assert.ok(![...disk.contents.keys()].some((path) => path.includes("server_metrics")));
  assert.equal((await readRun(disk.files, "out")).serverMetrics, undefined);
});
