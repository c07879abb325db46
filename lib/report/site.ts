/**
 * The pages of a report as files of a folder, with plotly once beside them.
 *
 * @module
 */

import type { Files } from "../host.ts";
import type { PageLink } from "./dashboard.ts";
import type { Graph } from "./figure.ts";
import { graphPage, PLOTLY_PATH, type Site } from "./pages.ts";

/** How the pages of a folder are written. */
export interface SiteOptions {
  /** One `index.html` with all graphs and plotly inside, and nothing beside it. */
  readonly singleFile?: boolean;
  /** When the report is made, as it is to be printed; left out, the pages carry no date. */
  readonly generatedAt?: string;
  /** A version of the report that its maker gives, printed at its foot. */
  readonly version?: string;
  /** Leaves pages of graphs that are there as they are: only `index.html` is written anew. */
  readonly keepPages?: boolean;
}

/** A page of one graph, not written yet. */
export interface GraphPage extends PageLink {
  readonly html: string;
}

/** The line at the foot of every page. */
export function madeLine(what: string, options: SiteOptions): string {
  const version = options.version === undefined ? "" : ` (version ${options.version})`;
  const date = options.generatedAt === undefined ? "" : `, made ${options.generatedAt}`;
  return `Report by kvmark${version}${date} ${what}`;
}

/** What all pages share; with `singleFile` plotly is inside. */
export async function siteOf(kind: string, made: string, options: SiteOptions): Promise<Site> {
  const plotly = options.singleFile ? { inlinePlotly: await loadPlotly() } : {};
  return { kind, made, ...plotly };
}

/** A page for each graph; none where the report is a single file. */
export async function graphPages(
  site: Site,
  graphs: readonly Graph[],
  subject: string,
): Promise<GraphPage[]> {
  if (site.inlinePlotly !== undefined) return [];
  const pages: GraphPage[] = [];
  for (const graph of graphs) {
    const html = await graphPage(site, graph, subject);
    const name = `${graph.name}.html`;
    pages.push({ name, title: graph.title, html, sizeBytes: byteLength(html) });
  }
  return pages;
}

/** The pages with the sizes of those that {@linkcode writeSite} leaves as they are. */
export async function pageLinks(
  files: Files,
  dir: string,
  pages: readonly GraphPage[],
  options: SiteOptions,
): Promise<PageLink[]> {
  const links: PageLink[] = [];
  for (const { name, title, sizeBytes } of pages) {
    const present = options.keepPages ? await files.stat(`${dir}/${name}`) : undefined;
    links.push({ name, title, sizeBytes: present?.sizeBytes ?? sizeBytes });
  }
  return links;
}

/**
 * Writes the pages and, where they need it, plotly.
 *
 * @returns Names of the files of the report, relative to the folder, `index.html` first.
 */
export async function writeSite(
  files: Files,
  dir: string,
  index: string,
  pages: readonly GraphPage[],
  options: SiteOptions,
): Promise<string[]> {
  const inFolder = (name: string) => `${dir}/${name}`;
  if (!options.singleFile) {
    await files.makeDir(inFolder("assets"));
    const plotly = await loadPlotly();
    const present = await files.stat(inFolder(PLOTLY_PATH));
    if (present?.sizeBytes !== byteLength(plotly)) {
      await files.writeText(inFolder(PLOTLY_PATH), plotly);
    }
  }
  for (const { name, html } of pages) {
    if (options.keepPages && await files.stat(inFolder(name)) !== undefined) continue;
    await files.writeText(inFolder(name), html);
  }
  await files.writeText(inFolder("index.html"), index);
  const names = ["index.html", ...pages.map((page) => page.name)];
  return options.singleFile ? names : [...names, PLOTLY_PATH];
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Loaded only when a report is written. */
async function loadPlotly(): Promise<string> {
  const { plotlySource } = await import("./plotly.ts");
  return plotlySource();
}
