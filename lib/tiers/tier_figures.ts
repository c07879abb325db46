/**
 * The figures of each plateau: capacity, TTFT, read bandwidth, cost of a miss.
 *
 * @module
 */

import { bootstrapMean, median, percentileStatistic } from "../metrics/intervals.ts";
import { randomStream, seedFor } from "../random.ts";
import type { MapTier, TierBandwidth, TierCapacity, TierTtft } from "../results/tier_map_file.ts";
import { formatCount, formatMs } from "../units.ts";
import type { CellSeries } from "./cells.ts";
import type { Naming } from "./naming.ts";
import { type Boundary, footprintOf, type Plateau, type Shape } from "./plateaus.ts";
import { HELD_SHARE } from "./steps.ts";

/** What the figures need besides the shape of the series. */
export interface FigureFacts {
  readonly bytesPerToken?: number;
  readonly coldMs?: number;
  /** Capacity that the server states, by tier name. */
  readonly statedTokens: ReadonlyMap<string, number>;
}

const GIB = 2 ** 30;
const RESAMPLES = 400;
const MEDIAN = percentileStatistic(50);

/** The tiers of a series, with a TTFT each; a plateau without any is left out. */
export function tiersOf(
  series: CellSeries,
  shape: Shape,
  naming: Naming,
  facts: FigureFacts,
): MapTier[] {
  const ttfts = shape.plateaus.map(ttftOf);
  const missAt = naming.names.findIndex((one) => one.name === "recompute");
  const missMs = ttfts[missAt]?.ms ?? facts.coldMs;
  return shape.plateaus.flatMap((plateau, i): MapTier[] => {
    const [named, ttft] = [naming.names[i], ttfts[i]];
    if (named === undefined || ttft === undefined) return [];
    const isCached = named.name !== "recompute";
    const capacity = isCached ? capacityOf(series, shape, naming, i, facts) : undefined;
    const bandwidth = isCached ? bandwidthOf(series, plateau, i, naming, ttfts, facts) : undefined;
    return [{
      name: named.name,
      namedBy: named.namedBy,
      ...(capacity === undefined ? {} : { capacity }),
      ttft,
      ...(bandwidth === undefined ? {} : { bandwidth }),
      ...(isCached && missMs !== undefined ? { missCostMs: missMs - ttft.ms } : {}),
      ...(plateau.fromTokens === undefined ? {} : { fromTokens: plateau.fromTokens }),
      ...(plateau.toTokens === undefined ? {} : { toTokens: plateau.toTokens }),
    }];
  });
}

/** Median over the sizes of a plateau (each size counts once), else over its requests. */
function ttftOf({ requests, sizeMediansMs }: Plateau): TierTtft | undefined {
  const bySize = sizeMediansMs.length >= 3;
  const values = bySize || requests.length === 0
    ? sizeMediansMs
    : requests.map((one) => one.ttftMs);
  const ms = median(values);
  if (ms === undefined) return undefined;
  const stream = randomStream(seedFor("tier-map", "ttft"));
  const interval = bootstrapMean(values, stream, { resamples: RESAMPLES, statistic: MEDIAN });
  return {
    ms,
    low: interval?.low ?? ms,
    high: interval?.high ?? ms,
    requests: requests.length,
    sizes: sizeMediansMs.length,
  };
}

interface Bounds {
  readonly tokens?: number;
  readonly low: number;
  readonly high?: number;
}

function capacityOf(
  series: CellSeries,
  shape: Shape,
  { reading, names }: Naming,
  index: number,
  facts: FigureFacts,
): TierCapacity | undefined {
  const end = endOf(series, shape, index);
  if (end === undefined) return undefined;
  const above = index === 0 ? undefined : shape.boundaries[index - 1];
  if (index > 0 && above === undefined) return undefined;
  // A first plateau that is not HBM holds what is above it too, or not: nothing to be claimed.
  const firstName = names[0]?.name;
  if (index === 0 && ["DRAM", "SSD", "offload"].includes(firstName ?? "")) return undefined;
  const own = reading === "exclusive" || reading === "unknown" ? less(end, above) : end;
  const each = series.contextSizeTokens + series.outputTokens;
  const stated = facts.statedTokens.get(names[index]?.name ?? "");
  const isFirst = index === 0;
  return {
    ...scaled(own, 1, ["tokens", "low", "high"]),
    ...scaled(own, 1 / each, ["prompts", "promptsLow", "promptsHigh"]),
    ...(facts.bytesPerToken === undefined
      ? {}
      : scaled(own, facts.bytesPerToken / GIB, ["gib", "gibLow", "gibHigh"])),
    reading: isFirst ? "same" : reading,
    ...(isFirst || reading !== "unknown" || end.tokens === undefined
      ? {}
      : { ifInclusiveTokens: Math.round(end.tokens) }),
    ...(stated === undefined ? {} : { statedTokens: stated }),
  } as TierCapacity;
}

/** Where a tier ends, in tokens from the fastest tier on; of the last one only what it holds. */
function endOf(series: CellSeries, shape: Shape, index: number): Bounds | undefined {
  if (index < shape.boundaries.length) {
    const knee = shape.boundaries[index];
    return knee === undefined
      ? undefined
      : { tokens: knee.capacityTokens, low: knee.low, high: knee.high };
  }
  const [largest, plateau] = [series.cells.at(-1), shape.plateaus[index]];
  if (largest === undefined || (plateau?.hitShare ?? 0) < HELD_SHARE) return undefined;
  return { low: footprintOf(series, largest.prompts) * (largest.hitShare ?? 0) };
}

function less(end: Bounds, above: Boundary | undefined): Bounds {
  if (above === undefined) return end;
  return {
    ...(end.tokens === undefined ? {} : { tokens: end.tokens - above.capacityTokens }),
    low: Math.max(0, end.low - above.high),
    ...(end.high === undefined ? {} : { high: end.high - above.low }),
  };
}

function scaled(
  bounds: Bounds,
  factor: number,
  [value, low, high]: readonly [string, string, string],
): Readonly<Record<string, number>> {
  const round = (tokens: number) =>
    factor === 1 ? Math.round(tokens) : Number((tokens * factor).toPrecision(6));
  return {
    ...(bounds.tokens === undefined ? {} : { [value]: round(bounds.tokens) }),
    [low]: round(bounds.low),
    ...(bounds.high === undefined ? {} : { [high]: round(bounds.high) }),
  };
}

/**
 * Tokens found over the time that this tier takes longer than HBM, where nothing is read. Without
 * HBM to compare with, all of the TTFT is taken for reading: a lower bound.
 */
function bandwidthOf(
  series: CellSeries,
  plateau: Plateau,
  index: number,
  { names }: Naming,
  ttfts: readonly (TierTtft | undefined)[],
  facts: FigureFacts,
): TierBandwidth | undefined {
  const [ttft, base] = [ttfts[index], ttfts[0]];
  const isHbm = names[index]?.name === "HBM";
  // With several requests in flight they wait for each other, on the link or for the engine.
  if (ttft === undefined || isHbm || series.concurrency !== 1) return undefined;
  const tokens = readTokens(series, plateau);
  const withGb = (perSec: number) =>
    facts.bytesPerToken === undefined ? {} : { gbPerSec: perSec * facts.bytesPerToken / 1e9 };
  const perSec = (ms: number) => tokens / ms * 1000;
  if (index > 0 && names[0]?.name === "HBM" && base !== undefined && base.ms < ttft.low) {
    const value = perSec(ttft.ms - base.ms);
    return {
      tokensPerSec: value,
      low: perSec(ttft.high - base.low),
      ...(ttft.low > base.high ? { high: perSec(ttft.low - base.high) } : {}),
      ...withGb(value),
      basis: `${formatCount(tokens)} tokens in the ${formatMs(ttft.ms - base.ms)} that a request ` +
        "takes longer than from HBM; with one length of prefix the latency of the tier is in it",
    };
  }
  return {
    tokensPerSec: perSec(ttft.ms),
    low: perSec(ttft.high),
    ...withGb(perSec(ttft.ms)),
    basis:
      `at least: ${formatCount(tokens)} tokens, all of the TTFT taken for reading, as no HBM ` +
      "plateau is there to compare with",
  };
}

/** Tokens that a hit of this plateau finds: as the server says, else as planned. */
export function readTokens(series: CellSeries, { requests }: Plateau): number {
  const reported = requests.map((one) => one.cachedTokens).filter((one) => one !== undefined);
  return reported.length > 0 && reported.length >= 0.9 * requests.length
    ? median(reported) ?? NaN
    : series.achievableTokens;
}
