/**
 * What each plateau is called, and why.
 *
 * @module
 */

import { median } from "../metrics/intervals.ts";
import type {
  CapacityReading,
  MapTierName,
  NamedBy,
  StatedTier,
} from "../results/tier_map_file.ts";
import { formatCount, formatMs, formatShort } from "../units.ts";
import type { Plateau, Shape } from "./plateaus.ts";
import { HELD_SHARE, LOST_SHARE } from "./steps.ts";

/** A tier that counters can name. */
export type HitTier = "HBM" | "DRAM" | "SSD" | "offload";

/** Tokens that the server's counters saw served by each tier, at one working-set size. */
export interface TierHits {
  readonly contextSizeTokens: number;
  readonly hitRatePercent: number;
  readonly workingSetTokens: number;
  readonly tokens: Readonly<Partial<Record<HitTier, number>>>;
}

/** A plateau's name. */
export interface TierName {
  readonly name: MapTierName;
  readonly namedBy: NamedBy;
}

/** What is known besides the rows. */
export interface NamingFacts {
  /** Capacities that the server states, in tokens. */
  readonly stated: readonly (StatedTier & { readonly capacityTokens: number })[];
  /** Of the series only. */
  readonly hits: readonly TierHits[];
  /** TTFT of prompts that share nothing, at the same context size and concurrency. */
  readonly coldMs?: number;
}

/** Names of the plateaus, in their order, and how capacities add up. */
export interface Naming {
  readonly names: readonly TierName[];
  readonly reading: CapacityReading;
  readonly evidence: readonly string[];
}

const ORDER = ["HBM", "DRAM", "SSD"] as const;
const COUNTED = [...ORDER, "offload"] as const;
/** A knee agrees with a stated capacity within this factor beyond its interval. */
const STATED_SLACK = 1.1;
/** From this share of the cold TTFT on, a plateau is taken for recomputation. */
export const COLD_SHARE = 0.8;
/** Share of the cached tokens that one tier has to serve to give a plateau its name. */
const DOMINANT = 0.6;

/** Names the plateaus of a series: by counters, by stated capacities, else by their order. */
export function nameTiers(shape: Shape, facts: NamingFacts): Naming {
  const evidence: string[] = [];
  const miss = missOf(shape, facts, evidence);
  const cached = miss === undefined ? shape.plateaus : shape.plateaus.slice(0, -1);
  const matched = readStated(shape, facts.stated, evidence);
  const counted = cached.map((plateau) => dominantTier(plateau, facts.hits));
  const names = cached.map((_, i): TierName => {
    const byCounter = counted[i];
    if (byCounter !== undefined && counted.indexOf(byCounter) === counted.lastIndexOf(byCounter)) {
      return { name: byCounter, namedBy: "server counters" };
    }
    const byCapacity = matched.names[i];
    if (byCapacity !== undefined) return { name: byCapacity, namedBy: "stated capacities" };
    return nameByOrder(shape, cached.length, i, facts);
  });
  if (names.some((one) => one.namedBy === "order")) evidence.push(orderText(shape, names, facts));
  return {
    names: miss === undefined ? names : [...names, miss],
    reading: cached.length <= 1 ? "same" : matched.reading,
    evidence: [...evidence, ...(cached.length > 1 ? [readingText(matched.reading)] : [])],
  };
}

/** The name of the last plateau, if it is recomputation. */
function missOf(
  { plateaus }: Shape,
  { coldMs }: NamingFacts,
  evidence: string[],
): TierName | undefined {
  const last = plateaus.at(-1);
  const named = (namedBy: NamedBy): TierName => ({ name: "recompute", namedBy });
  if (last?.hitShare !== undefined) {
    if (last.hitShare <= LOST_SHARE) return named("cached tokens");
    if (last.hitShare >= HELD_SHARE) return undefined;
  }
  const ttftMs = median(last?.sizeMediansMs ?? []);
  if (coldMs !== undefined && ttftMs !== undefined) {
    const isCold = ttftMs >= COLD_SHARE * coldMs;
    evidence.push(
      `The slowest plateau (${formatMs(ttftMs)}) is ${isCold ? "as slow as" : "faster than"}` +
        ` prompts that share nothing (${formatMs(coldMs)}).`,
    );
    return isCold ? named("cold requests") : undefined;
  }
  if (plateaus.length < 2) return undefined;
  evidence.push(
    "The rows hold no count of cached tokens: the slowest plateau is taken for recomputation " +
      "because it is the last.",
  );
  return named("order");
}

function nameByOrder(
  { boundaries }: Shape,
  cached: number,
  index: number,
  { stated }: NamingFacts,
): TierName {
  // Where the server says how large its tiers are, a plateau with another end is none of them.
  const isStated = stated.some((one) => one.name === ORDER[index]);
  if (isStated && boundaries[index] !== undefined) return { name: "cache", namedBy: "order" };
  const mixed = boundaries.length === 0 || boundaries.some((one) => one?.method !== "step");
  // A single plateau that a random walk over all prompts sees is all tiers together.
  if (cached === 1 && mixed) return { name: "cache", namedBy: "order" };
  return { name: ORDER[index] ?? "cache", namedBy: "order" };
}

function orderText(
  { boundaries }: Shape,
  names: readonly TierName[],
  { stated, hits }: NamingFacts,
): string {
  if (names.every((one) => one.name === "cache")) {
    return "All hits look alike: which tiers (HBM, DRAM, SSD) serve them cannot be told from " +
      "the rows.";
  }
  const how = boundaries.some((one) => one?.method === "step")
    ? "a tier that ends below the smallest working set would not be seen"
    : "tiers that are equally fast would be seen as one";
  const why = stated.length === 0 && hits.length === 0
    ? "the server gives no evidence"
    : "neither its counters nor the capacities that it states tell them all";
  return `Names are by order alone, fastest first, as ${why}: ${how}.`;
}

function dominantTier(
  plateau: Plateau,
  hits: readonly TierHits[],
): HitTier | undefined {
  const inside = hits.filter(({ workingSetTokens: tokens }) =>
    tokens >= (plateau.fromTokens ?? Infinity) && tokens <= (plateau.toTokens ?? -Infinity)
  );
  const served = COUNTED.map((name) =>
    inside.reduce((sum, one) => sum + (one.tokens[name] ?? 0), 0)
  );
  const total = served.reduce((sum, one) => sum + one, 0);
  return COUNTED.find((_, i) => total > 0 && (served[i] ?? 0) >= DOMINANT * total);
}

/** Compares the knees with what the server states, read as exclusive and as inclusive tiers. */
function readStated(
  { boundaries }: Shape,
  stated: NamingFacts["stated"],
  evidence: string[],
): { names: readonly (MapTierName | undefined)[]; reading: CapacityReading } {
  let total = 0;
  const ends = stated.map(({ name, capacityTokens }) => {
    total += capacityTokens;
    return { name, inclusive: capacityTokens, exclusive: total };
  });
  const agrees = (tokens: number, i: number) => {
    const knee = boundaries[i];
    return knee !== undefined && tokens >= knee.low / STATED_SLACK &&
      tokens <= knee.high * STATED_SLACK;
  };
  const fits = (reading: "inclusive" | "exclusive") => {
    const at = boundaries.map((_, i) => ends.findIndex((end) => agrees(end[reading], i)));
    return at.map((end, i) => {
      if (end < 0) return undefined;
      // Tiers above it that no plateau shows are in this one too: it has no one name.
      return end === (i === 0 ? 0 : (at[i - 1] ?? -1) + 1) ? ends[end]?.name : "cache" as const;
    });
  };
  const [exclusive, inclusive] = [fits("exclusive"), fits("inclusive")];
  const count = (names: readonly unknown[]) => names.filter((one) => one !== undefined).length;
  for (const [i, knee] of boundaries.entries()) {
    if (knee === undefined || stated.length === 0) continue;
    if (exclusive[i] !== undefined || inclusive[i] !== undefined) continue;
    evidence.push(
      `The knee at ${formatShort(knee.capacityTokens)} tokens agrees with no capacity that the ` +
        `server states (${
          stated.map((one) => `${one.name} ${formatCount(one.capacityTokens)}`).join(", ")
        } tokens).`,
    );
  }
  const better = count(inclusive) > count(exclusive) ? inclusive : exclusive;
  const isTie = count(inclusive) === count(exclusive);
  return {
    names: better,
    reading: isTie ? "unknown" : better === exclusive ? "exclusive" : "inclusive",
  };
}

function readingText(reading: CapacityReading): string {
  if (reading === "exclusive") {
    return "Capacities are differences of knees: with the server's stated sizes each block is in " +
      "one tier at a time, so that tiers add up.";
  }
  if (reading === "inclusive") {
    return "Capacities are the knees themselves: with the server's stated sizes a lower tier " +
      "also holds copies of what is above it.";
  }
  return "Whether a lower tier holds copies of what is above it (inclusive) or only what is not " +
    "there (exclusive) is not known: capacities are given for both readings.";
}
