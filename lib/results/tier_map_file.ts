/**
 * `tier_map.json`: which memory tier serves which working set, how large and how fast each one is.
 *
 * It is made from the rows of a working-set run by `lib/tiers/tier_map.ts`. The type stands here
 * because the reports read it and the analysis writes it.
 *
 * @module
 */

import * as v from "valibot";
import { KvmarkError } from "../errors.ts";
import type { Files } from "../host.ts";

/** Name of the file in a results folder. */
export const TIER_MAP_NAME = "tier_map.json";

/**
 * What a plateau is. `offload` is what the server counts as loaded from below HBM without saying
 * where it is; `cache` stands for whatever tiers the server has, where the rows do not tell
 * them apart; `recompute` for a prompt that is in no tier.
 */
export type MapTierName = "HBM" | "DRAM" | "SSD" | "offload" | "cache" | "recompute";

/** Why a plateau has its name, the strongest evidence first. */
export type NamedBy =
  | "server counters"
  | "stated capacities"
  | "cached tokens"
  | "cold requests"
  | "order";

/**
 * How the working-set sizes at which tiers end become the size of one tier. `exclusive`: a block is
 * in one tier at a time, so that tiers add up; `inclusive`: a lower tier holds copies of what is
 * above it; `same`: the first tier, for which both are one; `unknown`: nothing says which it is.
 */
export type CapacityReading = "exclusive" | "inclusive" | "same" | "unknown";

/** What a tier holds. Without `tokens` and `high` its end was not reached. */
export interface TierCapacity {
  /**
   * Tokens, generated ones included. Where the reading is `unknown` it is the exclusive one, and
   * `ifInclusiveTokens` the other.
   */
  readonly tokens?: number;
  readonly low: number;
  readonly high?: number;
  readonly prompts?: number;
  readonly promptsLow: number;
  readonly promptsHigh?: number;
  readonly gib?: number;
  readonly gibLow?: number;
  readonly gibHigh?: number;
  readonly reading: CapacityReading;
  readonly ifInclusiveTokens?: number;
  /** What the server says that it is. */
  readonly statedTokens?: number;
}

/** Time to first token of a tier: the median, with its 95 % interval. */
export interface TierTtft {
  readonly ms: number;
  readonly low: number;
  readonly high: number;
  readonly requests: number;
  /** Working-set sizes that the requests belong to. */
  readonly sizes: number;
}

/** How fast a tier is read; `basis` says whether its latency is in it. */
export interface TierBandwidth {
  readonly tokensPerSec: number;
  readonly low: number;
  /** Absent where only a lower bound is known. */
  readonly high?: number;
  /** 10^9 bytes a second, where the size of a token is known. */
  readonly gbPerSec?: number;
  /** What it was computed from. */
  readonly basis: string;
}

/** One plateau of the map. */
export interface MapTier {
  readonly name: MapTierName;
  readonly namedBy: NamedBy;
  readonly capacity?: TierCapacity;
  readonly ttft: TierTtft;
  readonly bandwidth?: TierBandwidth;
  /** TTFT of a recomputed prompt less that of one from this tier. */
  readonly missCostMs?: number;
  /** Smallest and largest working set that this tier alone serves; absent under random access. */
  readonly fromTokens?: number;
  readonly toTokens?: number;
}

/** What shows a knee; `counters`: the server's own, of hits by tier. */
export type KneeSignal = "counters" | "ttft" | "hit rate" | "throughput" | "share of hits";

/** The working-set size at which the next tier takes over. */
export interface MapKnee {
  /** Best estimate, in tokens of the working set (prompts × context size). */
  readonly workingSetTokens: number;
  readonly low: number;
  readonly high: number;
  readonly from: MapTierName;
  readonly to: MapTierName;
  /**
   * `step`: between the last size that holds and the first that does not. `fit`: from the share of
   * hits, which falls as capacity / working set; `low` and `high` are a 95 % interval.
   */
  readonly method: "step" | "fit";
  readonly signals: readonly KneeSignal[];
}

/** One working-set size of a series. */
export interface MapSize {
  /** Prompts × context size. */
  readonly workingSetTokens: number;
  readonly prompts: number;
  /** Requests at the concurrency of the series. */
  readonly requests: number;
  readonly ttftMs?: number;
  /** Tokens found in the cache, of those that could be, as the server reported them. */
  readonly hitPercent?: number;
  readonly inputTokensPerSec?: number;
  /** Under random access, for each knee: requests that a tier before it served, and the fit. */
  readonly fasterPercent?: readonly number[];
  readonly fittedPercent?: readonly number[];
  /**
   * Where several tiers serve each size: the median TTFT of the requests of each tier, `null` where
   * there are too few. The median of all jumps where half of them miss, which is no end of a tier.
   */
  readonly tierTtftsMs?: readonly (number | null)[];
}

/** In which order the prompts of the working set were used. */
export type MapAccessOrder = "cyclic" | "random" | "zipf" | "unknown";

/** The map of one context size and hit rate. */
export interface MapSeries {
  readonly contextSizeTokens: number;
  readonly hitRatePercent: number;
  readonly accessOrder: MapAccessOrder;
  /** All figures are taken at this concurrency; absent where each size has its own. */
  readonly concurrency?: number;
  /** Whether the largest working set is (partly) recomputed. */
  readonly reachesRecompute: "yes" | "no" | "unknown";
  readonly tiers: readonly MapTier[];
  readonly knees: readonly MapKnee[];
  readonly sizes: readonly MapSize[];
  readonly evidence: readonly string[];
}

/** From which length on loading a prefix beats computing it. */
export interface BreakEven {
  readonly tier: MapTierName;
  /** Absent where it cannot be told; `note` says why. */
  readonly prefixTokens?: number;
  readonly low?: number;
  readonly high?: number;
  readonly note: string;
}

/** A capacity that the server states. */
export interface StatedTier {
  readonly name: "HBM" | "DRAM" | "SSD";
  readonly capacityTokens?: number;
  readonly capacityBytes?: number;
  readonly evidence: string;
}

/** The whole map. `tiers`, `knees` and `evidence` are those of the first series. */
export interface TierMap {
  readonly version: 1;
  /** Rows that it was made from; a map of other rows is out of date. */
  readonly basis: { readonly cells: number; readonly requests: number };
  /** The map in one sentence. */
  readonly headline: string;
  readonly tiers: readonly MapTier[];
  readonly knees: readonly MapKnee[];
  readonly evidence: readonly string[];
  readonly breakEven: readonly BreakEven[];
  /** One map for each context size and hit rate, the most telling one first. */
  readonly series: readonly MapSeries[];
  readonly kvBytesPerToken?: number;
  readonly stated?: readonly StatedTier[];
}

const number = v.pipe(v.number(), v.finite());
const optional = v.exactOptional;
const tierName = v.picklist(["HBM", "DRAM", "SSD", "offload", "cache", "recompute"]);

const CAPACITY = v.object({
  tokens: optional(number),
  low: number,
  high: optional(number),
  prompts: optional(number),
  promptsLow: number,
  promptsHigh: optional(number),
  gib: optional(number),
  gibLow: optional(number),
  gibHigh: optional(number),
  reading: v.picklist(["exclusive", "inclusive", "same", "unknown"]),
  ifInclusiveTokens: optional(number),
  statedTokens: optional(number),
});

const TIER = v.object({
  name: tierName,
  namedBy: v.picklist([
    "server counters",
    "stated capacities",
    "cached tokens",
    "cold requests",
    "order",
  ]),
  capacity: optional(CAPACITY),
  ttft: v.object({ ms: number, low: number, high: number, requests: number, sizes: number }),
  bandwidth: optional(v.object({
    tokensPerSec: number,
    low: number,
    high: optional(number),
    gbPerSec: optional(number),
    basis: v.string(),
  })),
  missCostMs: optional(number),
  fromTokens: optional(number),
  toTokens: optional(number),
});

const KNEE = v.object({
  workingSetTokens: number,
  low: number,
  high: number,
  from: tierName,
  to: tierName,
  method: v.picklist(["step", "fit"]),
  signals: v.array(v.picklist(["counters", "ttft", "hit rate", "throughput", "share of hits"])),
});

const SERIES = v.object({
  contextSizeTokens: number,
  hitRatePercent: number,
  accessOrder: v.picklist(["cyclic", "random", "zipf", "unknown"]),
  concurrency: optional(number),
  reachesRecompute: v.picklist(["yes", "no", "unknown"]),
  tiers: v.array(TIER),
  knees: v.array(KNEE),
  sizes: v.array(v.object({
    workingSetTokens: number,
    prompts: number,
    requests: number,
    ttftMs: optional(number),
    hitPercent: optional(number),
    inputTokensPerSec: optional(number),
    fasterPercent: optional(v.array(number)),
    fittedPercent: optional(v.array(number)),
    tierTtftsMs: optional(v.array(v.nullable(number))),
  })),
  evidence: v.array(v.string()),
});

const TIER_MAP: v.GenericSchema<unknown, TierMap> = v.object({
  version: v.literal(1),
  basis: v.object({ cells: number, requests: number }),
  headline: v.string(),
  tiers: v.array(TIER),
  knees: v.array(KNEE),
  evidence: v.array(v.string()),
  breakEven: v.array(v.object({
    tier: tierName,
    prefixTokens: optional(number),
    low: optional(number),
    high: optional(number),
    note: v.string(),
  })),
  series: v.array(SERIES),
  kvBytesPerToken: optional(number),
  stated: optional(v.array(v.object({
    name: v.picklist(["HBM", "DRAM", "SSD"]),
    capacityTokens: optional(number),
    capacityBytes: optional(number),
    evidence: v.string(),
  }))),
});

/**
 * Writes `tier_map.json` into a results folder, as a whole.
 *
 * @throws {KvmarkError} `io` if it cannot be written.
 */
export async function writeTierMap(files: Files, dir: string, map: TierMap): Promise<void> {
  const path = `${dir}/${TIER_MAP_NAME}`;
  try {
    await files.writeText(path, `${JSON.stringify(map, undefined, 2)}\n`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KvmarkError("io", `Cannot write ${path}: ${reason}`, { cause: error });
  }
}

/**
 * Reads `tier_map.json` of a results folder.
 *
 * @returns `undefined` if there is none.
 * @throws {KvmarkError} `io` if it is damaged or of another version.
 */
export async function readTierMap(files: Files, dir: string): Promise<TierMap | undefined> {
  const path = `${dir}/${TIER_MAP_NAME}`;
  if (await files.stat(path) === undefined) return undefined;
  try {
    return parseTierMap(await files.readText(path));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KvmarkError("io", `Cannot read ${path}: ${reason}`, {
      hint: "the same kvmark working-set command keeps the finished sizes and writes it anew; " +
        "kvmark regenerate draws the pages without it, from the rows",
      cause: error,
    });
  }
}

/** The map in the text of a file. @throws {Error} If it is not one. */
export function parseTierMap(text: string): TierMap {
  const parsed = v.safeParse(TIER_MAP, JSON.parse(text));
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new Error(`${v.getDotPath(issue) ?? "tier map"}: ${issue.message}`);
}
