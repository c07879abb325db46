/**
 * The pages of the documentation that the code knows better than an author: metrics, formats, exit
 * codes. `deno task docs` writes them, `deno task check:docs` compares.
 *
 * @module
 */

import { EXIT_CODES } from "../lib/errors.ts";
import { type Metric, METRIC_RULES, METRICS } from "../lib/metrics/catalogue.ts";
import { COMPARISON_COLUMNS } from "../lib/report/comparison_tables.ts";
import {
  type Column,
  DETAIL_COLUMNS,
  PHASE_COLUMNS,
  SERVER_METRICS_COLUMNS,
  SINGLE_PROMPT_COLUMNS,
  SUMMARY_COLUMNS,
  SUSTAINED_COLUMNS,
} from "../lib/results/schema.ts";
import { table } from "./markdown.ts";

/** A generated page. */
export interface Page {
  /** Path from the root of the repository. */
  readonly path: string;
  readonly text: string;
}

const TABLES: readonly { name: string; intro: string; columns: readonly Column[] }[] = [
  {
    name: "summary_{time}.csv",
    intro: "One row a cell (context size, working set, hit rate), measured at its peak " +
      "concurrency. It is written anew after each cell.",
    columns: SUMMARY_COLUMNS,
  },
  {
    name: "detailed_results_{context}_{time}.csv",
    intro: "One row a request, failed ones included; one file a context size.",
    columns: DETAIL_COLUMNS,
  },
  {
    name: "phase_metadata_{time}.csv",
    intro: "One row a period: a step of the ramp, a repeat at the peak, a fixed level, a warm-up.",
    columns: PHASE_COLUMNS,
  },
  {
    name: "single_prompt_results_{time}.csv",
    intro: "One row a request of `single-prompt`.",
    columns: SINGLE_PROMPT_COLUMNS,
  },
  {
    name: "server_metrics_{time}.csv",
    intro: "One row a reading of a server's metrics within a period, warm-up included; counters " +
      "are what they gained since the row before. The file is there only if a server has metrics.",
    columns: SERVER_METRICS_COLUMNS,
  },
  {
    name: "sustained_periods_*.csv",
    intro: "Written by later versions of the Python suite. kvmark reads it and never writes it.",
    columns: SUSTAINED_COLUMNS,
  },
  {
    name: "comparison.csv",
    intro:
      "Written by `combine`: one row for each run, point and figure that the baseline has too.",
    columns: COMPARISON_COLUMNS,
  },
];

function generatedNote(source: string): string {
  return `<!-- Written by \`deno task docs\` from ${source}. Do not edit. -->`;
}

/** `docs/exit-codes.md`. */
export function exitCodesPage(): string {
  const rows = Object.entries(EXIT_CODES).map((
    [kind, { code, meaning }],
  ) => [String(code), kind, meaning]);
  return [
    "# Exit codes",
    generatedNote("lib/errors.ts"),
    "Scripts can rely on these numbers: none of them ever changes its meaning.",
    table(["code", "kind", "meaning"], rows),
  ].join("\n\n") + "\n";
}

/** `docs/formats.md`. */
export function formatsPage(): string {
  const sections = TABLES.map(({ name, intro, columns }) => [
    `## ${name}`,
    intro,
    table(
      ["column", "unit", "meaning", "Python suite"],
      columns.map((column) => [
        `\`${column.name}\``,
        column.type === "text" ? "text" : column.unit,
        column.doc,
        column.python ? "yes" : "",
      ]),
    ),
  ]);
  return [
    "# The tables of a results folder",
    generatedNote("lib/results/schema.ts"),
    "Every table is a CSV file: UTF-8, comma, one header line, LF. An empty cell means that the " +
    "value does not exist (a failed request has no TTFT); it is never written as 0. Columns are " +
    "only ever added, at any place: read them by name. Columns marked under “Python suite” have " +
    "the names and units of the suite that kvmark replaces: seconds, and instants as Unix seconds.",
    "`{time}` is the local start time of the run as `YYYYMMDD_HHMMSS`; a run that is resumed keeps " +
    "it. `{context}` is a context size in tokens.",
    ...sections.flat(),
  ].join("\n\n") + "\n";
}

const GROUPS: readonly { readonly group: Metric["group"]; readonly title: string }[] = [
  { group: "latency", title: "Latency" },
  { group: "throughput", title: "Throughput" },
  { group: "cache", title: "Cache" },
  { group: "requests", title: "Requests" },
  { group: "client", title: "The client itself" },
];

/** `docs/metrics.md`. */
export function metricsPage(): string {
  const sections = GROUPS.map(({ group, title }) => [
    `## ${title}`,
    ...METRICS.filter((metric: Metric) => metric.group === group).map(metricEntry),
  ]);
  return [
    "# Metrics",
    generatedNote("lib/metrics/catalogue.ts"),
    "What each figure means, in tables, graphs and CSV files alike. Why these definitions: " +
    "[decision 003](decisions/003-ttft-and-throughput.md).",
    "## Rules that all of them share",
    METRIC_RULES.map((rule) => `- ${rule}`).join("\n"),
    ...sections.flat(),
  ].join("\n\n") + "\n";
}

function metricEntry(metric: Metric): string {
  const units = metric.unit === metric.displayUnit
    ? metric.unit
    : `${metric.unit} in files, ${metric.displayUnit} for people`;
  const better = metric.better === "neither" ? "" : `; ${metric.better} is better`;
  return [
    `### ${metric.title}`,
    `\`${metric.name}\`${units === "" ? "" : `, in ${units}`}${better}.`,
    [
      `- Formula: ${metric.formula}`,
      `- Taken from: ${metric.source}`,
      ...(metric.needs.length === 0 ? [] : [`- Needs: ${metric.needs.join("; ")}`]),
      ...(metric.note === undefined ? [] : [`- ${metric.note}`]),
    ].join("\n"),
  ].join("\n\n");
}

/** Every generated page. */
export function generatedPages(): Page[] {
  return [
    { path: "docs/exit-codes.md", text: exitCodesPage() },
    { path: "docs/formats.md", text: formatsPage() },
    { path: "docs/metrics.md", text: metricsPage() },
  ];
}
