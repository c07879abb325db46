/**
 * Plateaus and knees by steps: each working-set size is served by one tier (cyclic access).
 *
 * @module
 */

import type { KneeSignal } from "../results/tier_map_file.ts";
import { formatMs, formatPercent, formatShort } from "../units.ts";
import type { CellSeries, SizeCell } from "./cells.ts";
import { type Counted, countedSteps } from "./counted_steps.ts";
import type { TierHits } from "./naming.ts";
import {
  type Boundary,
  flatText,
  footprintOf,
  hitText,
  plateauOf,
  type Shape,
} from "./plateaus.ts";
import {
  HELD_SHARE,
  LOST_SHARE,
  type Refusal,
  type RefusedRise,
  searchSteps,
  shareStep,
  type Step,
  type StepSearch,
} from "./steps.ts";

/** The shape of a series whose sizes are used one prompt after the other. */
export function bySteps(series: CellSeries, counts: readonly TierHits[] = []): Shape {
  const { cells } = series;
  const evidence: string[] = [];
  const counted = countedSteps(cells, counts);
  const search = stepsOf(cells, (cell) => cell.ttftMs, (cell) => cell.ttftError);
  const ttft = search.steps.filter((step) => isAbrupt(cells, step, evidence));
  const { steps: rate } = stepsOf(
    cells,
    (cell) => cell.inputTokensPerSec === undefined ? undefined : 1 / cell.inputTokensPerSec,
    () => 0,
  );
  const hits = shareStep(cells.map((cell) => cell.hitShare));
  const hasTtft = cells.every((cell) => cell.ttftMs !== undefined);
  const seen = hasTtft ? ttft : rate;
  const steps = united(withCounted(cells, counted, seen, evidence), hits, evidence);
  if (hits === undefined) evidence.push(...hitText(cells));
  evidence.push(...refusedTexts(cells, search, hits));
  const boundaries = steps.map((step): Boundary => {
    const low = footprintOf(series, cells[step.before]?.prompts ?? NaN);
    const high = footprintOf(series, cells[step.before + 1]?.prompts ?? NaN);
    const shows = (others: readonly Step[]) => others.some((one) => overlap(one, step));
    const signals: KneeSignal[] = [
      ...(shows(counted.steps) ? ["counters" as const] : []),
      ...(shows(ttft) ? ["ttft" as const] : []),
      ...(hits !== undefined && overlap(hits, step) ? ["hit rate" as const] : []),
      ...(shows(rate) ? ["throughput" as const] : []),
    ];
    evidence.push(
      ...counted.steps.filter((one) => one.before === step.before).map((one) => one.text),
      ...stepText(cells, step),
    );
    return { method: "step", signals, low, high, capacityTokens: Math.sqrt(low * high) };
  });
  const starts = [0, ...steps.map((step) => step.after)];
  const plateaus = starts.map((from, i) =>
    plateauOf(cells.slice(from, (steps[i]?.before ?? cells.length - 1) + 1))
  );
  if (steps.length === 0) evidence.push(flatText(series), ...thresholdText(cells, search));
  return { plateaus, boundaries, evidence };
}

/**
 * Steps by counters, and those of the curve that counters say nothing against: a rise between two
 * sizes that one and the same tier serves has another cause. Below HBM there may be more tiers than
 * the server counts.
 */
function withCounted(
  cells: readonly SizeCell[],
  { steps, servedBy }: Counted,
  seen: readonly Step[],
  evidence: string[],
): Step[] {
  const others = seen.filter((step) => !steps.some((one) => overlap(one, step)));
  const left = others.filter((step) => {
    const tier = servedBy[step.before];
    if (tier === undefined || tier === "offload" || tier !== servedBy[step.after]) return true;
    // What is recomputed is in no counter of hits: where it may be that, the rise stands.
    const isHeld = (i: number) => (cells[i]?.hitShare ?? 0) >= HELD_SHARE;
    if (!isHeld(step.before) || !isHeld(step.after)) return true;
    evidence.push(
      `The curve rises from ${formatShort(cells[step.before]?.workingSetTokens)} to ` +
        `${
          formatShort(cells[step.after]?.workingSetTokens)
        } tokens, but by the server's counters ` +
        `${tier} serves both: not a knee.`,
    );
    return false;
  });
  for (const step of steps) {
    if (seen.some((one) => overlap(one, step))) continue;
    evidence.push(
      `Neither TTFT nor throughput shows the end at ${
        formatShort(cells[step.before]?.workingSetTokens)
      } tokens by itself: the counters alone do.`,
    );
  }
  return [...steps, ...left].sort((a, b) => a.before - b.before);
}

function stepsOf(
  cells: readonly SizeCell[],
  value: (cell: SizeCell) => number | undefined,
  error: (cell: SizeCell) => number,
): StepSearch {
  const curve = cells.map((cell) => ({ log: Math.log(value(cell) ?? NaN), error: error(cell) }));
  return curve.some((point) => !Number.isFinite(point.log))
    ? { steps: [], refused: [] }
    : searchSteps(curve);
}

/** Why rises of TTFT are no knees; not of those at the end of the cache or beyond it. */
function refusedTexts(
  cells: readonly SizeCell[],
  { refused }: StepSearch,
  hits: Step | undefined,
): string[] {
  return refused.filter((rise) => rise.after <= (hits?.before ?? Infinity))
    .map((rise) => refusedText(cells, rise));
}

/** What would have been a step, where there is none. */
function thresholdText(cells: readonly SizeCell[], { threshold }: StepSearch): string[] {
  if (threshold === undefined) return [];
  return [
    `Median TTFT scatters by ${percent(Math.exp(threshold.noise))} from size to size: of ` +
    `${cells.length} sizes only a rise by ${
      percent(threshold.leastRatio)
    } counts as a step. More ` +
    "sizes, each for longer, show smaller ones.",
  ];
}

function refusedText(cells: readonly SizeCell[], { before, after, why }: RefusedRise): string {
  const [left, right] = [cells[before], cells[after]];
  const between = `between ${formatShort(left?.workingSetTokens)} and ` +
    `${formatShort(right?.workingSetTokens)} tokens`;
  const ttfts = `${formatMs(left?.ttftMs)} to ${formatMs(right?.ttftMs)}`;
  const rises = `Median TTFT rises ${between} (${ttfts})`;
  switch (why.kind) {
    case "few":
      return `A step ${between} is likely (median TTFT ${ttfts}), but only one size lies ` +
        `${fewText(why)}.`;
    case "noise":
      return `${rises}: not enough to stand out of the scatter from size to size.`;
    case "slope":
      return `${rises}, on and on over ${after - before + 1} sizes: a slope, not a step.`;
    case "passing":
      return `${rises}, but the sizes beyond do not stay above those before: not a step.`;
  }
}

function percent(ratio: number): string {
  return formatPercent(Math.round((ratio - 1) * 100));
}

function fewText({ side, isEdge }: Extract<Refusal, { kind: "few" }>): string {
  const needed = "and a knee needs two: add";
  if (!isEdge) {
    return `between it and the ${side === "before" ? "step before" : "next step"}, ${needed} ` +
      "sizes in between";
  }
  return side === "before"
    ? `before it, ${needed} smaller sizes`
    : `beyond it, ${needed} larger sizes`;
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
      : `median TTFT ${formatMs(left.ttftMs)} to ${formatMs(right.ttftMs)}`,
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
