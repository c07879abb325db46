/**
 * Does kvmark say when it was its own fault? Real runs of `cache-rate` against `simulate --truth-log`
 * on this machine, left alone or disturbed in one of three ways; every period is one run.
 *
 * ```sh
 * deno run -A scripts/client_marks.ts --case quiet            # at most one mark in 20 runs
 * deno run -A scripts/client_marks.ts --case hog,stop,starved # every run marked (Linux, as root)
 * ```
 *
 * | case | what is done |
 * |---|---|
 * | `quiet` | nothing |
 * | `hog` | busy loops, `--hogs` of them (8), that go before the client, compete for all cores |
 * | `stop` | the client is stopped (SIGSTOP) for 2 s, again and again |
 * | `starved` | one of two sending threads gets the lowest priority, on a core with a busy loop |
 *
 * The server goes before all of these (`renice`), so that they disturb the client alone. Whether
 * they really did is read from the server's log: its TTFT is from its own clock, and a run has
 * moved where a percentile of the client's TTFT is more than 5 % off the log's of the same
 * requests. A disturbance that moved nothing needs no mark; a stop always does.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { latencySpread } from "../lib/metrics/spread.ts";
import { readRows } from "../lib/results/csv.ts";
import {
  DETAIL_COLUMNS,
  type DetailRow,
  PHASE_COLUMNS,
  type PhaseRow,
} from "../lib/results/schema.ts";
import { parseTruth, type TruthEntry } from "../lib/sim/truth_log.ts";
import { machineLines, readyLine } from "./bench/processes.ts";

const CASES = ["quiet", "hog", "stop", "starved"] as const;
type Case = typeof CASES[number];

const MAIN = new URL("../main.ts", import.meta.url).href;
const MOVED = 0.05;
const STOP_MS = 2000;
/** From the end of a stop to the next: about one in every period of 5 s. */
const BETWEEN_STOPS_MS = 3700;

interface Settings {
  readonly runs: number;
  readonly seconds: number;
  readonly hogs: number;
  readonly concurrency: number;
}

/** When the client was stopped, Unix ms. */
type Stops = (readonly [fromMs: number, toMs: number])[];

interface Run {
  readonly id: string;
  readonly marks: string;
  /** Relative difference of the percentiles of TTFT from the log's: p50, p95, p99. */
  readonly off: readonly number[];
  readonly stopped: boolean;
  readonly requests: number;
  readonly shares: readonly (number | undefined)[];
}

function spawn(command: string, args: readonly string[], stdout: "piped" | "null" = "null") {
  return new Deno.Command(command, { args: [...args], stdout, stderr: "null" }).spawn();
}

async function shell(command: string, ...args: string[]): Promise<void> {
  const { success } = await new Deno.Command(command, { args, stderr: "inherit", stdout: "null" })
    .output();
  if (!success) throw new Error(`${command} ${args.join(" ")} failed`);
}

/** Starts what disturbs; the returned function ends it. */
async function disturb(kind: Case, pid: number, settings: Settings, stops: Stops) {
  const busy = (...before: string[]) => {
    const [program = "sh", ...args] = [...before, "sh", "-c", "while :; do :; done"];
    return spawn(program, args);
  };
  const hogs = kind === "hog"
    ? Array.from({ length: settings.hogs }, () => busy("nice", "-n", "-5"))
    : [];
  if (kind === "starved") {
    const tid = await loadThread(pid);
    await shell("renice", "-n", "19", "-p", tid);
    await shell("taskset", "-p", "-c", "1", tid);
    hogs.push(busy("taskset", "-c", "1"));
  }
  let isOver = false;
  const stopping = kind === "stop" ? stopAgainAndAgain(pid, stops, () => isOver) : undefined;
  return async () => {
    isOver = true;
    await stopping;
    for (const hog of hogs) hog.kill("SIGKILL");
    await Promise.all(hogs.map((hog) => hog.status));
  };
}

async function stopAgainAndAgain(pid: number, stops: Stops, isOver: () => boolean) {
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  while (!isOver()) {
    await pause(BETWEEN_STOPS_MS);
    if (isOver()) return;
    try {
      Deno.kill(pid, "SIGSTOP");
      const fromMs = performance.timeOrigin + performance.now();
      await pause(STOP_MS);
      Deno.kill(pid, "SIGCONT");
      stops.push([fromMs, performance.timeOrigin + performance.now()]);
    } catch {
      return; // It has ended.
    }
  }
}

/** The first thread that sends, by the name that the runtime gives to its workers. */
async function loadThread(pid: number): Promise<string> {
  for (let attempt = 0; attempt < 200; attempt++) {
    for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
      const comm = await Deno.readTextFile(`/proc/${pid}/task/${name}/comm`).catch(() => "");
      if (comm.trim() === "worker-1") return name;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("found no sending thread");
}

async function runCase(kind: Case, settings: Settings): Promise<Run[]> {
  const dir = await Deno.makeTempDir({ prefix: "kvmark-marks-" });
  const log = `${dir}/truth.jsonl`;
  const server = spawn(Deno.execPath(), [
    ...["run", "-A", MAIN, "simulate", "--port", "0", "--truth-log", log],
    ...["--prefill-tps", "100000", "--itl-ms", "10", "--itl-growth-ms", "0"],
  ], "piped");
  const stops: Stops = [];
  try {
    const { url } = await readyLine(server);
    if (kind !== "quiet") await goBefore(server.pid);
    const client = spawn(Deno.execPath(), [
      "run",
      "-A",
      MAIN,
      ...clientArgs(kind, url, dir, settings),
    ]);
    const end = await disturb(kind, client.pid, settings, stops);
    await client.status;
    await end();
  } finally {
    server.kill("SIGTERM");
    await server.status;
  }
  const truth = new Map(
    parseTruth(await Deno.readTextFile(log)).map((entry) => [entry.requestId, entry]),
  );
  const phases = await rowsOf(`${dir}/out`, "phase_metadata", PHASE_COLUMNS);
  const details = await rowsOf(`${dir}/out`, "detailed_results", DETAIL_COLUMNS);
  await Deno.remove(dir, { recursive: true });
  const measured = (phases as PhaseRow[]).filter((phase) => phase.phase_type !== "WARMUP");
  const runs = measured.map((phase) => judge(phase, details as DetailRow[], truth, stops));
  // A period between two stops is not of this case.
  return runs.filter((run) => kind !== "stop" || run.stopped).slice(0, settings.runs);
}

/** All threads of a process. */
async function goBefore(pid: number): Promise<void> {
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    await shell("renice", "-n", "-15", "-p", name);
  }
}

function clientArgs(kind: Case, url: string, dir: string, settings: Settings): string[] {
  const { runs, seconds, concurrency } = settings;
  // The stops leave some periods alone, and have others measured again: each try is a run.
  const cells = kind === "stop" ? Math.ceil(runs / 2) : runs;
  const rates = Array.from({ length: cells }, (_, i) => `${Math.floor(i * 100 / cells)}`);
  return [
    ...["cache-rate", "--api-endpoint", url, "--output-dir", `${dir}/out`],
    ...["--context-sizes", "4000", "--working-set-size", "40000", "--chunk-size", "16"],
    ...["--cache-hit-rates", ...rates, "--output-tokens", "32", "--num-retries", "0"],
    ...["--mode", "fixed", "--fixed-concurrency-levels", `${concurrency}`],
    ...["--ramp-duration", `${seconds}`, ...(kind === "starved" ? ["--workers", "2"] : [])],
  ];
}

/** Rows of the files themselves: those of a period that was measured again are in no figure. */
async function rowsOf(dir: string, name: string, columns: Parameters<typeof readRows>[1]) {
  const found: unknown[] = [];
  for await (const file of Deno.readDir(dir)) {
    if (!file.name.startsWith(name)) continue;
    const bytes = await Deno.readFile(`${dir}/${file.name}`);
    found.push(...readRows(bytes, columns, (problem) => console.error(problem)));
  }
  return found;
}

function judge(
  phase: PhaseRow,
  details: readonly DetailRow[],
  truth: ReadonlyMap<string, TruthEntry>,
  stops: Stops,
): Run {
  const where = (row: PhaseRow | DetailRow) => `${row.cache_hit_rate} ${row.phase_id}`;
  const settled = details.filter((row) => where(row) === where(phase) && row.ramp_in !== "yes");
  // As in the figures: requests that met a long stall are left out where the others are more.
  const calm = settled.filter((row) => row.stalled !== "yes");
  const rows = calm.length * 2 > settled.length ? calm : settled;
  const pairs = rows.flatMap(({ request_id = "", ttft }) => {
    const entry = truth.get(request_id);
    const [first] = entry?.chunks[0] ?? [];
    return entry === undefined || first === undefined || ttft === undefined
      ? []
      : [{ seenMs: ttft * 1000, trueMs: first - entry.receivedEpochMs }];
  });
  if (pairs.length === 0) throw new Error(`no request of ${where(phase)} is in the server's log`);
  const [seen, real] = [pairs.map((one) => one.seenMs), pairs.map((one) => one.trueMs)]
    .map(latencySpread);
  const off = (["medianMs", "p95Ms", "p99Ms"] as const).map((key) =>
    Math.abs((seen?.[key] ?? NaN) / (real?.[key] ?? NaN) - 1)
  );
  const fromMs = (phase.start_time ?? 0) * 1000;
  const toMs = fromMs + (phase.duration ?? 0) * 1000;
  return {
    id: where(phase),
    marks: phase.unusable ?? phase.client_marks ?? "",
    off,
    stopped: stops.some(([from, to]) => Math.min(to, toMs) - Math.max(from, fromMs) > 250),
    requests: pairs.length,
    shares: [
      phase.client_share_ttft_p50_percent,
      phase.client_share_ttft_p95_percent,
      phase.client_share_ttft_p99_percent,
      phase.client_share_throughput_percent,
    ],
  };
}

function percents(shares: readonly number[]): string {
  return shares.map((one) => (one * 100).toFixed(1)).join(" / ");
}

function report(kind: Case, runs: readonly Run[]): void {
  console.log(`\n## ${kind}: ${runs.length} runs\n`);
  console.log(
    "| run | requests | off by, p50 / p95 / p99 (%) | client's share, p50 / p95 / p99 / throughput (%) | marks |",
  );
  console.log("|---|---|---|---|---|");
  for (const run of runs) {
    const shares = run.shares.map((one) => one?.toFixed(1) ?? "-").join(" / ");
    console.log(
      `| ${run.id} | ${run.requests} | ${percents(run.off)} | ${shares} | ${run.marks} |`,
    );
  }
  const moved = runs.filter((run) => run.stopped || run.off.some((one) => one > MOVED));
  const marked = (some: readonly Run[]) => some.filter((run) => run.marks !== "").length;
  console.log(
    `\n${kind}: moved ${moved.length}, of these marked ${marked(moved)}; ` +
      `not moved ${runs.length - moved.length}, of these marked ${marked(runs) - marked(moved)}`,
  );
}

const { values } = parseArgs({
  options: {
    case: { type: "string", default: CASES.join() },
    runs: { type: "string", default: "20" },
    seconds: { type: "string", default: "5" },
    hogs: { type: "string", default: "8" },
    concurrency: { type: "string", default: "4" },
  },
});
const settings: Settings = {
  runs: Number(values.runs),
  seconds: Number(values.seconds),
  hogs: Number(values.hogs),
  concurrency: Number(values.concurrency),
};
for (const line of await machineLines()) console.log(line);
for (const name of values.case.split(",")) {
  const kind = CASES.find((one) => one === name);
  if (kind === undefined) throw new Error(`no case "${name}": ${CASES.join(", ")}`);
  const runs = await runCase(kind, settings);
  if (runs.length < settings.runs) console.error(`${kind}: ${runs.length} runs only`);
  report(kind, runs);
}
