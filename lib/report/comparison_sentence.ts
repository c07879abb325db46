/**
 * What one configuration is against another along a sweep, in one sentence.
 *
 * @module
 */

import { sum } from "../metrics/intervals.ts";
import { formatBytes, formatPercent, formatShort } from "../units.ts";
import type { CellComparison, Comparison } from "./comparison.ts";
import { metricBetter } from "./comparison_figures.ts";
import {
  type Crossover,
  crossoversOf,
  type GainPoint,
  type Stretch,
  stretchesOf,
} from "./crossover.ts";

/** A sentence, and how much the configuration gains on average. */
export interface PairSentence {
  readonly sentence: string;
  /** Geometric mean of the gains; 0 where there is nothing to compare. */
  readonly gain: number;
}

/** More stretches than this are counted, not told one by one. */
const MOST_STRETCHES = 4;

/** The sentence about a configuration and the baseline. */
export function pairSentence(comparison: Comparison, run: number): PairSentence {
  const metric = comparison.kind === "single-prompt" ? "avg_ttft" : "input_tokens_per_sec";
  const [label, base] = [labelOf(comparison, run), labelOf(comparison, comparison.baseline)];
  const cells = comparison.cells.filter((cell) =>
    cell.run === run && cell.metric === metric && (cell.ratio?.estimate ?? 0) > 0
  );
  if (cells.length === 0) {
    const isOdd = comparison.cells.some((cell) => cell.run === run && cell.metric === metric);
    const why = isOdd ? "no point that makes a ratio" : "no point in common: nothing to compare";
    return {
      sentence: `${label} and ${base} have ${why}`,
      gain: 0,
    };
  }
  const series = seriesOf(comparison, cells);
  const main = series.reduce((a, b) => b.points.length >= a.points.length ? b : a);
  const stretches = stretchesOf(main.points);
  const uniform = new Set(series.flatMap((one) => stretchesOf(one.points).map((s) => s.side)));
  const words = wordsOf(comparison, run);
  const told = uniform.size === 1 && series.length > 1
    ? phrase(words, { side: stretches[0]!.side, points: series.flatMap((one) => one.points) }) +
      ` at all ${cells.length} points`
    : stretches.length > MOST_STRETCHES
    ? `changes sides ${stretches.length - 1} times: ${extremes(words, main.points)}`
    : walk(words, main.points, stretches) + (series.length > 1 ? ` (${main.title})` : "");
  const limits = limitNote(comparison, run);
  return {
    sentence: `${label} against ${base}: ${told}${limits}`,
    gain: Math.exp(sum(main.points.map((one) => Math.log(one.gain.estimate))) / main.points.length),
  };
}

/** The label of a configuration, as it may stand in a sentence. */
export function labelOf(comparison: Comparison, run: number): string {
  return shortLabel(comparison.runs[run]?.label ?? "");
}

/** A label as it may stand in a sentence; the table of the runs has it whole. */
export function shortLabel(label: string): string {
  const characters = [...label];
  return characters.length <= 60 ? label : `${characters.slice(0, 59).join("")}…`;
}

interface Series {
  readonly title: string;
  readonly points: readonly GainPoint[];
}

/** One series for each context size and, where the axis is not the hit rate, each hit rate. */
function seriesOf(comparison: Comparison, cells: readonly CellComparison[]): Series[] {
  const { kind } = comparison;
  const titleOf = (cell: CellComparison) => {
    const rate = kind === "single-prompt"
      ? cell.hitRatePercent === 0 ? "cold" : "cached"
      : `${formatPercent(cell.hitRatePercent)} hits`;
    const context = `context ${formatShort(cell.contextSizeTokens)}`;
    return kind === "cache-rate"
      ? context
      : kind === "single-prompt"
      ? rate
      : `${context}, ${rate}`;
  };
  return [...Map.groupBy(cells, titleOf)].map(([title, own]) => ({
    title,
    points: own.map((cell) => gainPoint(comparison, cell)).sort((a, b) => a.x - b.x),
  }));
}

function gainPoint({ kind }: Comparison, cell: CellComparison): GainPoint {
  const { estimate = NaN, low, high } = cell.ratio ?? {};
  const higher = metricBetter(cell.metric) === "higher";
  const x = kind === "cache-rate"
    ? cell.hitRatePercent
    : kind === "working-set"
    ? cell.workingSetTokens ?? 0
    : cell.contextSizeTokens;
  const bounds = low === undefined || high === undefined
    ? {}
    : higher
    ? { low, high }
    : { low: 1 / high, high: 1 / low };
  return {
    x,
    gain: { estimate: higher ? estimate : 1 / estimate, ...bounds },
    verdict: cell.verdict,
  };
}

/** How places and gains are said. */
interface Words {
  /** A place of the sweep, whole: `1.4M tokens (128 GiB)`. */
  readonly place: (x: number) => string;
  /** The same in short: `1.4M`. */
  readonly short: (x: number) => string;
  readonly isLatency: boolean;
}

function wordsOf(comparison: Comparison, run: number): Words {
  const { kind, runs, baseline } = comparison;
  const bytes = runs[run]?.kvBytesPerToken ?? runs[baseline]?.kvBytesPerToken;
  const isLatency = kind === "single-prompt";
  if (kind === "cache-rate") {
    const rate = (x: number) => `${formatPercent(x)} hits`;
    return { place: rate, short: formatPercent, isLatency };
  }
  const size = (x: number) => bytes === undefined ? "" : ` (${formatBytes(x * bytes)})`;
  return { place: (x) => `${formatShort(x)} tokens${size(x)}`, short: formatShort, isLatency };
}

/** From the first point to the last: what each stretch says, and where they meet. */
function walk(words: Words, points: readonly GainPoint[], stretches: readonly Stretch[]): string {
  if (stretches.length === 1) {
    const [only] = stretches;
    const where = points.length === 1
      ? `at ${words.place(points[0]?.x ?? NaN)}`
      : `at every point from ${words.short(points[0]?.x ?? NaN)} to ${
        words.place(points.at(-1)?.x ?? NaN)
      }`;
    return only === undefined ? "" : `${phrase(words, only)} ${where}`;
  }
  const crossovers = crossoversOf(points);
  const told = stretches.filter((stretch, at) => !isMeeting(stretches, stretch, at));
  const parts = told.flatMap((stretch, at) => {
    const crossing = between(crossovers, told[at - 1], stretch);
    const place = crossing !== undefined && at === told.length - 1
      ? "beyond"
      : where(words, stretch, at, told.length);
    return [
      ...(crossing === undefined ? [] : [breakEven(words, crossing)]),
      `${phrase(words, stretch)} ${place}`,
    ];
  });
  return parts.join(", ");
}

function where(words: Words, { points }: Stretch, at: number, count: number): string {
  const [first, last] = [points[0]?.x ?? NaN, points.at(-1)?.x ?? NaN];
  if (at === 0) return `up to ${words.place(last)}`;
  if (at === count - 1) return `from ${words.place(first)} on`;
  return first === last
    ? `at ${words.place(first)}`
    : `from ${words.short(first)} to ${words.place(last)}`;
}

/** An even stretch between two sides is where they meet. */
function isMeeting(stretches: readonly Stretch[], { side }: Stretch, at: number): boolean {
  const [before, after] = [stretches[at - 1], stretches[at + 1]];
  return side === "even" && before !== undefined && after !== undefined &&
    before.side !== after.side;
}

function between(
  crossovers: readonly Crossover[],
  before: Stretch | undefined,
  after: Stretch,
): Crossover | undefined {
  const [from, to] = [before?.points.at(-1)?.x, after.points[0]?.x];
  if (from === undefined || to === undefined) return undefined;
  return crossovers.find(({ x }) => from <= x && x <= to);
}

function breakEven({ short }: Words, { x, low, high }: Crossover): string {
  const range = low === undefined && high === undefined
    ? ""
    : low === undefined
    ? ` (at most ${short(high ?? NaN)})`
    : high === undefined
    ? ` (at least ${short(low)})`
    : ` (${short(low)} to ${short(high)})`;
  return `breaks even near ${short(x)}${range}`;
}

function phrase(words: Words, { side, points }: Stretch): string {
  const gains = points.map((point) => point.gain.estimate);
  const [low, high] = [Math.min(...gains), Math.max(...gains)];
  const compared = points.some((point) => point.verdict === "within noise");
  if (side === "even") return compared ? "no difference beyond noise" : "the same";
  if (side === "ahead") {
    const much = high < 1.5 ? percents(low - 1, high - 1) : factors(low, high);
    return words.isLatency ? `${much} faster` : `wins ${much}`;
  }
  const much = low > 0.5 ? percents(1 - high, 1 - low) : factors(1 / high, 1 / low);
  return words.isLatency || low <= 0.5 ? `${much} slower` : `costs ${much}`;
}

function extremes(words: Words, points: readonly GainPoint[]): string {
  const sorted = [...points].sort((a, b) => a.gain.estimate - b.gain.estimate);
  const at = (point: GainPoint | undefined) =>
    point === undefined
      ? ""
      : `${
        phrase(words, { side: point.gain.estimate >= 1 ? "ahead" : "behind", points: [point] })
      } at ${words.place(point.x)}`;
  return `it ${at(sorted[0])} and ${at(sorted.at(-1))}`;
}

function percents(low: number, high: number): string {
  const [a, b] = [low, high].map((share) => {
    const percent = share * 100;
    return String(percent < 10 ? Number(percent.toFixed(1)) : Math.round(percent));
  });
  return a === b ? `${a} %` : `${a} to ${b} %`;
}

function factors(low: number, high: number): string {
  const [a, b] = [low, high].map((factor) =>
    factor < 10 ? String(Number(factor.toFixed(1))) : Math.round(factor).toLocaleString("en-US")
  );
  return a === b ? `${a}x` : `${a} to ${b}x`;
}

/** A higher limit lets a run take more load, which is no gain of its configuration. */
function limitNote({ runs, baseline }: Comparison, run: number): string {
  const [a, b] = [runs[baseline]?.ttftLimitSec, runs[run]?.ttftLimitSec];
  if (a === undefined || b === undefined || a === b) return "";
  return `; under other TTFT limits: ${b} s against ${a} s`;
}
