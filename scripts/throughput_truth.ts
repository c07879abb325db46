/**
 * Is throughput what the server did? Real runs of `cache-rate` against `simulate --truth-log`,
 * whose log says what was computed when: input, computed, reused and output rates of the summary
 * row against those of the log in the same window, and the computed rate against the capacity.
 *
 * ```sh
 * deno run -A scripts/throughput_truth.ts           # all rows, 9 minutes
 * deno run -A scripts/throughput_truth.ts --rows 6,7
 * ```
 *
 * Exits with 1 where an error is over 1 %.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { readRows } from "../lib/results/csv.ts";
import {
  DETAIL_COLUMNS,
  type DetailRow,
  PHASE_COLUMNS,
  type PhaseRow,
  SUMMARY_COLUMNS,
  type SummaryRow,
} from "../lib/results/schema.ts";
import { parseTruth, type TruthEntry } from "../lib/sim/truth_log.ts";
import { trueRates } from "../tests/support/simulated_period.ts";
import { machineLines, readyLine } from "./bench/processes.ts";

const MAIN = new URL("../main.ts", import.meta.url).href;
const PREFILL_PER_SEC = 20_000;
const LIMIT_PERCENT = 1;
const NAMES = ["input", "computed", "reused", "output"] as const;

/** Context, concurrency, hit rate in percent, output tokens, seconds. */
type Load = readonly [
  context: number,
  concurrency: number,
  hitRate: number,
  output: number,
  seconds: number,
];

const LOADS: readonly Load[] = [
  [1000, 1, 0, 1, 15],
  [1000, 64, 0, 256, 15],
  [1000, 32, 95, 64, 15],
  [4000, 8, 50, 8, 15],
  [4000, 64, 0, 8, 15],
  [8000, 32, 0, 8, 30],
  [8000, 16, 0, 8, 15],
  [8000, 64, 50, 64, 15],
  [16_000, 2, 0, 256, 15],
  [32_000, 1, 0, 256, 15],
  [32_000, 8, 50, 1, 15],
  [32_000, 16, 0, 8, 15],
  [16_000, 32, 95, 8, 60],
  [32_000, 4, 50, 16, 60],
  [8000, 16, 0, 8, 30],
  [8000, 64, 0, 8, 30],
];

/** Runs one cell, and gives the rows of its folder. */
async function measure(url: string, dir: string, load: Load) {
  const [context, concurrency, hitRate, output, seconds] = load;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", MAIN, "cache-rate", "--api-endpoint", url, "--output-dir", dir],
      ...["--context-sizes", `${context}`, "--working-set-size", `${Math.max(context, 16_000)}`],
      ...["--cache-hit-rates", `${hitRate}`, "--output-tokens", `${output}`],
      ...["--mode", "fixed", "--fixed-concurrency-levels", `${concurrency}`],
      ...["--num-retries", "0", "--ramp-duration", `${seconds}`, "--skip-graphs"],
    ],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const rowsOf = async <Row>(name: string, columns: Parameters<typeof readRows>[1]) => {
    const found: unknown[] = [];
    for await (const file of Deno.readDir(dir)) {
      if (!file.name.startsWith(name) || !file.name.endsWith(".csv")) continue;
      found.push(
        ...readRows(await Deno.readFile(`${dir}/${file.name}`), columns, (problem) => {
          throw new Error(JSON.stringify(problem));
        }),
      );
    }
    return found as Row[];
  };
  const phases = await rowsOf<PhaseRow>("phase_metadata", PHASE_COLUMNS);
  const details = await rowsOf<DetailRow>("detailed_results", DETAIL_COLUMNS);
  const summary = (await readSummary(dir))[0];
  const phase = phases.find((row) => row.at_peak === "yes");
  if (phase === undefined || summary === undefined) throw new Error(`no period in ${dir}`);
  const requests = details.filter((row) =>
    row.phase_id === phase.phase_id && (row.error_kind ?? "") === ""
  );
  if (requests.length === 0) throw new Error(`no request in ${dir}`);
  return { phase, summary, requests };
}

async function readSummary(dir: string): Promise<SummaryRow[]> {
  for await (const { name } of Deno.readDir(dir)) {
    if (!/summary.*\.csv$/.test(name)) continue;
    return readRows(await Deno.readFile(`${dir}/${name}`), SUMMARY_COLUMNS, () => {});
  }
  throw new Error(`no summary in ${dir}`);
}

function workOf(entry: TruthEntry) {
  const { hbm = 0, dram = 0, ssd = 0 } = entry.cached ?? {};
  return {
    cachedTokens: hbm + dram + ssd,
    prefill: entry.prefill ?? [],
    outputAtMs: entry.chunks.flatMap(([atMs, tokens]) => Array<number>(tokens).fill(atMs)),
  };
}

function errorText(measured: number | undefined, truth: number): string {
  if (measured === undefined) return "absent";
  if (truth === 0) return measured === 0 ? "none" : `${measured} of 0`;
  return `${((measured / truth - 1) * 100).toFixed(2)} %`;
}

const { values } = parseArgs({ options: { rows: { type: "string" } } });
const wanted = values.rows?.split(",").map(Number) ?? LOADS.map((_, i) => i + 1);
const dir = await Deno.makeTempDir({ prefix: "kvmark-throughput-" });
const log = `${dir}/truth.jsonl`;
const server = new Deno.Command(Deno.execPath(), {
  args: [
    ...["run", "-A", MAIN, "simulate", "--port", "0", "--truth-log", log],
    ...["--hbm-tokens", "4000000", "--prefill-tps", `${PREFILL_PER_SEC}`, "--itl-ms", "30"],
  ],
  stdout: "piped",
  stderr: "inherit",
}).spawn();
const measured: [number, Awaited<ReturnType<typeof measure>>][] = [];
try {
  const { url } = await readyLine(server);
  for (const row of wanted) {
    const load = LOADS[row - 1];
    if (load === undefined) throw new Error(`rows are 1 to ${LOADS.length}, not ${row}`);
    try {
      measured.push([row, await measure(url, `${dir}/${row}`, load)]);
    } catch (error) {
      console.error(`row ${row}: ${error instanceof Error ? error.message : error}`);
      Deno.exitCode = 1;
    }
    await Deno.stdout.write(new TextEncoder().encode(`${row} `));
  }
} finally {
  server.kill("SIGTERM");
  await server.status;
}

// Ids are unique within a run, and every row is a run of its own: the time tells which one.
const byId = Map.groupBy(parseTruth(await Deno.readTextFile(log)), (entry) => entry.requestId);
const truth = {
  get(id: string, launchedAtMs: number): TruthEntry | undefined {
    return byId.get(id)?.find((entry) => Math.abs(entry.receivedEpochMs - launchedAtMs) < 5000);
  },
};
await Deno.remove(dir, { recursive: true });
console.log("");
for (const line of await machineLines()) console.log(line);
console.log(
  "\n| row | context | concurrency | hits | output | s | requests | TTFT p95 (s) | input tokens/s " +
    "| unanswered | input | computed | reused | output | of capacity |",
);
console.log(`|${"---|".repeat(15)}`);
for (const [row, { phase, summary, requests }] of measured) {
  const [context, concurrency, hitRate, output, seconds] = LOADS[row - 1]!;
  const fromMs = (phase.start_time ?? NaN) * 1000;
  const entries = requests.map(({ request_id = "", launch_time: launchedAt = NaN }) =>
    truth.get(request_id, launchedAt * 1000)
  );
  if (entries.includes(undefined)) throw new Error(`row ${row}: a request is not in the log`);
  const rates = trueRates(
    entries.map((entry) => workOf(entry!)),
    fromMs,
    fromMs + (phase.duration ?? NaN) * 1000,
  );
  const seen = {
    input: summary.input_tokens_per_sec,
    computed: summary.computed_tokens_per_sec,
    reused: summary.reused_tokens_per_sec,
    output: summary.output_tokens_per_sec,
  };
  const errors = NAMES.map((name) => errorText(seen[name], rates[name]));
  if (!errors.every((text) => text === "none" || Math.abs(parseFloat(text)) <= LIMIT_PERCENT)) {
    Deno.exitCode = 1;
  }
  console.log(
    `| ${row} | ${context} | ${concurrency} | ${hitRate} % | ${output} | ${seconds} ` +
      `| ${requests.length} | ${summary.p95_ttft?.toFixed(2)} ` +
      `| ${Math.round(seen.input ?? NaN)} | ${summary.unanswered_input_percent?.toFixed(0)} % ` +
      `| ${errors.join(" | ")} ` +
      `| ${((seen.computed ?? NaN) / PREFILL_PER_SEC * 100).toFixed(2)} % |`,
  );
}
