/**
 * The loop that runs a policy: ask for a period, run it, summarise it, ask again.
 *
 * It is written once. What a request is, how a period is sent and what becomes of its rows are
 * arguments, so the loop is tested on simulated time with a scripted period.
 *
 * @module
 */

import {
  decide,
  type Decision,
  type FinishedPeriod,
  type Limits,
  type Observation,
  type Peak,
  type PlannedPeriod,
  type Policy,
} from "./controller.ts";
import {
  decodeRateOf,
  measuredTtftMs,
  type PeriodSummary,
  summarisePeriod,
  type TokensPerReqMetric,
  type TtftMetric,
} from "../metrics/summary.ts";
import type { Clock } from "../host.ts";
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
  /** True if it was cut short by a signal; `peak` is then that of the periods so far. */
  readonly interrupted: boolean;
  /** Why the last period could not be measured, after as many tries as it may have. */
  readonly unusable?: string;
}

/** What {@linkcode runPolicy} needs. */
export interface PolicyRunOptions {
  readonly policy: Policy;
  readonly judgement: Judgement;
  readonly clock: Clock;
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
  const run = new PolicyLoop(options);
  const periods: RunPeriod[] = [];
  const history: FinishedPeriod[] = [];
  let decision = decide(options.policy, history);
  while (decision.action !== "stop") {
    const period = await run.untilUsable(decision.step.period, decision.step.reason);
    const { planned, outcome, observation } = period;
    if (outcome.unusable !== undefined && !outcome.interrupted) {
      const reason = `${planned.periodId} could not be measured: ${outcome.unusable}`;
      const peak = { reason, withinLimits: false };
      return { periods, peak, interrupted: false, unusable: reason };
    }
    periods.push(period);
    history.push({ ...planned, ...observation });
    decision = decide(options.policy, history);
    if (outcome.interrupted) decision = { action: "stop", peak: INTERRUPTED };
    await options.onFinish?.(period, decision);
  }
  return { periods, peak: decision.peak, interrupted: decision.peak === INTERRUPTED };
}

const INTERRUPTED: Peak = { reason: "interrupted", withinLimits: false };

class PolicyLoop {
  readonly #options: PolicyRunOptions;
  readonly #startAtMs: number;
  /** Went by in unusable periods: the search has not had that time. */
  #lostMs = 0;

  constructor(options: PolicyRunOptions) {
    this.#options = options;
    this.#startAtMs = options.clock.nowMs();
  }

  /** Runs a period until it can be used or has had its tries; the last try is returned. */
  async untilUsable(planned: PlannedPeriod, reason: string): Promise<RunPeriod> {
    const { clock, mostTries = MOST_TRIES, onUnusable } = this.#options;
    for (let attempt = 1;; attempt++) {
      const beganAtMs = clock.nowMs();
      const periodId = attempt === 1 ? planned.periodId : `${planned.periodId}_try${attempt}`;
      const run = await this.#once({ ...planned, periodId }, reason);
      const { unusable, interrupted } = run.outcome;
      if (unusable === undefined || interrupted) return run;
      await onUnusable?.(run, unusable);
      this.#lostMs += clock.nowMs() - beganAtMs;
      if (attempt >= mostTries) return run;
    }
  }

  async #once(planned: PlannedPeriod, reason: string): Promise<RunPeriod> {
    const { send, judgement, clock, onStart } = this.#options;
    onStart?.(planned, reason);
    const outcome = await send(planned);
    const summary = summarisePeriod(outcome, judgement);
    const elapsedMs = clock.nowMs() - this.#startAtMs - this.#lostMs;
    const observation = observe(summary, judgement, elapsedMs);
    return { planned, reason, outcome, summary, observation };
  }
}

/** What the controller sees of a period. */
export function observe(
  summary: PeriodSummary,
  judgement: Judgement,
  elapsedMs: number,
): Observation {
  const ttftMs = measuredTtftMs(summary, judgement.ttftMetric);
  const decodeRatePerSec = decodeRateOf(summary, judgement.tokensPerReqMetric);
  return {
    ...(ttftMs === undefined ? {} : { measuredTtftMs: ttftMs }),
    ...(decodeRatePerSec === undefined ? {} : { decodeRatePerSec }),
    ...(summary.inputTokensPerSec === undefined
      ? {}
      : { inputTokensPerSec: summary.inputTokensPerSec }),
    clientLimited: summary.clientLimited,
    elapsedMs,
  };
}
