/**
 * Steps by the server's own counters: where the hits leave one tier for the next.
 *
 * A counter names the tier and counts tokens, so that it neither scatters nor queues: where it
 * speaks it is the first witness of a knee, and TTFT and throughput confirm it or do not.
 *
 * @module
 */

import { formatPercent, formatShort } from "../units.ts";
import type { SizeCell } from "./cells.ts";
import type { HitTier, TierHits } from "./naming.ts";
import { LOST_SHARE, type Step } from "./steps.ts";

/** The tiers that counters tell apart, fastest first; `offload` is one below HBM, or several. */
export const HIT_TIERS: readonly HitTier[] = ["HBM", "DRAM", "SSD", "offload"];

/** Up to this share of hits from further down a set counts as held by the tiers above. */
const SPILLED_SHARE = 0.1;
/** From this share on the next tiers serve it. */
const SERVED_SHARE = 0.5;
/** Sizes that one step may take: where hits move over more of them, the access is not cyclic. */
const MOST_BETWEEN = 2;

/** A step with its evidence. */
export interface CountedStep extends Step {
  readonly text: string;
}

/** What the counters say about a series. */
export interface Counted {
  readonly steps: readonly CountedStep[];
  /** For each size the tier that serves at least half of the hits, where there are hits. */
  readonly servedBy: readonly (HitTier | undefined)[];
}

/** Hits by tier at each size; steps only where every size with hits is counted. */
export function countedSteps(cells: readonly SizeCell[], hits: readonly TierHits[]): Counted {
  const shares = cells.map((cell) => sharesOf(cell, hits));
  const servedBy = shares.map((one) =>
    one === undefined ? undefined : HIT_TIERS.find((_, i) => (one[i] ?? 0) >= SERVED_SHARE)
  );
  // Beyond the cache nothing is served by a tier; before it no size may be missing.
  const cached = cells.findLastIndex((cell) => (cell.hitShare ?? 1) > LOST_SHARE) + 1;
  if (shares.slice(0, cached).some((one) => one === undefined)) return { steps: [], servedBy };
  const steps = HIT_TIERS.slice(0, -1).flatMap((_, tier) => {
    const above = shares.slice(0, cached).map((one) =>
      (one ?? []).slice(0, tier + 1).reduce((sum, share) => sum + share, 0)
    );
    const isServing = shares.some((one) => (one?.[tier] ?? 0) >= SERVED_SHARE);
    return isServing ? stepOf(cells, above, servedBy, tier) ?? [] : [];
  });
  return { steps, servedBy };
}

function sharesOf(cell: SizeCell, hits: readonly TierHits[]): number[] | undefined {
  const here = hits.filter((one) => one.workingSetTokens === cell.workingSetTokens);
  const tokens = HIT_TIERS.map((name) =>
    here.reduce((sum, one) => sum + (one.tokens[name] ?? 0), 0)
  );
  const total = tokens.reduce((sum, one) => sum + one, 0);
  return total > 0 ? tokens.map((one) => one / total) : undefined;
}

/** The step at which the hits leave a tier (and those above it) for good. */
function stepOf(
  cells: readonly SizeCell[],
  above: readonly number[],
  servedBy: readonly (HitTier | undefined)[],
  tier: number,
): CountedStep | undefined {
  const firstSpilled = above.findIndex((share) => share < 1 - SPILLED_SHARE);
  const before = firstSpilled - 1;
  const after = above.findIndex((share, i) => i > before && share <= SERVED_SHARE);
  if (before < 0 || after < 0 || after - before > MOST_BETWEEN + 1) return undefined;
  if (above.slice(after).some((share) => share > SERVED_SHARE)) return undefined;
  const size = (i: number) => formatShort(cells[i]?.workingSetTokens);
  const percent = (i: number) => formatPercent((above[i] ?? 0) * 100);
  const name = HIT_TIERS[tier] ?? "HBM";
  return {
    before,
    after,
    ratio: Infinity,
    text: `By the server's counters ${name} serves ${percent(before)} of the hits at ` +
      `${size(before)} tokens and ${percent(after)} at ${size(after)}; there ` +
      `${servedBy[after] ?? "another tier"} serves most.`,
  };
}
