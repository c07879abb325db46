/**
 * The tier map as tables and as a line: what each tier is, and where it ends.
 *
 * @module
 */

import type { RunData } from "../results/schema.ts";
import type { MapTier, TierMap } from "../results/tier_map_file.ts";
import { formatBytes, formatCount, formatMs, formatPercent, formatShort } from "../units.ts";
import type { GraphTable } from "./figure.ts";

const GIB = 2 ** 30;

/** The tiers of all series: capacity, TTFT and speed, each with its interval. */
export function tiersTable(map: TierMap): GraphTable {
  return {
    columns: [
      { label: "Prompts", kind: "text" },
      { label: "Tier", kind: "text" },
      { label: "Capacity", kind: "text" },
      { label: "TTFT, median", kind: "text" },
      { label: "Read speed", kind: "text" },
      { label: "A miss costs", kind: "text" },
      { label: "Named by", kind: "text" },
    ],
    rows: map.series.flatMap((series) =>
      series.tiers.map((tier) => [
        `${formatCount(series.contextSizeTokens)} tokens at ${
          formatPercent(series.hitRatePercent)
        }`,
        tier.name,
        capacityText(tier),
        `${formatMs(tier.ttft.ms)} (${formatMs(tier.ttft.low)} to ${formatMs(tier.ttft.high)})`,
        speedText(tier),
        tier.missCostMs === undefined ? "" : formatMs(tier.missCostMs),
        tier.namedBy,
      ])
    ),
  };
}

function capacityText({ capacity }: MapTier): string {
  if (capacity === undefined) return "";
  const { tokens, low, high, prompts, gib, gibLow, ifInclusiveTokens: inclusive } = capacity;
  if (tokens === undefined || high === undefined) {
    const size = gibLow === undefined ? "" : `, ${formatBytes(gibLow * GIB)}`;
    return `at least ${formatShort(low)} tokens${size}`;
  }
  return [
    `${formatShort(tokens)} tokens (${formatShort(low)} to ${formatShort(high)})`,
    `${formatShort(prompts)} prompts`,
    ...(gib === undefined ? [] : [formatBytes(gib * GIB)]),
    ...(inclusive === undefined ? [] : [`if tiers are inclusive ${formatShort(inclusive)} tokens`]),
  ].join("; ");
}

function speedText({ bandwidth }: MapTier): string {
  if (bandwidth === undefined) return "";
  const { tokensPerSec, low, high, gbPerSec } = bandwidth;
  const gb = gbPerSec === undefined ? "" : `, ${formatShort(gbPerSec)} GB/s`;
  return high === undefined
    ? `at least ${formatShort(low)} tokens/s${gb}`
    : `${formatShort(tokensPerSec)} tokens/s (${formatShort(low)} to ${formatShort(high)})${gb}`;
}

/** The knees of all series. */
export function kneesTable(map: TierMap): GraphTable {
  const bytes = map.kvBytesPerToken;
  return {
    columns: [
      { label: "Prompts", kind: "text" },
      { label: "Knee", kind: "text" },
      { label: "Working set, tokens", kind: "text" },
      { label: "Seen in", kind: "text" },
    ],
    rows: map.series.flatMap((series) =>
      series.knees.map((knee) => [
        `${formatCount(series.contextSizeTokens)} tokens at ${
          formatPercent(series.hitRatePercent)
        }`,
        `${knee.from} → ${knee.to}`,
        `${formatCount(knee.workingSetTokens)} (${formatCount(knee.low)} to ` +
        `${formatCount(knee.high)})` +
        (bytes === undefined ? "" : `, ${formatBytes(knee.workingSetTokens * bytes)}`),
        `${knee.signals.join(", ")}, by ${knee.method === "step" ? "a step" : "a fit"}`,
      ])
    ),
  };
}

/** The line of the tier map at the top of the dashboard. */
export function tierMapFinding({ tierMap }: RunData): string[] {
  return tierMap === undefined || tierMap.series.length === 0
    ? []
    : [`Memory tiers: ${tierMap.headline}.`];
}
