/**
 * `kvmark combine`: several runs on one set of graphs, with statistics.
 *
 * @module
 */

import { resolve } from "node:path";
import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { KvmarkError } from "../lib/errors.ts";
import type { Host } from "../lib/host.ts";
import { outcomeText, type ThresholdOutcome } from "../lib/metrics/thresholds.ts";
import { incomparabilities, unknownAgreements } from "../lib/report/comparability.ts";
import { compareRuns, type Comparison, type LabelledRun } from "../lib/report/comparison.ts";
import type { CellKey } from "../lib/report/points.ts";
import { writeComparisonFiles } from "../lib/report/comparison_file.ts";
import {
  comparisonHeadline,
  comparisonWarnings,
  conclusionsOf,
  pointText,
} from "../lib/report/comparison_findings.ts";
import { writeComparisonPages } from "../lib/report/comparison_pages.ts";
import { junitXml } from "../lib/report/junit.ts";
import { comparisonMarkdown } from "../lib/report/markdown.ts";
import { checkComparison } from "../lib/report/run_thresholds.ts";
import { readRun } from "../lib/results/read.ts";
import { isResultFile } from "../lib/results/run_files.ts";
import { refuseDamaged, withKvBytes, withTierMap } from "./_draw.ts";
import { LABELLED, type LabelledFolder, labelledFolders, withReplicates } from "./_labels.ts";
import { checkOptions, oneOf, type Readable } from "./_options.ts";
import { limitProblems, requireLimits, THRESHOLD_OPTIONS, writeNamed } from "./_thresholds.ts";

const EXAMPLES = `
Runs of one label are replicates of one configuration: --labels A A B B, or A=dir1,dir2 among the
--output-dirs. A folder that was made with --replicates holds them by itself. Only replicates show
how much a server changes from run to run: with one run a side the intervals assume it.

--fail-if takes METRIC[@HIT_RATE] OPERATOR VALUE. The metric is a column of summary_*.csv; VALUE is
in the unit of the column (times also as 250ms), or, with an x, a multiple of the baseline.
Latencies are those at the highest concurrency that both sides ran within their peaks, since a run
that serves more waits longer; --latency-at own-peak takes those of each run's own peak. A limit is
crossed where the whole 95 % interval lies beyond it; where there are no repeats to make an interval
of, the value decides. Exit code 10: a limit was crossed, or no point has the figure.

--output gets the pages and three data files, with --single-file too: comparison.csv has every figure
of every point, summary_comparison.csv each run at 0 % and 100 %, comparison.json all of it, from
which kvmark regenerate draws the pages again. index.html needs none of them.

Examples:
  kvmark combine --output-dirs ./dram ./gds --labels "DRAM" "GDS + DRAM" --output ./combined
  kvmark combine --output-dirs ./a1 ./a2 ./a3 ./b1 ./b2 ./b3 --labels A A A B B B
  kvmark combine --output-dirs DRAM=./dram1,./dram2,./dram3 GDS=./gds
  kvmark combine --output-dirs ./before ./after --fail-if 'p95_ttft > 1.10x' \\
    --fail-if 'input_tokens_per_sec@100 < 0.95x' --markdown comment.md --junit kvmark.xml
`;

const OPTIONS = v.object({
  ...THRESHOLD_OPTIONS,
  outputDirs: v.pipe(
    v.array(v.string(), "takes the folders of at least two runs"),
    v.minLength(2, "takes the folders of at least two runs"),
  ),
  labels: v.optional(
    v.array(v.pipe(v.string(), v.check((label) => label.trim() !== "", "is empty"))),
    [],
  ),
  output: v.string(),
  baseline: v.optional(v.string()),
  latencyAt: oneOf("equal-load", "own-peak"),
  force: v.optional(v.boolean(), false),
  singleFile: v.optional(v.boolean(), false),
  verbose: v.optional(v.boolean(), false),
  strict: v.optional(v.boolean(), false),
  json: v.optional(v.boolean(), false),
});
type Options = v.InferOutput<typeof OPTIONS>;

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  return new Command("kvmark combine")
    .description(
      "Put several runs of one experiment on one set of graphs, and say at each point whether a " +
        "run is better, worse or within noise of the baseline. Folders of the Python suite too.",
    )
    .requiredOption("--output-dirs <dir...>", "results folders of the runs, or LABEL=dir,dir")
    .option("--labels <text...>", "their names, in the same order (default: of the folders)")
    .option("--latency-at <where>", "compare latencies at equal-load or own-peak", "equal-load")
    .option("--output <dir>", "folder of the comparison", "./combined_output")
    .option("--baseline <label>", "run that the others are compared with (default: the first)")
    .option("--force", "compare runs of another model, output length, chunk size or definition")
    .option("--fail-if <limit...>", "exit 10 where this holds: 'p95_ttft > 1.10x'")
    .option("--markdown <file>", "the result for a comment on a pull request")
    .option("--junit <file>", "what became of the limits, as JUnit XML")
    .option("--single-file", "one index.html with all graphs inside; the data files stay beside it")
    .option("--strict", "refuse folders of the Python suite with missing or damaged rows")
    .option("--verbose", "say what is read")
    .option("--json", "one JSON object on stdout")
    .addHelpText("after", EXAMPLES)
    .action((raw) => combine(host, raw)) as unknown as Command;
}

async function combine(host: Host, raw: unknown): Promise<void> {
  const options = checkOptions(OPTIONS, raw, across);
  const folders = await withReplicates(host.files, labelledFolders(options));
  const baseline = baselineOf([...new Set(folders.map(({ label }) => label))], options.baseline);
  await refuseRunFolder(host, options);
  const runs = await readRuns(host, options, folders);
  const forced = checkComparable(host, runs, baseline, options.force);
  const comparison = compareRuns(runs, baseline, { forced, latencyAt: options.latencyAt });
  requireCommonPoint(comparison);
  const outcomes = checkComparison(comparison, options.failIf);
  const index = await write(host, options, comparison, outcomes);
  print(host, options, comparison, outcomes, index);
  requireLimits(host, outcomes);
}

/** @throws {KvmarkError} `usage`, where no configuration shares a point with the baseline. */
function requireCommonPoint({ runs, cells, baseline }: Comparison): void {
  if (cells.length > 0) return;
  const places = (points: readonly CellKey[]) => points.slice(0, 8).map(pointText).join("; ");
  throw new KvmarkError("usage", "The runs have no point in common: there is nothing to compare", {
    problems: runs.map(({ label, points }, run) =>
      `${label}${run === baseline ? " (baseline)" : ""}: ${
        points.length === 0 ? "no finished point" : places(points)
      }`
    ),
    hint: "measure both at the same context sizes, hit rates and working sets",
  });
}

function across(options: Readable<Options>): string[] {
  const { outputDirs = [], labels = [] } = options;
  const problems: string[] = limitProblems(options);
  if (labels.length > 0 && labels.length !== outputDirs.length) {
    problems.push(`--labels has ${labels.length} names for ${outputDirs.length} folders`);
  }
  if (labels.length > 0 && outputDirs.some((dir) => LABELLED.test(dir))) {
    problems.push("--labels and LABEL=dir both name the folders: give one of them");
  }
  const folders = labelledFolders({ outputDirs, labels });
  if (new Set(folders.map(({ dir }) => resolve(dir))).size < folders.length) {
    problems.push("--output-dirs names a folder twice");
  }
  if (outputDirs.length > 1 && new Set(folders.map(({ label }) => label)).size < 2) {
    problems.push("all folders have one label: a comparison needs two configurations");
  }
  return problems;
}

function baselineOf(labels: readonly string[], wanted: string | undefined): number {
  if (wanted === undefined) return 0;
  const index = labels.indexOf(wanted);
  if (index >= 0) return index;
  throw new KvmarkError("usage", `--baseline ${JSON.stringify(wanted)} is none of the labels`, {
    problems: labels.map((label) => JSON.stringify(label)),
    hint: "give one of these",
  });
}

/** The index of a run would be overwritten. */
async function refuseRunFolder(host: Host, { output }: Options): Promise<void> {
  if (!(await host.files.list(output)).some(isResultFile)) return;
  throw new KvmarkError("usage", `--output ${output} holds the results of a run`, {
    hint: "give a folder of its own: the pages of the run would be overwritten",
  });
}

async function readRuns(
  host: Host,
  options: Options,
  folders: readonly LabelledFolder[],
): Promise<LabelledRun[]> {
  const runs: LabelledRun[] = [];
  const problems: string[] = [];
  for (const { label, dir } of folders) {
    if (options.verbose) host.stderr.write(`reading ${dir} …\n`);
    try {
      const found = await readRun(host.files, dir.replace(/(?<=.)\/+$/, ""));
      const run = await withTierMap(await withKvBytes(host, found));
      for (const problem of run.problems) {
        host.stderr.write(`kvmark: not read: ${dir}: ${problem}\n`);
      }
      for (const one of run.damage ?? []) {
        host.stderr.write(`kvmark: incomplete: ${dir}: ${one}\n`);
      }
      runs.push({ label, run });
    } catch (error) {
      if (!(error instanceof KvmarkError)) throw error;
      problems.push(error.message);
    }
  }
  if (options.strict) await refuseDamaged(runs.map(({ run }) => run));
  if (problems.length > 0) {
    throw new KvmarkError("io", "Not every folder can be read", {
      problems,
      hint: "give the --output-dir of each run",
    });
  }
  return runs;
}

/** @returns Reasons that `--force` overruled. @throws {KvmarkError} `usage`, with the reasons. */
function checkComparable(
  host: Host,
  runs: readonly LabelledRun[],
  baseline: number,
  force: boolean,
): string[] {
  const kinds = new Set(runs.map(({ run }) => run.kind));
  if (kinds.size > 1) {
    throw new KvmarkError("usage", "Runs of several experiments have no graph in common", {
      problems: runs.map(({ label, run }) => `${label}: ${run.kind}`),
      hint: "combine runs of one experiment",
    });
  }
  for (const line of unknownAgreements(runs)) host.stderr.write(`kvmark: ${line}\n`);
  const reasons = incomparabilities(runs, baseline);
  if (reasons.length > 0 && !force) {
    throw new KvmarkError("usage", "These runs cannot be compared", {
      problems: reasons,
      hint: "--force compares them all the same, and says so on the page",
    });
  }
  return reasons;
}

async function write(
  host: Host,
  options: Options,
  comparison: Comparison,
  outcomes: readonly ThresholdOutcome[],
): Promise<string> {
  const dir = options.output.replace(/(?<=.)\/+$/, "");
  await writeComparisonFiles(host.files, dir, comparison);
  const pages = await writeComparisonPages(host.files, dir, comparison, {
    singleFile: options.singleFile,
  });
  const { markdown, junit } = options;
  if (markdown !== undefined) {
    await writeNamed(host, "--markdown", markdown, comparisonMarkdown(comparison, outcomes));
  }
  if (junit !== undefined) {
    await writeNamed(host, "--junit", junit, junitXml("kvmark combine", outcomes));
  }
  return `${dir}/${pages[0]}`;
}

function print(
  host: Host,
  options: Options,
  comparison: Comparison,
  outcomes: readonly ThresholdOutcome[],
  index: string,
): void {
  const headline = comparisonHeadline(comparison);
  const conclusions = conclusionsOf(comparison);
  const warnings = comparisonWarnings(comparison);
  if (options.json) {
    const { cells, baseline, runs } = comparison;
    const labels = runs.map((run) => run.label);
    const checks = outcomes.map((one) => ({ state: one.state, text: outcomeText(one) }));
    const report = { headline, conclusions, warnings, labels, baseline, cells, checks, index };
    host.stdout.write(`${JSON.stringify(report)}\n`);
    return;
  }
  for (const warning of warnings) host.stderr.write(`kvmark: ${warning}\n`);
  host.stdout.write(`${[headline, ...conclusions].join("\n\n")}\n\ndashboard: ${index}\n`);
}
