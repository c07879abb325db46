/**
 * The cells that the shards of a run measure together, and in which order: all that not every
 * shard has finished.
 *
 * A round is one timetable, named by its `--start-at`. A shard that is restarted in the middle has
 * to keep to it, though more cells are finished by then; so each shard writes its round down, and
 * looks there first, and then in the folders of the others. A new `--start-at` is a new round: a
 * cell that only some shards have, or one of them only in part, is then measured by all of them
 * again, because its load was not whole.
 *
 * @module
 */

import type { Files } from "../host.ts";
import { parseProgress, PROGRESS_NAME } from "../results/progress.ts";
import { type ShardConfig, shardDir } from "./shard.ts";

/** Name of the file. */
export const ROUND_NAME = "round.json";

/** Cells that are measured together. */
export interface Round {
  /** In the order of the timetable. */
  readonly cells: readonly string[];
  /** Cells that are measured again where this shard has finished them, wholly or in part. */
  readonly redo: ReadonlySet<string>;
}

/**
 * The round that a shard takes part in. Reads only.
 *
 * @param cells All cells of the run, in order.
 * @param forceRestart Nothing that is in the folders counts as finished.
 */
export async function planRound(
  files: Files,
  config: ShardConfig,
  cells: readonly string[],
  forceRestart: boolean,
): Promise<Round> {
  const { shard: { index, count }, outputDir } = config;
  const others = Array.from({ length: count }, (_, i) => i).filter((i) => i !== index);
  for (const one of [index, ...others]) {
    const stored = await storedRound(files, shardDir(outputDir, one));
    if (stored?.startAtWallMs !== config.startAtWallMs) continue;
    return { cells: stored.cells, redo: new Set() };
  }
  if (forceRestart) return { cells, redo: new Set() };
  const own = await finishedCells(files, shardDir(outputDir, index));
  const each = await Promise.all(
    others.map((other) => finishedCells(files, shardDir(outputDir, other))),
  );
  const open = cells.filter((cell) => !own.has(cell) || each.some((one) => !one.has(cell)));
  return { cells: open, redo: new Set(open) };
}

/** Writes a round down, for this shard when it is restarted and for the others. */
export async function keepRound(files: Files, config: ShardConfig, round: Round): Promise<void> {
  const { shard, runId, outputDir, startAtWallMs } = config;
  const start = new Date(startAtWallMs).toISOString();
  const stored = { start_at: start, run_id: runId, cells: round.cells };
  const path = `${shardDir(outputDir, shard.index)}/${ROUND_NAME}`;
  await files.writeText(path, JSON.stringify(stored, undefined, 2) + "\n");
}

interface StoredRound {
  readonly startAtWallMs: number;
  readonly cells: readonly string[];
}

/** A round that cannot be read is as good as none: it is planned again. */
async function storedRound(files: Files, dir: string): Promise<StoredRound | undefined> {
  const text = await textOf(files, `${dir}/${ROUND_NAME}`);
  if (text === undefined) return undefined;
  try {
    const { start_at, cells } = JSON.parse(text) as { start_at?: unknown; cells?: unknown };
    const startAtWallMs = Date.parse(String(start_at));
    const isWhole = Array.isArray(cells) && cells.every((cell) => typeof cell === "string");
    return isWhole && Number.isFinite(startAtWallMs) ? { startAtWallMs, cells } : undefined;
  } catch {
    return undefined;
  }
}

async function finishedCells(files: Files, dir: string): Promise<ReadonlySet<string>> {
  const text = await textOf(files, `${dir}/${PROGRESS_NAME}`);
  try {
    const commits = text === undefined ? [] : parseProgress(text)?.commits ?? [];
    const whole = commits.filter((one) => one.redo !== true && one.partial !== true);
    return new Set(whole.map((one) => one.cell));
  } catch {
    return new Set();
  }
}

async function textOf(files: Files, path: string): Promise<string | undefined> {
  return await files.stat(path) === undefined ? undefined : await files.readText(path);
}
