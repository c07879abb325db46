/**
 * HTML from templates with automatic escaping. Every page carries its style and its script inline,
 * and a Content-Security-Policy that allows nothing but that script and the plotly beside it.
 *
 * @module
 */

import { Eta } from "eta";
import comparisonTemplate from "../../assets/comparison.html" with { type: "text" };
import dashboardTemplate from "../../assets/dashboard.html" with { type: "text" };
import graphTemplate from "../../assets/graph.html" with { type: "text" };
import graphPageTemplate from "../../assets/graph_page.html" with { type: "text" };
import style from "../../assets/report.css" with { type: "text" };
import documentTemplate from "../../assets/report.html" with { type: "text" };
import script from "../../assets/report.js" with { type: "text" };
import tableTemplate from "../../assets/table.html" with { type: "text" };
import type { Graph, GraphTable, Json } from "./figure.ts";
import { csvOf, formatCell, withoutEmptyColumns } from "./tables.ts";

const eta = new Eta({ autoEscape: true, autoTrim: false });
const TEMPLATES = {
  document: eta.compile(documentTemplate),
  dashboard: eta.compile(dashboardTemplate),
  comparison: eta.compile(comparisonTemplate),
  graph: eta.compile(graphTemplate),
  graphPage: eta.compile(graphPageTemplate),
  table: eta.compile(tableTemplate),
};

/** Where the pages of a folder find plotly. */
export const PLOTLY_PATH = "assets/plotly.min.js";

/** What is the same on every page of a report. */
export interface Site {
  /** `Cache-rate report`. */
  readonly kind: string;
  /** The line at the foot. */
  readonly made: string;
  /** The source of plotly, where the page has to stand alone. */
  readonly inlinePlotly?: string;
}

/** Fills a template. `data` is escaped wherever the template does not say otherwise. */
function fill(name: keyof typeof TEMPLATES, data: object): string {
  return eta.render(TEMPLATES[name], data);
}

/** A whole document. `body` is HTML; everything else is text. */
export async function documentPage(
  site: Site,
  page: { readonly title: string; readonly body: string; readonly home?: string },
): Promise<string> {
  const plotlyInline = site.inlinePlotly === undefined ? "" : inlineScript(site.inlinePlotly);
  const scripts = plotlyInline === "" ? [script] : [plotlyInline, script];
  const hashes = await Promise.all(scripts.map(sourceHash));
  return fill("document", {
    ...page,
    home: page.home ?? "",
    kind: site.kind,
    made: site.made,
    policy: policy(hashes, plotlyInline === ""),
    scripts: [
      plotlyInline === ""
        ? `<script defer src="${PLOTLY_PATH}"></script>`
        : `<script>${plotlyInline}</script>`,
      `<script type="module">${script}</script>`,
    ].join("\n"),
    style,
  });
}

/**
 * Nothing is allowed but the listed scripts, inline styles (plotly sets them) and the images that
 * plotly draws. `'self'` of a page that is opened from disk is the disk.
 */
function policy(hashes: readonly string[], withPlotlyFile: boolean): string {
  const sources = [...(withPlotlyFile ? ["'self'"] : []), ...hashes.map((hash) => `'${hash}'`)];
  return [
    "default-src 'none'",
    `script-src ${sources.join(" ")}`,
    "style-src 'unsafe-inline'",
    "img-src data: blob:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

async function sourceHash(source: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(source));
  return `sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`;
}

/** A script as it may stand in HTML: it can neither end the element nor open a comment. */
export function inlineScript(source: string): string {
  return source.replace(/\r\n?/g, "\n").replace(/<\/(script)/gi, "<\\/$1").replaceAll(
    "<!--",
    "<\\!--",
  );
}

/** JSON as it may stand in a `script` element. */
export function inlineJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

/** The HTML of a graph: figure, tools, and the table with the same numbers. */
export function graphHtml(
  graph: Graph,
  options: { readonly heading: "h1" | "h2" | "h3"; readonly href?: string },
): string {
  const { name, title, about, figure, table } = graph;
  const meta = figure?.layout["meta"] as
    | { readonly logAxes: readonly Json[]; readonly log?: boolean }
    | undefined;
  return fill("graph", {
    name,
    title,
    about,
    heading: options.heading,
    href: options.href ?? "",
    height: Number(figure?.layout["height"] ?? 0),
    log: (meta?.logAxes.length ?? 0) > 0,
    isLog: meta?.log === true,
    table,
    tableHtml: tableHtml(withoutEmptyColumns(table), `Values of: ${title}`),
    json: inlineJson({ title, figure: figure ?? null, csv: csvOf(table) }),
  });
}

/**
 * The HTML of a table. `label` names it for screen readers; a table that `stacks` becomes a list of
 * cards on a narrow screen.
 */
export function tableHtml(table: GraphTable, label: string, stacks = false): string {
  return fill("table", {
    label,
    stacks,
    columns: table.columns,
    rows: table.rows.map((row) =>
      row.map((value, index) => formatCell(table.columns[index]?.kind ?? "text", value))
    ),
  });
}

/** A page with one graph and the way back to the report. */
export function graphPage(site: Site, graph: Graph, subject: string): Promise<string> {
  const body = fill("graphPage", { graph: graphHtml(graph, { heading: "h1" }), subject });
  return documentPage(site, { title: `${graph.title} · kvmark`, body, home: "index.html" });
}

/** The body of the dashboard; see `dashboard.ts` for its data. */
export function dashboardBody(data: object): string {
  return fill("dashboard", data);
}

/** The body of a comparison; see `comparison_pages.ts` for its data. */
export function comparisonBody(data: object): string {
  return fill("comparison", data);
}
