/**
 * How often does `combine` call one of two runs better that only differ by the day? Ten runs of one
 * configuration, each on a simulator that is started anew and whose speed wanders from start to
 * start; all 45 pairs with one run a side, and five runs against the other five.
 *
 *     deno run -A scripts/same_against_same.ts [--runs 10] [--wander 3]
 *
 * @module
 */

import { parseArgs } from "node:util";
import { compareRuns, type Comparison, type LabelledRun } from "../lib/report/comparison.ts";
import { readRun } from "../lib/results/read.ts";
import { kvmark, withTempDir } from "../tests/support/command.ts";
import { diskFiles } from "../tests/support/disk_files.ts";
import { startSimulateCommand } from "../tests/support/simulator.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "10" },
    wander: { type: "string", default: "3" },
  },
});

/** Two rates at two levels, three repeats: some twenty seconds. */
const SWEEP = [
  ...["--context-sizes", "2000", "--working-set-size", "16k", "--cache-hit-rates", "0", "100"],
  ...["--mode", "fixed", "--fixed-concurrency-levels", "4", "--num-retries", "2"],
  ...["--ramp-duration", "2", "--test-duration", "2", "--output-tokens", "4", "--skip-graphs"],
];

await withTempDir(async (dir) => {
  const runs: LabelledRun[] = [];
  for (let n = 0; n < Number(values.runs); n++) {
    await using simulator = await startSimulateCommand([
      ...["--wander-percent", values.wander, "--wander-seed", `${n}`],
    ]);
    const out = `${dir}/${n}`;
    const { code, stderr } = await kvmark([
      ...["cache-rate", "--api-endpoint", simulator.url, "--output-dir", out, ...SWEEP],
    ]);
    if (code !== 0) throw new Error(stderr);
    runs.push({ label: `run ${n}`, run: await readRun(diskFiles, out) });
  }
  const pairs = runs.flatMap((a, i) => runs.slice(i + 1).map((b) => compareRuns([a, b], 0)));
  const half = runs.map(({ run }, n) => ({ label: n < runs.length / 2 ? "A" : "B", run }));
  console.log(`${pairs.length} pairs of single runs: ${pairs.filter(claims).length} with a claim`);
  console.log(`${runs.length / 2} against ${runs.length / 2}: ${claimed(compareRuns(half, 0))}`);
  const ratios = pairs.flatMap(({ cells }) =>
    cells.filter((cell) => cell.metric === "input_tokens_per_sec")
      .flatMap((cell) => cell.ratio?.estimate ?? [])
  );
  const farthest = Math.max(...ratios.map((ratio) => Math.max(ratio, 1 / ratio)));
  console.log(
    `${ratios.length} ratios of throughput, the farthest from 1: ${farthest.toFixed(3)}x`,
  );
});

function claims(comparison: Comparison): boolean {
  return comparison.cells.some(({ verdict }) => verdict === "better" || verdict === "worse");
}

function claimed({ cells }: Comparison): string {
  const marked = cells.filter(({ verdict }) => verdict === "better" || verdict === "worse");
  return `${marked.length} of ${cells.length} figures marked`;
}
