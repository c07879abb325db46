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
import { readOwnText } from "../results/own_text.ts";
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
 * A shard writes its round down before it takes a row out of its files. So as long as no round of
 * this start is there, what the folders say of finished cells is the same for whoever looks; and
 * one that has appeared meanwhile is the answer.
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
  const dirs = Array.from(
    { length: config.shard.count },
    (_, index) => shardDir(config.outputDir, index),
  );
  const own = dirs[config.shard.index]!;
  const mine = await storedRound(files, own, config);
  if (mine !== undefined) return { cells: mine.cells, redo: new Set(mine.begun ? [] : mine.cells) };
  const finished = await Promise.all(dirs.map((dir) => finishedCells(files, dir)));
  const open = forceRestart
    ? cells
    : cells.filter((cell) => finished.some((one) => !one.has(cell)));
  const agreed = (await firstOf(dirs, (dir) => storedRound(files, dir, config)))?.cells ?? open;
  return { cells: agreed, redo: new Set(agreed) };
}

async function firstOf<In, Out>(
  list: readonly In[],
  find: (one: In) => Promise<Out | undefined>,
): Promise<Out | undefined> {
  for (const one of list) {
    const found = await find(one);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Writes a round down, for this shard when it is restarted and for the others. To be called before
 * the shard changes anything else in its folder, and again when the cells to redo are out of it.
 */
export async function keepRound(
  files: Files,
  config: ShardConfig,
  round: Round,
  begun: boolean,
): Promise<void> {
  const { shard, runId, outputDir, startAtWallMs } = config;
  const start = new Date(startAtWallMs).toISOString();
  const stored = { start_at: start, run_id: runId, begun, cells: round.cells };
  const dir = shardDir(outputDir, shard.index);
  await files.makeDir(dir);
  await files.writeText(`${dir}/${ROUND_NAME}`, JSON.stringify(stored, undefined, 2) + "\n");
}

interface StoredRound {
  readonly cells: readonly string[];
  /** The shard's cells to redo are out of its folder. */
  readonly begun: boolean;
}

/** The round in a folder; one of another start, or that cannot be read, is none. */
async function storedRound(
  files: Files,
  dir: string,
  { startAtWallMs }: ShardConfig,
): Promise<StoredRound | undefined> {
  const text = await textOf(files, `${dir}/${ROUND_NAME}`);
  if (text === undefined) return undefined;
  try {
    const { start_at, cells, begun } = JSON.parse(text) as Record<string, unknown>;
    const isWhole = Array.isArray(cells) && cells.every((cell) => typeof cell === "string");
    if (!isWhole || Date.parse(String(start_at)) !== startAtWallMs) return undefined;
    return { cells, begun: begun === true };
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
  return await files.stat(path) === undefined ? undefined : await readOwnText(files, path);
}
