/**
 * Periods as levels: all periods of a concurrency that a row would pool, judged together.
 *
 * @module
 */

import {
  type Level,
  type LevelFigures,
  type Limits,
  type Peak,
  peakOf,
  type SearchCut,
} from "../metrics/peak.ts";
import type { FinishedPeriod } from "./policy.ts";

/**
 * The level to report of fixed levels: the highest input throughput among those whose periods,
 * pooled, met the limits. If none met them, the level with the lowest TTFT.
 *
 * @param cutBy What ended the runs, if it was not the last of the levels.
 */
export function choosePeak(
  runs: readonly FinishedPeriod[],
  limits: Limits,
  cutBy: SearchCut = "levels",
): Peak {
  const levels = levelsOf(runs);
  const lowest = Math.min(...levels.map((level) => level.concurrency));
  return peakOf(levels, { limits, increment: 1, lowest, cutBy });
}

/** Each level with the figures of the periods that a row would pool: its repeats, if it has any. */
export function levelsOf(runs: readonly FinishedPeriod[]): Level[] {
  return [...Map.groupBy(runs, (run) => run.concurrency).values()].map(levelOf);
}

function levelOf(all: readonly FinishedPeriod[]): Level {
  const repeats = all.filter((run) => run.kind === "RETRY");
  const pool = repeats.length > 0 ? repeats : all;
  const { measuredTtftMs, decodeRatePerSec, inputTokensPerSec } = pool.at(-1)?.pooled ??
    worstOf(pool);
  return {
    concurrency: pool[0]?.concurrency ?? 0,
    clientLimited: pool.some((run) => run.clientLimited),
    ...(measuredTtftMs === undefined ? {} : { measuredTtftMs }),
    ...(decodeRatePerSec === undefined ? {} : { decodeRatePerSec }),
    ...(inputTokensPerSec === undefined ? {} : { inputTokensPerSec }),
  };
}

/** The level of one concurrency; see {@linkcode levelsOf}. */
export function levelAt(runs: readonly FinishedPeriod[], concurrency: number): Level {
  return levelOf(runs.filter((run) => run.concurrency === concurrency));
}

/** No pooled percentile is worse than the worst of its periods; a rate is taken as their mean. */
function worstOf(runs: readonly FinishedPeriod[]): LevelFigures {
  const known = (of: (run: FinishedPeriod) => number | undefined) =>
    runs.map(of).filter((value) => value !== undefined);
  const ttfts = known((run) => run.measuredTtftMs);
  const decodes = known((run) => run.decodeRatePerSec);
  const rates = known((run) => run.inputTokensPerSec);
  return {
    ...(ttfts.length === 0 ? {} : { measuredTtftMs: Math.max(...ttfts) }),
    ...(decodes.length === 0 ? {} : { decodeRatePerSec: Math.min(...decodes) }),
    ...(rates.length === 0
      ? {}
      : { inputTokensPerSec: rates.reduce((sum, rate) => sum + rate, 0) / runs.length }),
  };
}
