/**
 * Load control: which concurrency to run next, given everything that was observed so far.
 *
 * A policy is a generator that yields the next period and is sent what was observed in it.
 * {@linkcode decide} replays a policy over a history, so that a decision is a pure function of the
 * history: `decide(policy, history) -> Decision`. The loop that runs periods is `runner.ts`.
 *
 * @module
 */

/** Why a period is run: a step of the ramp, the search between two steps, or a repeat. */
export type PeriodKind = "RAMP" | "RAMP_REFINE" | "RETRY" | "FIXED";

/** A period that a policy wants to be run. */
export interface PlannedPeriod {
  readonly periodId: string;
  readonly kind: PeriodKind;
  readonly concurrency: number;
  readonly durationMs: number;
}

/** What was observed in one period. */
export interface Observation {
  /** The statistic of `--ttft-metric`, in milliseconds; absent if no request succeeded. */
  readonly measuredTtftMs?: number;
  /** The statistic of `--tokens-per-req-metric`, in tokens/s; absent if no request decoded. */
  readonly decodeRatePerSec?: number;
  readonly inputTokensPerSec?: number;
  /** True if the client, not the server, may have been the limit. */
  readonly clientLimited: boolean;
  /** Time since the start of the cell when the period was over, drain included. */
  readonly elapsedMs: number;
}

/** A period that was run. */
export interface FinishedPeriod extends PlannedPeriod, Observation {}

/** Thresholds that a concurrency has to meet. */
export interface Limits {
  readonly maxTtftMs?: number;
  readonly minDecodeRatePerSec?: number;
}

/** The end of a policy: the concurrency that the cell is reported at, and why that one. */
export interface Peak {
  /** Absent if no period was run. */
  readonly concurrency?: number;
  readonly reason: string;
  /** False where no concurrency met the limits. */
  readonly withinLimits: boolean;
}

/** A step of a policy, with the reason for it. */
export interface Step {
  readonly period: PlannedPeriod;
  readonly reason: string;
}

/** A way to choose concurrencies. */
export type Policy = () => Generator<Step, Peak, Observation>;

/** What to do next. */
export type Decision =
  | { readonly action: "up" | "hold" | "down"; readonly step: Step }
  | { readonly action: "stop"; readonly peak: Peak };

/**
 * The next step of a policy after a history.
 *
 * @param policy For instance {@linkcode rampPolicy}.
 * @param history What was run so far, in order; must be what the policy asked for.
 * @returns A period to run, compared with the last one as `up`, `hold` or `down`, or the end.
 * @example
 * ```ts
 * import { decide, fixedPolicy } from "./controller.ts";
 * const policy = fixedPolicy({ levels: [8, 16], durationMs: 60_000, retries: 0, limits: {} });
 * const decision = decide(policy, []);
 * console.log(decision.action !== "stop" && decision.step.period.concurrency); // 8
 * ```
 */
export function decide(policy: Policy, history: readonly FinishedPeriod[]): Decision {
  const steps = policy();
  let next = steps.next();
  for (const finished of history) {
    if (next.done) break;
    next = steps.next(finished);
  }
  if (next.done) return { action: "stop", peak: next.value };
  const before = history.at(-1)?.concurrency;
  const level = next.value.period.concurrency;
  const action = before === undefined || level > before ? "up" : level < before ? "down" : "hold";
  return { action, step: next.value };
}

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
const REFINE_STEPS = 10;

/**
 * Ramps the concurrency until a limit is broken, searches between the last good and the first bad
 * level, and repeats the run at the peak: the level with the highest input throughput among those
 * that met the limits.
 *
 * The step grows with the headroom (1 - measured / limit): 10, 5, 3 or 2 increments above 70, 50,
 * 30 and 15 %, else one. A start at the peak of the cell before that breaks the limit falls back
 * half-way to `startConcurrency`, as often as needed. Without limits the ramp goes on by one
 * increment until `maxConcurrency` or until time is up.
 */
export function rampPolicy(settings: RampSettings): Policy {
  return function* ramp() {
    const { limits, startConcurrency: start, concurrencyIncrement: increment } = settings;
    const runs: FinishedPeriod[] = [];
    const run = function* (step: Step): Generator<Step, FinishedPeriod, Observation> {
      const observed = yield step;
      const finished = { ...step.period, ...observed };
      runs.push(finished);
      return finished;
    };
    let level = clamp(settings.previousPeak ?? start, start, settings.maxConcurrency);
    let reason = level > start ? "start at the peak of the cell before" : "start";
    let good: FinishedPeriod | undefined;
    for (;;) {
      const durationMs = remainingMs(settings, runs);
      if (durationMs === undefined) break;
      const finished = yield* run({ period: period("RAMP", level, durationMs), reason });
      const broken = brokenLimit(finished, limits);
      if (broken === undefined) {
        good = finished;
        if (level >= settings.maxConcurrency) break;
        const steps = increments(headroom(finished, limits));
        level = Math.min(level + steps * increment, settings.maxConcurrency);
        reason = `within limits, ${steps} increment${steps === 1 ? "" : "s"} up`;
      } else if (good !== undefined) {
        yield* refine(settings, runs, good, finished, run);
        break;
      } else if (level > start) {
        level = halfWay(start, level, increment);
        reason = `${broken}: half-way back to --start-concurrency`;
      } else {
        break;
      }
    }
    const peak = choosePeak(runs, limits);
    if (peak.concurrency !== undefined) {
      for (let n = 1; n <= settings.retries; n++) {
        yield {
          period: {
            periodId: `RETRY_${n}`,
            kind: "RETRY",
            concurrency: peak.concurrency,
            durationMs: settings.rampDurationMs,
          },
          reason: `run ${n} of ${settings.retries} at the peak`,
        };
      }
    }
    return peak;
  };
}

/** Binary search between a level within the limits and one beyond, on the grid of the increment. */
function* refine(
  settings: RampSettings,
  runs: readonly FinishedPeriod[],
  goodPeriod: FinishedPeriod,
  badPeriod: FinishedPeriod,
  run: (step: Step) => Generator<Step, FinishedPeriod, Observation>,
): Generator<Step, void, Observation> {
  const increment = settings.concurrencyIncrement;
  let [good, bad] = [goodPeriod.concurrency, badPeriod.concurrency];
  for (let n = 1; n <= REFINE_STEPS && bad - good > increment; n++) {
    const durationMs = remainingMs(settings, runs);
    if (durationMs === undefined) return;
    const middle = good + Math.max(1, Math.floor((bad - good) / 2 / increment)) * increment;
    if (middle >= bad) return;
    const finished = yield* run({
      period: {
        periodId: `RAMP_REFINE_c${middle}_${n}`,
        kind: "RAMP_REFINE",
        concurrency: middle,
        durationMs,
      },
      reason: `between ${good} (within limits) and ${bad} (beyond)`,
    });
    if (brokenLimit(finished, settings.limits) === undefined) good = middle;
    else bad = middle;
  }
}

/** Settings of {@linkcode fixedPolicy}. */
export interface FixedSettings {
  readonly levels: readonly number[];
  readonly durationMs: number;
  /** Repeats of each level after its first run. */
  readonly retries: number;
  readonly limits: Limits;
  /** Go on after a broken limit: others run the same levels at the same time. @default {false} */
  readonly toTheEnd?: boolean;
}

/** Runs given levels in order, each once and then `retries` times; a broken limit ends it. */
export function fixedPolicy(settings: FixedSettings): Policy {
  return function* fixed() {
    const runs: FinishedPeriod[] = [];
    for (const concurrency of settings.levels) {
      for (let n = 0; n <= settings.retries; n++) {
        const suffix = n === 0 ? "run0" : `RETRY_${n}`;
        const period: PlannedPeriod = {
          periodId: `FIXED_c${concurrency}_${suffix}`,
          kind: "FIXED",
          concurrency,
          durationMs: settings.durationMs,
        };
        const observed = yield { period, reason: n === 0 ? "next level" : `repeat ${n}` };
        const finished = { ...period, ...observed };
        runs.push(finished);
        const goesOn = n > 0 || settings.toTheEnd === true;
        if (!goesOn && brokenLimit(finished, settings.limits) !== undefined) {
          return choosePeak(runs, settings.limits);
        }
      }
    }
    return choosePeak(runs, settings.limits);
  };
}

/**
 * The level to report: the highest mean input throughput among the levels whose every period met
 * the limits; levels at which the client was the limit only if there is no other. If none met
 * them, the level with the lowest TTFT.
 */
export function choosePeak(runs: readonly FinishedPeriod[], limits: Limits): Peak {
  if (runs.length === 0) return { reason: "nothing was run", withinLimits: false };
  const good = runs.filter((run) => brokenLimit(run, limits) === undefined);
  if (good.length === 0) {
    const answered = runs.filter((run) => run.measuredTtftMs !== undefined);
    const best = (answered.length > 0 ? answered : runs).reduce((a, b) =>
      (b.measuredTtftMs ?? Infinity) < (a.measuredTtftMs ?? Infinity) ? b : a
    );
    return {
      concurrency: best.concurrency,
      reason: `no level met the limits (${brokenLimit(best, limits)}); lowest TTFT`,
      withinLimits: false,
    };
  }
  const honest = good.filter((run) => !run.clientLimited);
  const candidates = honest.length > 0 ? honest : good;
  const levels = [...new Set(candidates.map((run) => run.concurrency))];
  const throughput = (level: number): number => {
    const values = candidates.filter((run) => run.concurrency === level)
      .map((run) => run.inputTokensPerSec ?? 0);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  const concurrency = levels.reduce((a, b) => throughput(b) > throughput(a) ? b : a);
  const reason = honest.length > 0
    ? "highest input throughput within the limits"
    : "highest input throughput within the limits, but the client was the limit at every level";
  return { concurrency, reason, withinLimits: true };
}

/** The first limit that a period broke, as text; `undefined` if it met them all. */
export function brokenLimit(observed: Observation, limits: Limits): string | undefined {
  if (observed.measuredTtftMs === undefined) return "no request succeeded";
  if (limits.maxTtftMs !== undefined && observed.measuredTtftMs > limits.maxTtftMs) {
    return `TTFT ${seconds(observed.measuredTtftMs)} over ${seconds(limits.maxTtftMs)}`;
  }
  const minimum = limits.minDecodeRatePerSec;
  if (
    minimum !== undefined && observed.decodeRatePerSec !== undefined &&
    observed.decodeRatePerSec < minimum
  ) {
    return `${observed.decodeRatePerSec.toFixed(1)} tokens/s a request, under ${minimum}`;
  }
  return undefined;
}

/** The smallest share of a limit that is left, from 0 to 1; 0 where there is no limit at all. */
function headroom(observed: Observation, limits: Limits): number {
  const shares: number[] = [];
  if (limits.maxTtftMs !== undefined && observed.measuredTtftMs !== undefined) {
    shares.push(1 - observed.measuredTtftMs / limits.maxTtftMs);
  }
  if (limits.minDecodeRatePerSec !== undefined && observed.decodeRatePerSec !== undefined) {
    shares.push(observed.decodeRatePerSec / limits.minDecodeRatePerSec - 1);
  }
  return shares.length === 0 ? 0 : Math.min(...shares);
}

function increments(share: number): number {
  if (share > 0.7) return 10;
  if (share > 0.5) return 5;
  if (share > 0.3) return 3;
  return share > 0.15 ? 2 : 1;
}

function halfWay(start: number, level: number, increment: number): number {
  const middle = Math.floor((start + level) / 2 / increment) * increment;
  return middle < level ? Math.max(start, middle) : start;
}

/** Time for the next step of the ramp; `undefined` if too little is left. */
function remainingMs(
  settings: RampSettings,
  runs: readonly FinishedPeriod[],
): number | undefined {
  const leftMs = settings.testDurationMs - (runs.at(-1)?.elapsedMs ?? 0);
  const shortestMs = Math.min(SHORTEST_STEP_MS, settings.rampDurationMs);
  return runs.length > 0 && leftMs < shortestMs
    ? undefined
    : Math.min(settings.rampDurationMs, leftMs);
}

function period(kind: "RAMP", concurrency: number, durationMs: number): PlannedPeriod {
  return { periodId: `${kind}_c${concurrency}`, kind, concurrency, durationMs };
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}
