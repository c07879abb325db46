/**
 * What runs along the x axis of a sweep, and what its points have to show.
 *
 * @module
 */

import type { PlotlyObject } from "./figure.ts";
import { distinct, type Point } from "./points.ts";

/** What runs along the x axis of a sweep. */
export interface SweepAxis {
  readonly title: string;
  readonly kind: "percent" | "count";
  readonly of: (point: Point) => number;
  readonly xaxis: PlotlyObject;
  readonly linkedBy: string;
}

/** Hit rate, 0 to 100 %. */
export const HIT_RATE_AXIS: SweepAxis = {
  title: "Nominal hit rate, %",
  kind: "percent",
  of: (point) => point.hitRatePercent,
  xaxis: { range: [-3, 103], dtick: 10, unifiedhovertitle: { text: "%{x} % nominal hit rate" } },
  linkedBy: "hit-rate",
};

/** Working set, in tokens. */
export const WORKING_SET_AXIS: SweepAxis = {
  title: "Working set, tokens",
  kind: "count",
  of: (point) => point.workingSetTokens ?? 0,
  xaxis: {
    rangemode: "tozero",
    tickformat: "~s",
    unifiedhovertitle: { text: "%{x:,} tokens working set" },
  },
  linkedBy: "working-set",
};

/** Rates that all lie within this many per cent are drawn on an axis of their own. */
const NARROW_PERCENT = 40;

/** The hit-rate axis of a run: whole, unless its few rates lie close together. */
export function hitRateAxis(points: readonly Point[]): SweepAxis {
  const rates = distinct(points.map((point) => point.hitRatePercent));
  const [low = 0, high = 100] = [rates[0], rates.at(-1)];
  if (rates.length > 2 && high - low > NARROW_PERCENT) return HIT_RATE_AXIS;
  const room = Math.max(2, (high - low) * 0.1);
  const { dtick: _, ...xaxis } = HIT_RATE_AXIS.xaxis;
  return {
    ...HIT_RATE_AXIS,
    xaxis: { ...xaxis, range: [low - room, high + room], tickvals: rates },
  };
}

/** True where answers have more than their first token: of one token there is no decoding. */
export function hasDecoding(points: readonly Point[]): boolean {
  return points.some(({ row, contextSizeTokens }) =>
    row.avg_tpot !== undefined ||
    (row.output_tokens_per_sec ?? 0) * contextSizeTokens > 1.5 * (row.input_tokens_per_sec ?? 0)
  );
}
