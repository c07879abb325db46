/**
 * Writes the report of a run: `index.html`, a page for each graph, and plotly once beside them.
 *
 * @module
 */

import type { Files } from "../host.ts";
import type { RunData } from "../results/schema.ts";
import { dashboardHtml, type PageLink, subjectOf } from "./dashboard.ts";
import { type Definition, DEFINITIONS, PYTHON_DEFINITIONS } from "./definitions.ts";
import type { Graph } from "./figure.ts";
import { graphsOf } from "./figures.ts";
import { findingsOf } from "./findings.ts";
import { documentPage, graphPage, PLOTLY_PATH, type Site } from "./pages.ts";
import { arrangeRows } from "./points.ts";

/** Options of {@linkcode writeReport}. */
export interface ReportOptions {
  /** One `index.html` with all graphs and plotly inside, and nothing beside it. */
  readonly singleFile?: boolean;
  /** When the report is made, as it is to be printed; left out, the pages carry no date. */
  readonly generatedAt?: string;
  /** The definitions at the end of the dashboard, in place of those of `definitions.ts`. */
  readonly definitions?: readonly Definition[];
}

const KINDS = {
  "cache-rate": "Cache-rate report",
  "working-set": "Working-set report",
  "single-prompt": "Single-prompt report",
} as const;

/**
 * Writes the report of a run into its folder, from its rows alone. The same rows give the same
 * bytes, `generatedAt` aside.
 *
 * @param run As `readRun` gives it; `run.dir` is written to.
 * @returns Names of the files written, relative to the folder, `index.html` first.
 */
export async function writeReport(
  files: Files,
  run: RunData,
  options: ReportOptions = {},
): Promise<string[]> {
  const pages = await reportPages(run, options);
  const inFolder = (name: string) => `${run.dir}/${name}`;
  if (!options.singleFile) {
    await files.makeDir(inFolder("assets"));
    const plotly = await plotlySource();
    const present = await files.stat(inFolder(PLOTLY_PATH));
    if (present?.sizeBytes !== byteLength(plotly)) {
      await files.writeText(inFolder(PLOTLY_PATH), plotly);
    }
  }
  for (const [name, html] of pages) await files.writeText(inFolder(name), html);
  return [...pages.keys(), ...(options.singleFile ? [] : [PLOTLY_PATH])];
}

/** The pages of a report by name, `index.html` first. */
export async function reportPages(
  run: RunData,
  options: ReportOptions = {},
): Promise<Map<string, string>> {
  const rows = arrangeRows(run);
  const graphs = graphsOf(run, rows);
  const site = await siteOf(run, options);
  const graphPages = options.singleFile ? [] : await renderGraphs(site, run, graphs);
  const body = dashboardHtml({
    run,
    rows,
    graphs,
    findings: findingsOf(run, rows),
    pages: graphPages.map(({ name, title, sizeBytes }): PageLink => ({ name, title, sizeBytes })),
    definitions: options.definitions ??
      (run.writtenBy === "python" ? PYTHON_DEFINITIONS : DEFINITIONS),
  });
  const title = [site.kind, ...subjectOf(run).slice(0, 1)].join(" · ");
  const index = await documentPage(site, { title: `${title} · kvmark`, body });
  return new Map([
    ["index.html", index],
    ...graphPages.map(({ name, html }) => [name, html] as const),
  ]);
}

async function siteOf(run: RunData, options: ReportOptions): Promise<Site> {
  const version = run.config.kvmarkVersion;
  const made = [
    `Report by kvmark${options.generatedAt === undefined ? "" : `, made ${options.generatedAt}`}`,
    `from the rows in this folder${
      version === undefined ? "" : `, which kvmark ${version} measured`
    }.`,
  ].join(" ");
  return {
    kind: KINDS[run.kind],
    made,
    ...(options.singleFile ? { inlinePlotly: await plotlySource() } : {}),
  };
}

async function renderGraphs(site: Site, run: RunData, graphs: readonly Graph[]) {
  const subject = subjectOf(run).slice(0, 2).join(" · ");
  const pages: { name: string; title: string; html: string; sizeBytes: number }[] = [];
  for (const graph of graphs) {
    const html = await graphPage(site, graph, subject);
    const name = `${graph.name}.html`;
    pages.push({ name, title: graph.title, html, sizeBytes: byteLength(html) });
  }
  return pages;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Loaded only when a report is written: it is larger than everything else together. */
async function plotlySource(): Promise<string> {
  const module = await import("plotly.min.js", { with: { type: "text" } });
  return module.default;
}
