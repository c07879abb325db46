/**
 * Runs kvmark in four shards under a real Slurm against one simulator, and compares with the truth
 * log and with a single process. What it printed stands in docs/scale-out.md.
 *
 *   deno run -A scripts/scale_out_proof.ts cache-rate|working-set|requeue DIR
 *
 * `cache-rate` and `working-set`: four shards in one job against one process at the same total
 * concurrency, five repeats each. `requeue`: a shard of a job array is killed, requeued and resumes;
 * a second round measures what is missing; then a shard is lost for good.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { parseTruth, type TruthEntry } from "../lib/sim/truth_log.ts";
import { readCsvText } from "../tests/support/csv_text.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const KVMARK = `${Deno.execPath()} run -q -A ${ROOT}main.ts`;
const SHARDS = 4;
const LEVEL = 8;

type Row = Record<string, string>;

async function run(words: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const [program, ...args] = words;
  const { code, stdout, stderr } = await new Deno.Command(program!, { args, env }).output();
  const text = new TextDecoder().decode(stdout);
  const all = text + new TextDecoder().decode(stderr);
  if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}:\n${all}`);
  return text;
}

function kvmark(...args: string[]): Promise<string> {
  return run([...KVMARK.split(" "), ...args]);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function rows(dir: string, prefix: string): Row[] {
  return [...Deno.readDirSync(dir)].filter(({ name }) => name.startsWith(prefix))
    .flatMap(({ name }) => readCsvText(Deno.readTextFileSync(`${dir}/${name}`)));
}

/** Starts a simulator; resolves to its URL and what ends it. */
async function simulate(truthLog: string) {
  const [program, ...args] = KVMARK.split(" ");
  const settings = ["--port", "0", "--profile", "demo", "--truth-log", truthLog, "--truth-blocks"];
  const process = new Deno.Command(program!, {
    args: [...args, "simulate", ...settings],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = process.stdout.getReader();
  const { value } = await reader.read();
  const { url } = JSON.parse(new TextDecoder().decode(value).split("\n")[0]!) as { url: string };
  return {
    url,
    async stop() {
      process.kill("SIGTERM");
      const timer = setTimeout(() => process.kill("SIGKILL"), 5000);
      await process.status;
      clearTimeout(timer);
      await reader.cancel();
    },
  };
}

/** Submits a job and waits until it, with all its elements, is over. */
async function submit(
  dir: string,
  file: string,
  env: Record<string, string>,
  args: readonly string[],
): Promise<string> {
  const options = ["--parsable", "--chdir", dir, "--cpus-per-task=1", "--export=ALL"];
  // Two nodes have to do for four shards here.
  const nodes = file === "kvmark.sbatch" ? ["--nodes=2", "--ntasks-per-node=2"] : [];
  const words = ["sbatch", ...options, ...nodes, `${ROOT}deploy/slurm/${file}`, ...args];
  return (await run(words, { ...env, KVMARK })).trim().split(";")[0]!;
}

async function finished(job: string): Promise<void> {
  for (;;) {
    const states = await run(["squeue", "-h", "-j", job, "-t", "PD,R,CG,CF", "-o", "%T"]);
    if (states.trim() === "") return;
    await sleep(1000);
  }
}

/** What every run of this proof has in common. */
function sweep(url: string, experiment: string): string[] {
  const cells = experiment === "cache-rate"
    ? ["--working-set-size", "48k", "--cache-hit-rates", "0", "50", "100"]
    : ["--working-set-sizes", "32k", "128k", "--cache-hit-rates", "100"];
  const levels = experiment === "cache-rate" ? "--fixed-concurrency-levels" : "--fixed-concurrency";
  return [
    ...[experiment, "--api-endpoint", url, "--context-sizes", "4096", ...cells],
    ...["--mode", "fixed", levels, String(LEVEL), "--ramp-duration", "10", "--num-retries", "4"],
    ...["--output-tokens", "16", "--init-concurrency", "8", "--workers", "1", "--skip-graphs"],
  ];
}

const TIMETABLE = ["--warm-up-time", "6", "--period-gap", "1.2"];

/** Everything that must never occur twice, checked in the truth log. */
function requireUnique(truth: readonly TruthEntry[], details: readonly Row[]): string[] {
  const measured = new Map(details.map((row) => [row.request_id!, row]));
  if (measured.size !== details.length) throw new Error("a request id is in two rows");
  const seen = new Set<string>();
  const blocks = new Set<string>();
  let uniqueBlocks = 0;
  for (const entry of truth) {
    const row = measured.get(entry.requestId);
    if (row === undefined) continue;
    if (seen.has(entry.requestId)) throw new Error(`${entry.requestId} arrived twice`);
    seen.add(entry.requestId);
    // The first whole block behind the shared part, and all that follow.
    const from = Math.ceil(Number(row.cached_tokens) / 16);
    for (const block of (entry.blockHashes ?? []).slice(from)) {
      if (blocks.has(block)) throw new Error(`${entry.requestId} repeats unique text`);
      blocks.add(block);
      uniqueBlocks++;
    }
  }
  if (seen.size !== details.length) {
    throw new Error(`${details.length} rows, but ${seen.size} of them arrived`);
  }
  return [
    `${details.length} rows, each arrived once; no id twice`,
    `${uniqueBlocks} blocks of unique text, none twice`,
  ];
}

/** Mean and standard deviation. */
function stats(values: readonly number[]) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)), n: values.length };
}

/** Welch's t of two means, and both with their deviation. */
function compared(name: string, one: readonly number[], other: readonly number[], digits: number) {
  const [a, b] = [stats(one), stats(other)];
  const error = Math.sqrt(a.deviation ** 2 / a.n + b.deviation ** 2 / b.n);
  const t = Math.abs(a.mean - b.mean) / error;
  const shown = ({ mean, deviation }: typeof a) =>
    `${mean.toFixed(digits)} ± ${deviation.toFixed(digits)}`;
  const percent = ((b.mean / a.mean - 1) * 100).toFixed(1);
  return `${name}: one process ${shown(a)}, shards ${shown(b)} (${percent} %), t = ${t.toFixed(1)}`;
}

async function compare(dir: string, experiment: string): Promise<void> {
  const truthLog = `${dir}/truth.jsonl`;
  const simulator = await simulate(truthLog);
  try {
    const args = sweep(simulator.url, experiment);
    await kvmark(...args, "--output-dir", `${dir}/one`);
    const env = { OUTPUT_DIR: `${dir}/shards`, LEAD_SEC: "15" };
    const job = await submit(dir, "kvmark.sbatch", env, [...args, ...TIMETABLE]);
    await finished(job);
  } finally {
    await simulator.stop();
  }
  const merged = rows(`${dir}/shards`, "detailed_results_");
  const each = Array.from(
    { length: SHARDS },
    (_, index) => rows(`${dir}/shards/shard-${index}`, "detailed_results_"),
  );
  const counts = each.map((one) => one.length);
  const sum = counts.reduce((a, b) => a + b, 0);
  console.log(`rows: ${counts.join(" + ")} = ${sum}, merged ${merged.length}`);
  if (sum !== merged.length) throw new Error("the counts are not exact");
  const truth = parseTruth(await Deno.readTextFile(truthLog));
  for (const line of requireUnique(truth, merged)) console.log(line);
  const measured = (where: string) =>
    rows(`${dir}/${where}`, "phase_metadata_").filter((row) => row.phase_type === "FIXED");
  const [one, shards] = [measured("one"), measured("shards")];
  const cellOf = (row: Row) => `${row.working_set_size} ${row.cache_hit_rate} %`.trim();
  for (const cell of new Set(shards.map(cellOf))) {
    const of = (all: Row[], column: string) =>
      all.filter((row) => cellOf(row) === cell).map((row) => Number(row[column]));
    const pair = (column: string) => [of(one, column), of(shards, column)] as const;
    console.log(compared(`${cell} input tokens/s`, ...pair("input_tokens_per_sec"), 0));
    console.log(compared(`${cell} TTFT mean, s`, ...pair("avg_ttft"), 4));
    console.log(compared(`${cell} TTFT p95, s`, ...pair("p95_ttft"), 4));
  }
}

/** The Unix time in `leadMs`. */
function unixSec(leadMs: number): string {
  return String(Math.round((Date.now() + leadMs) / 1000)); // kvmark-lint: wall-clock
}

async function killShard(dir: string, index: number): Promise<void> {
  const lock = await Deno.readTextFile(`${dir}/shard-${index}/.kvmark.lock`);
  const { pid } = JSON.parse(lock.trim().split("\n").at(-1)!) as { pid: number };
  Deno.kill(pid, "SIGKILL");
  console.log(`killed shard ${index} (pid ${pid})`);
}

function tellMerged(json: string): void {
  const { shards, complete, requests, rows, warnings } = JSON.parse(json);
  console.log(`merged: shards ${shards.join(" ")}, complete ${complete}, ${requests} requests`);
  for (const row of rows) {
    console.log(
      `  ${row.cache_hit_rate} %: ${row.shards} shards, concurrency ` +
        `${row.peak_concurrency}, ${row.shard_problem ?? "whole"}`,
    );
  }
  for (const text of warnings.filter((one: string) => !one.includes("client may"))) {
    console.log(`  warning: ${text}`);
  }
}

async function requeue(dir: string): Promise<void> {
  const truthLog = `${dir}/truth.jsonl`;
  const simulator = await simulate(truthLog);
  const out = `${dir}/shards`;
  const args = [
    ...["cache-rate", "--api-endpoint", simulator.url, "--context-sizes", "4096"],
    ...["--working-set-size", "64k", "--cache-hit-rates", "0", "50", "100", "--mode", "fixed"],
    ...["--fixed-concurrency-levels", String(LEVEL), "--ramp-duration", "8", "--num-retries", "1"],
    ...["--output-tokens", "16", "--workers", "1", "--skip-graphs", ...TIMETABLE],
  ];
  const round = (leadMs: number) =>
    submit(dir, "kvmark-array.sbatch", {
      OUTPUT_DIR: out,
      START_AT: unixSec(leadMs),
    }, args);
  try {
    const first = await round(15_000);
    // Lead, warm-up, first cell, and into the second one.
    await sleep(15_000 + 6000 + 2 * 9200 + 5000);
    await killShard(out, 2);
    await sleep(3000);
    await run(["scontrol", "update", `jobid=${first}_2`, "StartTime=now"]).catch(() => "");
    await finished(first);
    console.log("after the first round:");
    tellMerged(await kvmark("merge", out, "--skip-graphs", "--json"));
    await finished(await round(15_000));
    console.log("after the second round:");
    const before = await kvmark("merge", out, "--skip-graphs", "--json");
    tellMerged(before);
    const again = await kvmark("merge", out, "--skip-graphs", "--json");
    console.log(`merged again: ${before === again ? "the same" : "NOT the same"}`);
  } finally {
    await simulator.stop();
  }
  const truth = parseTruth(await Deno.readTextFile(truthLog));
  for (const line of requireUnique(truth, rows(out, "detailed_results_"))) console.log(line);
  await Deno.remove(`${out}/shard-3`, { recursive: true });
  console.log("shard 3 is lost for good:");
  tellMerged(await kvmark("merge", out, "--skip-graphs", "--json"));
}

async function main([what = "", dir = ""]: readonly string[]): Promise<void> {
  if (!["cache-rate", "working-set", "requeue"].includes(what) || dir === "") {
    console.error("usage: scale_out_proof.ts cache-rate|working-set|requeue DIR");
    Deno.exitCode = 2;
    return;
  }
  await Deno.mkdir(dir, { recursive: true });
  const path = await Deno.realPath(dir);
  await run([`${ROOT}scripts/slurm.sh`, "up", `${path}/slurm`]);
  Deno.env.set("SLURM_CONF", `${path}/slurm/slurm.conf`);
  try {
    await (what === "requeue" ? requeue(path) : compare(path, what));
  } finally {
    await run([`${ROOT}scripts/slurm.sh`, "down", `${path}/slurm`]);
  }
}

await main(Deno.args);
