/**
 * The plateaus of a series and the knees between them: by steps where each size is served by one
 * tier (cyclic access), by shares of hits where several tiers serve each size (random access).
 *
 * @module
 */

import { median } from "../metrics/intervals.ts";
import type { KneeSignal } from "../results/tier_map_file.ts";
import { formatCount, formatPercent, formatShort } from "../units.ts";
import { type CapacityFit, fitCapacity } from "./capacity_fit.ts";
import { type CellSeries, MIN_SIZES, type SizeCell, type TierRequest } from "./cells.ts";
import { clusterBounds } from "./clusters.ts";
import { findSteps, HELD_SHARE, LOST_SHARE, shareStep, type Step } from "./steps.ts";

/** Requests that one tier served. */
export interface Plateau {
  readonly requests: readonly TierRequest[];
  /** Median TTFT of each size that belongs to it. */
  readonly sizeMediansMs: readonly number[];
  /** Mean share of tokens found in the cache, where the server says. */
  readonly hitShare?: number;
  /** Smallest and largest set that it alone serves. */
  readonly fromTokens?: number;
  readonly toTokens?: number;
}

/** The end of one plateau and the beginning of the next, in tokens that the cache holds. */
export interface Boundary {
  readonly method: "step" | "fit";
  readonly signals: readonly KneeSignal[];
  readonly capacityTokens: number;
  readonly low: number;
  readonly high: number;
  /** Under random access, for each size: share that a tier before the boundary served, and fit. */
  readonly faster?: readonly number[];
  readonly fitted?: readonly number[];
}

/** What the rows of one series show. */
export interface Shape {
  readonly plateaus: readonly Plateau[];
  /** One less than the plateaus; `undefined` where two plateaus have no knee that can be placed. */
  readonly boundaries: readonly (Boundary | undefined)[];
  readonly evidence: readonly string[];
}

/** Tokens that a set of this many prompts takes in the cache: prompts and what they generate. */
export function footprintOf(series: CellSeries, prompts: number): number {
  return prompts * (series.contextSizeTokens + series.outputTokens);
}

/** Plateaus and boundaries of a series. */
export function shapeOf(series: CellSeries): Shape {
  const { cells, accessOrder } = series;
  if (cells.length < MIN_SIZES) {
    return whole(series, [
      `Only ${cells.length} working-set sizes share a concurrency: ${MIN_SIZES} are needed for a knee.`,
    ]);
  }
  if (accessOrder === "zipf") {
    return whole(series, [
      "Zipf access: hits fall neither in a step nor as capacity / working set, so no knee is claimed.",
    ]);
  }
  if (accessOrder === "random") return byShares(series);
  const shape = bySteps(series);
  return accessOrder === "cyclic" || shape.boundaries.length > 0 ? shape : byShares(series);
}

function plateauOf(cells: readonly SizeCell[], alone = true): Plateau {
  const hits = cells.map((cell) => cell.hitShare).filter((one) => one !== undefined);
  return {
    requests: cells.flatMap((cell) => cell.requests),
    sizeMediansMs: cells.map((cell) => cell.ttftMs).filter((one) => one !== undefined),
    ...(hits.length < cells.length || hits.length === 0
      ? {}
      : { hitShare: hits.reduce((sum, one) => sum + one, 0) / hits.length }),
    ...(alone && cells.length > 0
      ? {
        fromTokens: cells[0]?.workingSetTokens ?? NaN,
        toTokens: cells.at(-1)?.workingSetTokens ?? NaN,
      }
      : {}),
  };
}

function whole(series: CellSeries, evidence: readonly string[]): Shape {
  return { plateaus: [plateauOf(series.cells)], boundaries: [], evidence };
}

// Steps.

function bySteps(series: CellSeries): Shape {
  const { cells } = series;
  const evidence: string[] = [];
  const ttft = stepsOf(cells, (cell) => cell.ttftMs, (cell) => cell.ttftError)
    .filter((step) => isAbrupt(cells, step, evidence));
  const rate = stepsOf(
    cells,
    (cell) => cell.inputTokensPerSec === undefined ? undefined : 1 / cell.inputTokensPerSec,
    () => 0,
  );
  const hits = shareStep(cells.map((cell) => cell.hitShare));
  const hasTtft = cells.every((cell) => cell.ttftMs !== undefined);
  const steps = united(hasTtft ? ttft : rate, hits, evidence);
  if (hits === undefined) evidence.push(...hitText(cells));
  const boundaries = steps.map((step): Boundary => {
    const low = footprintOf(series, cells[step.before]?.prompts ?? NaN);
    const high = footprintOf(series, cells[step.before + 1]?.prompts ?? NaN);
    const shows = (others: readonly Step[]) => others.some((one) => overlap(one, step));
    const signals: KneeSignal[] = [
      ...(shows(ttft) ? ["ttft" as const] : []),
      ...(hits !== undefined && overlap(hits, step) ? ["hit rate" as const] : []),
      ...(shows(rate) ? ["throughput" as const] : []),
    ];
    evidence.push(...stepText(cells, step));
    return { method: "step", signals, low, high, capacityTokens: Math.sqrt(low * high) };
  });
  const starts = [0, ...steps.map((step) => step.after)];
  const plateaus = starts.map((from, i) =>
    plateauOf(cells.slice(from, (steps[i]?.before ?? cells.length - 1) + 1))
  );
  if (steps.length === 0) evidence.push(flatText(series));
  return { plateaus, boundaries, evidence };
}

function stepsOf(
  cells: readonly SizeCell[],
  value: (cell: SizeCell) => number | undefined,
  error: (cell: SizeCell) => number,
): Step[] {
  const curve = cells.map((cell) => ({ log: Math.log(value(cell) ?? NaN), error: error(cell) }));
  return curve.some((point) => !Number.isFinite(point.log)) ? [] : findSteps(curve);
}

/**
 * Whether nearly all requests change sides at a step. Under random access the median jumps where
 * half of the requests miss, but the requests of each size lie on both sides.
 */
function isAbrupt(cells: readonly SizeCell[], step: Step, evidence: string[]): boolean {
  const [left, right] = [cells[step.before], cells[step.after]];
  if (left === undefined || right === undefined) return false;
  if (left.requests.length === 0 || right.requests.length === 0) return true;
  const bound = Math.sqrt((left.ttftMs ?? NaN) * (right.ttftMs ?? NaN));
  const faster = (cell: SizeCell) =>
    cell.requests.filter((one) => one.ttftMs < bound).length / cell.requests.length;
  if (faster(left) >= HELD_SHARE && faster(right) <= LOST_SHARE) return true;
  evidence.push(
    `TTFT rises between ${formatShort(left.workingSetTokens)} and ` +
      `${formatShort(right.workingSetTokens)} tokens, but fast and slow requests mix on both ` +
      `sides (${formatPercent(faster(left) * 100)} and ${
        formatPercent(faster(right) * 100)
      } fast): ` +
      "not a step.",
  );
  return false;
}

function overlap(a: Step, b: Step): boolean {
  return a.before < b.after && b.before < a.after;
}

/** Steps of the curve, and the one of the hit rate: beyond it nothing is a tier any more. */
function united(steps: readonly Step[], hits: Step | undefined, evidence: string[]): Step[] {
  if (hits === undefined) return [...steps];
  const beyond = steps.filter((step) => step.before >= hits.after);
  if (beyond.length > 0) {
    evidence.push("Where no prompt is found in the cache, further rises are not knees.");
  }
  return [
    ...steps.filter((step) => step.after <= hits.before),
    { ...hits, after: Math.max(hits.after, ...steps.filter((s) => overlap(s, hits)).map(afterOf)) },
  ];
}

function afterOf(step: Step): number {
  return step.after;
}

function stepText(cells: readonly SizeCell[], { before, after }: Step): string[] {
  const [left, right] = [cells[before], cells[after]];
  const tokens = (cell: SizeCell | undefined) => formatShort(cell?.workingSetTokens);
  const what = [
    left?.ttftMs === undefined || right?.ttftMs === undefined
      ? undefined
      : `median TTFT ${formatShort(left.ttftMs)} to ${formatShort(right.ttftMs)} ms`,
    left?.hitShare === undefined || right?.hitShare === undefined
      ? undefined
      : `found in the cache ${formatPercent(left.hitShare * 100)} to ${
        formatPercent(right.hitShare * 100)
      }`,
  ].filter((part) => part !== undefined).join(", ");
  const between = after - before > 1
    ? ` ${tokens(cells[before + 1])} lies between the levels: held in part, or a tier of its own` +
      " that only a finer sweep would show."
    : "";
  return [`Step from ${tokens(left)} to ${tokens(right)} tokens: ${what}.${between}`];
}

function hitText(cells: readonly SizeCell[]): string[] {
  const shares = cells.map((cell) => cell.hitShare).filter((one) => one !== undefined);
  if (shares.length < cells.length) return [];
  const [first, last] = [shares[0] ?? 0, shares.at(-1) ?? 0];
  const range = `${formatPercent(first * 100)} at the smallest set, ${
    formatPercent(last * 100)
  } at the largest`;
  if (shares.every((one) => one >= HELD_SHARE)) {
    return [`Found in the cache at each size: ${range}.`];
  }
  if (shares.every((one) => one <= LOST_SHARE)) {
    return [`Hardly anything is found in the cache at any size: ${range}.`];
  }
  return [`What is found in the cache falls without a step (${range}): its end is not placed.`];
}

/** How much the last sizes differ from the first ones, where there is no knee. */
function flatText({ cells, concurrency }: CellSeries): string {
  const values = cells.map((cell) => cell.ttftMs).filter((one) => one !== undefined);
  const third = Math.max(2, Math.floor(values.length / 3));
  const [small, large] = [median(values.slice(0, third)), median(values.slice(-third))];
  if (small === undefined || large === undefined || values.length < MIN_SIZES) {
    return "No knee: TTFT was not measured at one concurrency.";
  }
  const change = formatPercent((large / small - 1) * 100);
  return `No knee: from ${formatShort(cells[0]?.workingSetTokens)} to ${
    formatShort(cells.at(-1)?.workingSetTokens)
  } tokens the median TTFT at concurrency ${formatCount(concurrency)} changes by ${change} ` +
    `(${formatShort(small)} to ${formatShort(large)} ms), and nowhere in a step.`;
}

// Shares.

function byShares(series: CellSeries): Shape {
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
  const groups = bounds.length > 0 ? groupsByTtft(cells, bounds) : groupsByHits(cells, cached);
  const boundaries = groups.slice(1).map((_, i) => {
    const isLast = i === groups.length - 2;
    const byServer = cached && isLast && isMiss(groups[i + 1] ?? []);
    const faster = cells.map((cell) =>
      byServer ? cell.hitShare ?? 0 : shareWithin(cell, groups.slice(0, i + 1).flat())
    );
    return fitBoundary(series, faster, byServer, evidence);
  });
  const plateaus = groups.length > 1
    ? groups.map((group) => mixedPlateau(cells, group))
    : [plateauOf(cells, false)];
  if (groups.length <= 1) evidence.push(...(cached ? hitText(cells) : []), flatText(series));
  return { plateaus, boundaries, evidence };
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
      `TTFTs below and above ${formatShort(bound)} ms do not mix at two sizes, as tiers do under ` +
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
