/**
 * How much of the prompts' work a server had done by an instant, from what a client can see: when
 * each prompt was sent, and when its first content came.
 *
 * Two curves bound the work done by any instant: a prompt is finished no later than at its first
 * content, and it is not begun before it was sent; the shortest time to first token of the period
 * is what a prompt takes alone. Between the two bounds the work is taken to go on as evenly as they
 * allow (the shortest path between them, "taut string"). Where nothing is in flight both bounds are
 * the same and the work is known; where a queue never runs dry the path is a straight line to the
 * last first content, which is what a server that is always busy does.
 *
 * @module
 */

import type { TimeWindow } from "./intervals.ts";

/** The prompt of an answered request. */
export interface PromptWork {
  readonly sentAtMs: number;
  readonly firstContentAtMs: number;
}

/** Instants at which the bounds are looked at, before the window's end and after it. */
const INSTANTS = 4096;

/**
 * Of the sum of `tokens`, those that were worked on in the window.
 *
 * Takes time in proportion to the prompts, and memory that does not depend on their number. The
 * server has to have nothing else of ours to do when the first prompt is sent.
 *
 * @param tokens Of each prompt, what is to be counted.
 * @example Four prompts queue at a server that takes a second for each; the window ends after two
 * ```ts
 * import { tokensWorkedOn } from "./even_work.ts";
 * const works = [1000, 2000, 3000, 4000].map((firstContentAtMs) => ({ sentAtMs: 0, firstContentAtMs }));
 * console.log(tokensWorkedOn(works, [50, 50, 50, 50], { fromMs: 0, toMs: 2000 })); // 100
 * ```
 */
export function tokensWorkedOn(
  works: readonly PromptWork[],
  tokens: ArrayLike<number>,
  { fromMs, toMs }: TimeWindow,
): number {
  let [aloneMs, firstAtMs, endAtMs] = [Infinity, Infinity, -Infinity];
  for (const { sentAtMs, firstContentAtMs } of works) {
    aloneMs = Math.min(aloneMs, firstContentAtMs - sentAtMs);
    firstAtMs = Math.min(firstAtMs, sentAtMs);
    endAtMs = Math.max(endAtMs, firstContentAtMs);
  }
  const doneBy = (atMs: number) => {
    if (atMs <= firstAtMs) return 0;
    const grid = new Grid(firstAtMs, atMs, Math.max(atMs, endAtMs));
    const [latest, earliest] = [new Progress(grid), new Progress(grid)];
    for (let i = 0; i < works.length; i++) {
      const { sentAtMs = NaN, firstContentAtMs = NaN } = works[i] ?? {};
      latest.add(tokens[i] ?? 0, firstContentAtMs - aloneMs, firstContentAtMs);
      earliest.add(tokens[i] ?? 0, sentAtMs, sentAtMs + aloneMs);
    }
    return shortestPathAt(grid.atMs, latest.values(), earliest.values(), INSTANTS);
  };
  return Math.max(0, doneBy(toMs) - doneBy(fromMs));
}

/** Instants, evenly spaced up to the window's end, which is one of them, and evenly after it. */
class Grid {
  readonly atMs: Float64Array;
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #beforeMs: number;
  readonly #afterMs: number;

  constructor(fromMs: number, toMs: number, endAtMs: number) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
    this.#beforeMs = (toMs - fromMs) / INSTANTS;
    this.#afterMs = (endAtMs - toMs) / INSTANTS;
    const length = this.#afterMs > 0 ? 2 * INSTANTS + 1 : INSTANTS + 1;
    this.atMs = Float64Array.from({ length }, (_, k) => {
      if (k === INSTANTS) return toMs;
      if (k === 2 * INSTANTS) return endAtMs;
      return k < INSTANTS ? fromMs + k * this.#beforeMs : toMs + (k - INSTANTS) * this.#afterMs;
    });
  }

  /** The first instant that is not before `atMs`; one behind the last where there is none. */
  firstFrom(atMs: number): number {
    const guess = atMs <= this.#toMs
      ? Math.ceil((atMs - this.#fromMs) / this.#beforeMs)
      : INSTANTS + Math.ceil((atMs - this.#toMs) / this.#afterMs);
    let k = Math.min(Math.max(guess, 0), this.atMs.length);
    // Rounding may be one off.
    while (k > 0 && (this.atMs[k - 1] ?? NaN) >= atMs) k--;
    while (k < this.atMs.length && (this.atMs[k] ?? NaN) < atMs) k++;
    return k;
  }
}

/** A sum of ramps, each from 0 to its tokens, at the instants of a grid. */
class Progress {
  readonly #grid: Grid;
  /** What is added to the sum from this instant on: a constant, and so much a millisecond. */
  readonly #constant: Float64Array;
  readonly #perMs: Float64Array;

  constructor(grid: Grid) {
    this.#grid = grid;
    this.#constant = new Float64Array(grid.atMs.length + 1);
    this.#perMs = new Float64Array(grid.atMs.length + 1);
  }

  add(tokens: number, fromMs: number, toMs: number): void {
    const originMs = this.#grid.atMs[0] ?? 0;
    const to = this.#grid.firstFrom(toMs);
    const slope = toMs > fromMs ? tokens / (toMs - fromMs) : 0;
    const from = slope > 0 ? this.#grid.firstFrom(fromMs) : to;
    const offset = slope * (fromMs - originMs);
    this.#constant[from] = (this.#constant[from] ?? 0) - offset;
    this.#perMs[from] = (this.#perMs[from] ?? 0) + slope;
    this.#constant[to] = (this.#constant[to] ?? 0) + offset + tokens;
    this.#perMs[to] = (this.#perMs[to] ?? 0) - slope;
  }

  values(): Float64Array {
    const { atMs } = this.#grid;
    let [constant, perMs] = [0, 0];
    return atMs.map((at, k) => {
      constant += this.#constant[k] ?? 0;
      perMs += this.#perMs[k] ?? 0;
      return constant + perMs * (at - (atMs[0] ?? 0));
    });
  }
}

interface Corner {
  readonly k: number;
  readonly value: number;
}

/**
 * The value at instant `wanted` of the shortest path, from 0 at the first instant to the last value
 * of `low`, that is nowhere below `low` or above `high`. By the funnel algorithm (D. T.
 * Lee, F. P. Preparata: Euclidean shortest paths in the presence of rectilinear barriers, 1984).
 */
export function shortestPathAt(
  atMs: Float64Array,
  low: Float64Array,
  high: Float64Array,
  wanted: number,
): number {
  // Both are known at the ends; between them rounding must not turn the bounds around.
  low[0] = high[0] = 0;
  high[high.length - 1] = low.at(-1) ?? 0;
  for (let k = 0; k < low.length; k++) high[k] = Math.max(high[k] ?? 0, low[k] ?? 0);
  let apex: Corner = { k: 0, value: 0 };
  /** What the path would follow if it were pressed down, and up: from the apex on. */
  let above: Corner[] = [];
  let below: Corner[] = [];
  const slope = (a: Corner, b: Corner) =>
    (b.value - a.value) / ((atMs[b.k] ?? NaN) - (atMs[a.k] ?? NaN));
  const last = atMs.length - 1;
  const passed: Corner[] = [apex];
  /** Adds a corner to one side, whose slopes grow in the direction of `sign`. */
  const extend = (own: Corner[], other: Corner[], corner: Corner, sign: 1 | -1) => {
    while (own.length > 0) {
      const before = own.at(-2) ?? apex;
      if (sign * (slope(before, own.at(-1)!) - slope(before, corner)) < 0) break;
      own.pop();
    }
    own.push(corner);
    if (own.length > 1) return other;
    let gone = 0;
    while (gone < other.length && sign * (slope(apex, other[gone]!) - slope(apex, corner)) >= 0) {
      apex = other[gone++]!;
      passed.push(apex);
      if (apex.k === corner.k) break;
    }
    return gone === 0 ? other : other.slice(gone);
  };
  for (let k = 1; k <= last && apex.k < wanted; k++) {
    const [upper, lower] = [{ k, value: high[k] ?? 0 }, { k, value: low[k] ?? 0 }];
    below = extend(above, below, upper, 1);
    above = extend(below, above, lower, -1);
    if (apex.k === k) [above, below] = [[], []];
  }
  passed.push(...below);
  const next = passed.findIndex((corner) => corner.k >= wanted);
  const [from, to] = [passed[next - 1] ?? apex, passed[next] ?? apex];
  return from.k === to.k
    ? to.value
    : from.value + slope(from, to) * ((atMs[wanted] ?? NaN) - (atMs[from.k] ?? NaN));
}
