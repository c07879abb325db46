import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { isCombined, readRun } from "./read.ts";
import { openRunDir } from "./run_dir.ts";
import { type Disk, memoryDisk } from "./test_disk.ts";

const WALL_MS = new Date(2026, 0, 2, 3, 4, 5).getTime();
const CLOCK: Clock = { nowMs: () => 0, wallMs: () => WALL_MS, sleep: () => Promise.resolve() };

/** A folder with these files. */
async function folder(contents: Record<string, string>): Promise<Disk> {
  const disk = memoryDisk();
  await disk.files.makeDir("out");
  for (const [name, text] of Object.entries(contents)) {
    await disk.files.writeText(`out/${name}`, text);
  }
  return disk;
}

function read(disk: Disk) {
  return readRun(disk.files, "out");
}

async function kvmarkRun(disk: Disk, model: string, forceRestart = false) {
  const run = await openRunDir({
    files: disk.files,
    clock: CLOCK,
    dir: "out",
    experiment: "cache-rate",
    pid: 1,
    forceRestart,
    version: "1.0",
  });
  await run.begin({ context_sizes: [100] });
  await run.writeRunJson({ experiment: "cache-rate", model, endpoints: ["http://h"] });
  for (const [context_size, cache_hit_rate] of [[200, 0], [100, 50], [100, 0]] as const) {
    await run.appendDetails(context_size, [{ context_size, cache_hit_rate, itl: 0.5, ttft: 0 }]);
    await run.appendPhase({ context_size, cache_hit_rate, phase_id: "RAMP_c2" });
    await run.finishCell(`${context_size}_${cache_hit_rate}`, {
      context_size,
      cache_hit_rate,
      model,
      avg_itl: 0.5,
    });
  }
  await run.close();
  return run.timestamp;
}

Deno.test("readRun() gives back what a run of kvmark wrote, cells in order", async () => {
  const disk = memoryDisk();
  await kvmarkRun(disk, "m");
  const run = await read(disk);
  assert.deepEqual([run.kind, run.writtenBy, run.problems], ["cache-rate", "kvmark", []]);
  assert.deepEqual(
    run.summary.map((row) => [row.context_size, row.cache_hit_rate, row.avg_itl, row.avg_tpot]),
    [[100, 0, 0.5, undefined], [100, 50, 0.5, undefined], [200, 0, 0.5, undefined]],
  );
  assert.deepEqual(run.details.length, 3);
  assert.ok(run.details.every((row) => row.itl === 0.5 && row.ttft === 0));
  assert.equal(run.phases.length, 3);
  assert.equal(run.config.model, "m");
  assert.equal(run.config.kvmarkVersion, "1.0");
  assert.deepEqual(run.config.parameters, { context_sizes: [100] });
  assert.deepEqual(
    run.files.map((file) => file.name).filter((name) => /lock|tmp/.test(name)),
    [],
  );
});

Deno.test("readRun() reads the run that was started last, alone", async () => {
  const disk = memoryDisk();
  await kvmarkRun(disk, "old");
  await kvmarkRun(disk, "new", true);
  const run = await read(disk);
  assert.deepEqual(run.summary.map((row) => row.model), ["new", "new", "new"]);
  assert.equal(run.details.length, 3);
  assert.equal(run.config.model, "new");
});

Deno.test("readRun() leaves out a run.json of the run before", async () => {
  const disk = memoryDisk();
  await kvmarkRun(disk, "old");
  const before = disk.text("out/run.json");
  await kvmarkRun(disk, "new", true);
  await disk.files.writeText("out/run.json", before);
  const run = await read(disk);
  assert.equal(run.config.model, undefined);
  assert.match(run.problems.join(), /run.json: it belongs to an earlier run/);
});

Deno.test("readRun() knows kvmark's tables without progress.json and run.json", async () => {
  for (const damage of ["removed", "{"] as const) {
    const disk = memoryDisk();
    await kvmarkRun(disk, "m");
    await disk.files.remove("out/run.json");
    if (damage === "removed") await disk.files.remove("out/progress.json");
    else await disk.files.writeText("out/progress.json", damage);
    const run = await read(disk);
    assert.deepEqual([run.writtenBy, run.summary.length, run.details.length], ["kvmark", 3, 3]);
    assert.equal(run.details[0]?.itl, 0.5);
    assert.equal(run.problems.length, damage === "removed" ? 0 : 1);
  }
});

Deno.test("readRun() lists damage file by file and reads the rest", async () => {
  const disk = memoryDisk();
  const stamp = await kvmarkRun(disk, "m");
  const details = `out/detailed_results_100_${stamp}.csv`;
  await disk.files.writeText(details, disk.text(details).slice(0, -4));
  await disk.files.writeText("out/run.json", "[1]");
  await disk.files.writeText(`out/phase_metadata_${stamp}.csv`, "");
  const run = await read(disk);
  assert.deepEqual(run.problems, [
    "run.json: it is not a JSON object",
    `detailed_results_100_${stamp}.csv: the last line was cut off and is left out`,
    `phase_metadata_${stamp}.csv: it is empty`,
  ]);
  assert.deepEqual([run.summary.length, run.details.length, run.phases.length], [3, 2, 0]);
});

Deno.test("readRun() takes from run.json only what is of the right kind", async () => {
  const disk = memoryDisk();
  const stamp = await kvmarkRun(disk, "m");
  const text = JSON.stringify({
    timestamp: stamp,
    model: 5,
    endpoints: ["a", 7],
    kvBytesPerToken: "many",
    blockTokens: 16,
    serverFacts: [{ name: "n", value: "v", evidence: "e" }, { name: 1 }],
    experiment: "trace",
    parameters: [],
  });
  await disk.files.writeText("out/run.json", text);
  const { config } = await read(disk);
  assert.deepEqual(config, {
    experiment: "cache-rate",
    kvmarkVersion: "1.0",
    parameters: { context_sizes: [100] },
    serverFacts: [{ name: "n", value: "v", evidence: "e" }],
    endpoints: ["a"],
    blockTokens: 16,
  });
});

Deno.test("readRun() throws only if there is nothing to read", async () => {
  const isIo = (error: unknown) => error instanceof KvmarkError && error.kind === "io";
  await assert.rejects(readRun(memoryDisk().files, "out"), isIo);
  await assert.rejects(read(await folder({ "notes.txt": "" })), isIo);
  await assert.rejects(read(await folder({ "progress.json": "{" })), isIo);
  await assert.rejects(read(await folder({ "summary_comparison.csv": "Configuration\n" })), isIo);
  assert.ok(isCombined(["index.html", "summary_comparison.html"]));
  assert.ok(!isCombined(["summary_comparison.csv", "summary_20260102_030405.csv"]));
});

Deno.test("readRun() keeps failed requests of warm-ups apart from the requests that count", async () => {
  const disk = memoryDisk();
  await kvmarkRun(disk, "m");
  const name = disk.names().find((one) => one.startsWith("detailed_results_100_"))!;
  const before = await read(disk);
  const header = disk.text(`out/${name}`).split("\n")[0]!.split(",");
  const cells: Record<string, string> = { context_size: "100", cache_hit_rate: "0" };
  const line = (more: Record<string, string>) =>
    `${header.map((column) => ({ ...cells, ...more })[column] ?? "").join(",")}\n`;
  await disk.files.appendText(
    `out/${name}`,
    line({ request_id: "w", purpose: "warmup", error_kind: "timeout" }) + line({ request_id: "m" }),
  );
  const { details, failedWarmUps = [] } = await read(disk);
  assert.equal(details.length, before.details.length + 1);
  assert.deepEqual(failedWarmUps.map((row) => row.request_id), ["w"]);
  assert.equal(before.failedWarmUps, undefined);
});
