/**
 * What counters say about hits: how many tokens, of how many, and in which tier.
 *
 * @module
 */

import { type MetricKey, type ServerSeries, sumByKey } from "./counters.ts";

/** What the deltas of the counters say about hits. */
export interface CounterHits {
  /** Prompt tokens that the server saw. */
  readonly queryTokens: number;
  /** Of these, taken from a cache of any tier. */
  readonly hitTokens: number;
  /** The counters that this rests on. */
  readonly source: string;
  /**
   * Prompt tokens by a counter of their own, where there is one. vLLM before the fix of July 2026
   * (#43736, #48860) looks a waiting request up again and again and counts each time, queries and
   * hits alike; then `queryTokens` is more than this, and the rate is that of the requests that
   * waited longest.
   */
  readonly promptTokens?: number;
}

/**
 * Hits and prompt tokens from counter deltas, from the most trustworthy counters that are there.
 *
 * @param deltas Sums by canonical key, as {@linkcode sumByKey} makes them.
 * @returns Nothing where the counters do not tell, or no token was counted.
 */
export function hitsFromCounters(
  deltas: Readonly<Record<string, number>>,
): CounterHits | undefined {
  const candidates = [fromSources, fromCachedTokens, fromTiers, fromPrefixCache, fromBlocks];
  for (const candidate of candidates) {
    const found = candidate(deltas);
    if (found !== undefined && found.queryTokens > 0) return found;
  }
  return undefined;
}

type Deltas = Readonly<Record<string, number>>;

function parts(deltas: Deltas, key: MetricKey): [string, number][] {
  return Object.entries(deltas)
    .filter(([name]) => name.startsWith(`${key}.`))
    .map(([name, value]) => [name.slice(key.length + 1), value]);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function fromSources(deltas: Deltas): CounterHits | undefined {
  const sources = parts(deltas, "promptTokensBySource");
  if (sources.length === 0) return undefined;
  const computed = sum(sources.filter(([name]) => name === "local_compute").map(([, v]) => v));
  const queryTokens = sum(sources.map(([, value]) => value));
  return { queryTokens, hitTokens: queryTokens - computed, source: "prompt tokens by source" };
}

function fromCachedTokens(deltas: Deltas): CounterHits | undefined {
  const { cachedTokens, promptTokens, uncachedPromptTokens } = deltas;
  if (cachedTokens === undefined) return undefined;
  const queryTokens = promptTokens ??
    (uncachedPromptTokens === undefined ? undefined : uncachedPromptTokens + cachedTokens);
  if (queryTokens === undefined) return undefined;
  return { queryTokens, hitTokens: cachedTokens, source: "cached prompt tokens" };
}

function fromTiers(deltas: Deltas): CounterHits | undefined {
  const tiers = parts(deltas, "cachedTokensByTier");
  const queryTokens = deltas["promptTokens"];
  if (tiers.length === 0 || queryTokens === undefined) return undefined;
  return { queryTokens, hitTokens: sum(tiers.map(([, v]) => v)), source: "cached tokens by tier" };
}

function fromPrefixCache(deltas: Deltas): CounterHits | undefined {
  const { prefixQueries, prefixHits, externalHits } = deltas;
  if (prefixQueries === undefined || prefixHits === undefined) return undefined;
  return {
    queryTokens: prefixQueries,
    hitTokens: prefixHits + (externalHits ?? 0),
    source: "prefix cache queries and hits",
    ...(deltas["promptTokens"] === undefined ? {} : { promptTokens: deltas["promptTokens"] }),
  };
}

function fromBlocks(deltas: Deltas): CounterHits | undefined {
  const { promptTokens, hitBlocks, missedBlocks } = deltas;
  if (promptTokens === undefined || hitBlocks === undefined || missedBlocks === undefined) {
    return undefined;
  }
  const blocks = hitBlocks + missedBlocks;
  return {
    queryTokens: promptTokens,
    hitTokens: blocks === 0 ? 0 : promptTokens * hitBlocks / blocks,
    source: "reused and missed blocks",
  };
}

/** Hit tokens by the place where they were found. `offload`: below HBM, which tier is not told. */
export type TierHits = Readonly<Partial<Record<"hbm" | "dram" | "ssd" | "offload", number>>>;

/** The engines' names of the tiers. */
const TIER_NAMES: readonly (readonly [keyof TierHits, RegExp])[] = [
  ["hbm", /^(hbm|device|gpu|local)/i],
  ["dram", /^(dram|host|cpu|l1)/i],
  ["ssd", /^(ssd|storage|disk|l2)/i],
];

/** Hits by tier from counter deltas; empty where no counter tells the tier. */
export function tierHitsFromCounters(deltas: Deltas): TierHits {
  const lmcache = byTier(parts(deltas, "lmcacheHitsByTier"));
  const engine = engineTierHits(deltas);
  if (Object.keys(lmcache).length === 0) return engine;
  // What the engine counts as loaded from outside is what LMCache counts by its tiers.
  const { offload: _same, ...own } = engine;
  return { ...own, ...lmcache };
}

function engineTierHits(deltas: Deltas): TierHits {
  const tiers = parts(deltas, "cachedTokensByTier");
  if (tiers.length > 0) return byTier(tiers);
  const sources = parts(deltas, "promptTokensBySource")
    .filter(([name]) => name !== "local_compute");
  if (sources.length > 0) return byTier(sources);
  const { prefixHits, externalHits } = deltas;
  return {
    ...(prefixHits === undefined ? {} : { hbm: prefixHits }),
    ...(externalHits === undefined ? {} : { offload: externalHits }),
  };
}

function byTier(named: readonly (readonly [string, number])[]): TierHits {
  const hits: Partial<Record<keyof TierHits, number>> = {};
  for (const [name, tokens] of named) {
    const tier = TIER_NAMES.find(([, pattern]) => pattern.test(name))?.[0] ?? "offload";
    hits[tier] = (hits[tier] ?? 0) + tokens;
  }
  return hits;
}

/** True if these series can tell a hit rate. */
export function canTellHits(series: readonly ServerSeries[]): boolean {
  const ones = Object.fromEntries(Object.keys(sumByKey(series)).map((key) => [key, 1]));
  return hitsFromCounters(ones) !== undefined;
}
