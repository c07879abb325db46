/**
 * Writes the pages of a comparison: `index.html` and a page for each graph.
 *
 * @module
 */

import type { Files } from "../host.ts";
import type { Comparison } from "./comparison.ts";
import { comparisonGraphs, metricTitle } from "./comparison_figures.ts";
import { comparisonHeadline, comparisonWarnings, conclusionsOf } from "./comparison_findings.ts";
import {
  cellTable,
  differencesTable,
  runsTable,
  summaryGraph,
  tierTable,
} from "./comparison_tables.ts";
import { hrefOf } from "./dashboard.ts";
import { type Definition, DEFINITIONS, PYTHON_DEFINITIONS } from "./definitions.ts";
import type { Graph } from "./figure.ts";
import { comparisonBody, documentPage, graphHtml, tableHtml } from "./pages.ts";
import {
  type GraphPage,
  graphPages,
  madeLine,
  siteOf,
  type SiteOptions,
  writeSite,
} from "./site.ts";

/** Options of {@linkcode writeComparisonPages}. */
export interface ComparisonPageOptions extends SiteOptions {
  /** What became of the limits, a line each. */
  readonly limits?: readonly string[];
}

/** Data files of a comparison, and what they hold. */
export const COMPARISON_FILES = {
  "comparison.csv": "every figure of every shared point, with intervals and verdicts",
  "summary_comparison.csv": "each run at 0 % and at 100 % hits",
  "comparison.json": "all that these pages are made from",
} as const;

/** Graphs that are drawn on the index itself; the others are a click away. */
const MOST_GRAPHS = 8;

/**
 * Writes the pages of a comparison into a folder.
 *
 * @returns Names of the files of the report, relative to the folder, `index.html` first.
 */
export async function writeComparisonPages(
  files: Files,
  dir: string,
  comparison: Comparison,
  options: ComparisonPageOptions = {},
): Promise<string[]> {
  const graphs = [...comparisonGraphs(comparison), summaryGraph(comparison)];
  const made = madeLine("from the rows of the runs that it names.", options);
  const site = await siteOf("Comparison", made, options);
  const subject = comparison.runs.map((run) => run.label).join(" · ");
  const pages = await graphPages(site, graphs, subject);
  const present = new Set(await files.list(dir));
  const body = bodyOf(comparison, graphs, pages, options, (name) => present.has(name));
  const title = `Comparison of ${subject} · kvmark`;
  const index = await documentPage(site, { title, body });
  return await writeSite(files, dir, index, pages, options);
}

function bodyOf(
  comparison: Comparison,
  graphs: readonly Graph[],
  pages: readonly GraphPage[],
  options: ComparisonPageOptions,
  isPresent: (name: string) => boolean,
): string {
  const alone = pages.length === 0;
  const drawn = graphs.filter((graph) => graph.figure !== undefined);
  const [lead] = drawn;
  const inline = (alone ? graphs : drawn.slice(0, MOST_GRAPHS)).filter((graph) => graph !== lead);
  const differences = differencesTable(comparison);
  const limits = options.limits ?? [];
  const tiers = tierMaps(comparison);
  return comparisonBody({
    badge: badgeOf(comparison),
    headline: unbroken(comparisonHeadline(comparison)),
    conclusions: conclusionsOf(comparison).map(unbroken),
    contents: contents(limits.length > 0, tiers.length > 0),
    lead: lead === undefined
      ? ""
      : graphHtml(lead, { heading: "h2", ...(alone ? {} : { href: `${lead.name}.html` }) }),
    limits,
    runs: tableHtml(runsTable(comparison), "Runs"),
    warnings: comparisonWarnings(comparison),
    differences: differences === undefined ? "" : tableHtml(differences, "Options that differ"),
    tiers,
    graphs: inline.map((graph) =>
      graphHtml(graph, { heading: "h3", ...(alone ? {} : { href: `${graph.name}.html` }) })
    ),
    links: graphs.filter((graph) => graph !== lead && !inline.includes(graph)).map((
      { name, title },
    ) => ({
      href: `${name}.html`,
      title,
    })),
    points: pointTables(comparison),
    definitions: definitionsOf(comparison),
    files: fileLinks(pages, isPresent),
  });
}

/** A number and its sign stay on one line. */
function unbroken(text: string): string {
  return text.replaceAll(" %", "\u00a0%");
}

function badgeOf(comparison: Comparison): { readonly kind: string; readonly text: string } {
  if (comparison.forced.length > 0) return { kind: "differs", text: "compared by force" };
  if (comparison.cells.length === 0) return { kind: "none", text: "nothing in common" };
  const bases = new Set(comparison.cells.map((cell) => cell.basis));
  if (bases.has("replicates")) return { kind: "compared", text: "compared over several runs" };
  return bases.has("assumed")
    ? { kind: "unchecked", text: "one run a side" }
    : { kind: "unchecked", text: "compared without intervals" };
}

function contents(limits: boolean, tiers: boolean) {
  return [
    ...(limits ? [{ id: "limits", title: "Limits" }] : []),
    { id: "runs", title: "Runs" },
    ...(tiers ? [{ id: "tiers", title: "Tier maps" }] : []),
    { id: "graphs", title: "Graphs" },
    { id: "points", title: "Point by point" },
    { id: "definitions", title: "Definitions" },
    { id: "files", title: "Files" },
  ];
}

function tierMaps(comparison: Comparison) {
  return comparison.runs.flatMap(({ label, tierMap }) =>
    tierMap === undefined ? [] : [{
      label,
      headline: tierMap.headline,
      table: tierMap.tiers.length === 0 ? "" : tableHtml(tierTable(tierMap), `Tiers of ${label}`),
    }]
  );
}

/** One table for each figure: the page would be endless with all of them open. */
function pointTables(comparison: Comparison) {
  const names = [...new Set(comparison.cells.map((cell) => cell.metric))];
  return names.map((name, index) => {
    const cells = comparison.cells.filter((cell) => cell.metric === name);
    return {
      title: metricTitle(name),
      rows: cells.length,
      open: index === 0,
      table: tableHtml(cellTable(comparison, cells), metricTitle(name)),
    };
  });
}

const OWN_DEFINITIONS: readonly Definition[] = [
  {
    name: "Ratio, difference",
    definition: "The figure of the run over, or less, the same figure of the baseline at the same" +
      " point: context size, working set and nominal hit rate.",
  },
  {
    name: "95 % interval",
    definition: "Of a ratio: each run is one value, and Student's t over the runs of both sides" +
      " gives the interval, on a log scale (pooled variance; Welch's where one side has more" +
      " runs). With one run a side what changes from run to run cannot be seen: the interval is" +
      " made of the repeats at the peak and of an assumed standard deviation between runs, 10 % for" +
      " throughput and 20 % for latencies; without repeats there is none. Of a value: over its" +
      " runs, or over the repeats of its only one.",
  },
  {
    name: "Better, worse, within noise",
    definition: "Better or worse: the difference is at least 1 %, and more than chance by Holm's" +
      " procedure over all points of that figure, so that one of twenty comparisons without any" +
      " difference is expected to have a mark at all. The intervals are those of single points.",
  },
  {
    name: "Equal load",
    definition:
      "Latencies of two runs are compared at the highest concurrency that all their runs" +
      " ran and that is beyond no run's peak, since a run that serves more waits longer." +
      " --latency-at own-peak compares them at each run's own peak.",
  },
];

function definitionsOf(comparison: Comparison): Definition[] {
  const kinds = new Set(comparison.runs.map((run) => run.writtenBy));
  return [
    ...OWN_DEFINITIONS,
    ...(kinds.has("kvmark") ? DEFINITIONS : []),
    ...(kinds.has("python") ? PYTHON_DEFINITIONS : []),
  ];
}

function fileLinks(pages: readonly GraphPage[], isPresent: (name: string) => boolean) {
  const data = Object.entries(COMPARISON_FILES).filter(([name]) => isPresent(name));
  return [
    ...data.map(([name, what]) => ({ name, href: hrefOf(name), what })),
    ...pages.map(({ name, title }) => ({ name, href: hrefOf(name), what: title })),
  ];
}
