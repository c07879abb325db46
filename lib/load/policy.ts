/**
 * What a policy of load control is: periods that it asks for, observations that it is sent.
 *
 * @module
 */

import type { LevelFigures, Peak } from "../metrics/peak.ts";

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
export interface Observation extends LevelFigures {
  /** True if the client, not the server, may have been the limit. */
  readonly clientLimited: boolean;
  /** Time since the start of the cell when the period was over, drains included, warm-ups not. */
  readonly elapsedMs: number;
  /**
   * The figures of all periods so far that a row for this level would pool: the repeats at it or,
   * of the search, the others. Without it the worst of these periods stands for all of them.
   */
  readonly pooled?: LevelFigures;
}

/** A period that was run. */
export interface FinishedPeriod extends PlannedPeriod, Observation {}

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
 * import { decide } from "./policy.ts";
 * import { fixedPolicy } from "./fixed_levels.ts";
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
