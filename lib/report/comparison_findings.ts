/**
 * What a comparison comes to, in words.
 *
 * @module
 */

import type { ComparisonVerdict } from "../metrics/compare.ts";
import { COMPARED_METRICS } from "../metrics/compared_metrics.ts";
import { formatCount, formatPercent } from "../units.ts";
import { type Comparison, isOddPoint } from "./comparison.ts";
import { metricTitle } from "./comparison_figures.ts";
import { labelOf, pairSentence, shortLabel } from "./comparison_sentence.ts";
import { isOutgrown } from "./findings.ts";
import { type CellKey, cellName } from "./points.ts";

/** The answer of the comparison, in one sentence; of several pairs, the one that gains most. */
export function comparisonHeadline(comparison: Comparison): string {
  const [best] = pairsOf(comparison).sort((a, b) => b.gain - a.gain);
  return best?.sentence ?? "Nothing to compare: there is one configuration";
}

/** One sentence for each other pair; where there is one pair, how its points were judged. */
export function conclusionsOf(comparison: Comparison): string[] {
  const headline = comparisonHeadline(comparison);
  const pairs = pairsOf(comparison);
  if (pairs.length > 1) {
    return pairs.map((pair) => pair.sentence).filter((sentence) => sentence !== headline);
  }
  return pairs.flatMap(({ run }) => judgements(comparison, run));
}

function pairsOf(comparison: Comparison) {
  return comparison.runs.flatMap((_, run) =>
    run === comparison.baseline ? [] : [{ run, ...pairSentence(comparison, run) }]
  );
}

/** How many points of each spoken figure are better, worse or neither. */
function judgements(comparison: Comparison, run: number): string[] {
  const own = comparison.cells.filter((cell) => cell.run === run);
  const lines = spokenMetrics(comparison).flatMap((metric) => {
    const cells = own.filter((cell) => cell.metric === metric);
    if (cells.length === 0) return [];
    const where = cells.every((cell) => cell.concurrency === cell.baselineConcurrency) &&
        cells.some((cell) => cell.concurrency !== undefined)
      ? " at equal concurrency"
      : "";
    return [`${metricTitle(metric)}${where}: ${verdicts(cells.map((cell) => cell.verdict))}.`];
  });
  const shared = new Set(own.map(cellName)).size;
  const alone = (comparison.runs[run]?.points.length ?? 0) - shared;
  const rest = alone > 0 && shared > 0
    ? [`${alone} of its points are not in ${labelOf(comparison, comparison.baseline)}.`]
    : [];
  return [[...lines, ...rest].join(" ")].filter((text) => text !== "");
}

/** The figures that the text speaks of. */
function spokenMetrics(comparison: Comparison): readonly string[] {
  return comparison.kind === "single-prompt"
    ? ["avg_ttft", "avg_output_tokens"]
    : ["input_tokens_per_sec", "p95_ttft"];
}

function verdicts(each: readonly ComparisonVerdict[]): string {
  const count = (verdict: ComparisonVerdict) => each.filter((one) => one === verdict).length;
  const parts = [
    [count("better"), "better"],
    [count("worse"), "worse"],
    [count("within noise"), "within noise"],
    [count("unknown"), "not judged"],
  ] as const;
  return parts.filter(([n]) => n > 0).map(([n, what]) => `${what} at ${n}`).join(", ") +
    ` of ${each.length} ${each.length === 1 ? "point" : "points"}`;
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
    ...oddPoints(comparison),
    ...differing,
    ...replicationNote(comparison),
    ...comparison.runs.flatMap((run) =>
      run.problems.map((problem) => `${shortLabel(run.label)}: ${problem}`)
    ),
  ];
}

/** The points without a ratio, by name: what was compared there was not the same work. */
function oddPoints({ runs }: Comparison): string[] {
  return runs.flatMap((run) => {
    const odd = run.points.filter((point) => isOddPoint([run], point));
    return odd.length === 0 ? [] : [
      `${
        shortLabel(run.label)
      }: more than 1 % of the answers are not as long as was asked for at ` +
      `${odd.map(pointText).join("; ")}: no ratio is made there.`,
    ];
  });
}

/** What the intervals rest on, where they do not rest on replicates. */
function replicationNote(comparison: Comparison): string[] {
  const judged = comparison.cells.filter((cell) => cell.ratio !== undefined);
  if (judged.length === 0 || judged.some((cell) => cell.basis === "replicates")) return [];
  const assumed = [0, 1].map((at) => COMPARED_METRICS[at === 0 ? 0 : 2]?.assumedDeviation ?? 0).map(
    (share) => `${share * 100} %`,
  );
  const single = "One run of each configuration: how much its figures change from run to run was" +
    " not measured.";
  const how = judged.some((cell) => cell.basis === "assumed")
    ? ` The intervals assume a standard deviation of ${assumed[0]} for throughput and of` +
      ` ${assumed[1]} for latencies between runs.`
    : " Without repeats (--num-retries 0) or request rows nothing is marked as better or worse.";
  return [
    `${single}${how} To measure it, run each configuration with --replicates 3, or give several` +
    " folders of each: --output-dirs A1 A2 A3 B1 B2 B3 --labels A A A B B B.",
  ];
}
