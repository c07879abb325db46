/**
 * The loop that runs a policy: ask for a period, run it, summarise it, ask again.
 *
 * It is written once. What a request is, how a period is sent and what becomes of its rows are
 * arguments, so the loop is tested on simulated time with a scripted period.
 *
 * @module
 */

import type { Clock } from "../host.ts";
import type { LevelFigures, Limits, Peak } from "../metrics/peak.ts";
import {
  decodeRateOf,
  type Figures,
  measuredTtftMs,
  type PeriodSummary,
  summariseCell,
  summarisePeriod,
  type TokensPerReqMetric,
  type TtftMetric,
} from "../metrics/summary.ts";
import { choosePeak } from "./levels.ts";
import {
  decide,
  type Decision,
  type FinishedPeriod,
  type Observation,
  type PlannedPeriod,
  type Policy,
} from "./policy.ts";
import type { PeriodOutcome } from "../record.ts";

/** How an observation is made of a period. */
export interface Judgement {
  readonly limits: Limits;
  readonly ttftMetric: TtftMetric;
  readonly tokensPerReqMetric: TokensPerReqMetric;
  readonly strictTimeWindow: boolean;
}

/** A period that was run, with all that is known about it. */
export interface RunPeriod {
  readonly planned: PlannedPeriod;
  /** Why the policy asked for it. */
  readonly reason: string;
  readonly outcome: PeriodOutcome;
  readonly summary: PeriodSummary;
  readonly observation: Observation;
}

/** Everything that a policy ran, and where it ended. Unusable periods are not in it. */
export interface PolicyRun {
  readonly periods: readonly RunPeriod[];
  readonly peak: Peak;
  /** True if it was cut short by a signal; `peak` is then that of the whole periods so far. */
  readonly interrupted: boolean;
  /** Why the last period could not be measured, after as many tries as it may have. */
  readonly unusable?: string;
}

/** What {@linkcode runPolicy} needs. */
export interface PolicyRunOptions {
  readonly policy: Policy;
  readonly judgement: Judgement;
  readonly clock: Clock;
  /** Done before each period, and not counted in the time of the cell: a warm-up. */
  readonly prepare?: (planned: PlannedPeriod) => Promise<void>;
  /**
   * Sends the requests of one period. One that comes back as unusable is asked for again, with
   * `_try2` and so on behind its id; the policy never sees it.
   */
  readonly send: (planned: PlannedPeriod) => Promise<PeriodOutcome>;
  /** How often a period is sent until it is usable. @default {3} */
  readonly mostTries?: number;
  /** Called before each period. */
  readonly onStart?: (planned: PlannedPeriod, reason: string) => void;
  /** Called after each period with what the controller does next; rows are written here. */
  readonly onFinish?: (period: RunPeriod, next: Decision) => Promise<void>;
  /** Called instead after a period that is unusable: its rows are kept, and nothing else. */
  readonly onUnusable?: (period: RunPeriod, why: string) => Promise<void>;
}

const MOST_TRIES = 3;

/** Runs a policy to its end, or until a period comes back interrupted, or is never usable. */
export async function runPolicy(options: PolicyRunOptions): Promise<PolicyRun> {
  const { policy, judgement } = options;
  const run = new PolicyLoop(options);
  const periods: RunPeriod[] = [];
  const history: FinishedPeriod[] = [];
  let decision = decide(policy, history);
  while (decision.action !== "stop") {
    const period = await run.untilUsable(decision.step.period, decision.step.reason);
    const { planned, outcome, observation } = period;
    if (outcome.unusable !== undefined && !outcome.interrupted) {
      const reason = `${planned.periodId} could not be measured: ${outcome.unusable}`;
      const peak = { reason, withinLimits: false };
      return { periods, peak, interrupted: false, unusable: reason };
    }
    periods.push(period);
    if (outcome.interrupted) {
      // What was cut short judges no level.
      const peak = choosePeak(history, judgement.limits, "signal");
      await options.onFinish?.(period, { action: "stop", peak });
      return { periods, peak, interrupted: true };
    }
    history.push({ ...planned, ...observation, pooled: poolOf(periods, planned, judgement) });
    decision = decide(policy, history);
    await options.onFinish?.(period, decision);
  }
  return { periods, peak: decision.peak, interrupted: false };
}

/** The figures of all periods so far that a row would pool with the last one. */
function poolOf(
  periods: readonly RunPeriod[],
  last: PlannedPeriod,
  judgement: Judgement,
): LevelFigures {
  const pool = periods.filter(({ planned }) => isOnePool(planned, last));
  return levelFigures(summariseCell(pool.map((one) => one.outcome), judgement), judgement);
}

class PolicyLoop {
  readonly #options: PolicyRunOptions;
  /** Warm-ups and unusable periods are not in it: the search has not had that time. */
  #elapsedMs = 0;

  constructor(options: PolicyRunOptions) {
    this.#options = options;
  }

  /** Runs a period until it can be used or has had its tries; the last try is returned. */
  async untilUsable(planned: PlannedPeriod, reason: string): Promise<RunPeriod> {
    const { mostTries = MOST_TRIES, onUnusable } = this.#options;
    for (let attempt = 1;; attempt++) {
      const periodId = attempt === 1 ? planned.periodId : `${planned.periodId}_try${attempt}`;
      const run = await this.#once({ ...planned, periodId }, reason);
      const { unusable, interrupted } = run.outcome;
      if (unusable === undefined || interrupted) return run;
      await onUnusable?.(run, unusable);
      if (attempt >= mostTries) return run;
    }
  }

  async #once(planned: PlannedPeriod, reason: string): Promise<RunPeriod> {
    const { prepare, send, judgement, clock, onStart } = this.#options;
    onStart?.(planned, reason);
    await prepare?.(planned);
    const startAtMs = clock.nowMs();
    const outcome = await send(planned);
    const tookMs = clock.nowMs() - startAtMs;
    if (outcome.unusable === undefined) this.#elapsedMs += tookMs;
    const summary = summarisePeriod(outcome, judgement);
    const observation = observe(summary, judgement, this.#elapsedMs);
    return { planned, reason, outcome, summary, observation };
  }
}

/** True if a row would pool the two: repeats at the peak are kept apart from the search. */
export function isOnePool(a: PlannedPeriod, b: PlannedPeriod): boolean {
  return a.concurrency === b.concurrency && (a.kind === "RETRY") === (b.kind === "RETRY");
}

/** What of the figures of a period, or of several as one, is held against the limits. */
export function levelFigures(
  figures: Figures,
  judgement: Pick<Judgement, "ttftMetric" | "tokensPerReqMetric">,
): LevelFigures {
  const ttftMs = measuredTtftMs(figures, judgement.ttftMetric);
  const decodeRatePerSec = decodeRateOf(figures, judgement.tokensPerReqMetric);
  const { inputTokensPerSec } = figures;
  return {
    ...(ttftMs === undefined ? {} : { measuredTtftMs: ttftMs }),
    ...(decodeRatePerSec === undefined ? {} : { decodeRatePerSec }),
    ...(inputTokensPerSec === undefined ? {} : { inputTokensPerSec }),
  };
}

/** What the controller sees of a period. */
export function observe(
  summary: PeriodSummary,
  judgement: Judgement,
  elapsedMs: number,
): Observation {
  return {
    ...levelFigures(summary, judgement),
    clientLimited: summary.clientLimited,
    elapsedMs,
  };
}
