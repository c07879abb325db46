/**
 * `kvmark merge`: the shards of a run as one run.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { mergeRun } from "../lib/experiments/merge.ts";
import type { Host } from "../lib/host.ts";
import { readRun } from "../lib/results/read.ts";
import { writeTierMap } from "../lib/results/tier_map_file.ts";
import { withTierMap } from "./_draw.ts";
import { writePages } from "./_finish.ts";
import { checkOptions } from "./_options.ts";
import { resultTable } from "./_result_table.ts";

const EXAMPLES = `
The folder is the --output-dir of the shards; it holds shard-0, shard-1, …. The merged run is written
into it, and every other command reads it like any other run. The shards are only read: merging again,
or after a shard has come back, is always possible. A shard that is missing is told, and the cells
that it is missing in are marked.

Examples:
  kvmark merge ./output
  kvmark merge ./output --skip-graphs --json
`;

const OPTIONS = v.object({
  skipGraphs: v.optional(v.boolean(), false),
  json: v.optional(v.boolean(), false),
});

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  return new Command("kvmark merge")
    .description(
      "Put the shards of a run together: rows united, percentiles over the requests of all shards, " +
        "throughput in the time that all of them share.",
    )
    .argument("[dir]", "folder of the shards", "./output")
    .option("--skip-graphs", "write no HTML")
    .option("--json", "one JSON object on stdout")
    .addHelpText("after", EXAMPLES)
    .action((dir, raw) => merge(host, dir, checkOptions(OPTIONS, raw))) as unknown as Command;
}

/** Of a working-set run, the tiers by the rows of all shards. */
async function keepTierMap(host: Host, dir: string): Promise<void> {
  const { tierMap } = await withTierMap(await readRun(host.files, dir));
  if (tierMap !== undefined) await writeTierMap(host.files, dir, tierMap);
}

async function merge(
  host: Host,
  dir: string,
  { skipGraphs, json }: v.InferOutput<typeof OPTIONS>,
): Promise<void> {
  const result = await mergeRun(host.files, dir);
  const { rows, requests, count, shards, notes, warnings } = result;
  const isComplete = shards.length === count &&
    rows.every((row) => row.shard_problem === undefined);
  for (const note of notes) host.stderr.write(`${note}\n`);
  for (const warning of warnings) host.stderr.write(`warning: ${warning}\n`);
  await keepTierMap(host, dir);
  const page = skipGraphs || rows.length === 0 ? undefined : await writePages(host, dir);
  if (json) {
    const where = { output_dir: dir, index: page ?? null };
    const what = { shards, count, complete: isComplete, requests, rows, notes, warnings };
    return host.stdout.write(`${JSON.stringify({ ...what, ...where })}\n`);
  }
  const columns = host.stdout.isTerminal ? host.stdout.columns() : Infinity;
  if (rows.length > 0) host.stdout.write(`${resultTable(rows, columns)}\n`);
  const whole = `${shards.length} of ${count} shards, ${rows.length} cells, ${requests} requests`;
  host.stdout.write(`merged: ${whole}${isComplete ? "" : "; incomplete, see the warnings"}\n`);
  host.stdout.write(page === undefined ? `results: ${dir}\n` : `dashboard: ${page}\n`);
}
