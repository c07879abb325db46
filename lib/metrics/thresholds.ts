/**
 * `--fail-if`: limits for figures, and whether a run crossed them.
 *
 * @module
 */

import type { Estimate } from "./compare.ts";
import { COMPARED_METRICS, comparedMetric } from "./compared_metrics.ts";

/** A limit: crossed where `metric` `operator` `value` holds. */
export interface Threshold {
  /** As it was given. */
  readonly text: string;
  readonly metric: string;
  /** Only points of this nominal hit rate, in percent. */
  readonly hitRatePercent?: number;
  readonly operator: ">" | "<" | ">=" | "<=";
  readonly value: number;
  /** True for a multiple of the baseline (`1.10x`); else it is in the unit of the column. */
  readonly isRatio: boolean;
}

const SHAPE =
  /^\s*([a-z0-9_]+)\s*(?:@\s*(\d+(?:\.\d+)?)\s*%?)?\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)?|\.\d+)\s*(x|ms|s|%|tokens\/s)?\s*$/;

/**
 * Reads a limit: `METRIC[@HIT_RATE] OPERATOR VALUE`. The metric is a column of `summary_*.csv`. The
 * value is in the unit of the column; `ms` and `s` convert times, `x` makes it a multiple of the
 * baseline.
 *
 * @throws {RangeError} With what is wrong.
 * @example
 * ```ts
 * import { parseThreshold } from "./thresholds.ts";
 * console.log(parseThreshold("p95_ttft > 1.10x").isRatio); // true
 * console.log(parseThreshold("avg_ttft@100 > 500ms").value); // 0.5
 * ```
 */
export function parseThreshold(text: string): Threshold {
  const match = SHAPE.exec(text);
  if (match === null) {
    throw new RangeError("must look like 'p95_ttft > 1.10x' or 'avg_ttft@100 > 0.5'");
  }
  const [, metric = "", rate, operator, number = "", unit] = match;
  const known = comparedMetric(metric);
  if (known === undefined) {
    const names = COMPARED_METRICS.map((one) => one.name).join(", ");
    throw new RangeError(`${metric} is not known; it may be one of ${names}`);
  }
  const units = known.unit === "s" ? ["s", "ms"] : [known.unit];
  if (unit !== undefined && unit !== "x" && !units.includes(unit)) {
    throw new RangeError(`${metric} is in ${known.unit === "" ? "no unit" : known.unit}`);
  }
  return {
    text: text.trim(),
    metric,
    ...(rate === undefined ? {} : { hitRatePercent: Number(rate) }),
    operator: operator as Threshold["operator"],
    value: Number(number) / (unit === "ms" ? 1000 : 1),
    isRatio: unit === "x",
  };
}

/** One point that is checked. */
export interface ThresholdPoint {
  /** What it is, for people. */
  readonly where: string;
  readonly hitRatePercent: number;
  /** By column name: in the unit of the column. */
  readonly values: Readonly<Record<string, Estimate | undefined>>;
  /** By column name: as a multiple of the baseline. */
  readonly ratios?: Readonly<Record<string, Estimate | undefined>>;
  /** Why nothing may be concluded from its ratios: a multiple cannot be checked here. */
  readonly noRatio?: string;
}

/**
 * What became of a limit. `unsure`: the value is beyond it, its interval is not, so it may be
 * noise. `unknown`: no point has such a figure.
 */
export type ThresholdState = "crossed" | "kept" | "unsure" | "unknown";

/** One limit at one point. */
export interface ThresholdOutcome {
  readonly threshold: Threshold;
  readonly where: string;
  readonly figure?: Estimate;
  readonly state: ThresholdState;
  /** Why it is `unknown` at this point, where others have the figure. */
  readonly reason?: string;
}

/**
 * Checks limits at every point that they are about. A limit is crossed where the whole interval of
 * the figure lies beyond it; a figure without an interval is taken as it is.
 */
export function checkThresholds(
  thresholds: readonly Threshold[],
  points: readonly ThresholdPoint[],
): ThresholdOutcome[] {
  return thresholds.flatMap((threshold): ThresholdOutcome[] => {
    const outcomes = points.flatMap((point): ThresholdOutcome[] => {
      const { hitRatePercent: rate } = threshold;
      if (rate !== undefined && rate !== point.hitRatePercent) return [];
      if (threshold.isRatio && point.noRatio !== undefined) {
        return [{ threshold, where: point.where, state: "unknown", reason: point.noRatio }];
      }
      const figures = threshold.isRatio ? point.ratios : point.values;
      const figure = figures?.[threshold.metric];
      if (figure === undefined || !Number.isFinite(figure.estimate)) return [];
      return [{ threshold, where: point.where, figure, state: stateOf(threshold, figure) }];
    });
    return outcomes.length > 0 ? outcomes : [{ threshold, where: "every point", state: "unknown" }];
  });
}

function stateOf(threshold: Threshold, figure: Estimate): ThresholdState {
  const { operator, value } = threshold;
  const beyond = (number: number) => {
    if (operator === ">") return number > value;
    if (operator === ">=") return number >= value;
    return operator === "<" ? number < value : number <= value;
  };
  if (!beyond(figure.estimate)) return "kept";
  const nearest = operator.startsWith(">") ? figure.low : figure.high;
  return beyond(nearest ?? figure.estimate) ? "crossed" : "unsure";
}

/** `p95_ttft > 1.10x at 8,000 tokens, 50 %: 1.31x (95 %: 1.22x to 1.41x)`. */
export function outcomeText(outcome: ThresholdOutcome): string {
  const { threshold, where, figure, state, reason } = outcome;
  if (reason !== undefined) return `${threshold.text} at ${where}: ${reason}`;
  if (figure === undefined) return `${threshold.text}: no point has this figure`;
  const unit = threshold.isRatio ? "x" : unitOf(threshold.metric);
  const text = (value: number) => `${Number(value.toPrecision(4))}${unit}`;
  const interval = figure.low === undefined || figure.high === undefined
    ? "no interval: there are no repeats"
    : `95 %: ${text(figure.low)} to ${text(figure.high)}`;
  const noise = state === "unsure" ? "; this may be noise" : "";
  return `${threshold.text} at ${where}: ${text(figure.estimate)} (${interval})${noise}`;
}

function unitOf(metric: string): string {
  const unit = comparedMetric(metric)?.unit ?? "";
  return unit === "" || unit === "%" ? unit : ` ${unit}`;
}
