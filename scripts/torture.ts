/**
 * Kills runs with SIGKILL at random instants, lets each go on to its end, and compares what is in
 * its folder with what an unbroken run leaves.
 *
 * Usage: `deno task torture --kills 200 --seed 7 --parallel 3 [--experiment working-set]`.
 *
 * What is compared, and why every count is known: `tests/support/exact_run.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { type RandomStream, randomStream, seedFor } from "../lib/random.ts";
import type { ExperimentKind } from "../lib/results/schema.ts";
import { parseTruth, type TruthEntry } from "../lib/sim/truth_log.ts";
import { commandUnderTest, withTempDir } from "../tests/support/command.ts";
import {
  EXACT_RUNS,
  EXACT_SIMULATE,
  type ExactRows,
  exactRows,
  type ExactRuns,
  isWarmUp,
  requestRowsOf,
  rowsOf,
} from "../tests/support/exact_run.ts";
import { startSimulateCommand } from "../tests/support/simulator.ts";

/** What {@linkcode torture} is to do. */
export interface TortureOptions {
  /** SIGKILLs in all, dealt out evenly to the experiments. */
  readonly kills: number;
  /** Decides the experiments and the instants. */
  readonly seed: string;
  /** Runs that are tortured at the same time. */
  readonly parallel: number;
  /** Arguments of the runs; an experiment that is not named is left out. @default {EXACT_RUNS} */
  readonly runs?: Partial<ExactRuns>;
  /** Called after each run that came to its end. */
  readonly onRun?: (tally: TortureTally) => void;
}

/** What was done to one experiment. Whatever is not as it should be throws. */
export interface TortureCounts {
  kills: number;
  /** Kills at a random time, and kills right after a random change in the folder. */
  timed: number;
  atChange: number;
  /** Runs that were killed, once or several times, and then came to their end. */
  runs: number;
  /** Rows that were compared with those of the unbroken run. */
  rows: number;
  /** Starts after a kill that kept at least one finished cell. */
  keptCells: number;
}

/** What was done, by experiment. */
export type TortureTally = Readonly<Record<string, TortureCounts>>;

/** Does it. @throws {assert.AssertionError} At the first run that does not end as the unbroken one. */
export async function torture(options: TortureOptions): Promise<TortureTally> {
  const runs = Object.entries(options.runs ?? EXACT_RUNS);
  const subjects = await Promise.all(runs.map(async ([experiment, args], i): Promise<Subject> => ({
    unbroken: await unbrokenRun(args),
    left: Math.floor((options.kills + i) / runs.length),
    counts: { kills: 0, timed: 0, atChange: 0, runs: 0, rows: 0, keptCells: 0 },
    experiment,
  })));
  const tally = Object.fromEntries(subjects.map((one) => [one.experiment, one.counts]));
  let number = 0;
  const work = async () => {
    for (let open = withKills(subjects); open.length > 0; open = withKills(subjects)) {
      const random = randomStream(seedFor("torture", options.seed, number++));
      await torturedRun(open[random.nextBelow(open.length)]!, random);
      options.onRun?.(tally);
    }
  };
  await Promise.all(Array.from({ length: options.parallel }, work));
  return tally;
}

/** An experiment under torture. */
interface Subject {
  readonly experiment: string;
  readonly unbroken: Unbroken;
  readonly counts: TortureCounts;
  /** Kills that are still to be done, without those that a run has taken on. */
  left: number;
}

function withKills(subjects: readonly Subject[]): Subject[] {
  return subjects.filter(({ left }) => left > 0);
}

interface Unbroken {
  readonly args: readonly string[];
  readonly cells: readonly string[];
  readonly rows: ExactRows;
  readonly files: readonly string[];
  readonly parameters: unknown;
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
    return {
      args,
      cells: finishedCells(out),
      rows: exactRows(out),
      files: fileKinds(out),
      parameters: parametersOf(out),
      elapsedMs,
      changes,
    };
  });
}

/** One run: killed one to three times, then left alone. */
async function torturedRun(subject: Subject, random: RandomStream): Promise<void> {
  const { unbroken, counts } = subject;
  const most = Math.min(1 + random.nextBelow(3), subject.left);
  subject.left -= most;
  await withTempDir(async (dir) => {
    const out = `${dir}/out`;
    const log = `${dir}/truth.jsonl`;
    {
      await using simulator = await startSimulateCommand([...EXACT_SIMULATE, "--truth-log", log]);
      for (let kill = 0; kill < most; kill++) {
        // A run that was done before its time had come is one kill less.
        if (!await killedRun(simulator.url, out, subject, random)) subject.left++;
      }
      const last = await start(unbroken.args, simulator.url, out);
      const { code, stderr } = await last.finished;
      assert.equal(code, 0, stderr);
      if (keepsCells(stderr)) counts.keptCells++;
    }
    const rows = exactRows(out);
    assert.deepEqual(rows, unbroken.rows);
    const truth = parseTruth(await Deno.readTextFile(log));
    assertEachRequestOnce(out, truth);
    assertNewTextIsNew(out, truth);
    if (subject.experiment !== "single-prompt") assertTablesAddUp(out);
    assertNothingIsLeft(out, unbroken);
    counts.rows += Object.values(rows).flat().length;
    counts.runs++;
  });
}

/**
 * Starts the run and kills it, half of the times at once after a change in the folder.
 *
 * @returns Whether it was killed.
 */
async function killedRun(
  url: string,
  out: string,
  { unbroken, counts }: Subject,
  random: RandomStream,
): Promise<boolean> {
  const atChange = random.nextBelow(2) === 1;
  let left = atChange ? 1 + random.nextBelow(unbroken.changes) : Infinity;
  const run = await start(unbroken.args, url, out, () => {
    if (--left === 0) run.kill();
  });
  const afterMs = atChange ? unbroken.elapsedMs * 2 : random.nextBelow(unbroken.elapsedMs);
  const timer = setTimeout(() => run.kill(), afterMs);
  const { signal, stderr, code } = await run.finished;
  clearTimeout(timer);
  if (keepsCells(stderr)) counts.keptCells++;
  if (signal === null) {
    assert.equal(code, 0, stderr);
    return false;
  }
  assert.equal(signal, "SIGKILL", stderr);
  counts.kills++;
  counts[atChange ? "atChange" : "timed"]++;
  return true;
}

function keepsCells(stderr: string): boolean {
  return /finished cells? kept/.test(stderr);
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

/** Every row is a request that the server saw once. */
function assertEachRequestOnce(out: string, truth: readonly TruthEntry[]): void {
  const seen = Map.groupBy(truth, ({ requestId }) => requestId);
  const ids = requestRowsOf(out).map((row) => row["request_id"] ?? "");
  assert.equal(new Set(ids).size, ids.length, "a request has two rows");
  for (const id of ids) assert.equal(seen.get(id)?.length, 1, `the server saw ${id} once`);
}

/**
 * Text that has to be new to the server is: no attempt that was killed sent it before. Text that
 * has to be warm was sent before.
 */
function assertNewTextIsNew(out: string, truth: readonly TruthEntry[]): void {
  const entries = new Map(truth.map((entry) => [entry.requestId, entry]));
  const firsts = new Map<string | undefined, string>();
  for (const { promptHash, requestId } of truth.toSorted((a, b) => a.number - b.number)) {
    if (!firsts.has(promptHash)) firsts.set(promptHash, requestId);
  }
  for (const row of requestRowsOf(out)) {
    const id = row["request_id"] ?? "";
    const isFirst = firsts.get(entries.get(id)?.promptHash) === id;
    const isWarm = row["cache_hit_rate"] === "100" || row["prompt_type"]?.startsWith("cached");
    assert.equal(isFirst, !isWarm, `${id} was sent ${isFirst ? "for the first time" : "before"}`);
  }
}

/** The columns that name a cell of a sweep. */
const CELL = ["context_size", "working_set_size", "cache_hit_rate"];

/** Each period has as many rows as it says; each working set was warmed, once for a cell. */
function assertTablesAddUp(out: string): void {
  const details = rowsOf(out, "detailed_results").filter((row) => !isWarmUp(row));
  const phases = rowsOf(out, "phase_metadata");
  const nameOf = (columns: readonly string[]) => (row: Record<string, string>) =>
    columns.map((column) => row[column]).join("_");
  const warmed = phases.filter(isWarmUp);
  const cells = warmed.map(nameOf(CELL));
  assert.equal(new Set(cells).size, cells.length, `warm-ups at ${cells}`);
  const pool = nameOf(CELL.slice(0, 2));
  assert.deepEqual(new Set(warmed.map(pool)), new Set(details.map(pool)));
  const byPeriod = Map.groupBy(details, nameOf([...CELL, "phase_id"]));
  const measured = phases.filter((row) => !isWarmUp(row));
  assert.equal(measured.length, byPeriod.size, "periods");
  for (const phase of measured) {
    const name = nameOf([...CELL, "phase_id"])(phase);
    assert.equal(String(byPeriod.get(name)?.length), phase["num_requests_launched"], name);
  }
}

/** No half-written file stays, `progress.json` names every cell once, `run.json` is whole. */
function assertNothingIsLeft(out: string, unbroken: Unbroken): void {
  assert.deepEqual(fileKinds(out), unbroken.files);
  assert.deepEqual(finishedCells(out), unbroken.cells);
  assert.deepEqual(parametersOf(out), unbroken.parameters);
}

/** The names in the folder without the time in them. */
function fileKinds(out: string): string[] {
  return [...Deno.readDirSync(out)].map(({ name }) => name.replace(/\d{8}_\d{6}/, "TIME")).sort();
}

function finishedCells(out: string): string[] {
  return JSON.parse(Deno.readTextFileSync(`${out}/progress.json`)).completed_tests.toSorted();
}

/** What `run.json` says that was asked for, without the port of the simulator. */
function parametersOf(out: string): unknown {
  const { parameters } = JSON.parse(Deno.readTextFileSync(`${out}/run.json`));
  return { ...parameters, api_endpoint: undefined };
}

/** @throws {RangeError} If there is no such experiment. */
function runsOf(experiment: string | undefined): Partial<ExactRuns> {
  if (experiment === undefined) return EXACT_RUNS;
  if (!Object.hasOwn(EXACT_RUNS, experiment)) {
    throw new RangeError(`--experiment is one of ${Object.keys(EXACT_RUNS).join(", ")}`);
  }
  return { [experiment]: EXACT_RUNS[experiment as ExperimentKind] };
}

/** All experiments together. */
function totalOf(tally: TortureTally): TortureCounts {
  const total = { kills: 0, timed: 0, atChange: 0, runs: 0, rows: 0, keptCells: 0 };
  for (const counts of Object.values(tally)) {
    for (const name of Object.keys(total) as (keyof TortureCounts)[]) total[name] += counts[name];
  }
  return total;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "20" },
      seed: { type: "string", default: "1" },
      parallel: { type: "string", default: "2" },
      experiment: { type: "string" },
    },
  });
  const startAtMs = performance.now();
  const tally = await torture({
    kills: Number(values.kills),
    seed: values.seed,
    parallel: Number(values.parallel),
    runs: runsOf(values.experiment),
    onRun: (counts) => {
      const { kills, runs } = totalOf(counts);
      console.error(`${kills} kills, ${runs} runs equal`);
    },
  });
  const seconds = Math.round((performance.now() - startAtMs) / 1000);
  const total = totalOf(tally);
  console.log(JSON.stringify({ ...total, byExperiment: tally, seed: values.seed, seconds }));
}
