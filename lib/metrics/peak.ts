/**
 * The peak of a cell: which of the levels that were run it is reported at, whether that level met
 * the limits, and whether the server may do more than was seen.
 *
 * All periods of a level are judged together, as they are published. A period that was good by luck
 * makes no level good.
 *
 * @module
 */

/** Thresholds that a concurrency has to meet. */
export interface Limits {
  readonly maxTtftMs?: number;
  readonly minDecodeRatePerSec?: number;
}

/** What of a level, or of a period, is held against the limits. */
export interface LevelFigures {
  /** The statistic of `--ttft-metric`, in milliseconds; absent if no request succeeded. */
  readonly measuredTtftMs?: number;
  /** The statistic of `--tokens-per-req-metric`, in tokens/s; absent if no request decoded. */
  readonly decodeRatePerSec?: number;
  readonly inputTokensPerSec?: number;
}

/** A concurrency with the figures of its periods, pooled. */
export interface Level extends LevelFigures {
  readonly concurrency: number;
  /** True if the client, not the server, may have been the limit of the throughput. */
  readonly clientLimited: boolean;
}

/**
 * `exact`: more concurrency brings no more, by a limit that is broken one step further or by a
 * throughput that was seen to flatten or to fall. `lower`: the search ended before that.
 */
export type PeakBound = "exact" | "lower";

/** What ended a search too early. */
export type SearchCut = "test-duration" | "max-concurrency" | "levels" | "client" | "signal";

/** The level that a cell is reported at. */
export interface Peak {
  /** Absent if no period was run. */
  readonly concurrency?: number;
  readonly reason: string;
  /** False where what is reported breaks a limit. */
  readonly withinLimits: boolean;
  /** Absent where nothing was searched: one fixed level. */
  readonly bound?: PeakBound;
  /** Of a lower bound. */
  readonly cutBy?: SearchCut;
}

/** A throughput that grew by less than this counts as flat. */
const FLAT = 0.05;
/** So much more concurrency has to bring no more before throughput counts as flat. */
const CLEARLY_MORE = 1.5;

/** Why a search was cut, and what to do about it: ends a sentence about a lower bound. */
export const CUT_TEXTS: Readonly<Record<SearchCut, string>> = {
  "test-duration": "the search ran out of time; raise --test-duration",
  "max-concurrency":
    "the search reached --max-concurrency with the limits still met; raise --max-concurrency",
  "levels":
    "throughput still rose at the last of the given levels; add --fixed-concurrency-levels above it",
  "client":
    "the client may have been the limit at higher levels; give it more cores, or share the load among machines with --shard",
  "signal": "the search was interrupted; run the same command again",
};

/** Why a search was cut and what to do, by the word in its row. */
export function cutText(cutBy: string | undefined): string {
  return CUT_TEXTS[cutBy as SearchCut] ?? "the search ended early";
}

/**
 * What the ratio of two throughputs is, where either may be a lower bound: `neither` where both are,
 * since then it bounds nothing.
 */
export function ratioBound(
  value: PeakBound | string | undefined,
  base: PeakBound | string | undefined,
): "at least" | "at most" | "neither" | undefined {
  if (value === "lower") return base === "lower" ? "neither" : "at least";
  return base === "lower" ? "at most" : undefined;
}

/** The first limit that the figures break, as text; `undefined` if they meet them all. */
export function brokenLimit(figures: LevelFigures, limits: Limits): string | undefined {
  if (figures.measuredTtftMs === undefined) return "no request succeeded";
  if (limits.maxTtftMs !== undefined && figures.measuredTtftMs > limits.maxTtftMs) {
    return `TTFT ${seconds(figures.measuredTtftMs)} over ${seconds(limits.maxTtftMs)}`;
  }
  const minimum = limits.minDecodeRatePerSec;
  if (
    minimum !== undefined && figures.decodeRatePerSec !== undefined &&
    figures.decodeRatePerSec < minimum
  ) {
    return `${figures.decodeRatePerSec.toFixed(1)} tokens/s a request, under ${minimum}`;
  }
  return undefined;
}

/**
 * The level to report: the highest input throughput within the limits. Of equal ones the higher
 * level, so that a search that came from above finds the same. Levels at which the client was the
 * limit are taken only if there is no other. If no level met the limits, that of the lowest TTFT.
 */
export function bestLevel(levels: readonly Level[], limits: Limits): Level | undefined {
  const good = goodLevels(levels, limits);
  if (good.length > 0) {
    const honest = good.filter((level) => !level.clientLimited);
    return (honest.length > 0 ? honest : good).toSorted((a, b) =>
      rateOf(b) - rateOf(a) || b.concurrency - a.concurrency
    )[0];
  }
  const answered = levels.filter((level) => level.measuredTtftMs !== undefined);
  return (answered.length > 0 ? answered : levels).toSorted((a, b) =>
    (a.measuredTtftMs ?? 0) - (b.measuredTtftMs ?? 0) || a.concurrency - b.concurrency
  )[0];
}

/** The levels that met the limits, ascending. */
export function goodLevels(levels: readonly Level[], limits: Limits): Level[] {
  return levels.filter((level) => brokenLimit(level, limits) === undefined)
    .toSorted((a, b) => a.concurrency - b.concurrency);
}

/** The gap that a search has still to close: the highest good level below the lowest bad one. */
export interface Bracket {
  /** Absent where the lowest level is bad. */
  readonly good?: Level;
  /** Absent where no level broke a limit. */
  readonly bad?: Level;
}

/** Between which levels the limits are reached. */
export function bracketOf(levels: readonly Level[], limits: Limits): Bracket {
  const bad = levels.filter((level) => brokenLimit(level, limits) !== undefined)
    .toSorted((a, b) => a.concurrency - b.concurrency)[0];
  const good = goodLevels(levels, limits)
    .findLast((level) => bad === undefined || level.concurrency < bad.concurrency);
  return { ...(good && { good }), ...(bad && { bad }) };
}

/** What {@linkcode peakOf} has to know of the search. */
export interface SearchEnd {
  readonly limits: Limits;
  /** The finest step of the search. */
  readonly increment: number;
  /** The lowest level that the search may run. */
  readonly lowest: number;
  /** What ends a search that has not found its end. */
  readonly cutBy: SearchCut;
}

/** The peak of the levels that a search has run. */
export function peakOf(levels: readonly Level[], end: SearchEnd): Peak {
  const best = bestLevel(levels, end.limits);
  if (best === undefined) return { reason: "nothing was run", withinLimits: false };
  return peakAt(best, levels, end);
}

/** The peak, where the level is decided. */
export function peakAt(level: Level, levels: readonly Level[], end: SearchEnd): Peak {
  const { concurrency } = level;
  const broken = brokenLimit(level, end.limits);
  const isAnyGood = goodLevels(levels, end.limits).length > 0;
  if (broken !== undefined) {
    const reason = isAnyGood
      ? `outside the limits (${broken})`
      : `no level met the limits (${broken}); lowest TTFT`;
    return { concurrency, reason, withinLimits: false, ...boundOf(level, levels, end) };
  }
  const reason = level.clientLimited
    ? "highest input throughput within the limits, but the client was the limit at every level"
    : "highest input throughput within the limits";
  return { concurrency, reason, withinLimits: true, ...boundOf(level, levels, end) };
}

function boundOf(
  peak: Level,
  levels: readonly Level[],
  end: SearchEnd,
): Pick<Peak, "bound" | "cutBy"> {
  // One given level is what was asked for, not the peak of anything.
  if (end.cutBy === "levels" && levels.length === 1) return {};
  if (isFlatBeyond(peak, levels)) return { bound: "exact" };
  const { good, bad } = bracketOf(levels, end.limits);
  const isClosed = bad !== undefined &&
    (good === undefined
      ? bad.concurrency <= end.lowest
      : bad.concurrency - good.concurrency <= end.increment);
  const above = levels.filter((level) => level.concurrency >= peak.concurrency);
  const isHonest = !above.some((level) => level.clientLimited);
  if (isClosed && isHonest) return { bound: "exact" };
  return { bound: "lower", cutBy: isHonest || end.cutBy === "signal" ? end.cutBy : "client" };
}

/**
 * Throughput flattened (half as much concurrency again brought less than 5 %) or fell (by more than
 * 5 % at a higher level). Levels at which the client was the limit show neither.
 */
function isFlatBeyond(peak: Level, levels: readonly Level[]): boolean {
  if (peak.clientLimited || rateOf(peak) === 0) return false;
  const honest = levels.filter((level) =>
    !level.clientLimited && level.measuredTtftMs !== undefined
  );
  const most = Math.max(...honest.map((level) => level.concurrency));
  const highest = Math.max(...honest.map(rateOf));
  const isNear = (level: Level) => rateOf(level) >= highest * (1 - FLAT);
  // A level that broke a limit may have had more: then the best within them lies in between.
  return isNear(peak) &&
    honest.some((level) =>
      isNear(level)
        ? level.concurrency * CLEARLY_MORE <= most
        : level.concurrency > peak.concurrency
    );
}

/** True if the throughput of `other` is clearly below that of `level`. */
export function isClearlyLess(other: Level, level: Level): boolean {
  return rateOf(other) < rateOf(level) * (1 - FLAT);
}

function rateOf(level: Level): number {
  return level.inputTokensPerSec ?? 0;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}
