/**
 * The tier map as short text, for stdout.
 *
 * @module
 */

import type { MapKnee, MapSeries, MapTier, TierMap } from "../lib/results/tier_map_file.ts";
import { formatBytes, formatCount, formatMs, formatShort } from "../lib/units.ts";
import { alignedLines } from "./_result_table.ts";

/** The headline, a table of the tiers and a line a knee, for each context size and rate. */
export function tierText(map: TierMap): string {
  const breakEven = map.breakEven.filter(({ prefixTokens }) => prefixTokens !== undefined)
    .map(({ tier, note }) => `break-even ${tier}: ${note}`);
  return [map.headline, ...map.series.flatMap(seriesLines), ...breakEven].join("\n") + "\n";
}

function seriesLines(series: MapSeries): string[] {
  const { contextSizeTokens, hitRatePercent, tiers, knees } = series;
  const table = [
    ["tier", "capacity", "95 %", "TTFT", "read tokens/s", "GB/s", "a miss costs", "named by"],
    ...tiers.map(tierCells),
  ];
  return [
    `tiers at ${formatCount(contextSizeTokens)} tokens, ${hitRatePercent} %:`,
    ...(tiers.length === 0 ? [] : alignedLines(table)).map((line) => `  ${line}`),
    ...knees.map((knee) => `  ${kneeText(knee)}`),
    // Why there is none is what a reader wants to know next.
    ...(knees.length > 0 ? [] : series.evidence.map((line) => `  ${line}`)),
  ];
}

function tierCells({ name, namedBy, capacity, ttft, bandwidth, missCostMs }: MapTier): string[] {
  const tokens = capacity?.tokens ?? capacity?.low;
  const beyond = capacity !== undefined && capacity.tokens === undefined ? "> " : "";
  const gib = capacity?.gib === undefined ? "" : ` (${formatBytes(capacity.gib * 2 ** 30)})`;
  const range = capacity?.high === undefined
    ? ""
    : `${formatShort(capacity.low)} to ${formatShort(capacity.high)}`;
  // Where it cannot be told whether tiers add up, one figure alone would be a guess.
  const other = capacity?.ifInclusiveTokens === undefined
    ? ""
    : ` or ${formatShort(capacity.ifInclusiveTokens)} if inclusive`;
  return [
    name,
    tokens === undefined ? "" : `${beyond}${formatShort(tokens)}${gib}${other}`,
    range,
    formatMs(ttft.ms),
    bandwidth === undefined ? "" : formatShort(bandwidth.tokensPerSec),
    bandwidth?.gbPerSec === undefined ? "" : formatShort(bandwidth.gbPerSec),
    missCostMs === undefined ? "" : formatMs(missCostMs),
    namedBy,
  ];
}

function kneeText({ from, to, workingSetTokens, low, high, method }: MapKnee): string {
  return `knee ${from} -> ${to} at a working set of ${formatShort(workingSetTokens)} tokens ` +
    `(${formatShort(low)} to ${formatShort(high)}, by ${method})`;
}
