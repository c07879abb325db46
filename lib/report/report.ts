/**
 * Writes the report of a run: `index.html`, a page for each graph, and plotly once beside them.
 *
 * @module
 */

import type { Files } from "../host.ts";
import type { RunData } from "../results/schema.ts";
import { dashboardHtml, type PageLink, subjectOf } from "./dashboard.ts";
import { type Definition, DEFINITIONS, PYTHON_DEFINITIONS } from "./definitions.ts";
import { graphsOf } from "./figures.ts";
import { findingsOf } from "./findings.ts";
import { keepForeignPages, type KeptPage } from "./kept_pages.ts";
import { documentPage, type Site } from "./pages.ts";
import { arrangeRows } from "./points.ts";
import {
  type GraphPage,
  graphPages,
  madeLine,
  pageLinks,
  siteOf,
  type SiteOptions,
  writeSite,
} from "./site.ts";

/** Options of {@linkcode writeReport}. */
export interface ReportOptions extends SiteOptions {
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
 * @returns Names of the files of the report, relative to the folder, `index.html` first.
 */
export async function writeReport(
  files: Files,
  run: RunData,
  options: ReportOptions = {},
): Promise<string[]> {
  return (await writeReportBeside(files, run, options)).files;
}

/** What {@linkcode writeReportBeside} wrote, and what it found. */
export interface WrittenReport {
  /** Names of the files of the report, relative to the folder, `index.html` first. */
  readonly files: string[];
  /** Pages of the Python suite in the folder: none of them is lost. */
  readonly kept: readonly KeptPage[];
  /** What the dashboard says first. */
  readonly headline: string;
}

/** As {@linkcode writeReport}, and says what became of the pages that the Python suite drew. */
export async function writeReportBeside(
  files: Files,
  run: RunData,
  options: ReportOptions = {},
): Promise<WrittenReport> {
  const report = await draw(run, options);
  const names = new Set(["index.html", ...report.pages.map((page) => page.name)]);
  const kept = run.writtenBy === "python" || options.singleFile
    ? await keepForeignPages(files, run, names, options.singleFile ?? false)
    : [];
  const links = await pageLinks(files, run.dir, report.pages, options);
  const index = await report.index(links, kept);
  return {
    files: await writeSite(files, run.dir, index, report.pages, options),
    kept,
    headline: report.headline,
  };
}

/** The pages of a report by name, `index.html` first. */
export async function reportPages(
  run: RunData,
  options: ReportOptions = {},
): Promise<Map<string, string>> {
  const { pages, index } = await draw(run, options);
  const entries = pages.map(({ name, html }) => [name, html] as const);
  return new Map([["index.html", await index(pages, [])], ...entries]);
}

interface DrawnReport {
  readonly headline: string;
  readonly pages: readonly GraphPage[];
  readonly index: (links: readonly PageLink[], kept: readonly KeptPage[]) => Promise<string>;
}

async function draw(run: RunData, options: ReportOptions): Promise<DrawnReport> {
  const rows = arrangeRows(run);
  const graphs = graphsOf(run, rows);
  const findings = findingsOf(run, rows);
  const site = await siteOf(KINDS[run.kind], madeLine(origin(run), options), options);
  const pages = await graphPages(site, graphs, subjectOf(run).slice(0, 2).join(" · "));
  const definitions = options.definitions ??
    (run.writtenBy === "python" ? PYTHON_DEFINITIONS : DEFINITIONS);
  return {
    headline: findings.headline,
    pages,
    index: (links, kept) => {
      const body = dashboardHtml({ run, rows, graphs, findings, pages: links, kept, definitions });
      return indexPage(site, run, body);
    },
  };
}

function indexPage(site: Site, run: RunData, body: string): Promise<string> {
  const title = [site.kind, ...subjectOf(run).slice(0, 1)].join(" · ");
  return documentPage(site, { title: `${title} · kvmark`, body });
}

function origin(run: RunData): string {
  const version = run.config.kvmarkVersion;
  const measured = version === undefined ? "" : `, which kvmark ${version} measured`;
  return `from the rows in this folder${measured}.`;
}
