/**
 * `kvmark merge`: the shards of a run as one run, in the folder above theirs.
 *
 * Everything that is written depends on the shards alone, so that merging again writes the same
 * bytes. The shards' own folders are only read.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Files } from "../host.ts";
import type { TokensPerReqMetric, TtftMetric } from "../metrics/summary.ts";
import { type AnyRow, headerLine, rowLines } from "../results/csv.ts";
import {
  parseProgress,
  PROGRESS_FORMAT,
  PROGRESS_NAME,
  progressText,
} from "../results/progress.ts";
import { detailsName, isResultFile } from "../results/run_files.ts";
import {
  type Column,
  DETAIL_COLUMNS,
  PHASE_COLUMNS,
  type RunConfig,
  SERVER_METRICS_COLUMNS,
  SUMMARY_COLUMNS,
  type SummaryRow,
} from "../results/schema.ts";
import {
  cellsOf,
  mergeCell,
  type MergedCell,
  type MergeJudgement,
  shiftedRows,
} from "./merge_cells.ts";
import { commonIdentity, readShards, type ShardRun, type ShardRuns } from "./merge_shards.ts";

/** What a merge came to. */
export interface MergeResult {
  /** Where it was written: the folder that was given. */
  readonly dir: string;
  readonly rows: readonly SummaryRow[];
  readonly requests: number;
  /** Shards that the run was dealt out to. */
  readonly count: number;
  /** Those that are there. */
  readonly shards: readonly number[];
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Merges the shards in the folders of `dir` and writes the run into `dir`.
 *
 * @throws {KvmarkError} `io` if there is no shard, or if it cannot be written; `usage` if the shards
 *   are not of one run, or if `dir` holds a run of its own.
 */
export async function mergeRun(files: Files, dir: string): Promise<MergeResult> {
  await requireMergeable(files, dir);
  const runs = await readShards(files, dir);
  const { shards, count } = runs;
  const judgement = judgementOf(shards[0]!);
  const cells = cellsOf(shards).map((cell) => mergeCell(cell, shards, count, judgement));
  const notes = [...runs.notes, skewNote(cells)];
  const warnings = [...runs.warnings, ...cellWarnings(cells), ...shardWarnings(shards)];
  await write(files, dir, runs, cells, notes, warnings);
  return {
    dir,
    rows: cells.map((cell) => cell.row),
    requests: cells.reduce((sum, cell) => sum + cell.details.length, 0),
    count,
    shards: shards.map((one) => one.facts.index),
    notes,
    warnings,
  };
}

/** @throws {KvmarkError} `usage`, if the folder holds results that are no merged run. */
async function requireMergeable(files: Files, dir: string): Promise<void> {
  const names = await files.list(dir);
  const found = names.find((name) => isResultFile(name));
  const isMerged = names.includes(PROGRESS_NAME) &&
    parseProgress(await files.readText(`${dir}/${PROGRESS_NAME}`))?.identity[MERGED] !== undefined;
  if (isMerged || (found === undefined && !names.includes(PROGRESS_NAME))) return;
  throw new KvmarkError("usage", `The folder ${dir} holds a run of its own`, {
    hint: "give the folder that holds shard-0, shard-1, … and no other results",
  });
}

/** The setting that only merged runs have. */
const MERGED = "merged_shards";

function judgementOf({ identity, data }: ShardRun): MergeJudgement {
  const number = (name: string) => {
    const value = identity[name];
    return typeof value === "number" ? value : undefined;
  };
  const [maxTtftSec, minRate] = [number("max_ttft"), number("min_tokens_per_req")];
  const longestSec = Math.max(0, ...data.phases.map((phase) => phase.duration ?? 0));
  return {
    limits: {
      ...(maxTtftSec === undefined ? {} : { maxTtftMs: maxTtftSec * 1000 }),
      ...(minRate === undefined ? {} : { minDecodeRatePerSec: minRate }),
    },
    ttftMetric: (identity["ttft_metric"] ?? "p95") as TtftMetric,
    tokensPerReqMetric: (identity["tokens_per_req_metric"] ?? "avg") as TokensPerReqMetric,
    strictTimeWindow: identity["strict_time_window"] === true,
    periodMs: (number("ramp_duration") ?? longestSec) * 1000,
  };
}

function skewNote(cells: readonly MergedCell[]): string {
  const most = Math.max(0, ...cells.map((cell) => cell.startSkewMs));
  return `Start skew: the shards began a period at most ${most.toFixed(1)} ms apart. Throughput ` +
    "is counted in the time that all shards share, percentiles over the requests of all of them.";
}

function cellWarnings(cells: readonly MergedCell[]): string[] {
  return cells.flatMap(({ cellId, row }) =>
    row.shard_problem === undefined ? [] : [`${cellId}: ${row.shard_problem}`]
  );
}

/** What the shards warned of; once, where all of them did. */
function shardWarnings(shards: readonly ShardRun[]): string[] {
  const by = new Map<string, number[]>();
  for (const { facts, data } of shards) {
    for (const text of data.config.warnings ?? []) {
      by.set(text, [...(by.get(text) ?? []), facts.index]);
    }
  }
  return [...by].map(([text, indexes]) =>
    indexes.length === shards.length ? text : `Shard ${indexes.join(", ")}: ${text}`
  );
}

async function write(
  files: Files,
  dir: string,
  { shards, count }: ShardRuns,
  cells: readonly MergedCell[],
  notes: readonly string[],
  warnings: readonly string[],
): Promise<void> {
  const timestamp = shards.map((one) => one.timestamp).sort()[0]!;
  const tables = tablesOf(shards, cells, timestamp);
  for (const name of await files.list(dir)) {
    // Of a merge of other shards, which may have had another time or another context size.
    if (isResultFile(name) && !tables.has(name)) await files.remove(`${dir}/${name}`);
  }
  for (const [name, text] of tables) await files.writeText(`${dir}/${name}`, text);
  const identity = { ...commonIdentity(shards[0]!.identity), [MERGED]: count };
  const marks = { format: PROGRESS_FORMAT, timestamp };
  const config = { ...mergedConfig(shards, notes, warnings), parameters: identity, ...marks };
  await files.writeText(`${dir}/run.json`, JSON.stringify(config, undefined, 2) + "\n");
  const lastSec = Math.max(0, ...cells.flatMap((one) => one.phases.map((p) => p.end_time ?? 0)));
  const progress = {
    experiment: shards[0]!.data.kind,
    version: config.kvmarkVersion ?? "unknown",
    timestamp,
    runSeed: `merged ${shards[0]!.facts.runId}`,
    attempt: 1,
    identity,
    commits: cells.map(({ cellId }) => ({ cell: cellId, bytes: {} })),
  };
  const text = progressText(progress, new Date(lastSec * 1000).toISOString());
  await files.writeText(`${dir}/${PROGRESS_NAME}`, text);
}

function tablesOf(
  shards: readonly ShardRun[],
  cells: readonly MergedCell[],
  timestamp: string,
): Map<string, string> {
  const table = (columns: readonly Column[], rows: readonly AnyRow[]) =>
    headerLine(columns) + rowLines(columns, rows);
  const tables = new Map([
    [`summary_${timestamp}.csv`, table(SUMMARY_COLUMNS, cells.map((cell) => cell.row))],
    [`phase_metadata_${timestamp}.csv`, table(PHASE_COLUMNS, cells.flatMap((one) => one.phases))],
  ]);
  for (const size of new Set(cells.map((cell) => cell.contextSizeTokens))) {
    const rows = cells.filter((cell) => cell.contextSizeTokens === size)
      .flatMap((cell) => cell.details);
    const warmUps = shards.flatMap(({ data, shiftSec }) =>
      shiftedRows(data.failedWarmUps, shiftSec)
    )
      .filter((row) => row.context_size === size);
    tables.set(detailsName(size, timestamp), table(DETAIL_COLUMNS, [...warmUps, ...rows]));
  }
  // Every shard has read the metrics of the same servers: the first one's are those of all.
  const metrics = shards.find((one) => (one.data.serverMetrics?.length ?? 0) > 0);
  if (metrics !== undefined) {
    const rows = metrics.data.serverMetrics ?? [];
    tables.set(`server_metrics_${timestamp}.csv`, table(SERVER_METRICS_COLUMNS, rows));
  }
  return tables;
}

function mergedConfig(
  shards: readonly ShardRun[],
  notes: readonly string[],
  warnings: readonly string[],
): RunConfig {
  const all = shards.map((one) => one.data.config);
  const { shard, warnings: _, ...first } = all[0]!;
  const began = all.flatMap((one) => one.startedAt ?? []).sort()[0];
  const indexes = shards.map((one) => one.facts.index);
  const how = `Merged from shards ${indexes.join(", ")} of ${shard?.count ?? shards.length}; ` +
    `working set ${shard?.workingSet ?? "split"}, timetable from ${shard?.startAt ?? "?"}.`;
  return {
    ...first,
    ...(began === undefined ? {} : { startedAt: began }),
    endpoints: [...new Set(all.flatMap((one) => one.endpoints ?? []))],
    notes: [...(first.notes ?? []), how, ...notes],
    warnings,
    mergedShards: indexes,
  };
}
