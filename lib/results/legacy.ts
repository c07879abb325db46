/**
 * Folders of the Python suite, of its first version and of its later ones, as rows of kvmark.
 *
 * Where a figure of the Python suite means something else than kvmark's column of that name, it
 * goes to the column that it fits, or is left out; the notes of the run say so.
 *
 * @module
 */

import { latestByCell } from "./cells.ts";
import { type Folder, isObject, type JsonObject } from "./folder.ts";
import {
  DETAIL_COLUMNS,
  type DetailRow,
  type ExperimentKind,
  PHASE_COLUMNS,
  type PhaseRow,
  type RunConfig,
  type RunData,
  SINGLE_PROMPT_COLUMNS,
  type SinglePromptRow,
  SUMMARY_COLUMNS,
  type SummaryRow,
  SUSTAINED_COLUMNS,
  type SustainedRow,
} from "./schema.ts";
import { damageOf, withoutDuplicates } from "./suite_checks.ts";
import { parametersOfCommand } from "./suite_script.ts";
import { setOfPeriod, summaryOfPeriods } from "./sustained.ts";

const STAMP = "(\\d{8}_\\d{6})";
const SUMMARY = new RegExp(`^summary_${STAMP}\\.csv$`);
const DETAILS = new RegExp(`^detailed_results_\\d+_${STAMP}\\.csv$`);
const PHASES = new RegExp(`^phase_metadata_${STAMP}\\.csv$`);
const SINGLE = new RegExp(`^single_prompt_results_${STAMP}\\.csv$`);
const SUSTAINED = new RegExp(`^sustained_periods_.*_${STAMP}\\.csv$`);
const SUSTAINED_SET = /^sustained_periods_ctx\d+_ws\d+_/;

/** Columns in which the Python suite writes 0 where nothing was measured. */
const LATENCY = /^(?:avg|median|p95|p99|measured)_(?:ttft|ttlt|itl)$|^(?:ttft|ttlt|itl)$/;
const ITL = /^(avg|median|p95|p99)_itl$/;

/** Reads the newest run of a folder that the Python suite wrote. */
export async function readPythonRun(folder: Folder): Promise<RunData> {
  const progress = await folder.json("progress.json");
  const metadata = await folder.json("metadata.json");
  const testMetadata = await folder.json("test_metadata.json");
  const { command } = await commandOf(folder);
  const stored = isObject(progress?.parameters) ? progress.parameters : undefined;
  const parameters = stored ?? parametersOfCommand(command ?? "");
  const notes = [
    "The Python suite wrote these rows: input tokens are nominal, failed requests left no row.",
  ];
  if (stored === undefined && parameters !== undefined) {
    notes.push("Options are taken from the run script: progress.json does not have them.");
  }
  const kind = kindOf(folder, parameters, metadata);
  const singlePrompt = await readSinglePrompt(folder, notes);
  const { details, phases, sustained, summary: found, damage } = await readTables(
    folder,
    notes,
    singlePrompt.length === 0,
  );
  const written = found.map((row) => cleanSummary(row, parameters?.output_tokens));
  const periods = sustained.map((row) => cleanPeriod(row));
  const derived = written.length === 0 && periods.length > 0;
  const summary = derived ? summaryOfPeriods(periods, maxTtft(parameters)) : written;
  if (derived) notes.push("No summary was written: each row is taken from the sustained periods.");
  if (sustained.length === 0 && summary.length > 0) {
    notes.push("Its p95 and p99 are means of the percentiles of each period, not pooled.");
  }
  if (details.length > 0 || summary.length > 0) {
    notes.push("Its ITL is a mean of each request and is read as TPOT.");
  }
  const model = modelOf(written, metadata, testMetadata);
  return {
    dir: folder.dir,
    kind,
    writtenBy: "python",
    config: {
      experiment: kind,
      ...(model === undefined ? {} : { model }),
      ...endpointsOf(parameters, metadata, testMetadata),
      ...startOf(testMetadata),
      ...(command === undefined ? {} : { command }),
      parameters: parameters ?? withoutResults(metadata),
      notes,
    },
    summary: latestByCell(summary),
    details: setOfPeriod(details.map(cleanDetail), periods),
    phases: phases.map(cleanPhase),
    singlePrompt: singlePrompt.map(cleanSinglePrompt),
    sustained: periods,
    files: folder.entries,
    problems: folder.problems,
    ...(damage.length === 0 ? {} : { damage }),
  };
}

/** The tables of a run, each row once, and what is wrong with them. */
async function readTables(folder: Folder, notes: string[], check: boolean) {
  const twice: string[] = [];
  const once = <R extends object>(rows: readonly R[], what: string) => {
    const found = withoutDuplicates(rows);
    if (found.twice > 0) twice.push(`${found.twice} ${what} are there twice; each is counted once`);
    return found.rows;
  };
  const tables = {
    sustained: once(
      await newestOfEachCell(folder, SUSTAINED, SUSTAINED_COLUMNS),
      "rows of sustained periods",
    ),
    details: once(await newestOfEachCell(folder, DETAILS, DETAIL_COLUMNS), "request rows"),
    phases: once(await newestOfEachCell(folder, PHASES, PHASE_COLUMNS), "rows of phases"),
    summary: once(await newestSummary(folder, notes), "rows of the summary"),
  };
  return { ...tables, damage: [...(check ? damageOf(tables) : []), ...twice] };
}

function kindOf(
  folder: Folder,
  parameters: JsonObject | undefined,
  metadata: JsonObject | undefined,
): ExperimentKind {
  if (parameters?.working_set_sizes !== undefined) return "working-set";
  if (parameters?.working_set_size !== undefined) return "cache-rate";
  const hasRates = [SUMMARY, DETAILS, PHASES, SUSTAINED]
    .some((pattern) => folder.matching(pattern).length > 0);
  const isSingle = metadata?.test_type === "single_prompt" || folder.matching(SINGLE).length > 0;
  if (isSingle && !hasRates) return "single-prompt";
  const htmlOfSets = folder.matching(/^performance_vs_working_set_.*\.html$/).length > 0;
  const hasSets = htmlOfSets || folder.matching(SUSTAINED_SET).length > 0;
  return hasSets ? "working-set" : "cache-rate";
}

/** The rows of the newest file: several files are several runs, which do not belong together. */
async function readSinglePrompt(folder: Folder, notes: string[]): Promise<SinglePromptRow[]> {
  const found = newestFirst(folder, SINGLE);
  for (const [i, name] of found.entries()) {
    const rows = await folder.rows(name, SINGLE_PROMPT_COLUMNS);
    if (rows.length === 0) continue;
    if (found.length > 1) notes.push(`Of ${found.length} result files this is ${name}.`);
    if (i > 0) folder.problems.push(`${name}: read because the newer files have no rows`);
    return rows;
  }
  return [];
}

/** Each summary file holds all rows so far, so the newest one that has rows is taken whole. */
async function newestSummary(folder: Folder, notes: string[]): Promise<SummaryRow[]> {
  const found = newestFirst(folder, SUMMARY);
  for (const [i, name] of found.entries()) {
    const rows = await folder.rows(name, SUMMARY_COLUMNS);
    if (rows.length === 0) continue;
    if (found.length > 1) notes.push(`Of ${found.length} summary files this is ${name}.`);
    if (i > 0) folder.problems.push(`${name}: read because the newer files have no rows`);
    return rows;
  }
  return [];
}

interface Placed {
  readonly context_size?: number;
  readonly working_set_size?: number;
  readonly cache_hit_rate?: number;
}

/**
 * The rows of each cell from the newest file that has any. A resumed run leaves the rows of its
 * earlier cells in older files, and a file repeats the rows of the contexts before it.
 */
async function newestOfEachCell<const Columns extends typeof DETAIL_COLUMNS>(
  folder: Folder,
  pattern: RegExp,
  columns: Columns,
): Promise<DetailRow[]>;
async function newestOfEachCell<const Columns extends typeof PHASE_COLUMNS>(
  folder: Folder,
  pattern: RegExp,
  columns: Columns,
): Promise<PhaseRow[]>;
async function newestOfEachCell<const Columns extends typeof SUSTAINED_COLUMNS>(
  folder: Folder,
  pattern: RegExp,
  columns: Columns,
): Promise<SustainedRow[]>;
async function newestOfEachCell(
  folder: Folder,
  pattern: RegExp,
  columns: typeof DETAIL_COLUMNS | typeof PHASE_COLUMNS | typeof SUSTAINED_COLUMNS,
): Promise<Placed[]> {
  const isPeriods = columns === SUSTAINED_COLUMNS;
  const owner = new Map<string, string>();
  const files: Placed[][] = [];
  for (const name of newestFirst(folder, pattern)) {
    const kept: Placed[] = [];
    for (const row of await folder.rows(name, columns) as Placed[]) {
      // The working set grows within the one file of a sustained test.
      const set = isPeriods ? "" : row.working_set_size;
      const cell = `${row.context_size}_${set}_${row.cache_hit_rate}`;
      if (!owner.has(cell)) owner.set(cell, name);
      if (owner.get(cell) === name) kept.push(row);
    }
    files.push(kept);
  }
  return files.reverse().flat();
}

function newestFirst(folder: Folder, pattern: RegExp): string[] {
  return folder.matching(pattern)
    .sort((a, b) => (a.parts.at(-1) ?? "") < (b.parts.at(-1) ?? "") ? 1 : -1)
    .map((file) => file.name);
}

/** Takes out the zeros that stand for "nothing". */
function withoutZeros<R extends object>(row: R): R {
  const entries = Object.entries(row).filter(([name, value]) => value !== 0 || !LATENCY.test(name));
  return Object.fromEntries(entries) as R;
}

function cleanDetail(row: DetailRow): DetailRow {
  const { itl, ...rest } = withoutZeros(row);
  return {
    ...rest,
    ...(itl === undefined ? {} : { tpot: itl }),
    ...(row.output_tokens === undefined ? {} : { output_tokens_source: "usage" }),
  };
}

function cleanSummary(row: SummaryRow, outputTokens: unknown): SummaryRow {
  const entries = Object.entries(withoutZeros(row)).map(([name, value]) => {
    const match = ITL.exec(name);
    return [match === null ? name : `${match[1]}_tpot`, value] as const;
  }).filter(([name]) => name !== "avg_output_tokens" || outputTokens !== 1);
  return Object.fromEntries(entries) as SummaryRow;
}

function cleanPhase(row: PhaseRow): PhaseRow {
  return row.phase_id?.startsWith("FIXED_") ? { ...row, phase_type: "FIXED" } : row;
}

/** The decode rate of an answer of one token is that token over no time at all: left out. */
function cleanPeriod(row: SustainedRow): SustainedRow {
  const { avg_output_tokens_per_request: rate, ...rest } = withoutZeros(row);
  const tokens = row.total_output_tokens ?? 0;
  const isDecoded = tokens > (row.num_requests_completed ?? 0);
  return { ...rest, ...(rate === undefined || !isDecoded ? {} : { [RATE]: rate }) };
}

const RATE = "avg_output_tokens_per_request";

function cleanSinglePrompt(row: SinglePromptRow): SinglePromptRow {
  const clean = withoutZeros(row);
  return clean.prompt_type === "cached_r1" ? { ...clean, prompt_type: "cached" } : clean;
}

function modelOf(
  summary: readonly SummaryRow[],
  metadata: JsonObject | undefined,
  testMetadata: JsonObject | undefined,
): string | undefined {
  const rows = summary.map((row) => row.model);
  return [testMetadata?.model, metadata?.detected_model, ...rows]
    .find((model): model is string => typeof model === "string" && model !== "");
}

function endpointsOf(...sources: (JsonObject | undefined)[]): Pick<RunConfig, "endpoints"> {
  for (const source of sources) {
    const { api_endpoints: several, api_endpoint: one } = source ?? {};
    const list = Array.isArray(several) ? several : [one];
    const endpoints = list.filter((endpoint) => typeof endpoint === "string");
    if (endpoints.length > 0) return { endpoints };
  }
  return {};
}

function startOf(testMetadata: JsonObject | undefined): Pick<RunConfig, "startedAt"> {
  const timestamp = testMetadata?.timestamp;
  return typeof timestamp === "string" ? { startedAt: timestamp } : {};
}

/** The command line in the newest script, on one line. */
async function commandOf(folder: Folder): Promise<Pick<RunConfig, "command">> {
  const [name] = newestFirst(folder, new RegExp(`^run_command_${STAMP}\\.sh$`));
  const script = name === undefined ? undefined : await folder.text(name);
  const lines = (script ?? "").split("\n").filter((line) => !/^\s*(?:#|$)/.test(line));
  const command = lines.map((line) => line.replace(/\\\s*$/, "").trim()).join(" ")
    .replace(/\s*"?\$@"?\s*$/, "");
  return command === "" ? {} : { command };
}

/** `metadata.json` of single-prompt as parameters. */
function withoutResults(metadata: JsonObject | undefined): JsonObject {
  const { test_type: _type, detected_model: _model, ...rest } = metadata ?? {};
  return rest;
}

function maxTtft(parameters: JsonObject | undefined): number | undefined {
  const limit = parameters?.max_ttft;
  return typeof limit === "number" ? limit : undefined;
}
