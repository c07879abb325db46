/**
 * Kills runs with SIGKILL at random instants, lets each go on to its end, and compares what is in
 * its folder with what an unbroken run leaves.
 *
 * Usage: `deno task torture --kills 200 --seed 7 --parallel 3`.
 *
 * The simulator answers every request 140 ms after it came, and a period launches for 100 ms: so
 * each slot sends exactly one request, and every count of a run is known beforehand. One level of
 * concurrency, since which of two is the peak depends on how busy the machine is.
 *
 * @module
 */

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { type RandomStream, randomStream, seedFor } from "../lib/random.ts";
import { parseTruth } from "../lib/sim/truth_log.ts";
import { commandUnderTest, withTempDir } from "../tests/support/command.ts";
import { readCsvText } from "../tests/support/csv_text.ts";
import { startSimulateCommand } from "../tests/support/simulator.ts";

/** What {@linkcode torture} is to do. */
export interface TortureOptions {
  /** SIGKILLs in all. */
  readonly kills: number;
  /** Decides the instants. */
  readonly seed: string;
  /** Runs that are tortured at the same time. */
  readonly parallel: number;
  /** Called after each run that came to its end. */
  readonly onRun?: (tally: TortureTally) => void;
}

/** What was done. Whatever is not as it should be throws. */
export interface TortureTally {
  kills: number;
  /** Kills at a random time, and kills right after a random change in the folder. */
  timed: number;
  atChange: number;
  /** Runs that were killed, once or several times, and then came to their end. */
  runs: number;
  /** Rows that were compared with those of the unbroken run. */
  rows: number;
  /** Kills after which a resume kept at least one finished cell. */
  keptCells: number;
}

const SIMULATE = [
  ...["--fault", "constant-latency", "--constant-ttft-ms", "140", "--itl-ms", "1"],
];
const SWEEP = [
  ...[
    "--context-sizes",
    "256",
    "512",
    "--working-set-size",
    "1024",
    "--cache-hit-rates",
    "0",
    "50",
  ],
  ...["--chunk-size", "16", "--output-tokens", "2", "--mode", "fixed", "--num-retries", "2"],
  ...["--fixed-concurrency-levels", "3", "--ramp-duration", "0.1", "--test-duration", "0.1"],
  ...["--skip-graphs", "--seed", "1", "--workers", "1"],
];

/** The columns that do not depend on time. */
const TABLES: Readonly<Record<string, readonly string[]>> = {
  summary: [
    ...["context_size", "working_set_size", "cache_hit_rate", "model", "peak_concurrency"],
    ...["total_requests", "failed_requests", "failure_kinds"],
    ...["achievable_hit_rate", "observed_hit_rate", "hit_rate_verdict", "periods_at_peak"],
    ...["output_tokens_source", "multi_token_chunks", "reused_tokens_per_sec"],
  ],
  phase_metadata: [
    ...["phase_type", "phase_id", "context_size", "working_set_size", "cache_hit_rate"],
    ...["concurrency_level", "num_requests_launched", "num_requests_completed"],
    ...["num_requests_failed", "failure_kinds", "decision", "retries"],
  ],
  detailed_results: [
    ...["phase_id", "context_size", "working_set_size", "cache_hit_rate", "cached_tokens"],
    ...["unique_tokens", "output_tokens", "concurrency_level", "content_chunks"],
    ...["achievable_cached_tokens", "reported_prompt_tokens", "reported_cached_tokens"],
    ...["finish_reason", "http_status", "error_kind", "ramp_in", "prompt_index"],
  ],
};

type Rows = Readonly<Record<string, readonly string[]>>;

/** Does it. @throws {assert.AssertionError} At the first run that does not end as the unbroken one. */
export async function torture(options: TortureOptions): Promise<TortureTally> {
  const tally: TortureTally = {
    kills: 0,
    timed: 0,
    atChange: 0,
    runs: 0,
    rows: 0,
    keptCells: 0,
  };
  const unbroken = await unbrokenRun();
  let number = 0;
  const work = async () => {
    while (tally.kills < options.kills) {
      const random = randomStream(seedFor("torture", options.seed, number++));
      await torturedRun(unbroken, random, tally, options.kills);
      options.onRun?.(tally);
    }
  };
  await Promise.all(Array.from({ length: options.parallel }, work));
  return tally;
}

interface Unbroken {
  readonly rows: Rows;
  readonly elapsedMs: number;
  /** Changes in the folder, as the watcher sees them. */
  readonly changes: number;
}

async function unbrokenRun(): Promise<Unbroken> {
  return await withTempDir(async (dir) => {
    await using simulator = await startSimulateCommand(SIMULATE);
    const startAtMs = performance.now();
    let changes = 0;
    const run = await start(simulator.url, `${dir}/out`, () => void changes++);
    const { code, stderr } = await run.finished;
    assert.equal(code, 0, stderr);
    const elapsedMs = performance.now() - startAtMs;
    return { rows: readRows(`${dir}/out`), elapsedMs, changes };
  });
}

/** One run: killed one to three times, then left alone. */
async function torturedRun(
  unbroken: Unbroken,
  random: RandomStream,
  tally: TortureTally,
  most: number,
): Promise<void> {
  await withTempDir(async (dir) => {
    const out = `${dir}/out`;
    const log = `${dir}/truth.jsonl`;
    {
      await using simulator = await startSimulateCommand([...SIMULATE, "--truth-log", log]);
      for (let left = 1 + random.nextBelow(3); left > 0 && tally.kills < most; left--) {
        await killedRun(simulator.url, out, unbroken, random, tally);
      }
      const last = await start(simulator.url, out);
      const { code, stderr } = await last.finished;
      assert.equal(code, 0, stderr);
      if (/finished cells? kept/.test(stderr)) tally.keptCells++;
    }
    const rows = readRows(out);
    assert.deepEqual(rows, unbroken.rows);
    assertEachRequestOnce(out, await Deno.readTextFile(log));
    assertNothingIsLeft(out);
    tally.rows += Object.values(rows).flat().length;
    tally.runs++;
  });
}

/** Starts the run and kills it, half of the times at once after a change in the folder. */
async function killedRun(
  url: string,
  out: string,
  unbroken: Unbroken,
  random: RandomStream,
  tally: TortureTally,
): Promise<void> {
  const atChange = random.nextBelow(2) === 1;
  let left = atChange ? 1 + random.nextBelow(unbroken.changes) : Infinity;
  const run = await start(url, out, () => {
    if (--left === 0) run.kill();
  });
  const afterMs = atChange ? unbroken.elapsedMs * 2 : random.nextBelow(unbroken.elapsedMs);
  const timer = setTimeout(() => run.kill(), afterMs);
  const { signal, stderr, code } = await run.finished;
  clearTimeout(timer);
  if (/finished cells? kept/.test(stderr)) tally.keptCells++;
  if (signal === null) {
    // It was done before its time had come.
    assert.equal(code, 0, stderr);
    return;
  }
  assert.equal(signal, "SIGKILL", stderr);
  tally.kills++;
  tally[atChange ? "atChange" : "timed"]++;
}

interface Started {
  kill(): void;
  readonly finished: Promise<{ code: number; signal: Deno.Signal | null; stderr: string }>;
}

async function start(url: string, out: string, onChange = () => {}): Promise<Started> {
  const [program = "", ...words] = await commandUnderTest();
  await Deno.mkdir(out, { recursive: true });
  const watcher = Deno.watchFs(out);
  const child = new Deno.Command(program, {
    args: [...words, "cache-rate", "--api-endpoint", url, "--output-dir", out, ...SWEEP],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  };
  const watching = (async () => {
    for await (const _ of watcher) onChange();
  })();
  const finished = child.output().then(async ({ code, signal, stderr }) => {
    watcher.close();
    await watching;
    return { code, signal, stderr: new TextDecoder().decode(stderr) };
  });
  return { kill, finished };
}

/**
 * The rows of all tables, without what depends on time, sorted. Warm-ups are left out here: a run
 * that goes on warms the working set again, and each warm-up that was made has its row.
 */
function readRows(out: string): Rows {
  return Object.fromEntries(
    Object.entries(TABLES).map(([table, columns]) => {
      const rows = rowsOf(out, table).filter((row) => !isWarmUp(row)).map((row) =>
        columns.map((column) => {
          assert.ok(row[column] !== undefined, `${table} has no column ${column}`);
          return `${column}=${row[column]}`;
        }).join(" ")
      );
      return [table, rows.sort()];
    }),
  );
}

function isWarmUp(row: Readonly<Record<string, string>>): boolean {
  return row["phase_type"] === "WARMUP";
}

function rowsOf(out: string, table: string): Record<string, string>[] {
  const names = [...Deno.readDirSync(out)].map((entry) => entry.name)
    .filter((name) => name.startsWith(`${table}_`) && name.endsWith(".csv"));
  assert.ok(names.length > 0, `${out} has no ${table}`);
  return names.flatMap((name) => readCsvText(Deno.readTextFileSync(`${out}/${name}`)));
}

/** Every row is a request that the server saw once; and the tables add up. */
function assertEachRequestOnce(out: string, truthLog: string): void {
  const seen = new Map<string, number>();
  for (const { requestId } of parseTruth(truthLog)) {
    seen.set(requestId, (seen.get(requestId) ?? 0) + 1);
  }
  const details = rowsOf(out, "detailed_results");
  const ids = details.map((row) => row["request_id"] ?? "");
  assert.equal(new Set(ids).size, ids.length, "a request has two rows");
  for (const id of ids) assert.equal(seen.get(id), 1, `the server saw ${id} once`);
  const phases = rowsOf(out, "phase_metadata");
  for (const size of ["256", "512"]) {
    const warmUps = phases.filter((row) => isWarmUp(row) && row["context_size"] === size);
    const cells = warmUps.map((row) => row["cache_hit_rate"]);
    assert.ok(cells.length > 0 && new Set(cells).size === cells.length, `warm-ups at ${cells}`);
  }
  for (const phase of phases.filter((row) => !isWarmUp(row))) {
    const own = details.filter((row) =>
      ["phase_id", "context_size", "cache_hit_rate"].every((name) => row[name] === phase[name])
    );
    assert.equal(String(own.length), phase["num_requests_launched"], phase["phase_id"]);
  }
}

/** No half-written file stays, and progress.json names every cell once. */
function assertNothingIsLeft(out: string): void {
  const names = [...Deno.readDirSync(out)].map((entry) => entry.name);
  assert.deepEqual(names.filter((name) => name.endsWith(".tmp")), []);
  const progress = JSON.parse(Deno.readTextFileSync(`${out}/progress.json`));
  assert.deepEqual(progress.completed_tests.toSorted(), ["256_0", "256_50", "512_0", "512_50"]);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "20" },
      seed: { type: "string", default: "1" },
      parallel: { type: "string", default: "2" },
    },
  });
  const startAtMs = performance.now();
  const tally = await torture({
    kills: Number(values.kills),
    seed: values.seed,
    parallel: Number(values.parallel),
    onRun: ({ kills, runs }) => console.error(`${kills} kills, ${runs} runs equal`),
  });
  const seconds = Math.round((performance.now() - startAtMs) / 1000);
  console.log(JSON.stringify({ ...tally, seed: values.seed, seconds }));
}
