import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { readRows } from "./csv.ts";
import { readRun } from "./read.ts";
import { openRunDir, type RunDir, type RunDirOptions } from "./run_dir.ts";
import {
  type Column,
  DETAIL_COLUMNS,
  type DetailRow,
  type ExperimentKind,
  PHASE_COLUMNS,
  SINGLE_PROMPT_COLUMNS,
  SUMMARY_COLUMNS,
} from "./schema.ts";
import { type Disk, memoryDisk } from "./test_disk.ts";

const WALL_MS = new Date(2026, 0, 2, 3, 4, 5).getTime();
const STAMP = "20260102_030405";
const CLOCK: Clock = { nowMs: () => 0, wallMs: () => WALL_MS, sleep: () => Promise.resolve() };
const IDENTITY = { context_sizes: [100, 200], cache_hit_rates: [0, 50], max_ttft: 2 };
const CELLS = [[100, 0], [100, 50], [200, 0], [200, 50]] as const;

function open(disk: Disk, change: Partial<RunDirOptions> = {}): Promise<RunDir> {
  let made = 0;
  return openRunDir({
    files: disk.files,
    clock: CLOCK,
    dir: "out",
    experiment: "cache-rate",
    pid: 1,
    forceRestart: false,
    version: "1.0",
    hostName: "here",
    nonce: () => `nonce${disk.operations()}.${made++}`,
    ...change,
  });
}

/** A run of four cells with three rows each; cells that are finished are left out. */
async function wholeRun(disk: Disk, experiment: ExperimentKind = "cache-rate"): Promise<RunDir> {
  const run = await open(disk, { experiment });
  await run.begin(IDENTITY);
  for (const [context_size, cache_hit_rate] of CELLS) {
    const cell = `${context_size}_${cache_hit_rate}`;
    if (run.isFinished(cell)) continue;
    if (experiment === "single-prompt") {
      for (const iteration of [0, 1]) {
        await run.appendSinglePrompt([{ context_size, iteration, request_id: cell }]);
      }
      await run.finishCell(cell);
      continue;
    }
    for (const k of [0, 1]) {
      const row: DetailRow = { context_size, cache_hit_rate, request_id: `r${k}`, error: "ü\n=x" };
      await run.appendDetails(context_size, [row]);
      await run.appendPhase({ context_size, cache_hit_rate, phase_id: `P${k}` });
    }
    await run.appendDetails(context_size, [{ context_size, cache_hit_rate, request_id: "r2" }]);
    await run.finishCell(cell, { context_size, cache_hit_rate, p95_ttft: 0.25 });
  }
  await run.close();
  return run;
}

/** All rows of all tables, file by file. */
function allRows(disk: Disk): Record<string, unknown[]> {
  const tables: [RegExp, readonly Column[]][] = [
    [/^summary_/, SUMMARY_COLUMNS],
    [/^detailed_results_/, DETAIL_COLUMNS],
    [/^phase_metadata_/, PHASE_COLUMNS],
    [/^single_prompt_results_/, SINGLE_PROMPT_COLUMNS],
  ];
  const rows: Record<string, unknown[]> = {};
  for (const [path, bytes] of disk.contents) {
    const name = path.replace("out/", "");
    const columns = tables.find(([pattern]) => pattern.test(name))?.[1];
    if (columns === undefined || name.endsWith(".tmp")) continue;
    const problems: string[] = [];
    rows[name] = readRows(bytes, columns, (problem) => problems.push(problem));
    assert.deepEqual(problems, [], name);
  }
  return rows;
}

function rejects(promise: Promise<unknown>, kind: string, ...parts: RegExp[]): Promise<void> {
  return assert.rejects(promise, (error) => {
    assert.ok(error instanceof KvmarkError, String(error));
    assert.equal(error.kind, kind);
    const text = [error.message, ...error.problems, error.hint].join("\n");
    for (const part of parts) assert.match(text, part);
    return true;
  });
}

for (const experiment of ["cache-rate", "single-prompt"] as const) {
  for (const fault of ["before", "half", "after"] as const) {
    Deno.test(`openRunDir() resumes ${experiment} after a kill ${fault} any operation`, async () => {
      const unbroken = memoryDisk();
      await wholeRun(unbroken, experiment);
      const expected = allRows(unbroken);
      const rowCount = Object.values(expected).flat().length;
      assert.equal(rowCount, experiment === "cache-rate" ? 4 + 12 + 8 : 8);
      const last = unbroken.operations();
      assert.ok(last > 15);
      for (let at = 1; at <= last; at++) {
        const disk = memoryDisk();
        disk.killAt(at, fault);
        await assert.rejects(wholeRun(disk, experiment), `operation ${at} did not fail`);
        const again = memoryDisk(disk.contents);
        await wholeRun(again, experiment);
        assert.deepEqual(allRows(again), expected, `killed at operation ${at}`);
      }
    });
  }
}

Deno.test("openRunDir() resumes after a second kill inside the repair", async () => {
  const unbroken = memoryDisk();
  await wholeRun(unbroken);
  const broken = memoryDisk();
  broken.killAt(unbroken.operations() - 12, "half");
  await assert.rejects(wholeRun(broken));
  for (let at = 1; at < 25; at++) {
    const second = memoryDisk(new Map(broken.contents));
    second.killAt(at, "after");
    await wholeRun(second).catch(() => undefined);
    const third = memoryDisk(second.contents);
    await wholeRun(third);
    assert.deepEqual(allRows(third), allRows(unbroken), `killed again at ${at}`);
  }
});

Deno.test("openRunDir() runs cells again whose bytes a power failure took", async () => {
  for (const harm of ["shorter", "zeros"] as const) {
    const disk = memoryDisk();
    await wholeRun(disk);
    const expected = allRows(disk);
    const path = `out/detailed_results_100_${STAMP}.csv`;
    const bytes = disk.contents.get(path) ?? new Uint8Array();
    if (harm === "shorter") disk.contents.set(path, bytes.slice(0, -5));
    else bytes.fill(0, bytes.length - 5);
    const run = await open(disk);
    const { notes } = await run.begin(IDENTITY);
    assert.match(notes.join("\n"), /3 finished cells run again/);
    assert.deepEqual(run.finishedRows().map((row) => row.cache_hit_rate), [0]);
    await run.close();
    await wholeRun(disk);
    assert.deepEqual(allRows(disk), expected);
  }
});

Deno.test("begin() keeps time, seed and finished rows over a resume and counts attempts", async () => {
  const disk = memoryDisk();
  const first = await wholeRun(disk);
  const second = await open(disk);
  const { resumed, notes } = await second.begin(IDENTITY);
  assert.ok(resumed);
  assert.match(notes.join("\n"), /4 finished cells kept/);
  assert.deepEqual(
    [second.timestamp, second.runSeed, first.attempt, second.attempt],
    [STAMP, first.runSeed, 1, 2],
  );
  assert.equal(second.finishedRows().length, 4);
  assert.equal(second.finishedRows()[0]?.p95_ttft, 0.25);
  await second.close();
});

Deno.test("begin() gives runs of their own different seeds", async () => {
  const [one, other] = [await wholeRun(memoryDisk()), memoryDisk()];
  const run = await open(other, { nonce: () => "another" });
  await run.begin(IDENTITY);
  assert.notEqual(run.runSeed, one.runSeed);
  await run.close();
});

Deno.test("begin() creates the tables and progress.json with Python's keys", async () => {
  const disk = memoryDisk();
  const run = await open(disk);
  await run.begin(IDENTITY);
  assert.deepEqual(disk.names(), [
    ".kvmark.lock",
    `phase_metadata_${STAMP}.csv`,
    "progress.json",
    `summary_${STAMP}.csv`,
  ]);
  await run.finishCell("100_0", { context_size: 100 });
  const progress = JSON.parse(disk.text("out/progress.json"));
  assert.match(progress.test_id, /^[0-9a-f]{16}$/);
  assert.deepEqual(progress.parameters, IDENTITY);
  assert.deepEqual(progress.completed_tests, ["100_0"]);
  assert.equal(progress.last_update, new Date(WALL_MS).toISOString());
  assert.equal(progress.kvmark.version, "1.0");
  await run.close();
});

Deno.test("begin() goes on if contexts or rates were added, and only then", async () => {
  const disk = memoryDisk();
  await wholeRun(disk);
  const more = { ...IDENTITY, context_sizes: [100, 200, 400], cache_hit_rates: [0, 25, 50] };
  const run = await open(disk);
  assert.ok((await run.begin(more)).resumed);
  assert.ok(run.isFinished("200_50") && !run.isFinished("400_0") && !run.isFinished("100_25"));
  await run.close();
  const again = await open(disk);
  await rejects(again.begin(IDENTITY), "usage", /context_sizes was 100 200 400, now 100 200/);
  await again.close();
});

Deno.test("begin() names each changed setting with both values", async () => {
  const disk = memoryDisk();
  await wholeRun(disk);
  const run = await open(disk);
  await rejects(
    run.begin({ ...IDENTITY, max_ttft: 3, seed: 7 }),
    "usage",
    /max_ttft was 2 s, now 3 s/,
    /seed was not set, now 7/,
    /--force-restart/,
  );
  await run.close();
  const other = await open(disk, { experiment: "working-set" });
  await rejects(other.begin(IDENTITY), "usage", /experiment was cache-rate, now working-set/);
  await other.close();
});

Deno.test("begin() takes the corrected command where the first one measured nothing", async () => {
  const disk = memoryDisk();
  const wrong = await open(disk);
  await wrong.begin({ ...IDENTITY, api_endpoint: ["http://h:60000"] });
  await wrong.writeRunCommand(["kvmark"]);
  await wrong.close();
  const corrected = { ...IDENTITY, api_endpoint: ["http://h:8000"] };
  for (let kill = 1; kill < 12; kill++) {
    const killed = memoryDisk(new Map(disk.contents));
    killed.killAt(kill, "half");
    await open(killed).then((run) => run.begin(corrected)).catch(() => undefined);
    const last = await open(memoryDisk(killed.contents));
    await last.begin(corrected);
    await last.close();
  }
  const run = await open(disk);
  const { resumed, notes } = await run.begin(corrected);
  assert.deepEqual([resumed, run.timestamp, run.attempt], [false, STAMP, 1]);
  assert.match(
    notes.join("\n"),
    /measured nothing.*api_endpoint was http:\/\/h:60000, now http:\/\/h:8000/,
  );
  const tables = [`phase_metadata_${STAMP}.csv`, `summary_${STAMP}.csv`];
  assert.deepEqual(disk.names().filter((name) => name.includes(STAMP)), tables);
  await run.appendPhase({ context_size: 100, phase_id: "WARMUP" });
  await run.close();
  // From the first row on the settings are those of the run.
  const other = await open(disk);
  await rejects(other.begin(IDENTITY), "usage", /api_endpoint was/);
  await other.close();
});

Deno.test("begin() goes on with a run of format 1, whose durations are in milliseconds", async () => {
  const disk = memoryDisk();
  await wholeRun(disk);
  const path = "out/progress.json";
  const stored = JSON.parse(disk.text(path));
  assert.equal(stored.kvmark.format, 2);
  stored.kvmark.format = 1;
  stored.parameters = { ...IDENTITY, ramp_duration: 60_000, test_duration: 300_000 };
  await disk.files.writeText(path, JSON.stringify(stored));
  const now = { ...IDENTITY, ramp_duration: 60, test_duration: 300 };
  const wrong = await open(disk);
  await rejects(
    wrong.begin({ ...now, ramp_duration: 30 }),
    "usage",
    /ramp_duration was 60 s, now 30 s/,
  );
  await wrong.close();
  const run = await open(disk);
  const { resumed } = await run.begin(now);
  assert.ok(resumed && run.finishedRows().length === CELLS.length);
  const after = JSON.parse(disk.text(path));
  assert.deepEqual([after.kvmark.format, after.parameters], [2, now]);
  await run.writeRunJson({ experiment: "cache-rate", parameters: now });
  await run.close();
  // `run.json` has the same mark, and one without it is of before.
  const json = JSON.parse(disk.text("out/run.json"));
  assert.equal(json.format, 2);
  assert.deepEqual((await readRun(disk.files, "out")).config.parameters, now);
  const { format: _, ...old } = { ...json, parameters: { ramp_duration: 60_000, max_ttft: 2 } };
  await disk.files.writeText("out/run.json", JSON.stringify(old));
  assert.deepEqual(
    (await readRun(disk.files, "out")).config.parameters,
    { ramp_duration: 60, max_ttft: 2 },
  );
});

Deno.test("begin() with --force-restart starts new files and leaves the old ones", async () => {
  const disk = memoryDisk();
  await wholeRun(disk);
  const before = disk.text(`out/summary_${STAMP}.csv`);
  const run = await open(disk, { forceRestart: true });
  const { resumed } = await run.begin({ max_ttft: 9 });
  assert.deepEqual([resumed, run.timestamp], [false, "20260102_030406"]);
  assert.equal(disk.text(`out/summary_${STAMP}.csv`), before);
  assert.deepEqual([...run.finishedRows()], []);
  await run.close();
  // What was started with --force-restart can be resumed without it.
  const resumedRun = await open(disk);
  assert.ok((await resumedRun.begin({ max_ttft: 9 })).resumed);
  await resumedRun.close();
});

Deno.test("begin() does not write into a folder that kvmark did not make", async () => {
  const python = memoryDisk();
  await python.files.writeText("out/progress.json", '{"test_id": "x", "parameters": {}}');
  for (const forceRestart of [false, true]) {
    const run = await open(python, { forceRestart });
    await rejects(run.begin(IDENTITY), "usage", /Python suite/, /another --output-dir/);
    await run.close();
  }
  const loose = memoryDisk();
  await loose.files.writeText(`out/single_prompt_results_${STAMP}.csv`, "context_size\n");
  const run = await open(loose);
  await rejects(run.begin(IDENTITY), "usage", /without kvmark's progress.json/);
  await run.close();
});

Deno.test("begin() of a damaged or later progress.json says so; --force-restart starts over", async () => {
  for (const text of ["{", "[]", '{"kvmark": {"format": 99}, "parameters": {}}', '{"kvmark": 1}']) {
    const disk = memoryDisk();
    await disk.files.writeText("out/progress.json", text);
    const run = await open(disk);
    await rejects(run.begin(IDENTITY), "io", /progress.json cannot be read/);
    await run.close();
    const forced = await open(disk, { forceRestart: true });
    assert.equal((await forced.begin(IDENTITY)).resumed, false);
    await forced.close();
  }
});

Deno.test("begin() refuses to add rows to a table with other columns", async () => {
  const disk = memoryDisk();
  await wholeRun(disk);
  const path = `out/summary_${STAMP}.csv`;
  await disk.files.writeText(path, disk.text(path).replace("context_size", "old_column"));
  const run = await open(disk);
  await rejects(run.begin(IDENTITY), "usage", /other columns/);
  await run.close();
});

Deno.test("finishCell() after a failed write fails as well: the end of the file is not known", async () => {
  const disk = memoryDisk();
  const run = await open(disk);
  await run.begin(IDENTITY);
  const good = disk.files.appendText;
  Object.assign(disk.files, { appendText: () => Promise.reject(new Error("No space left")) });
  await rejects(
    run.appendPhase({ phase_id: "P0" }),
    "io",
    /Cannot write out\/phase_metadata_.*No space left/,
  );
  Object.assign(disk.files, { appendText: good });
  await rejects(run.finishCell("100_0", {}), "io", /No space left/);
  assert.equal(run.isFinished("100_0"), false);
  await rejects(run.close(), "io");
});

Deno.test("appendDetails() keeps the order of calls that are not waited for", async () => {
  const disk = memoryDisk();
  const run = await open(disk);
  await run.begin(IDENTITY);
  const calls = Array.from(
    { length: 2000 },
    (_, i) => run.appendDetails(100, [{ request_id: `request ${String(i).padStart(40)}` }]),
  );
  await Promise.all([...calls, run.finishCell("100_0")]);
  const rows = allRows(disk)[`detailed_results_100_${STAMP}.csv`] as DetailRow[];
  assert.deepEqual(
    rows.map((row) => Number(row.request_id?.slice(8))),
    Array.from({ length: 2000 }, (_, i) => i),
  );
  await run.close();
});

Deno.test("writeRunCommand() and writeRunJson() write their files whole", async () => {
  const disk = memoryDisk();
  const run = await open(disk);
  await run.begin(IDENTITY);
  await run.writeRunCommand(["kvmark", "cache-rate", "--output-dir", "a b'c"]);
  await run.writeRunJson({ model: "m" });
  const name = `out/run_command_${STAMP}.sh`;
  assert.equal(disk.modes.get(name), 0o755);
  assert.match(disk.text(name), /\n {2}--output-dir 'a b'\\''c' "\$@"\n$/);
  assert.deepEqual(JSON.parse(disk.text("out/run.json")), {
    model: "m",
    format: 2,
    timestamp: STAMP,
  });
  await run.close();
});

Deno.test("openRunDir() refuses a folder that another kvmark holds", async () => {
  const disk = memoryDisk();
  const held = new Set<string>();
  const tryLock = (path: string) => {
    if (held.has(path)) return Promise.resolve(undefined);
    held.add(path);
    return Promise.resolve(() => Promise.resolve(void held.delete(path)));
  };
  const first = await open(disk, { tryLock, pid: 41 });
  await rejects(
    open(disk, { tryLock, pid: 42 }),
    "io",
    /Another kvmark \(process 41 on here/,
    /another --output-dir/,
  );
  await first.close();
  const second = await open(disk, { tryLock, pid: 42 });
  const { notes } = await second.begin(IDENTITY);
  assert.deepEqual(notes, []);
  await second.close();
  await second.close();
});

Deno.test("openRunDir() takes a stale lock over, with a note", async () => {
  const disk = memoryDisk();
  const dead = await open(disk, { pid: 41 });
  const next = await open(disk, { pid: 42, isAlive: () => Promise.resolve(false) });
  assert.match((await next.begin(IDENTITY)).notes.join(), /process 41 on here.* taken over/);
  // The one that was thought dead writes nothing more.
  await rejects(
    dead.begin(IDENTITY).then(() => dead.finishCell("100_0", {})),
    "io",
    /process 42/,
  );
  await next.close();
});

Deno.test("openRunDir() without a kernel lock asks whether the holder runs", async () => {
  const disk = memoryDisk();
  const isAlive = (pid: number) => Promise.resolve(pid === 41);
  const first = await open(disk, { pid: 41, isAlive });
  await rejects(open(disk, { pid: 42, isAlive }), "io", /process 41/);
  await first.close();
  const tryLock = () => Promise.reject(new Error("not supported"));
  const second = await open(disk, { pid: 42, isAlive, tryLock });
  assert.match((await second.begin(IDENTITY)).notes.join(), /no file locks \(not supported\)/);
  await second.close();
});

Deno.test("openRunDir() says why a folder cannot be made", async () => {
  const disk = memoryDisk();
  await disk.files.writeText("out", "a file");
  await rejects(open(disk), "io", /Cannot write out: it is a file/);
});
