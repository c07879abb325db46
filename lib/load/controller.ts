/**
 * Load control: which concurrency to run next, given everything that was observed so far.
 *
 * A policy is a generator that yields the next period and is sent what was observed in it
 * (`policy.ts`). This is the ramp, which searches the peak; given levels are in `fixed_levels.ts`.
 * The loop that runs periods is `runner.ts`.
 *
 * @module
 */

import {
  bestLevel,
  bracketOf,
  brokenLimit,
  goodLevels,
  isClearlyLess,
  type LevelFigures,
  type Limits,
  type Peak,
  peakAt,
  peakOf,
  type SearchCut,
  type SearchEnd,
} from "../metrics/peak.ts";
import { levelAt, levelsOf } from "./levels.ts";
import type { FinishedPeriod, Observation, PlannedPeriod, Policy, Step } from "./policy.ts";

export * from "./policy.ts";
export { fixedPolicy, type FixedSettings } from "./fixed_levels.ts";
export { choosePeak } from "./levels.ts";
export { brokenLimit, type Limits, type Peak } from "../metrics/peak.ts";

/** Settings of {@linkcode rampPolicy}; the names are those of the options. */
export interface RampSettings {
  readonly limits: Limits;
  readonly startConcurrency: number;
  readonly concurrencyIncrement: number;
  readonly maxConcurrency: number;
  /** Length of one period. */
  readonly rampDurationMs: number;
  /** The ramp (not the repeats at the peak) ends when this much time has gone by. */
  readonly testDurationMs: number;
  /** Runs at the peak after the ramp. */
  readonly retries: number;
  /** Peak of the cell before this one, which is a good place to start. */
  readonly previousPeak?: number;
}

/** A last, shorter step of the ramp is worth running only if it is at least this long. */
const SHORTEST_STEP_MS = 10_000;
/** Levels that are repeated at most, one below the other, until one meets the limits. */
const MOST_REPEATED_LEVELS = 4;

/**
 * Ramps the concurrency until a limit is broken, searches between the highest good level and the
 * lowest bad one, and repeats the run at the peak: the level with the highest input throughput
 * among those that met the limits. If the repeats break them, the next lower good level is repeated.
 *
 * While more than 70 % of each limit is left (headroom = 1 - measured / limit) the level doubles, or
 * grows by 10 increments where that is more. Above 50, 30 and 15 % it grows by 5, 3 and 2
 * increments, else by one. A start at the peak of the cell before that breaks a limit falls back
 * half-way to `startConcurrency`, as often as needed; where it is the best level that was seen, the
 * search looks below it too. Without limits the ramp goes on by one increment until
 * `maxConcurrency` or until time is up.
 */
export function rampPolicy(settings: RampSettings): Policy {
  return function* ramp() {
    const search: Search = { settings, runs: [], cutBy: undefined };
    yield* climb(search);
    yield* narrow(search);
    yield* lookBelow(search);
    yield* narrowPeak(search);
    return yield* repeatPeak(search);
  };
}

/** What a ramp has run, and what stopped it. */
interface Search {
  readonly settings: RampSettings;
  readonly runs: FinishedPeriod[];
  cutBy: SearchCut | undefined;
}

type Steps<T = void> = Generator<Step, T, Observation>;

/** Up from the start until a limit is broken; down from there while nothing was good. */
function* climb(search: Search): Steps {
  const { limits, startConcurrency: start, maxConcurrency: max, previousPeak } = search.settings;
  let level = Math.min(Math.max(previousPeak ?? start, start), max);
  let reason = level > start
    ? `start at ${level}, the peak of the cell before`
    : `start at ${level}`;
  for (;;) {
    const finished = yield* test(search, "RAMP", level, reason);
    if (finished === undefined) return;
    const { good, bad } = bracketOf(levelsOf(search.runs), limits);
    if (bad === undefined) {
      if (level >= max) return void (search.cutBy = "max-concurrency");
      const share = headroom(finished, limits);
      level = Math.min(level + stepUp(share, level, search.settings), max);
      reason = `next: ${level}, ${headroomText(finished, limits)}`;
    } else if (good === undefined && level > start) {
      level = halfWay(start, level, search.settings.concurrencyIncrement);
      reason = `next: ${level}, half-way back to --start-concurrency: ${brokenLimit(bad, limits)}`;
    } else {
      return;
    }
  }
}

/** Binary search between the highest good level and the lowest bad one, in whole increments. */
function* narrow(search: Search): Steps {
  const { limits, concurrencyIncrement: increment } = search.settings;
  for (;;) {
    const { good, bad } = bracketOf(levelsOf(search.runs), limits);
    if (good === undefined || bad === undefined) return;
    const middle = between(good.concurrency, bad.concurrency, increment);
    if (middle === undefined) return;
    const reason = `next: ${middle}, between ${good.concurrency} (within limits) and ` +
      `${bad.concurrency} (${brokenLimit(bad, limits)})`;
    if ((yield* test(search, "RAMP_REFINE", middle, reason)) === undefined) return;
  }
}

/**
 * A start at the peak of the cell before skips the levels below it. If none above it was better,
 * one of those may be.
 */
function* lookBelow(search: Search): Steps {
  const { limits, startConcurrency: start, concurrencyIncrement: increment } = search.settings;
  for (;;) {
    const levels = levelsOf(search.runs);
    const [lowest] = goodLevels(levels, limits);
    if (lowest === undefined || lowest.concurrency <= start) return;
    if (bestLevel(levels, limits) !== lowest) return;
    if (levels.some((level) => level.concurrency < lowest.concurrency)) return;
    const level = halfWay(start, lowest.concurrency, increment);
    const reason = `next: ${level}, no level below ${lowest.concurrency} was tried`;
    if ((yield* test(search, "RAMP", level, reason)) === undefined) return;
  }
}

/** Where throughput clearly falls beyond its peak, the peak is narrowed down to a tenth of it. */
function* narrowPeak(search: Search): Steps {
  const { limits, concurrencyIncrement: increment } = search.settings;
  for (;;) {
    const levels = levelsOf(search.runs).toSorted((a, b) => a.concurrency - b.concurrency);
    const best = bestLevel(levels, limits);
    if (best === undefined || brokenLimit(best, limits) !== undefined) return;
    const { concurrency: peak } = best;
    const hasFallen = levels.some((level) =>
      level.concurrency > peak && !level.clientLimited && isClearlyLess(level, best)
    );
    if (!hasFallen || best.clientLimited) return;
    const at = levels.indexOf(best);
    const around = [levels[at - 1], best, levels[at + 1]].flatMap((one) => one?.concurrency ?? []);
    const gaps = around.slice(1).map((high, n) => [around[n] ?? high, high] as const);
    const [low = peak, high = peak] = gaps.toSorted((a, b) => b[1] - b[0] - (a[1] - a[0]))[0] ?? [];
    const middle = between(low, high, Math.max(increment, peak / 10));
    if (middle === undefined) return;
    const onGrid = low + Math.max(1, Math.floor((middle - low) / increment)) * increment;
    const reason = `next: ${onGrid}, throughput falls beyond ${peak}`;
    if ((yield* test(search, "RAMP_REFINE", onGrid, reason)) === undefined) return;
  }
}

/** Repeats the peak and, if the repeats break a limit, the next lower good level. */
function* repeatPeak(search: Search): Steps<Peak> {
  const { settings: { retries, limits }, runs } = search;
  const repeated: number[] = [];
  const broke: string[] = [];
  let level = bestLevel(levelsOf(runs), limits);
  while (level !== undefined && retries > 0) {
    const { concurrency } = level;
    yield* repeat(search, concurrency, repeated.length * retries, broke.at(-1));
    repeated.push(concurrency);
    const broken = brokenLimit(levelAt(runs, concurrency), limits);
    if (broken === undefined || repeated.length >= MOST_REPEATED_LEVELS) break;
    broke.push(`the repeats at ${concurrency} broke a limit (${broken})`);
    yield* narrow(search);
    const lower = goodLevels(levelsOf(runs), limits).filter((one) => one.concurrency < concurrency);
    level = lower.length === 0 ? undefined : bestLevel(lower, limits);
  }
  const levels = levelsOf(runs);
  const own = levels.filter((one) => repeated.includes(one.concurrency));
  const published = bestLevel(retries > 0 ? own : levels, limits);
  if (published === undefined) return peakOf(levels, searchEnd(search));
  const peak = peakAt(published, levels, searchEnd(search));
  const past = broke.filter((_, n) => repeated[n] !== peak.concurrency);
  return past.length === 0 ? peak : { ...peak, reason: `${peak.reason}; ${past.join("; ")}` };
}

function* repeat(
  { settings: { retries, rampDurationMs: durationMs }, runs }: Search,
  concurrency: number,
  before: number,
  broke: string | undefined,
): Steps {
  const why = broke === undefined ? "" : `: ${broke}`;
  for (let n = 1; n <= retries; n++) {
    const periodId = `RETRY_${before + n}`;
    const period: PlannedPeriod = { periodId, kind: "RETRY", concurrency, durationMs };
    const reason = `next: repeat ${n} of ${retries} at ${concurrency}${n === 1 ? why : ""}`;
    runs.push({ ...period, ...(yield { period, reason }) });
  }
}

/**
 * Runs a level of the search. Each level is run once, so that its name is its own.
 *
 * @returns `undefined` if too little time is left for it.
 */
function* test(
  search: Search,
  kind: "RAMP" | "RAMP_REFINE",
  concurrency: number,
  reason: string,
): Steps<FinishedPeriod | undefined> {
  const durationMs = remainingMs(search);
  if (durationMs === undefined) return void (search.cutBy ??= "test-duration");
  const refined = search.runs.filter((run) => run.kind === "RAMP_REFINE").length;
  const suffix = kind === "RAMP" ? "" : `_${refined + 1}`;
  const period = { periodId: `${kind}_c${concurrency}${suffix}`, kind, concurrency, durationMs };
  const finished = { ...period, ...(yield { period, reason }) };
  search.runs.push(finished);
  return finished;
}

function searchEnd({ settings, cutBy }: Search): SearchEnd {
  return {
    limits: settings.limits,
    increment: settings.concurrencyIncrement,
    lowest: settings.startConcurrency,
    cutBy: cutBy ?? "test-duration",
  };
}

/** The limit with the smallest share left: from 0 (reached) to 1; `undefined` without limits. */
function tightest(
  observed: LevelFigures,
  limits: Limits,
): { readonly share: number; readonly text: string } | undefined {
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  const found: { share: number; text: string }[] = [];
  if (limits.maxTtftMs !== undefined && observed.measuredTtftMs !== undefined) {
    const share = 1 - observed.measuredTtftMs / limits.maxTtftMs;
    found.push({ share, text: `${percent(share)} of the TTFT limit left` });
  }
  if (limits.minDecodeRatePerSec !== undefined && observed.decodeRatePerSec !== undefined) {
    const share = observed.decodeRatePerSec / limits.minDecodeRatePerSec - 1;
    found.push({ share, text: `decode rate ${percent(share)} above its minimum` });
  }
  return found.toSorted((a, b) => a.share - b.share)[0];
}

function headroom(observed: LevelFigures, limits: Limits): number {
  return tightest(observed, limits)?.share ?? 0;
}

function headroomText(observed: LevelFigures, limits: Limits): string {
  return tightest(observed, limits)?.text ?? "no limit was given";
}

function stepUp(share: number, level: number, { concurrencyIncrement: one }: RampSettings): number {
  if (share > 0.7) return Math.max(level, 10 * one);
  if (share > 0.5) return 5 * one;
  if (share > 0.3) return 3 * one;
  return share > 0.15 ? 2 * one : one;
}

/** The level half-way between two, whole increments above the lower one. */
function between(low: number, high: number, increment: number): number | undefined {
  if (high - low <= increment) return undefined;
  return low + Math.max(1, Math.floor((high - low) / 2 / increment)) * increment;
}

function halfWay(start: number, level: number, increment: number): number {
  const middle = Math.floor((start + level) / 2 / increment) * increment;
  return middle < level ? Math.max(start, middle) : start;
}

/** Time for the next level of the search; `undefined` if too little is left. */
function remainingMs({ settings, runs }: Search): number | undefined {
  const { testDurationMs, rampDurationMs } = settings;
  const spentMs = runs.reduce((sum, run, n) => {
    const ms = run.elapsedMs - (runs[n - 1]?.elapsedMs ?? 0);
    return run.kind === "RETRY" ? sum : sum + ms;
  }, 0);
  const leftMs = testDurationMs - spentMs;
  const shortestMs = Math.min(SHORTEST_STEP_MS, rampDurationMs);
  return runs.length > 0 && leftMs < shortestMs ? undefined : Math.min(rampDurationMs, leftMs);
}
