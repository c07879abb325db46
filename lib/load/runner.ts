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
  /** Cores that the process may use. */
  readonly cores: number;
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

/** Everything that a policy ran, and where it ended. */
export interface PolicyRun {
  readonly periods: readonly RunPeriod[];
  readonly peak: Peak;
  /** True if it was cut short by a signal; `peak` is then that of the periods so far. */
  readonly interrupted: boolean;
}

/** What {@linkcode runPolicy} needs. */
export interface PolicyRunOptions {
  readonly policy: Policy;
  readonly judgement: Judgement;
  readonly clock: Clock;
  /** Sends the requests of one period. */
  readonly send: (planned: PlannedPeriod) => Promise<PeriodOutcome>;
  /** Called before each period. */
  readonly onStart?: (planned: PlannedPeriod, reason: string) => void;
  /** Called after each period with what the controller does next; rows are written here. */
  readonly onFinish?: (period: RunPeriod, next: Decision) => Promise<void>;
}

/** Runs a policy to its end, or until a period comes back interrupted. */
export async function runPolicy(options: PolicyRunOptions): Promise<PolicyRun> {
  const startAtMs = options.clock.nowMs();
  const periods: RunPeriod[] = [];
  const history: FinishedPeriod[] = [];
  let decision = decide(options.policy, history);
  while (decision.action !== "stop") {
    const { period: planned, reason } = decision.step;
    options.onStart?.(planned, reason);
    const outcome = await options.send(planned);
    const { judgement } = options;
    const summary = summarisePeriod(outcome, judgement);
    const observation = observe(summary, judgement, options.clock.nowMs() - startAtMs);
    const run: RunPeriod = { planned, reason, outcome, summary, observation };
    periods.push(run);
    history.push({ ...planned, ...observation });
    decision = decide(options.policy, history);
    if (outcome.interrupted) decision = { action: "stop", peak: INTERRUPTED };
    await options.onFinish?.(run, decision);
  }
  return { periods, peak: decision.peak, interrupted: decision.peak === INTERRUPTED };
}

const INTERRUPTED: Peak = { reason: "interrupted", withinLimits: false };

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
