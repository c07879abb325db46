/**
 * Plateaus and knees by shares of hits: several tiers serve each size (random access).
 *
 * @module
 */

import { median } from "../metrics/intervals.ts";
import { formatCount, formatMs, formatPercent, formatShort } from "../units.ts";
import { type CapacityFit, fitCapacity } from "./capacity_fit.ts";
import type { CellSeries, SizeCell, TierRequest } from "./cells.ts";
import { clusterBounds } from "./clusters.ts";
import {
  type Boundary,
  flatText,
  hitText,
  type Plateau,
  plateauOf,
  type Shape,
} from "./plateaus.ts";
import { LOST_SHARE } from "./steps.ts";

/** The shape of a series whose prompts are drawn at random. */
export function byShares(series: CellSeries): Shape {
  const { cells } = series;
  const evidence: string[] = [];
  const bounds = series.concurrency === 1 ? boundsOf(cells, evidence) : [];
  if (series.concurrency !== 1) {
    evidence.push(
      `Under random access hits and misses are told apart by TTFT only at concurrency 1; these ` +
        `requests ran at ${formatCount(series.concurrency)} and wait for each other.`,
    );
  }
  const cached = cells.every((cell) => cell.hitShare !== undefined);
  const all = bounds.length > 0 ? groupsByTtft(cells, bounds) : groupsByHits(cells, cached);
  const groups: TierRequest[][] = [];
  const boundaries: (Boundary | undefined)[] = [];
  let group = all[0] ?? [];
  for (const [i, slower] of all.slice(1).entries()) {
    const byServer = cached && i === all.length - 2 && isMiss(slower);
    const faster = cells.map((cell) =>
      byServer ? cell.hitShare ?? 0 : shareWithin(cell, [...groups.flat(), ...group])
    );
    const boundary = fitBoundary(series, faster, byServer, evidence);
    // Slow requests whose share does not follow the law are stragglers, unless they are misses or
    // so many at so many sizes that they are two tiers whose end cannot be placed.
    if (boundary === undefined && !byServer && !isCommon(cells, slower)) {
      group = [...group, ...slower];
      continue;
    }
    const last = boundaries.at(-1);
    if (last !== undefined && boundary !== undefined && boundary.low <= last.high) {
      // Too little between two ends for a tier: prompts that are held in part.
      boundaries[boundaries.length - 1] = joined(last, boundary);
      evidence.push(
        `The intervals of the two ends overlap, so they are one: the ${
          formatCount(group.length)
        } requests between the clusters are prompts that are held in part.`,
      );
      groups.push([...groups.pop() ?? [], ...group]);
    } else {
      groups.push(group);
      boundaries.push(boundary);
    }
    group = slower;
  }
  groups.push(group);
  const plateaus = groups.length > 1
    ? groups.map((one) => mixedPlateau(cells, one))
    : [plateauOf(cells, false)];
  if (groups.length <= 1) evidence.push(...(cached ? hitText(cells) : []), flatText(series));
  return { plateaus, boundaries, evidence };
}

/** One end that two fits place a little apart. */
function joined(a: Boundary, b: Boundary): Boundary {
  return {
    ...b,
    capacityTokens: Math.sqrt(a.capacityTokens * b.capacityTokens),
    low: Math.min(a.low, b.low),
    high: Math.max(a.high, b.high),
  };
}

/** Bounds between clusters that are mixed within sizes, as random access mixes them. */
function boundsOf(cells: readonly SizeCell[], evidence: string[]): number[] {
  const bounds = clusterBounds(cells.flatMap((cell) => cell.requests.map((one) => one.ttftMs)));
  return bounds.filter((bound) => {
    const mixed = cells.filter((cell) => {
      const share = cell.requests.filter((one) => one.ttftMs < bound).length /
        cell.requests.length;
      return share >= 0.05 && share <= 0.95;
    }).length;
    if (mixed >= 2) return true;
    evidence.push(
      `TTFTs below and above ${formatMs(bound)} do not mix at two sizes, as tiers do under ` +
        "random access: not taken for two tiers.",
    );
    return false;
  });
}

function groupsByTtft(cells: readonly SizeCell[], bounds: readonly number[]): TierRequest[][] {
  const groups: TierRequest[][] = Array.from({ length: bounds.length + 1 }, () => []);
  for (const request of cells.flatMap((cell) => cell.requests)) {
    groups[bounds.filter((bound) => request.ttftMs >= bound).length]?.push(request);
  }
  return groups;
}

/** Hits and misses by the server's count, where both are there. */
function groupsByHits(cells: readonly SizeCell[], cached: boolean): TierRequest[][] {
  const requests = cells.flatMap((cell) => cell.requests);
  const hits = requests.filter((one) => (one.cachedShare ?? 1) >= 0.5);
  const misses = requests.filter((one) => (one.cachedShare ?? 1) < 0.5);
  return cached && hits.length > 0 && misses.length > 0 ? [hits, misses] : [requests];
}

/** Stragglers are few. */
const COMMON_SHARE = 0.1;

/** True of a group that has its share of the requests at three sizes at least. */
function isCommon(cells: readonly SizeCell[], group: readonly TierRequest[]): boolean {
  return cells.filter((cell) => shareWithin(cell, group) >= COMMON_SHARE).length >= 3;
}

function isMiss(group: readonly TierRequest[]): boolean {
  const shares = group.map((one) => one.cachedShare).filter((one) => one !== undefined);
  return shares.length > 0 && (median(shares) ?? 1) <= LOST_SHARE;
}

function shareWithin(cell: SizeCell, group: readonly TierRequest[]): number {
  const members = new Set(group);
  return cell.requests.filter((one) => members.has(one)).length / cell.requests.length;
}

function mixedPlateau(cells: readonly SizeCell[], group: readonly TierRequest[]): Plateau {
  const members = new Set(group);
  const shares = group.map((one) => one.cachedShare).filter((one) => one !== undefined);
  return {
    requests: group,
    sizeMediansMs: cells.flatMap((cell) => {
      const ttfts = cell.requests.filter((one) => members.has(one)).map((one) => one.ttftMs);
      return ttfts.length >= 3 ? [median(ttfts) ?? NaN] : [];
    }),
    ...(shares.length < group.length
      ? {}
      : { hitShare: shares.reduce((sum, one) => sum + one, 0) / shares.length }),
  };
}

function fitBoundary(
  series: CellSeries,
  faster: readonly number[],
  byServer: boolean,
  evidence: string[],
): Boundary | undefined {
  const repeats = series.uniqueTokens <= 0;
  const fit = fitCapacity(
    series.cells.map((cell, i) => ({
      prompts: cell.prompts,
      requests: cell.requests.length,
      hits: (faster[i] ?? 0) * cell.requests.length,
    })),
    {
      keptTokens: series.sharedTokens + (repeats ? series.outputTokens : 0),
      passingTokens: series.uniqueTokens + (repeats ? 0 : series.outputTokens),
    },
  );
  const source = byServer ? "cached tokens of the server" : "TTFT clusters";
  evidence.push(fitText(series, faster, fit, source));
  if (fit === undefined) return undefined;
  return {
    method: "fit",
    signals: [byServer ? "hit rate" : "ttft", "share of hits"],
    capacityTokens: fit.tokens,
    low: fit.low,
    high: fit.high,
    faster,
    fitted: fit.expected,
  };
}

function fitText(
  { cells }: CellSeries,
  faster: readonly number[],
  fit: CapacityFit | undefined,
  source: string,
): string {
  const range = `from ${formatPercent((faster[0] ?? NaN) * 100)} at ${
    formatShort(cells[0]?.workingSetTokens)
  } tokens to ${formatPercent((faster.at(-1) ?? NaN) * 100)} at ${
    formatShort(cells.at(-1)?.workingSetTokens)
  }`;
  const requests = cells.reduce((sum, cell) => sum + cell.requests.length, 0);
  return fit === undefined
    ? `The share of hits (${source}), ${range}, does not follow capacity / working set: no ` +
      "capacity is claimed."
    : `The share of hits (${source}, ${formatCount(requests)} requests), ${range}, falls as ` +
      `capacity / working set with a capacity of ${
        formatShort(fit.tokens)
      } tokens (95 % interval ` +
      `${formatShort(fit.low)} to ${formatShort(fit.high)}; counts scatter ${
        fit.dispersion.toFixed(1)
      } times as much as independent requests would).`;
}
