/**
 * The tables of a comparison: those of its page, and its two CSV files.
 *
 * @module
 */

import { comparedMetric } from "../metrics/compared_metrics.ts";
import { type AnyRow, headerLine, rowLines } from "../results/csv.ts";
import type { Column } from "../results/schema.ts";
import type { MapTier, TierMap } from "../results/tier_map_file.ts";
import { formatBytes, formatCount, formatMs, formatShort } from "../units.ts";
import { differingOptions } from "./comparability.ts";
import type { CellComparison, Comparison } from "./comparison.ts";
import { metricTitle } from "./comparison_figures.ts";
import type { CellKind, Graph, GraphTable } from "./figure.ts";
import type { Point } from "./points.ts";
import { factTable, formatCell } from "./tables.ts";

function number(name: string, unit: string, doc: string): Column {
  return { name, type: "number", unit, doc, python: false };
}

function text(name: string, doc: string): Column {
  return { name, type: "text", unit: "", doc, python: false };
}

/** `comparison.csv`: one row for each run, point and figure that the baseline has too. */
export const COMPARISON_COLUMNS: readonly Column[] = [
  text("configuration", "Label of the run"),
  text("baseline", "Label of the run that it is compared with"),
  number("context_size", "tokens", "Tokens in one prompt"),
  number("working_set_size", "tokens", "Working set (working-set runs only)"),
  number("cache_hit_rate", "%", "Nominal hit rate; of single-prompt runs 0 is cold, 100 cached"),
  text("metric", "Column of the summary, or `equal_load_ttft`"),
  number("value", "", "Of the run, in the unit of the column"),
  number("baseline_value", "", "Of the baseline"),
  number("difference", "", "value - baseline_value"),
  number("difference_low", "", "95 % interval"),
  number("difference_high", "", "95 % interval"),
  number("ratio", "", "value / baseline_value"),
  number("ratio_low", "", "95 % interval"),
  number("ratio_high", "", "95 % interval"),
  text("verdict", "`better`, `worse`, `within noise` or `unknown` (nothing to tell noise by)"),
  number("requests", "", "Requests that the value is made of"),
  number("baseline_requests", "", "Requests that the baseline's value is made of"),
  number("concurrency", "", "Concurrency of the run; of latencies at equal load that of both"),
  number("baseline_concurrency", "", "Concurrency of the baseline"),
  number("runs", "", "Runs that the value is made of"),
  number("baseline_runs", "", "Runs that the baseline's value is made of"),
  text("interval_basis", "`replicates`, `assumed` (one run a side, with repeats) or `none`"),
  number("p_value", "", "Student's t, before Holm's correction over the points of a figure"),
];

/** The text of `comparison.csv`. */
export function comparisonCsv(comparison: Comparison): string {
  const rows = comparison.cells.map((cell): AnyRow => ({
    configuration: comparison.runs[cell.run]?.label,
    baseline: comparison.runs[comparison.baseline]?.label,
    context_size: cell.contextSizeTokens,
    working_set_size: cell.workingSetTokens,
    cache_hit_rate: cell.hitRatePercent,
    metric: cell.metric,
    value: cell.value.estimate,
    baseline_value: cell.baseline.estimate,
    difference: cell.difference.estimate,
    difference_low: cell.difference.low,
    difference_high: cell.difference.high,
    ratio: cell.ratio?.estimate,
    ratio_low: cell.ratio?.low,
    ratio_high: cell.ratio?.high,
    verdict: cell.verdict,
    requests: cell.requests,
    baseline_requests: cell.baselineRequests,
    concurrency: cell.concurrency,
    baseline_concurrency: cell.baselineConcurrency,
    runs: cell.runs,
    baseline_runs: cell.baselineRuns,
    interval_basis: cell.basis,
    p_value: cell.pValue,
  }));
  return headerLine(COMPARISON_COLUMNS) + rowLines(COMPARISON_COLUMNS, rows);
}

/** `summary_comparison.csv`, with the columns of the Python suite. */
const SUMMARY: readonly { readonly label: string; readonly kind: CellKind }[] = [
  { label: "Configuration", kind: "text" },
  { label: "Context Size", kind: "count" },
  { label: "Input @0% (tok/s)", kind: "rate" },
  { label: "Input @100% (tok/s)", kind: "rate" },
  { label: "Input Speedup", kind: "ratio" },
  { label: "Output @0% (tok/s)", kind: "rate" },
  { label: "Output @100% (tok/s)", kind: "rate" },
  { label: "Output Speedup", kind: "ratio" },
  { label: "TTFT Improvement", kind: "percent" },
  { label: "Peak Concurrency @100%", kind: "count" },
];

/** Each run at 0 and at 100 %, where it has both. */
export function summaryComparison(comparison: Comparison): GraphTable {
  const rows = comparison.runs.flatMap((run) =>
    run.points.filter((point) => point.hitRatePercent === 0).flatMap((cold) => {
      const warm = run.points.find((point) =>
        point.hitRatePercent === 100 && point.contextSizeTokens === cold.contextSizeTokens &&
        point.workingSetTokens === cold.workingSetTokens
      );
      return warm === undefined ? [] : [summaryRow(run.label, cold, warm)];
    })
  );
  return { columns: SUMMARY, rows };
}

function summaryRow(label: string, { row: cold, contextSizeTokens }: Point, { row: warm }: Point) {
  const ratio = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined || a <= 0 ? undefined : b / a;
  const ttft = ratio(cold.avg_ttft, warm.avg_ttft);
  return [
    label,
    contextSizeTokens,
    cold.input_tokens_per_sec,
    warm.input_tokens_per_sec,
    ratio(cold.input_tokens_per_sec, warm.input_tokens_per_sec),
    cold.output_tokens_per_sec,
    warm.output_tokens_per_sec,
    ratio(cold.output_tokens_per_sec, warm.output_tokens_per_sec),
    ttft === undefined ? undefined : (1 - ttft) * 100,
    warm.peak_concurrency,
  ];
}

/** The text of `summary_comparison.csv`. */
export function summaryComparisonCsv(comparison: Comparison): string {
  const columns = SUMMARY.map(({ label, kind }): Column =>
    kind === "text" ? text(label, "") : number(label, "", "")
  );
  const rows = summaryComparison(comparison).rows.map((row): AnyRow =>
    Object.fromEntries(row.map((value, i) => [SUMMARY[i]?.label ?? "", value]))
  );
  return headerLine(columns) + rowLines(columns, rows);
}

/** The page of `summary_comparison`. */
export function summaryGraph(comparison: Comparison): Graph {
  return {
    name: "summary_comparison",
    title: "Summary: 0 % against 100 % hits",
    group: "comparison",
    about: "Each run at 0 % and at 100 % nominal hits, where it has both. TTFT improvement is" +
      " (TTFT at 0 % − TTFT at 100 %) / TTFT at 0 %, of the means at the peaks.",
    table: summaryComparison(comparison),
  };
}

/** Every comparison of a point, as `comparison.csv` has it. */
export function cellTable(comparison: Comparison, cells: readonly CellComparison[]): GraphTable {
  const several = comparison.runs.length > 2;
  const sets = cells.some((cell) => cell.workingSetTokens !== undefined);
  return {
    columns: [
      ...(several ? [{ label: "Run", kind: "text" as const }] : []),
      { label: "Context", kind: "count" },
      ...(sets ? [{ label: "Working set", kind: "count" as const }] : []),
      { label: "Nominal hit rate", kind: "percent" },
      { label: "Figure", kind: "text" },
      { label: "Concurrency", kind: "text" },
      { label: "Baseline", kind: "text" },
      { label: "Run's value", kind: "text" },
      { label: "Difference, 95 % interval", kind: "text" },
      { label: "Ratio", kind: "ratio" },
      { label: "95 % interval", kind: "text" },
      { label: "Verdict", kind: "text" },
    ],
    rows: cells.map((cell) => [
      ...(several ? [comparison.runs[cell.run]?.label] : []),
      cell.contextSizeTokens,
      ...(sets ? [cell.workingSetTokens] : []),
      cell.hitRatePercent,
      metricTitle(cell.metric),
      concurrencyText(cell),
      metricText(cell.metric, cell.baseline.estimate),
      metricText(cell.metric, cell.value.estimate),
      differenceText(cell),
      cell.ratio?.estimate,
      intervalText(cell),
      cell.verdict,
    ]),
  };
}

/** A value of a metric with its unit. */
export function metricText(metric: string, value: number | undefined): string {
  const unit = comparedMetric(metric)?.unit ?? "";
  if (unit === "s") return formatMs(value === undefined ? undefined : value * 1000);
  if (unit === "%") return formatCell("percent", value);
  return unit === "" ? formatCount(value) : `${formatShort(value)} ${unit}`;
}

function differenceText(cell: CellComparison): string {
  const { estimate, low, high } = cell.difference;
  const sign = estimate > 0 ? "+" : "";
  const interval = low === undefined || high === undefined
    ? ""
    : ` (${metricText(cell.metric, low)} to ${metricText(cell.metric, high)})`;
  return sign + metricText(cell.metric, estimate) + interval;
}

/** `8` where both sides ran at it, else `8, baseline 32`; empty where there is none. */
export function concurrencyText({ concurrency, baselineConcurrency }: CellComparison): string {
  if (concurrency === undefined) return "";
  return concurrency === baselineConcurrency || baselineConcurrency === undefined
    ? formatCount(concurrency)
    : `${formatCount(concurrency)}, baseline ${formatCount(baselineConcurrency)}`;
}

/** `1.22× to 1.41×`; empty without an interval. */
export function intervalText(cell: CellComparison): string {
  const { low, high } = cell.ratio ?? {};
  return low === undefined || high === undefined
    ? ""
    : `${formatCell("ratio", low)} to ${formatCell("ratio", high)}`;
}

/** Who is compared. */
export function runsTable(comparison: Comparison): GraphTable {
  const { runs, baseline } = comparison;
  const rows: readonly (readonly [string, (run: (typeof runs)[number]) => string])[] = [
    ["Folder", (run) => run.replicates?.join(", ") ?? run.dir],
    ["Runs", (run) => formatCount(run.replicates?.length ?? 1)],
    ["Experiment", (run) => run.kind],
    ["Model", (run) => run.model ?? "not recorded"],
    ["Server", (run) => run.server ?? "not identified"],
    ["Started", (run) => run.startedAt ?? "not recorded"],
    [
      "Written by",
      (run) =>
        run.writtenBy === "python" ? "Python suite" : `kvmark ${run.kvmarkVersion ?? ""}`.trim(),
    ],
    ["Points", (run) => formatCount(run.points.length)],
    ["Shared with the baseline", (run) => sharedPoints(comparison, runs.indexOf(run))],
  ];
  return {
    columns: [
      { label: "Run", kind: "text" },
      ...runs.map((run, index) => ({
        label: index === baseline ? `${run.label} (baseline)` : run.label,
        kind: "text" as const,
      })),
    ],
    rows: rows.map(([what, of]) => [what, ...runs.map(of)]),
  };
}

function sharedPoints(comparison: Comparison, run: number): string {
  if (run === comparison.baseline) return "–";
  const places = comparison.cells.filter((cell) => cell.run === run).map((cell) =>
    `${cell.contextSizeTokens}_${cell.workingSetTokens}_${cell.hitRatePercent}`
  );
  return formatCount(new Set(places).size);
}

/** Options in which the runs differ; `undefined` if there are none. */
export function differencesTable(comparison: Comparison): GraphTable | undefined {
  const { runs } = comparison;
  const differing = differingOptions(runs);
  return differing.length === 0 ? undefined : {
    columns: [
      { label: "Option", kind: "text" },
      ...runs.map((run) => ({ label: run.label, kind: "text" as const })),
    ],
    rows: differing.map(([name, values]) => [name, ...values.map((value) => value ?? "–")]),
  };
}

/** The tier map of a run as a table, for standing beside those of others. */
export function tierTable(map: TierMap): GraphTable {
  const concurrency = map.series[0]?.concurrency;
  return factTable([
    ...map.tiers.map((tier) => [tier.name, tierText(tier)] as const),
    // TTFTs of runs that were measured under other loads do not compare.
    [
      "Concurrency of these TTFTs",
      concurrency === undefined ? "each size at its own" : formatCount(concurrency),
    ] as const,
  ]);
}

function tierText({ capacity, ttft, bandwidth }: MapTier): string {
  return [
    capacity === undefined
      ? ""
      : capacity.tokens === undefined
      ? `at least ${formatShort(capacity.low)} tokens`
      : `${formatShort(capacity.tokens)} tokens` +
        (capacity.gib === undefined ? "" : `, ${formatBytes(capacity.gib * 2 ** 30)}`),
    `TTFT ${formatMs(ttft.ms)} (${formatMs(ttft.low)} to ${formatMs(ttft.high)})`,
    bandwidth === undefined ? "" : `${formatShort(bandwidth.tokensPerSec)} tokens/s`,
  ].filter((part) => part !== "").join("; ");
}
