/**
 * The shape of a series, by the access order: steps, shares of hits, or nothing to be claimed.
 *
 * @module
 */

import { type CellSeries, MIN_SIZES } from "./cells.ts";
import type { TierHits } from "./naming.ts";
import { plateauOf, type Shape } from "./plateaus.ts";
import { byShares } from "./shape_by_shares.ts";
import { bySteps } from "./shape_by_steps.ts";

/** Plateaus and boundaries of a series. @param hits What the server's counters say of it. */
export function shapeOf(series: CellSeries, hits: readonly TierHits[] = []): Shape {
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
  const shape = bySteps(series, hits);
  return accessOrder === "cyclic" || shape.boundaries.length > 0 ? shape : byShares(series);
}

function whole(series: CellSeries, evidence: readonly string[]): Shape {
  return { plateaus: [plateauOf(series.cells)], boundaries: [], evidence };
}
