/**
 * What a results folder holds about the server's tiers besides the rows of the requests.
 *
 * @module
 */

import type { RunData, ServerMetricsRow } from "../results/schema.ts";
import type { TierHits } from "./naming.ts";
import type { TierFacts } from "./tier_map.ts";

/** Stated capacities from `run.json`, hits by tier from `server_metrics_*.csv`. */
export function tierFactsOf(run: RunData): TierFacts {
  const { tiers } = run.config;
  const hitsByTier = [...Map.groupBy(run.serverMetrics ?? [], cellOf).values()].flatMap(hitsOf);
  return { ...(tiers === undefined ? {} : { tiers }), hitsByTier };
}

function cellOf(row: ServerMetricsRow): string {
  return `${row.context_size} ${row.working_set_size} ${row.cache_hit_rate}`;
}

/** What the measured periods of a cell took from each tier; nothing where no counter tells tiers. */
function hitsOf(rows: readonly ServerMetricsRow[]): TierHits[] {
  const measured = rows.filter((row) => row.phase_id !== "WARMUP" && row.restarted !== "yes");
  const [first] = measured;
  const { context_size, working_set_size, cache_hit_rate } = first ?? {};
  if (context_size === undefined || working_set_size === undefined) return [];
  const names = {
    HBM: "hbm_hit_tokens",
    DRAM: "dram_hit_tokens",
    SSD: "ssd_hit_tokens",
    offload: "offload_hit_tokens",
  } as const;
  const tokens: Partial<Record<keyof typeof names, number>> = {};
  for (const [name, column] of Object.entries(names) as [keyof typeof names, "hbm_hit_tokens"][]) {
    const values = measured.flatMap((row) => row[column] ?? []);
    if (values.length > 0) tokens[name] = values.reduce((sum, value) => sum + value, 0);
  }
  if (Object.keys(tokens).length < 2) return [];
  return [{
    contextSizeTokens: context_size,
    workingSetTokens: working_set_size,
    hitRatePercent: cache_hit_rate ?? 100,
    tokens,
  }];
}
