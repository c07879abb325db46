/**
 * The verdict on the hit rate of a cell, from what its requests and its server say.
 *
 * @module
 */

import type { CellSummary } from "../metrics/summary.ts";
import { type HitVerdict, judgeHitRate } from "../server/verdict.ts";
import type { CellPlan } from "./cell.ts";
import type { Session } from "./session.ts";

/** Settings of the run that a verdict depends on. */
export interface VerdictSettings {
  readonly chunkTokens: number;
  readonly workingSetTokens: number;
}

/** Judges a cell. Without a summary nothing can be checked. */
export function judgeCell(
  session: Session,
  plan: CellPlan,
  summary: CellSummary | undefined,
  settings: VerdictSettings,
): HitVerdict {
  const facts = session.facts[0]!;
  const { prefixCaching, cachedTokens } = facts.capabilities;
  const { plan: prompt } = plan.shape;
  const capacity = facts.tiers?.reduce((sum, tier) => sum + (tier.capacityTokens ?? NaN), 0);
  return judgeHitRate({
    nominalPercent: plan.hitRatePercent,
    achievablePercent: summary?.achievableHitRatePercent ??
      100 * prompt.achievableTokens / prompt.promptTokens,
    ...(summary?.observedHitRatePercent === undefined
      ? {}
      : { reportedPercent: summary.observedHitRatePercent }),
    requests: summary?.succeeded ?? 0,
    promptTokens: prompt.promptTokens,
    ...(facts.blockTokens === undefined ? {} : { blockTokens: facts.blockTokens }),
    ...settings,
    overheadBeforeTokens: session.overhead.beforeTokens,
    ...(capacity === undefined || Number.isNaN(capacity) ? {} : { capacityTokens: capacity }),
    ...(summary?.ttft.medianMs === undefined ? {} : { medianTtftMs: summary.ttft.medianMs }),
    engine: facts.engine,
    ...(facts.engineVersion === undefined ? {} : { engineVersion: facts.engineVersion }),
    prefixCaching: prefixCaching.state,
    cachedTokens: cachedTokens.state,
    ...(cachedTokens.enable === undefined ? {} : { enableCachedTokens: cachedTokens.enable }),
  });
}
