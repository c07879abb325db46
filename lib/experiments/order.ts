/**
 * The order in which the cells of a sweep are measured, and where the search of each begins.
 *
 * @module
 */

import { randomStream, seedFor } from "../random.ts";

/** `--order`: mixed, so that a drift of the server is not taken for an effect of the hit rate. */
export type CellOrder = "mixed" | "ascending";

/** Permutations that are drawn; the first good one is taken, else the best. */
const DRAWS = 500;
const GOOD_ENOUGH = 0.05;

/**
 * The values in a seeded order that has no trend: a server that gets faster or slower in even steps,
 * or fast at first and then ever less, moves high and low values alike.
 *
 * Three values always have a correlation of at least 0.5 with their positions, two of 1.
 *
 * @example
 * ```ts
 * import { balancedOrder, trendOf } from "./order.ts";
 * const order = balancedOrder([0, 20, 40, 60, 80, 100], "a seed");
 * console.log(trendOf(order) < 0.2); // true
 * ```
 */
export function balancedOrder(values: readonly number[], seed: string): number[] {
  const stream = randomStream(seedFor("cell order", seed));
  let best = [...values];
  for (let draw = 0; draw < DRAWS && trendOf(best) > GOOD_ENOUGH; draw++) {
    const order = [...values];
    for (let i = order.length - 1; i > 0; i--) {
      const j = stream.nextBelow(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    if (trendOf(order) < trendOf(best)) best = order;
  }
  return best;
}

/** The larger correlation, without its sign, of values with their position and with its logarithm. */
export function trendOf(order: readonly number[]): number {
  const positions = order.map((_, i) => i + 1);
  return Math.max(
    Math.abs(correlation(positions, order)),
    Math.abs(correlation(positions.map(Math.log), order)),
  );
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((x, y) => x + y, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  a.forEach((value, i) => {
    const [da, db] = [value - meanA, b[i]! - meanB];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  });
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

/** What the order depends on. */
interface OrderedCell {
  readonly cellId: string;
  readonly contextSizeTokens: number;
  readonly hitRatePercent: number;
  readonly anyOrder?: true;
}

/** The cells as they are measured: those of a context that may stand in any order are mixed. */
export function orderCells<Cell extends OrderedCell>(
  cells: readonly Cell[],
  order: CellOrder | undefined,
  seed: string,
): Cell[] {
  if (order !== "mixed") return [...cells];
  const ofContext = Map.groupBy(
    cells,
    (cell) => cell.anyOrder === true ? cell.contextSizeTokens : cell.cellId,
  );
  return [...ofContext].flatMap(([key, some]) => {
    const rates = balancedOrder(some.map((cell) => cell.hitRatePercent), `${seed}/${key}`);
    return rates.map((rate) => some.find((cell) => cell.hitRatePercent === rate)!);
  });
}

/** A cell whose search is over. */
export interface SearchedCell {
  readonly peakKey: string;
  readonly hitRatePercent: number;
  /** Absent where no level met the limits. */
  readonly concurrency?: number;
}

/**
 * Where a search begins: the peak of the nearest cell of the same key that has no higher hit rate,
 * the last one of equals. A cell of a higher rate bears more: its peak would be a start beyond the
 * limits.
 */
export function startingPeak(
  searched: readonly SearchedCell[],
  cell: Pick<SearchedCell, "peakKey" | "hitRatePercent">,
): number | undefined {
  return searched
    .filter((one) => one.peakKey === cell.peakKey && one.hitRatePercent <= cell.hitRatePercent)
    .reduce<SearchedCell | undefined>(
      (best, one) => best === undefined || one.hitRatePercent >= best.hitRatePercent ? one : best,
      undefined,
    )?.concurrency;
}
