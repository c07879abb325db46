/**
 * Kills runs with SIGKILL at random instants, lets each go on to its end, and compares what is in
 * its folder with what an unbroken run leaves.
 *
 * Usage: `deno task torture --kills 200 --seed 7 --parallel 3`.
 *
 * What is compared, and why every count is known: `tests/support/exact_run.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { type RandomStream, randomStream, seedFor } from "../lib/random.ts";
import { parseTruth } from "../lib/sim/truth_log.ts";
import { commandUnderTest, withTempDir } from "../tests/support/command.ts";
import {
  EXACT_RUN,
  EXACT_SIMULATE,
  type ExactRows,
  exactRows,
  isWarmUp,
  rowsOf,
} from "../tests/support/exact_run.ts";
import { startSimulateCommand } from "../tests/support/simulator.ts";

/** What {@linkcode torture} is to do. */
export interface TortureOptions {
  /** SIGKILLs in all. */
  readonly kills: number;
  /** Decides the instants. */
  readonly seed: string;
  /** Runs that are tortured at the same time. */
  readonly parallel: number;
  /** Arguments of the run. @default {EXACT_RUN} */
  readonly run?: readonly string[];
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
  const unbroken = await unbrokenRun(options.run ?? EXACT_RUN);
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
  readonly args: readonly string[];
  readonly cells: readonly string[];
  readonly rows: ExactRows;
  readonly elapsedMs: number;
  /** Changes in the folder, as the watcher sees them. */
  readonly changes: number;
}

async function unbrokenRun(args: readonly string[]): Promise<Unbroken> {
  return await withTempDir(async (dir) => {
    await using simulator = await startSimulateCommand(EXACT_SIMULATE);
    const startAtMs = performance.now();
    let changes = 0;
    const out = `${dir}/out`;
    const run = await start(args, simulator.url, out, () => void changes++);
    const { code, stderr } = await run.finished;
    assert.equal(code, 0, stderr);
    const elapsedMs = performance.now() - startAtMs;
    return { args, cells: finishedCells(out), rows: exactRows(out), elapsedMs, changes };
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
      await using simulator = await startSimulateCommand([...EXACT_SIMULATE, "--truth-log", log]);
      for (let left = 1 + random.nextBelow(3); left > 0 && tally.kills < most; left--) {
        await killedRun(simulator.url, out, unbroken, random, tally);
      }
      const last = await start(unbroken.args, simulator.url, out);
      const { code, stderr } = await last.finished;
      assert.equal(code, 0, stderr);
      if (/finished cells? kept/.test(stderr)) tally.keptCells++;
    }
    const rows = exactRows(out);
    assert.deepEqual(rows, unbroken.rows);
    assertEachRequestOnce(out, await Deno.readTextFile(log));
    assertNothingIsLeft(out, unbroken.cells);
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
  const run = await start(unbroken.args, url, out, () => {
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

async function start(
  args: readonly string[],
  url: string,
  out: string,
  onChange = () => {},
): Promise<Started> {
  const [program = "", ...words] = await commandUnderTest();
  await Deno.mkdir(out, { recursive: true });
  const watcher = Deno.watchFs(out);
  const child = new Deno.Command(program, {
    args: [...words, ...args, "--api-endpoint", url, "--output-dir", out],
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
  for (const size of new Set(details.map((row) => row["context_size"]))) {
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
function assertNothingIsLeft(out: string, cells: readonly string[]): void {
  const names = [...Deno.readDirSync(out)].map((entry) => entry.name);
  assert.deepEqual(names.filter((name) => name.endsWith(".tmp")), []);
  assert.deepEqual(finishedCells(out), cells);
}

function finishedCells(out: string): string[] {
  return JSON.parse(Deno.readTextFileSync(`${out}/progress.json`)).completed_tests.toSorted();
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
