/**
 * `comparison.json`, from which the pages of a comparison are drawn anew, and the comparisons that
 * the Python suite wrote.
 *
 * @module
 */

import { parse } from "csv-parse/sync";
import * as v from "valibot";
import { KvmarkError } from "../errors.ts";
import type { Files } from "../host.ts";
import { parseTierMap } from "../results/tier_map_file.ts";
import type { Comparison } from "./comparison.ts";
import type { ComparedRun } from "./comparison_samples.ts";
import { comparisonCsv, summaryComparisonCsv } from "./comparison_tables.ts";
import type { Point } from "./points.ts";

const NAME = "comparison.json";
const PYTHON_NAME = "summary_comparison.csv";

const number = v.pipe(v.number(), v.finite());
const optional = v.exactOptional;
const estimate = v.object({ estimate: number, low: optional(number), high: optional(number) });
const span = v.object({ low: number, high: number });
const kind = v.picklist(["cache-rate", "working-set", "single-prompt"]);
const index = v.pipe(v.number(), v.integer(), v.minValue(0));
const key = {
  contextSizeTokens: number,
  hitRatePercent: number,
  workingSetTokens: optional(number),
};

const RUN = v.object({
  label: v.string(),
  dir: v.string(),
  replicates: optional(v.array(v.string())),
  kind,
  writtenBy: v.picklist(["kvmark", "python"]),
  model: optional(v.string()),
  server: optional(v.string()),
  startedAt: optional(v.string()),
  kvmarkVersion: optional(v.string()),
  kvBytesPerToken: optional(number),
  ttftLimitSec: optional(number),
  parameters: v.record(v.string(), v.string()),
  points: v.array(v.object({
    ...key,
    row: v.record(v.string(), v.union([number, v.string()])),
    inputSpan: optional(span),
    outputSpan: optional(span),
  })),
  tierMap: optional(v.pipe(v.unknown(), v.transform((map) => parseTierMap(JSON.stringify(map))))),
  problems: v.array(v.string()),
});

const CELL = v.object({
  ...key,
  run: index,
  metric: v.string(),
  value: estimate,
  baseline: estimate,
  difference: estimate,
  ratio: optional(estimate),
  verdict: v.picklist(["better", "worse", "within noise", "unknown"]),
  // Files of older versions have intervals over requests, and do not say so.
  basis: v.optional(v.picklist(["replicates", "assumed", "none"]), "none"),
  pValue: optional(number),
  runs: v.optional(number, 1),
  baselineRuns: v.optional(number, 1),
  requests: optional(number),
  baselineRequests: optional(number),
  concurrency: optional(number),
  baselineConcurrency: optional(number),
});

const COMPARISON: v.GenericSchema<unknown, Comparison> = v.object({
  version: v.literal(1),
  kind,
  baseline: index,
  runs: v.array(RUN),
  cells: v.array(CELL),
  forced: v.array(v.string()),
  latencyAt: v.optional(v.picklist(["equal-load", "own-peak"]), "own-peak"),
});

/** Writes the data of a comparison: `comparison.json` and two tables. @returns Their names. */
export async function writeComparisonFiles(
  files: Files,
  dir: string,
  comparison: Comparison,
): Promise<string[]> {
  const texts = new Map([
    [NAME, `${JSON.stringify(comparison)}\n`],
    ["comparison.csv", comparisonCsv(comparison)],
    [PYTHON_NAME, summaryComparisonCsv(comparison)],
  ]);
  await files.makeDir(dir);
  for (const [name, text] of texts) await files.writeText(`${dir}/${name}`, text);
  return [...texts.keys()];
}

/**
 * Reads a comparison of kvmark, or the table of one that the Python suite wrote.
 *
 * @throws {KvmarkError} `io` if neither can be read.
 */
export async function readComparison(files: Files, dir: string): Promise<Comparison> {
  const own = await files.stat(`${dir}/${NAME}`) !== undefined;
  const name = own ? NAME : PYTHON_NAME;
  try {
    const text = await files.readText(`${dir}/${name}`);
    return own ? parseComparison(text) : pythonComparison(dir, text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KvmarkError("io", `Cannot read ${dir}/${name}: ${reason}`, {
      hint: "kvmark combine makes it again from the folders of the runs",
      cause: error,
    });
  }
}

function parseComparison(text: string): Comparison {
  const parsed = v.safeParse(COMPARISON, JSON.parse(text));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new Error(`${v.getDotPath(issue) ?? "comparison"}: ${issue.message}`);
  }
  const { runs, baseline, cells } = parsed.output;
  if (baseline >= runs.length || cells.some((cell) => cell.run >= runs.length)) {
    throw new Error("it names a run that it does not hold");
  }
  return parsed.output;
}

/** The points at 0 and 100 % of each run; the suite keeps no more. */
function pythonComparison(dir: string, text: string): Comparison {
  const rows: Record<string, string>[] = parse(text, {
    bom: true,
    columns: true,
    skip_empty_lines: true,
    relax_column_count: true,
  });
  if (rows.length > 0 && rows[0]?.["Configuration"] === undefined) {
    throw new Error("it has no column Configuration");
  }
  const labels = Map.groupBy(rows, (row) => row["Configuration"] ?? "");
  const runs = [...labels].map(([label, own]): ComparedRun => ({
    label,
    dir,
    kind: "cache-rate",
    writtenBy: "python",
    parameters: {},
    points: own.flatMap((row) => [pointAt(row, 0), pointAt(row, 100)].flat()),
    problems: [],
  }));
  return {
    version: 1,
    kind: "cache-rate",
    baseline: 0,
    runs,
    cells: [],
    forced: [],
    latencyAt: "own-peak",
  };
}

function pointAt(row: Readonly<Record<string, string>>, rate: 0 | 100): Point[] {
  const context = numberIn(row["Context Size"]);
  if (context === undefined) return [];
  const input = numberIn(row[`Input @${rate}% (tok/s)`]);
  const output = numberIn(row[`Output @${rate}% (tok/s)`]);
  const peak = rate === 100 ? numberIn(row["Peak Concurrency @100%"]) : undefined;
  return [{
    contextSizeTokens: context,
    hitRatePercent: rate,
    row: {
      context_size: context,
      cache_hit_rate: rate,
      ...(input === undefined ? {} : { input_tokens_per_sec: input }),
      ...(output === undefined ? {} : { output_tokens_per_sec: output }),
      ...(peak === undefined ? {} : { peak_concurrency: peak }),
    },
  }];
}

/** The suite writes numbers for people: `2,000.0`. */
function numberIn(text: string | undefined): number | undefined {
  const digits = text?.replaceAll(",", "").trim() ?? "";
  const value = digits === "" ? NaN : Number(digits);
  return Number.isFinite(value) ? value : undefined;
}
