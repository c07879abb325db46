/**
 * Limits (`--fail-if`) of runs and of comparisons, checked on their rows.
 *
 * @module
 */

import { type Estimate, sampleInterval } from "../metrics/compare.ts";
import { COMPARED_METRICS } from "../metrics/compared_metrics.ts";
import {
  checkThresholds,
  type Threshold,
  type ThresholdOutcome,
  type ThresholdPoint,
} from "../metrics/thresholds.ts";
import type { RunData } from "../results/schema.ts";
import { type CellComparison, type Comparison, isOddPoint } from "./comparison.ts";
import { pointText } from "./comparison_findings.ts";
import { sourceOf } from "./comparison_samples.ts";

/**
 * Checks limits at every cell of a run, with intervals over its repeats at the peak; of several
 * runs of one configuration, with intervals over the runs.
 */
export function checkRuns(
  runs: readonly RunData[],
  thresholds: readonly Threshold[],
): ThresholdOutcome[] {
  const wanted = new Set(thresholds.map((one) => one.metric));
  const metrics = COMPARED_METRICS.filter((metric) => wanted.has(metric.name));
  const { compared, atPeak } = sourceOf("", runs);
  return checkThresholds(
    thresholds,
    compared.points.map((point): ThresholdPoint => {
      const values: Record<string, Estimate> = {};
      for (const metric of metrics) {
        const placed = atPeak(point, metric);
        if (placed !== undefined) values[metric.name] = sampleInterval(placed.sample);
      }
      return { where: pointText(point), hitRatePercent: point.hitRatePercent, values };
    }),
  );
}

const NOT_AS_ASKED = "not checked, answers are not as long as was asked for";

/** Checks limits at every point that a run shares with the baseline. */
export function checkComparison(
  comparison: Comparison,
  thresholds: readonly Threshold[],
): ThresholdOutcome[] {
  const groups = Map.groupBy(comparison.cells, (cell) => `${cell.run} ${pointText(cell)}`);
  return checkThresholds(
    thresholds,
    [...groups.values()].flatMap((cells) => thresholdPoint(comparison, cells)),
  );
}

function thresholdPoint(
  comparison: Comparison,
  cells: readonly CellComparison[],
): ThresholdPoint[] {
  const [first] = cells;
  if (first === undefined) return [];
  const label = comparison.runs[first.run]?.label ?? "";
  const sides = comparison.runs.filter((_, n) => n === first.run || n === comparison.baseline);
  return [{
    where: `${label}, ${pointText(first)}`,
    hitRatePercent: first.hitRatePercent,
    values: Object.fromEntries(cells.map((cell) => [cell.metric, cell.value])),
    ratios: Object.fromEntries(cells.map((cell) => [cell.metric, cell.ratio])),
    ...(isOddPoint(sides, first) ? { noRatio: NOT_AS_ASKED } : {}),
  }];
}
