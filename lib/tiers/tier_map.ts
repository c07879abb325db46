/**
 * The tier map of a working-set run, from its rows alone: which memory tier serves which working
 * set, how large and how fast each one is, and what shows it. `docs/tier-map.md` has the statistics.
 *
 * @module
 */

import { median } from "../metrics/intervals.ts";
import type { RunData } from "../results/schema.ts";
import type {
  BreakEven,
  MapKnee,
  MapSeries,
  MapSize,
  MapTier,
  MapTierName,
  StatedTier,
  TierMap,
} from "../results/tier_map_file.ts";
import { formatCount, formatMs, formatPercent, formatShort } from "../units.ts";
import { breakEvenOf, type SavedTime } from "./break_even.ts";
import {
  type CellSeries,
  MIN_REQUESTS,
  MIN_SIZES,
  promptsOf,
  seriesOf,
  type SizeCell,
} from "./cells.ts";
import { COLD_SHARE, nameTiers, type NamingFacts, type TierHits } from "./naming.ts";
import type { Shape } from "./plateaus.ts";
import { shapeOf } from "./shape.ts";
import { throughputFall, withThroughput } from "./two_witnesses.ts";
import { tierFactsOf } from "./tier_facts.ts";
import { readTokens, tiersOf } from "./tier_figures.ts";
import { withoutLatency } from "./read_speed.ts";
import { HELD_SHARE } from "./steps.ts";

export type { TierHits } from "./naming.ts";

/** What is known about the server besides the rows. */
export interface TierFacts {
  /** Capacities that the server states (`ServerFacts.tiers`), fastest first. */
  readonly tiers?: readonly StatedTier[];
  /** Tokens served by each tier, by the server's counters, at each working-set size. */
  readonly hitsByTier?: readonly TierHits[];
}

/** Options of {@linkcode buildTierMap}. */
export interface TierMapOptions {
  /** KV bytes of a token; by default what `run.json` says. */
  readonly bytesPerToken?: number;
  /** By default what the folder holds: `run.json`, and the server's own counters. */
  readonly facts?: TierFacts;
}

/**
 * Builds the map. No knee is claimed where the rows do not support one; `evidence` says what is
 * seen and what is not.
 *
 * @param run A working-set run of kvmark or of the Python suite.
 * @returns A map without series where the run has no working-set sizes.
 */
export function buildTierMap(run: RunData, options: TierMapOptions = {}): TierMap {
  const bytes = options.bytesPerToken ?? run.config.kvBytesPerToken ?? run.tierMap?.kvBytesPerToken;
  const facts = options.facts ?? tierFactsOf(run);
  const stated = facts.tiers ?? run.tierMap?.stated ?? [];
  const all = seriesOf(run);
  const built = all.filter((one) => one.hitRatePercent > 0).map((one) => {
    const coldMs = coldOf(all, one);
    return {
      cells: one,
      ...seriesMap(one, {
        stated: inTokens(stated, bytes),
        hits: hitsOf(facts.hitsByTier ?? [], one),
        ...(coldMs === undefined ? {} : { coldMs }),
      }, bytes),
    };
  });
  const series = withoutLatency(built.map((one) => one.map)).sort(mostTelling);
  const [first] = series;
  return {
    version: 1,
    basis: { cells: run.summary.length, requests: run.details.length },
    headline: headlineOf(first),
    tiers: first?.tiers ?? [],
    knees: first?.knees ?? [],
    evidence: [...(first?.evidence ?? []), ...agreement(series)],
    breakEven: breakEvens(built),
    series,
    ...(bytes === undefined ? {} : { kvBytesPerToken: bytes }),
    ...(stated.length === 0 ? {} : { stated }),
  };
}

function inTokens(
  stated: readonly StatedTier[],
  bytesPerToken: number | undefined,
): NamingFacts["stated"] {
  return stated.flatMap((tier) => {
    const { capacityTokens, capacityBytes } = tier;
    const tokens = capacityTokens ??
      (capacityBytes === undefined || bytesPerToken === undefined
        ? undefined
        : capacityBytes / bytesPerToken);
    return tokens === undefined ? [] : [{ ...tier, capacityTokens: tokens }];
  });
}

/** The counters of a series, by the size of its sets in whole prompts. */
function hitsOf(all: readonly TierHits[], series: CellSeries): TierHits[] {
  const { contextSizeTokens: context, hitRatePercent: rate } = series;
  return all.filter((one) => one.contextSizeTokens === context && one.hitRatePercent === rate)
    .map((one) => ({
      ...one,
      workingSetTokens: promptsOf(one.workingSetTokens, context) * context,
    }));
}

/** TTFT of prompts that share nothing, under the same load. */
function coldOf(all: readonly CellSeries[], series: CellSeries): number | undefined {
  const cold = all.find((one) =>
    one.hitRatePercent === 0 && one.contextSizeTokens === series.contextSizeTokens &&
    one.concurrency === series.concurrency
  );
  return median((cold?.cells ?? []).map((cell) => cell.ttftMs).filter((ms) => ms !== undefined));
}

interface BuiltSeries {
  readonly map: MapSeries;
  readonly shape: Shape;
  readonly coldMs?: number;
}

function seriesMap(
  series: CellSeries,
  facts: NamingFacts,
  bytesPerToken: number | undefined,
): BuiltSeries {
  const shape = withThroughput(series, shapeOf(series, facts.hits));
  const naming = nameTiers(shape, facts);
  const tiers = tiersOf(series, shape, naming, {
    ...(bytesPerToken === undefined ? {} : { bytesPerToken }),
    ...(facts.coldMs === undefined ? {} : { coldMs: facts.coldMs }),
    statedTokens: new Map(facts.stated.map((tier) => [tier.name, tier.capacityTokens])),
  });
  const names = naming.names.map((one) => one.name);
  const reaches = reachesRecompute(series, names, facts.coldMs);
  return {
    shape,
    ...(facts.coldMs === undefined ? {} : { coldMs: facts.coldMs }),
    map: {
      contextSizeTokens: series.contextSizeTokens,
      hitRatePercent: series.hitRatePercent,
      accessOrder: series.accessOrder,
      ...(series.concurrency === undefined ? {} : { concurrency: series.concurrency }),
      reachesRecompute: reaches.answer,
      tiers,
      knees: kneesOf(series, shape, names),
      sizes: sizesOf(series, shape),
      evidence: [
        ...basisTexts(series),
        ...(series.cells.length === 0 ? [] : [...shape.evidence, ...naming.evidence]),
        ...reaches.evidence,
      ],
    },
  };
}

/** What was compared; where that is too little for a knee, how to measure more. */
function basisTexts(series: CellSeries): string[] {
  const { cells, sizesLeftOut } = series;
  if (sizesLeftOut === 0 || cells.length >= MIN_SIZES) return [basisText(series)];
  const more = "measure each size for longer (--test-duration, --ramp-duration), with fewer " +
    "--output-tokens, or with --ensure-working-set-coverage";
  return cells.length === 0
    ? [
      `None of the ${sizesLeftOut} working-set sizes has ${MIN_REQUESTS} answered requests at one ` +
      `concurrency, so that nothing can be compared: ${more}.`,
    ]
    : [
      basisText(series),
      `A size needs ${MIN_REQUESTS} answered requests at the same concurrency: ${more}.`,
    ];
}

function basisText(series: CellSeries): string {
  const { cells, sizesLeftOut, accessOrder, orderEvidence, concurrency } = series;
  const load = concurrency === undefined
    ? "each at its own concurrency, so that TTFTs are not compared"
    : `all at concurrency ${formatCount(concurrency)}`;
  const left = sizesLeftOut === 0
    ? ""
    : ` (${sizesLeftOut} more have too few requests at that concurrency)`;
  const requests = cells.reduce((sum, cell) => sum + cell.requests.length, 0);
  return `${cells.length} working-set sizes, ${load}${left}; ${formatCount(requests)} requests; ` +
    `access order ${accessOrder}: ${orderEvidence}.`;
}

function kneesOf(
  series: CellSeries,
  { boundaries }: Shape,
  names: readonly MapTierName[],
): MapKnee[] {
  // A set of whole prompts of the context size: generated tokens are in the capacity, not here.
  const ofSet = series.contextSizeTokens / (series.contextSizeTokens + series.outputTokens);
  return boundaries.flatMap((knee, i) =>
    knee === undefined ? [] : [{
      workingSetTokens: Math.round(knee.capacityTokens * ofSet),
      low: Math.round(knee.low * ofSet),
      high: Math.round(knee.high * ofSet),
      from: names[i] ?? "cache",
      to: names[i + 1] ?? "cache",
      method: knee.method,
      signals: knee.signals,
    }]
  );
}

/** Requests of a tier that a size needs before their median is drawn. */
const LEAST_OF_TIER = 3;

function sizesOf({ cells }: CellSeries, { boundaries, plateaus }: Shape): MapSize[] {
  const placed = boundaries.filter((knee) => knee?.faster !== undefined);
  const percent = (share: number | undefined) => Number(((share ?? 0) * 100).toFixed(2));
  const members = plateaus.map((plateau) => new Set(plateau.requests));
  const isMixed = plateaus.length > 1 &&
    boundaries.every((knee) => knee === undefined || knee.method === "fit") &&
    members.every((own) => own.size > 0);
  const tierTtfts = (cell: SizeCell) =>
    members.map((own) => {
      const ttfts = cell.requests.filter((one) => own.has(one)).map((one) => one.ttftMs);
      return ttfts.length < LEAST_OF_TIER ? null : median(ttfts) ?? null;
    });
  return cells.map((cell, i) => ({
    workingSetTokens: cell.workingSetTokens,
    prompts: cell.prompts,
    requests: cell.requests.length,
    ...(cell.ttftMs === undefined ? {} : { ttftMs: cell.ttftMs }),
    ...(cell.hitShare === undefined ? {} : { hitPercent: percent(cell.hitShare) }),
    ...(cell.inputTokensPerSec === undefined ? {} : { inputTokensPerSec: cell.inputTokensPerSec }),
    ...(placed.length === 0 ? {} : {
      fasterPercent: placed.map((knee) => percent(knee?.faster?.[i])),
      fittedPercent: placed.map((knee) => percent(knee?.fitted?.[i])),
    }),
    ...(isMixed ? { tierTtftsMs: tierTtfts(cell) } : {}),
  }));
}

/**
 * Whether the largest set still comes from the cache. That it does takes two things: something that
 * shows that it is the cache, and a throughput that holds over the whole range, at all levels.
 */
function reachesRecompute(
  series: CellSeries,
  names: readonly MapTierName[],
  coldMs: number | undefined,
): { answer: MapSeries["reachesRecompute"]; evidence: string[] } {
  const { cells, loads } = series;
  if (names.includes("recompute")) return { answer: "yes", evidence: [] };
  const largest = cells.at(-1);
  const isLost = largest?.hitShare !== undefined && largest.hitShare < HELD_SHARE;
  if (isLost) return { answer: "yes", evidence: [] };
  const rise = riseOf(cells.map((cell) => cell.ttftMs));
  const fall = throughputFall(series);
  const isWhole = loads.every((point) => point.prompts <= (largest?.prompts ?? 0));
  const isFlat = (rise === undefined || rise <= MOST_RISE) &&
    (fall === undefined ? largest?.hitShare !== undefined : fall <= MOST_RISE);
  if (largest === undefined || !isFlat || (!isWhole && fall === undefined)) {
    return { answer: "unknown", evidence: [] };
  }
  const upTo = `up to ${formatShort(largestSet(series))} tokens`;
  const held = fall === undefined
    ? ""
    : `, and throughput holds over all sizes (${percentText(1 / fall - 1)})`;
  if (largest.hitShare !== undefined) {
    const share = formatPercent(largest.hitShare * 100);
    return {
      answer: "no",
      evidence: [
        `The working set ${upTo} never reaches recompute: ${share} of what can be found in the ` +
        `cache is${held}.`,
      ],
    };
  }
  const typicalMs = median(cells.flatMap((cell) => cell.ttftMs ?? []));
  if (coldMs !== undefined && typicalMs !== undefined && typicalMs < COLD_SHARE * coldMs) {
    return {
      answer: "no",
      evidence: [
        `The working set ${upTo} never reaches recompute: ${formatMs(typicalMs)} a prompt, where ` +
        `prompts that share nothing take ${formatMs(coldMs)}${held}.`,
      ],
    };
  }
  if (names.length > 1 || rise === undefined) return { answer: "unknown", evidence: [] };
  return {
    answer: "unknown",
    evidence: [
      `The working set ${upTo} is served from one place: TTFT changes by ${
        percentText(rise - 1)
      } from the smaller to the larger sizes${held}. That it is the cache, and not computed each ` +
      "time, the rows do not show: they hold no count of cached tokens. Add --cache-hit-rates 0.",
    ],
  };
}

/** The largest working set of the run, at whatever concurrency. */
function largestSet({ cells, loads, contextSizeTokens }: CellSeries): number {
  const prompts = loads.map((point) => point.prompts);
  return Math.max(
    cells.at(-1)?.workingSetTokens ?? 0,
    ...prompts.map((count) => count * contextSizeTokens),
  );
}

function percentText(share: number): string {
  return formatPercent(Math.round(share * 1000) / 10);
}

/** Rise of the TTFT from the smaller to the larger sizes that still counts as none. */
const MOST_RISE = 1.15;

function riseOf(ttftsMs: readonly (number | undefined)[]): number | undefined {
  if (ttftsMs.length < 4 || ttftsMs.some((ms) => ms === undefined)) return undefined;
  const half = Math.floor(ttftsMs.length / 2);
  const values = ttftsMs as readonly number[];
  const [small, large] = [median(values.slice(0, half)), median(values.slice(-half))];
  return small === undefined || large === undefined ? undefined : large / small;
}

/** Most hits first, then most knees, then most sizes. */
function mostTelling(a: MapSeries, b: MapSeries): number {
  return b.hitRatePercent - a.hitRatePercent || b.knees.length - a.knees.length ||
    b.sizes.length - a.sizes.length || b.contextSizeTokens - a.contextSizeTokens;
}

function headlineOf(series: MapSeries | undefined): string {
  if (series === undefined) return "No tier map: the run has no working-set sizes with hits";
  const { knees, sizes, reachesRecompute: reaches } = series;
  if (sizes.length === 0) return "No tier map: too few requests at each working-set size";
  const largest = formatShort(sizes.at(-1)?.workingSetTokens);
  if (knees.length === 0) {
    const cached = {
      yes: "",
      no: `; ${largest} tokens never reach recompute`,
      unknown: "",
    }[reaches];
    return `No knee up to a working set of ${largest} tokens${cached}`;
  }
  const ends = knees.map((knee) =>
    `${knee.from} ends at ${formatShort(knee.workingSetTokens)} tokens ` +
    `(${formatShort(knee.low)}–${formatShort(knee.high)})`
  );
  const last = series.tiers.at(-1);
  const beyond = last === undefined
    ? ""
    : `; beyond: ${last.name}, ${formatMs(last.ttft.ms)} a prompt`;
  const byOrder = series.tiers.some((tier) => tier.namedBy === "order" && tier.name !== "cache");
  return capitalised(ends.join(", ")) + beyond + (byOrder ? " (tiers named by their order)" : "");
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What the other series say about the knees of the first one. */
function agreement(series: readonly MapSeries[]): string[] {
  const others = series.slice(1);
  if (others.length === 0) return [];
  return others.map((one) => {
    const where = `${formatShort(one.contextSizeTokens)}-token prompts at ${
      formatPercent(one.hitRatePercent)
    }`;
    const knees = one.knees.map((knee) => formatShort(knee.workingSetTokens)).join(", ");
    return `${where}: ${knees === "" ? "no knee" : `knees at ${knees} tokens`}.`;
  });
}

/** One break-even for each tier name, from all series. */
function breakEvens(
  built: readonly (BuiltSeries & { readonly cells: CellSeries })[],
): BreakEven[] {
  const points = new Map<MapTierName, SavedTime[]>();
  for (const { cells, map, shape } of built) {
    if (map.concurrency !== 1) continue;
    map.tiers.forEach((tier: MapTier, i) => {
      const plateau = shape.plateaus[i];
      if (tier.name === "recompute") return;
      const list = points.get(tier.name) ?? [];
      points.set(tier.name, list);
      if (tier.missCostMs === undefined || plateau === undefined) return;
      list.push({ prefixTokens: readTokens(cells, plateau), savedMs: tier.missCostMs });
    });
  }
  const known = [...points].filter(([, list]) => list.length > 0);
  return (known.length > 0 ? known : [...points]).map(([tier, list]) => breakEvenOf(tier, list));
}
