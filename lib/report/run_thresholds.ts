/**
 * Limits (`--fail-if`) of runs and of comparisons, checked on their rows.
 *
 * @module
 */

import {
  COMPARED_METRICS,
  drawMetrics,
  type Estimate,
  figureInterval,
} from "../metrics/compare.ts";
import {
  checkThresholds,
  type Threshold,
  type ThresholdOutcome,
  type ThresholdPoint,
} from "../metrics/thresholds.ts";
import { randomStream, seedFor } from "../random.ts";
import type { RunData } from "../results/schema.ts";
import { type CellComparison, type Comparison, requestsOf } from "./comparison.ts";
import { pointText } from "./comparison_findings.ts";
import { arrangeRows, cellName, periodsAtPeak, type Point, type RunRows } from "./points.ts";
import { singlePromptPoints } from "./single_prompt_points.ts";

/** Checks limits at every cell of a run, with intervals from its request rows. */
export function checkRun(run: RunData, thresholds: readonly Threshold[]): ThresholdOutcome[] {
  const wanted = new Set(thresholds.map((one) => one.metric));
  const rows = arrangeRows(run);
  const points = run.kind === "single-prompt"
    ? singlePromptPoints(run.singlePrompt)
    : rows.points.map((point) => ({ point, requests: atPeak(rows, point) }));
  return checkThresholds(
    thresholds,
    points.map(({ point, requests }): ThresholdPoint => {
      const metrics = COMPARED_METRICS.filter((metric) => wanted.has(metric.name));
      const draws = drawMetrics(requests, {
        stream: randomStream(seedFor("threshold", cellName(point))),
        concurrency: point.row.peak_concurrency ?? 1,
      }, metrics);
      const values: Record<string, Estimate> = {};
      for (const { name } of metrics) {
        const value = point.row[name as keyof typeof point.row];
        if (typeof value !== "number") continue;
        const drawn = draws.get(name);
        values[name] = figureInterval({ value, ...(drawn === undefined ? {} : { draws: drawn }) });
      }
      return { where: pointText(point), hitRatePercent: point.hitRatePercent, values };
    }),
  );
}

function atPeak(rows: RunRows, point: Point) {
  return requestsOf(periodsAtPeak(point.row, rows.periodsOf(point)));
}

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
  return [{
    where: `${label}, ${pointText(first)}`,
    hitRatePercent: first.hitRatePercent,
    values: Object.fromEntries(cells.map((cell) => [cell.metric, cell.value])),
    ratios: Object.fromEntries(cells.map((cell) => [cell.metric, cell.ratio])),
  }];
}
