/**
 * What a comparison comes to, in words.
 *
 * @module
 */

import { EQUAL_LOAD } from "../metrics/compare.ts";
import { formatCount, formatPercent } from "../units.ts";
import type { Comparison } from "./comparison.ts";
import { metricBetter, metricTitle } from "./comparison_figures.ts";
import { formatRatio, isOutgrown } from "./findings.ts";
import type { CellKey } from "./points.ts";

/** The figures that the conclusion speaks of, and how. */
const SPOKEN = {
  "cache-rate": ["input_tokens_per_sec", EQUAL_LOAD.name, "p95_ttft"],
  "working-set": ["input_tokens_per_sec", EQUAL_LOAD.name, "p95_ttft"],
  "single-prompt": ["avg_ttft", "p95_ttft", "avg_output_tokens"],
} as const;

/** One figure of one run against the baseline, over all shared points. */
export interface Overall {
  readonly run: number;
  readonly metric: string;
  readonly points: number;
  /** Geometric mean of the ratios. */
  readonly ratio: number;
  readonly lowest: number;
  readonly highest: number;
  readonly better: number;
  readonly worse: number;
  readonly noise: number;
  readonly unknown: number;
}

/** Every figure over the points that a run shares with the baseline. */
export function overallOf(comparison: Comparison): Overall[] {
  const groups = Map.groupBy(
    comparison.cells.filter((cell) => (cell.ratio?.estimate ?? 0) > 0),
    (cell) => `${cell.run} ${cell.metric}`,
  );
  return [...groups.values()].flatMap((cells): Overall[] => {
    const [first] = cells;
    if (first === undefined) return [];
    const ratios = cells.map((cell) => cell.ratio?.estimate ?? NaN);
    const count = (verdict: string) => cells.filter((cell) => cell.verdict === verdict).length;
    return [{
      run: first.run,
      metric: first.metric,
      points: cells.length,
      ratio: Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length),
      lowest: Math.min(...ratios),
      highest: Math.max(...ratios),
      better: count("better"),
      worse: count("worse"),
      noise: count("within noise"),
      unknown: count("unknown"),
    }];
  });
}

/** The comparison in a few words. */
export function comparisonHeadline(comparison: Comparison): string {
  const base = labelOf(comparison, comparison.baseline);
  const found = overallOf(comparison).filter((one) => one.metric === leadingMetric(comparison));
  const [best] = found.sort((a, b) => goodness(b) - goodness(a));
  if (best === undefined) return `No point in common with ${base}: nothing to compare`;
  const label = labelOf(comparison, best.run);
  const what = inSentence(best.metric);
  if (best.better === 0 && best.worse === 0) {
    return best.unknown === best.points
      ? `${label}: ${
        formatRatio(best.ratio)
      } the ${what} of ${base}; too few request rows to tell` +
        " noise from a difference"
      : `${label} and ${base}: no difference in ${what} beyond noise`;
  }
  const where = best.points === 1
    ? "at the one shared point"
    : `over ${best.points} points (${verdicts(best)})`;
  return `${label}: ${formatRatio(best.ratio)} the ${what} of ${base} ${where}`;
}

function leadingMetric(comparison: Comparison): string {
  return comparison.kind === "single-prompt" ? "avg_ttft" : "input_tokens_per_sec";
}

function goodness({ ratio, metric }: Overall): number {
  return metricBetter(metric) === "higher" ? ratio : 1 / ratio;
}

function labelOf(comparison: Comparison, run: number): string {
  return shortLabel(comparison.runs[run]?.label ?? "");
}

/** A label as it may stand in a sentence; the table of the runs has it whole. */
function shortLabel(label: string): string {
  const characters = [...label];
  return characters.length <= 60 ? label : `${characters.slice(0, 59).join("")}…`;
}

/** A title inside a sentence; `TTFT` and its like keep their letters. */
function inSentence(metric: string): string {
  const title = metricTitle(metric);
  return /^[A-Z]{2}/.test(title) ? title : title.charAt(0).toLowerCase() + title.slice(1);
}

/** A paragraph for each run but the baseline. */
export function conclusionsOf(comparison: Comparison): string[] {
  const overall = overallOf(comparison);
  const base = labelOf(comparison, comparison.baseline);
  return comparison.runs.flatMap((run, index) => {
    if (index === comparison.baseline) return [];
    const sentences = SPOKEN[comparison.kind].flatMap((metric) => {
      const one = overall.find((each) => each.run === index && each.metric === metric);
      return one === undefined ? [] : [sentenceOf(comparison, one)];
    });
    const shared = new Set(
      comparison.cells.filter((cell) => cell.run === index).map((cell) => pointText(cell)),
    ).size;
    if (shared === 0) {
      return [
        `${
          labelOf(comparison, index)
        } has no point in common with ${base}: only its graphs can be compared.`,
      ];
    }
    const alone = run.points.length - shared;
    const rest = alone > 0 ? ` ${alone} of its points are not in ${base}.` : "";
    return [`${labelOf(comparison, index)} against ${base}: ${sentences.join(" ")}${rest}`];
  });
}

function sentenceOf(comparison: Comparison, one: Overall): string {
  const flat = formatRatio(one.lowest) === formatRatio(one.highest);
  const range = one.points === 1
    ? ""
    : ` (geometric mean over ${one.points} points${flat ? "" : `; ${extremes(comparison, one)}`})`;
  const atPeaks = comparison.kind !== "single-prompt" && one.metric === "p95_ttft";
  const title = metricTitle(one.metric) + (atPeaks ? " at the peaks, under different loads," : "");
  return `${title} is ${formatRatio(one.ratio)}${range}: ${verdicts(one)}.`;
}

function extremes(comparison: Comparison, one: Overall): string {
  const cells = comparison.cells.filter((cell) =>
    cell.run === one.run && cell.metric === one.metric
  );
  const at = (ratio: number) => {
    const cell = cells.find((each) => each.ratio?.estimate === ratio);
    return `${formatRatio(ratio)}${cell === undefined ? "" : ` at ${pointText(cell)}`}`;
  };
  return `from ${at(one.lowest)} to ${at(one.highest)}`;
}

function verdicts(one: Overall): string {
  const parts = [
    one.better > 0 ? `better at ${one.better}` : "",
    one.worse > 0 ? `worse at ${one.worse}` : "",
    one.noise > 0 ? `within noise at ${one.noise}` : "",
    one.unknown > 0 ? `without an interval at ${one.unknown}` : "",
  ].filter((part) => part !== "");
  return parts.join(", ");
}

/** `8,000 tokens at 50 %, working set 500,000`. */
export function pointText(key: CellKey): string {
  const set = key.workingSetTokens === undefined
    ? ""
    : `, working set ${formatCount(key.workingSetTokens)}`;
  return `${formatCount(key.contextSizeTokens)} tokens at ${
    formatPercent(key.hitRatePercent)
  }${set}`;
}

/** What a reader has to know before believing the comparison. */
export function comparisonWarnings(comparison: Comparison): string[] {
  const rows = comparison.cells.filter((cell) => cell.verdict !== "unknown").length;
  const limited = comparison.runs.flatMap((run) => {
    const count = run.points.filter((point) => point.row.client_limited === "yes").length;
    return count === 0 ? [] : [
      `${
        shortLabel(run.label)
      }: at ${count} of ${run.points.length} points the measuring client may have` +
      " been the limit.",
    ];
  });
  const differing = comparison.runs.flatMap((run) => {
    const count = run.points.filter(({ row }) =>
      row.hit_rate_verdict === "differs" && !isOutgrown(run, row)
    ).length;
    return count === 0 ? [] : [
      `${
        shortLabel(run.label)
      }: at ${count} of ${run.points.length} points the hit rate was not the one` +
      " intended.",
    ];
  });
  return [
    ...comparison.forced.map((reason) => `Compared by force. ${reason}.`),
    ...limited,
    ...differing,
    ...(rows === 0 && comparison.cells.length > 0
      ? ["There are too few request rows for intervals: nothing tells noise from a difference."]
      : []),
    ...comparison.runs.flatMap((run) =>
      run.problems.map((problem) => `${shortLabel(run.label)}: not read: ${problem}`)
    ),
  ];
}
