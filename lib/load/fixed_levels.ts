/**
 * Given levels, one after the other.
 *
 * @module
 */

import { brokenLimit, type Limits } from "../metrics/peak.ts";
import { choosePeak, levelAt } from "./levels.ts";
import type { FinishedPeriod, PlannedPeriod, Policy } from "./policy.ts";

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

/**
 * Runs given levels in order, each once and then `retries` times. It ends at a level whose first
 * run, or whose periods together, break a limit.
 */
export function fixedPolicy(settings: FixedSettings): Policy {
  const { limits, retries, durationMs, toTheEnd = false } = settings;
  return function* fixed() {
    const runs: FinishedPeriod[] = [];
    for (const concurrency of new Set(settings.levels)) {
      for (let n = 0; n <= retries; n++) {
        const suffix = n === 0 ? "run0" : `RETRY_${n}`;
        const period: PlannedPeriod = {
          periodId: `FIXED_c${concurrency}_${suffix}`,
          kind: "FIXED",
          concurrency,
          durationMs,
        };
        const reason = n === 0
          ? `next: ${concurrency}, the next given level`
          : `next: repeat ${n} of ${retries} at ${concurrency}`;
        runs.push({ ...period, ...(yield { period, reason }) });
        const isJudged = !toTheEnd && (n === 0 || n === retries);
        const broken = brokenLimit(levelAt(runs, concurrency), limits);
        if (isJudged && broken !== undefined) return choosePeak(runs, limits);
      }
    }
    return choosePeak(runs, limits);
  };
}
