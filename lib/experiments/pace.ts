/**
 * A shard keeps its timetable: what it does of a cell, and when.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Clock, Host } from "../host.ts";
import { promptCount } from "../prompt/working_set.ts";
import type { PeriodOutcome } from "../record.ts";
import type { ShardFacts } from "../results/schema.ts";
import { type ClockOffset, clockText } from "../server/clock_offset.ts";
import { formatMs } from "../units.ts";
import type { LoadConfig } from "./config.ts";
import type { RunListener } from "./listener.ts";
import { planRound, type Round } from "./round.ts";
import {
  name,
  type PromptSlice,
  type Shard,
  type ShardConfig,
  sharedFrom,
  shareOf,
  sliceOf,
} from "./shard.ts";
import type { SweepCell } from "./sweep.ts";
import { type CellTimes, endOf, type TimedPeriod, timetable } from "./timetable.ts";

/** What a shard does of one cell. */
export interface ShardPart {
  readonly shard: Shard;
  readonly times: CellTimes;
  /** Prompts that it warms up. */
  readonly warmed: PromptSlice;
  /** Prompts that it asks for. */
  readonly measured: PromptSlice;
}

/** A shard's way through a run. */
export interface Pace {
  readonly config: ShardConfig;
  readonly round: Round;
  readonly times: ReadonlyMap<string, CellTimes>;
}

/**
 * Plans the way of this process through a run: its round, and the time of each cell.
 *
 * @returns `undefined` for a run in one piece.
 * @throws {KvmarkError} `usage` if the run cannot be dealt out, or if its time has passed.
 */
export async function planPace(
  host: Host,
  load: LoadConfig,
  cells: readonly SweepCell[],
  forceRestart: boolean,
): Promise<Pace | undefined> {
  const { shard: config } = load;
  if (config === undefined) return undefined;
  requireShares(config, load, cells);
  const ids = cells.map((cell) => cell.cellId);
  const round = await planRound(host.files, config, ids, forceRestart);
  const byId = new Map(cells.map((cell) => [cell.cellId, cell]));
  const times = timetable(round.cells.flatMap((id) => byId.get(id) ?? []), {
    startAtWallMs: config.startAtWallMs,
    warmUpMs: config.warmUpMs,
    periodMs: load.rampDurationMs,
    gapMs: config.gapMs,
    periodsPerCell: load.fixedConcurrencyLevels.length * (1 + load.retries),
  });
  requireTime(config, times, host.clock.wallMs());
  return { config, round, times };
}

/** @throws {KvmarkError} `usage` */
function requireShares(
  { shard, workingSet }: ShardConfig,
  load: LoadConfig,
  cells: readonly SweepCell[],
): void {
  const { count } = shard;
  const problems: string[] = [];
  if (load.mode === "ramp") {
    problems.push("shards cannot search the peak together: each would go its own way");
  }
  for (const level of load.fixedConcurrencyLevels.filter((one) => one < count)) {
    problems.push(`a concurrency of ${level} cannot be dealt out to ${count} shards`);
  }
  const prompts = cells.map((cell) => promptCount(cell.poolTokens, cell.contextSizeTokens));
  if (workingSet === "split" && prompts.some((one) => one < count)) {
    const least = Math.min(...prompts);
    problems.push(
      `a working set of ${least} prompts cannot be dealt out to ${count} shards; ` +
        "--shard-working-set shared gives all of it to each",
    );
  }
  if (cells.some((cell) => cell.minRequests !== undefined)) {
    problems.push("a number of requests that each period has to send does not fit a timetable");
  }
  if (["reset", "require"].includes(load.proof?.cold ?? "salt")) {
    problems.push("a reset empties the cache under the other shards; do it before the job");
  }
  if (problems.length === 0) return;
  throw new KvmarkError("usage", `This run cannot be dealt out to ${count} shards`, {
    problems,
    hint: "find the peak with one process (--shard 0/1 --mode ramp), then give levels around it " +
      "to the shards: --mode fixed; kvmark merge takes the best one within the limits",
  });
}

function requireTime(
  { startAtWallMs }: ShardConfig,
  times: ReadonlyMap<string, CellTimes>,
  nowMs: number,
): void {
  const endMs = endOf(times, startAtWallMs);
  if (times.size === 0 || nowMs < endMs) return;
  throw new KvmarkError(
    "usage",
    `The timetable from ${iso(startAtWallMs)} to ${iso(endMs)} has passed`,
    {
      hint:
        "give all shards a new --start-at; what every shard has finished in this folder is kept",
    },
  );
}

/** Says what this shard is about to do. */
export function describePace(pace: Pace, listener: Pick<RunListener, "note" | "warning">): void {
  const { config, times, round } = pace;
  const { shard, runId, startAtWallMs } = config;
  listener.note(
    `shard ${name(shard)} of run ${runId}: ${round.cells.length} cells from ` +
      `${iso(startAtWallMs)} to ${iso(endOf(times, startAtWallMs))}`,
  );
}

/** The part of this shard in a cell. */
export function partOf({ config }: Pace, times: CellTimes, prompts: number): ShardPart {
  const { shard, workingSet } = config;
  const own = sliceOf(shard, prompts);
  const measured = workingSet === "split" ? own : sharedFrom(shard, prompts);
  return { shard, times, warmed: own, measured };
}

/** The concurrency of a shard at a level of the run; of a run in one piece the level itself. */
export function ownConcurrency(part: ShardPart | undefined, level: number): number {
  return part === undefined ? level : shareOf(part.shard, level);
}

/** Connections are opened this long before a period starts. */
const LEAD_MS = 1000;
/** Wall clocks are adjusted now and then: a long wait looks at it again. */
const LONGEST_SLEEP_MS = 10_000;

/** Sleeps until the wall clock shows an instant, or a signal comes. */
export async function waitUntil(
  clock: Clock,
  atWallMs: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (atWallMs === undefined) return;
  for (;;) {
    const leftMs = atWallMs - clock.wallMs();
    if (leftMs <= 0 || signal.aborted) return;
    await clock.sleep(Math.min(leftMs, LONGEST_SLEEP_MS), signal);
  }
}

/** When a period starts on this process' clock, and what is left of it then. */
export interface Turn {
  readonly startAtMs: number;
  readonly durationMs: number;
}

/**
 * Waits until shortly before a period. One that begins late still stops in time.
 *
 * @returns `undefined` if the period is over already, or if a signal came.
 */
export async function waitForTurn(
  clock: Clock,
  slot: TimedPeriod,
  signal: AbortSignal,
): Promise<Turn | undefined> {
  await waitUntil(clock, slot.startAtWallMs - LEAD_MS, signal);
  const nowWallMs = clock.wallMs();
  const startAtWallMs = Math.max(slot.startAtWallMs, nowWallMs);
  const durationMs = slot.stopAtWallMs - startAtWallMs;
  if (durationMs <= 0 || signal.aborted) return undefined;
  return { startAtMs: clock.nowMs() + startAtWallMs - nowWallMs, durationMs };
}

/** Less of the planned time than this is told, and measured again in a new round. */
export const WHOLE_SHARE = 0.95;

/** True if a shard came too late for a period, or for a part of it. */
export function isPartial(
  periods: readonly { readonly summary: { readonly windowMs: number } }[],
  { periods: planned }: CellTimes,
): boolean {
  return planned.some(({ startAtWallMs, stopAtWallMs }, n) => {
    const windowMs = periods[n]?.summary.windowMs ?? 0;
    return windowMs < (stopAtWallMs - startAtWallMs) * WHOLE_SHARE;
  });
}

/** A period in which this process sent nothing. */
export function emptyOutcome(
  spec: { readonly cellId: string; readonly periodId: string; readonly concurrency: number },
  nowMs: number,
  interrupted: boolean,
): PeriodOutcome {
  return {
    cellId: spec.cellId,
    periodId: spec.periodId,
    concurrency: spec.concurrency,
    startAtMs: nowMs,
    stopAtMs: nowMs,
    drainedAtMs: nowMs,
    records: [],
    client: { retries: 0 },
    interrupted,
  };
}

/** What `run.json` keeps about a shard. */
export function shardFacts(config: ShardConfig, offset: ClockOffset | undefined): ShardFacts {
  const { shard, runId, workingSet, startAtWallMs } = config;
  return {
    ...shard,
    runId,
    workingSet,
    startAt: iso(startAtWallMs),
    ...(offset === undefined
      ? {}
      : { clockOffsetMs: offset.offsetMs, clockPlusMinusMs: offset.plusMinusMs }),
  };
}

/** The server's clock against this one, for people. */
export function clockNote(offset: ClockOffset | undefined): string {
  if (offset === undefined) return "clock: the server does not tell its time";
  return `clock: ${clockText(offset, formatMs)}`;
}

function iso(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
