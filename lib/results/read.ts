/**
 * Reads a results folder, whoever wrote it.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Files } from "../host.ts";
import { latestByCell } from "./cells.ts";
import { Folder, isObject, type JsonObject } from "./folder.ts";
import { readPythonRun } from "./legacy.ts";
import { parseProgress, type Progress, PROGRESS_NAME } from "./progress.ts";
import { isResultFile } from "./run_files.ts";
import {
  type ColdStart,
  DETAIL_COLUMNS,
  type DetailRow,
  type ExperimentKind,
  PHASE_COLUMNS,
  type PhaseRow,
  type RunConfig,
  type RunData,
  SERVER_METRICS_COLUMNS,
  type ShardFacts,
  SINGLE_PROMPT_COLUMNS,
  SUMMARY_COLUMNS,
  type SummaryRow,
} from "./schema.ts";
import { storedSettings } from "./settings.ts";
import { parseTierMap, type StatedTier, TIER_MAP_NAME, type TierMap } from "./tier_map_file.ts";

/**
 * Reads the newest run of a folder that kvmark or the Python suite wrote.
 *
 * Of a folder in which a run was started over, it is the run that `progress.json` is about. What
 * is damaged is left out and listed in `problems`, file by file.
 *
 * @throws {KvmarkError} `io` if the folder is not there or holds nothing that can be read.
 */
export async function readRun(files: Files, dir: string): Promise<RunData> {
  const folder = await Folder.open(files, dir);
  const names = folder.entries.map((entry) => entry.name);
  if (isCombined(names)) {
    throw new KvmarkError("io", `${dir} holds a comparison of runs, not a run`, {
      hint: "give the folder of one of the runs",
    });
  }
  const progress = await kvmarkProgress(folder);
  const runJson = await folder.json("run.json");
  const timestamp = progress?.timestamp ?? textOf(runJson, "timestamp") ??
    await timestampByColumns(folder);
  const run = timestamp !== undefined
    ? await readKvmarkRun(folder, timestamp, progress, runJson)
    : await readPythonRun(folder);
  const isEmpty = [run.summary, run.details, run.phases, run.singlePrompt, run.sustained]
    .every((rows) => rows.length === 0);
  if (isEmpty && !names.some(isResultFile)) {
    throw new KvmarkError("io", `${dir} holds no results`, {
      hint: "give the --output-dir of a run",
      problems: folder.problems,
    });
  }
  const tierMap = await tierMapOf(folder, run);
  return tierMap === undefined ? run : { ...run, tierMap };
}

/** The tier map, if it was made from the rows of this run: a folder may hold an earlier one. */
async function tierMapOf(folder: Folder, run: RunData): Promise<TierMap | undefined> {
  const text = folder.has(TIER_MAP_NAME) ? await folder.text(TIER_MAP_NAME) : undefined;
  if (text === undefined) return undefined;
  try {
    const map = parseTierMap(text);
    if (map.basis.cells === run.summary.length && map.basis.requests === run.details.length) {
      return map;
    }
    folder.problems.push(`${TIER_MAP_NAME}: it was made from other rows and is left out`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    folder.problems.push(`${TIER_MAP_NAME}: ${reason}`);
  }
  return undefined;
}

/** True for the names in a folder that `combine` wrote. */
export function isCombined(names: readonly string[]): boolean {
  return names.some((name) => /^summary_comparison\.(?:csv|html)$/.test(name)) &&
    !names.some(isResultFile);
}

/** kvmark's `progress.json`; `undefined` without one, of another program, or if damaged. */
async function kvmarkProgress(folder: Folder): Promise<Progress | undefined> {
  if (!folder.has(PROGRESS_NAME)) return undefined;
  const text = await folder.text(PROGRESS_NAME);
  try {
    return text === undefined ? undefined : parseProgress(text);
  } catch (error) {
    folder.problems.push(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

/**
 * The time of the newest table, if it has columns that only kvmark writes; for folders whose
 * `progress.json` is lost.
 */
async function timestampByColumns(folder: Folder): Promise<string | undefined> {
  const tables = folder.matching(/^.*_(\d{8}_\d{6})\.csv$/).filter(({ name }) =>
    isResultFile(name) && !name.startsWith("server_metrics_")
  );
  const [newest] = tables.sort((a, b) => (a.parts[0] ?? "") < (b.parts[0] ?? "") ? 1 : -1);
  if (newest === undefined) return undefined;
  const header = await folder.header(newest.name);
  return header.some((column) => /^due_to_sent(?:_p99)?_ms$/.test(column))
    ? newest.parts[0]
    : undefined;
}

async function readKvmarkRun(
  folder: Folder,
  timestamp: string,
  progress: Progress | undefined,
  runJson: JsonObject | undefined,
): Promise<RunData> {
  const isOurs = (name: string) => name.endsWith(`_${timestamp}.csv`);
  const named = (pattern: RegExp) =>
    folder.matching(pattern).map((file) => file.name).filter(isOurs);
  const summary: SummaryRow[] = [];
  for (const name of named(/^summary_/)) {
    summary.push(...await folder.rows(name, SUMMARY_COLUMNS));
  }
  const details: DetailRow[] = [];
  const failedWarmUps: DetailRow[] = [];
  for (const name of named(/^detailed_results_/)) {
    for (const row of await folder.manyRows(name, DETAIL_COLUMNS)) {
      (row.purpose === "warmup" ? failedWarmUps : details).push(row);
    }
  }
  const [phasesName] = named(/^phase_metadata_/);
  const [singleName] = named(/^single_prompt_results_/);
  const phases = phasesName === undefined ? [] : await folder.rows(phasesName, PHASE_COLUMNS);
  const singlePrompt = singleName === undefined
    ? []
    : await folder.rows(singleName, SINGLE_PROMPT_COLUMNS);
  const [metricsName] = named(/^server_metrics_/);
  const serverMetrics = metricsName === undefined
    ? undefined
    : await folder.rows(metricsName, SERVER_METRICS_COLUMNS);
  const stale = textOf(runJson, "timestamp") !== timestamp;
  if (runJson !== undefined && stale) {
    folder.problems.push("run.json: it belongs to an earlier run of the folder and is left out");
  }
  const config = configOf(stale ? undefined : runJson, progress);
  const hasSets = summary.some((row) => row.working_set_size !== undefined);
  const kind = progress?.experiment ?? config.experiment ??
    (singleName !== undefined ? "single-prompt" : hasSets ? "working-set" : "cache-rate");
  return {
    dir: folder.dir,
    kind,
    writtenBy: "kvmark",
    config,
    summary: latestByCell(summary),
    details: usable(details, phases),
    ...(failedWarmUps.length === 0 ? {} : { failedWarmUps }),
    phases,
    singlePrompt,
    sustained: [],
    ...optional("serverMetrics", serverMetrics),
    files: folder.entries,
    problems: folder.problems,
  };
}

/** The requests of a period that was measured again are in the file, and in no figure. */
function usable(details: DetailRow[], phases: readonly PhaseRow[]): DetailRow[] {
  const nameOf = (row: DetailRow | PhaseRow) =>
    [row.context_size, row.working_set_size, row.cache_hit_rate, row.phase_id].join(" ");
  const out = new Set(phases.filter((row) => row.unusable !== undefined).map(nameOf));
  return out.size === 0 ? details : details.filter((row) => !out.has(nameOf(row)));
}

/** `run.json` as far as its entries are what they should be. */
function configOf(runJson: JsonObject | undefined, progress: Progress | undefined): RunConfig {
  const text = (key: string) => optional(key, textOf(runJson, key));
  const number = (key: string) => {
    const value = runJson?.[key];
    return optional(key, typeof value === "number" && Number.isFinite(value) ? value : undefined);
  };
  const texts = (key: string) => {
    const value = runJson?.[key];
    const list = Array.isArray(value) ? value.filter((one) => typeof one === "string") : undefined;
    return optional(key, list);
  };
  const { experiment, parameters, serverFacts, cold, shard, mergedShards, tiers } = runJson ?? {};
  const facts = Array.isArray(serverFacts) ? serverFacts.filter(isFact) : undefined;
  return {
    ...optional("experiment", isExperiment(experiment) ? experiment : progress?.experiment),
    ...optional("kvmarkVersion", textOf(runJson, "kvmarkVersion") ?? progress?.version),
    ...optional(
      "parameters",
      isObject(parameters) ? storedSettings(parameters, runJson?.format) : progress?.identity,
    ),
    ...optional("serverFacts", facts),
    ...optional("cold", isColdStart(cold) ? cold : undefined),
    ...optional("shard", isShard(shard) ? shard : undefined),
    ...optional("mergedShards", isIndexList(mergedShards) ? mergedShards : undefined),
    ...optional("tiers", Array.isArray(tiers) ? tiers.filter(isStatedTier) : undefined),
    ...text("startedAt"),
    ...text("model"),
    ...text("server"),
    ...text("command"),
    ...text("kvBytesPerTokenSource"),
    ...texts("endpoints"),
    ...texts("notes"),
    ...texts("warnings"),
    ...number("kvBytesPerToken"),
    ...number("blockTokens"),
  };
}

function isFact(value: unknown): value is { name: string; value: string; evidence: string } {
  return isObject(value) &&
    ["name", "value", "evidence"].every((key) => typeof value[key] === "string");
}

function isStatedTier(value: unknown): value is StatedTier {
  return isObject(value) && ["HBM", "DRAM", "SSD"].includes(String(value["name"])) &&
    typeof value["evidence"] === "string" &&
    ["capacityTokens", "capacityBytes"].every((key) =>
      value[key] === undefined || Number.isFinite(value[key])
    );
}

function isColdStart(value: unknown): value is ColdStart {
  return isObject(value) && typeof value["asked"] === "string" &&
    ["reset", "salt", "none"].includes(String(value["by"])) &&
    typeof value["proved"] === "boolean" && Array.isArray(value["evidence"]) &&
    value["evidence"].every((one) => typeof one === "string");
}

function isShard(value: unknown): value is ShardFacts {
  return isObject(value) && isIndexList([value["index"], value["count"]]) &&
    typeof value["runId"] === "string" && typeof value["startAt"] === "string" &&
    ["split", "shared"].includes(String(value["workingSet"]));
}

function isIndexList(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((one) => Number.isSafeInteger(one) && one >= 0);
}

function isExperiment(value: unknown): value is ExperimentKind {
  return value === "cache-rate" || value === "working-set" || value === "single-prompt";
}

function textOf(object: JsonObject | undefined, key: string): string | undefined {
  const value = object?.[key];
  return typeof value === "string" ? value : undefined;
}

function optional<Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { readonly [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [K in Key]?: Value };
}
