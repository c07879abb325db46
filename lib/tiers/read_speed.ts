/**
 * The read speed of a tier apart from its latency: two lengths of cached prefix give a line.
 *
 * @module
 */

import type { MapSeries, MapTier, TierBandwidth } from "../results/tier_map_file.ts";
import { formatCount, formatMs } from "../units.ts";

/** What a request reads from a tier, and how much longer than from HBM that takes. */
interface Read {
  readonly tokens: number;
  readonly ms: number;
  readonly lowMs: number;
  readonly highMs: number;
}

/** Prefixes that differ by less give no slope. */
const LEAST_RATIO = 1.5;

/**
 * The series with read speeds from the slope `(tokens₂ - tokens₁) / (time₂ - time₁)` where two of
 * them at concurrency 1 read prefixes of different length from one tier; where the noise leaves no
 * slope, and with one length, the speed stays as it is and holds the latency.
 */
export function withoutLatency(all: readonly MapSeries[]): MapSeries[] {
  return all.map((series) => ({
    ...series,
    tiers: series.tiers.map((tier) => {
      const bandwidth = slopeOf(all, tier);
      return bandwidth === undefined ? tier : { ...tier, bandwidth };
    }),
  }));
}

function slopeOf(all: readonly MapSeries[], { name, bandwidth }: MapTier) {
  if (bandwidth?.high === undefined) return undefined;
  const reads = all.flatMap((series) => readOf(series, name) ?? [])
    .sort((a, b) => a.tokens - b.tokens);
  const [short, long] = [reads[0], reads.at(-1)];
  if (short === undefined || long === undefined) return undefined;
  if (long.tokens < LEAST_RATIO * short.tokens) return undefined;
  return lineOf(short, long, bandwidth);
}

function readOf({ tiers }: MapSeries, name: MapTier["name"]): Read | undefined {
  const hbm = tiers[0];
  const tier = tiers.find((one) => one.name === name);
  if (hbm?.name !== "HBM" || tier?.bandwidth?.high === undefined) return undefined;
  const ms = tier.ttft.ms - hbm.ttft.ms;
  return {
    tokens: tier.bandwidth.tokensPerSec * ms / 1000,
    ms,
    lowMs: tier.ttft.low - hbm.ttft.high,
    highMs: tier.ttft.high - hbm.ttft.low,
  };
}

function lineOf(short: Read, long: Read, single: TierBandwidth): TierBandwidth | undefined {
  const [tokens, ms] = [long.tokens - short.tokens, long.ms - short.ms];
  const leastMs = long.lowMs - short.highMs;
  if (leastMs <= 0) return undefined;
  const tokensPerSec = tokens / ms * 1000;
  const { gbPerSec } = single;
  return {
    tokensPerSec,
    low: tokens / (long.highMs - short.lowMs) * 1000,
    high: tokens / leastMs * 1000,
    ...(gbPerSec === undefined ? {} : { gbPerSec: gbPerSec / single.tokensPerSec * tokensPerSec }),
    basis: `${formatCount(Math.round(tokens))} tokens more take ${formatMs(ms)} longer (prefixes ` +
      `of ${formatCount(Math.round(short.tokens))} and ${formatCount(Math.round(long.tokens))} ` +
      "tokens), so that the latency of the tier is not in it",
  };
}
