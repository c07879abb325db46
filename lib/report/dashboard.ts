/**
 * The page that an engineer sends to colleagues: what each of its sections says.
 *
 * @module
 */

import type { RunData } from "../results/schema.ts";
import { formatBytes, formatCount } from "../units.ts";
import {
  clientTable,
  coldTable,
  configurationTable,
  gainTable,
  serverTable,
  summaryTable,
} from "./dashboard_tables.ts";
import type { Definition } from "./definitions.ts";
import type { Graph, GraphGroup } from "./figure.ts";
import { type Findings, verdictSentence } from "./findings.ts";
import type { Gain } from "./gains.ts";
import type { KeptPage } from "./kept_pages.ts";
import { dashboardBody, graphHtml, tableHtml } from "./pages.ts";
import type { RunRows } from "./points.ts";
import { foldedByCell } from "./remarks.ts";
import { withoutEmptyColumns } from "./tables.ts";
import { kneesTable, tiersTable } from "./tier_map_tables.ts";

/** A page of the report that the dashboard links to. */
export interface PageLink {
  readonly name: string;
  readonly title: string;
  readonly sizeBytes: number;
}

/** What the dashboard is made from. */
export interface DashboardInput {
  readonly run: RunData;
  readonly rows: RunRows;
  readonly findings: Findings;
  readonly graphs: readonly Graph[];
  /** Pages beside the dashboard; empty where the dashboard stands alone. */
  readonly pages: readonly PageLink[];
  /** Pages in the folder that another program made. */
  readonly kept: readonly KeptPage[];
  readonly definitions: readonly Definition[];
}

const GROUP_TITLES: readonly (readonly [GraphGroup, string])[] = [
  ["comparison", "Comparisons"],
  ["latency", "Latency"],
  ["requests", "Requests over time"],
  ["ramp", "Ramps: each cell, level by level"],
  ["server", "The server's own metrics"],
  ["sustained", "Sustained periods"],
];

/** Key graphs that are drawn on the dashboard itself; the others are a click away. */
const MOST_KEY_GRAPHS = 8;

/** The HTML of the dashboard's body. */
export function dashboardHtml(input: DashboardInput): string {
  const { run, rows, findings, pages } = input;
  const graphs = withoutRepeats(input.graphs, verdictSentence(run));
  const alone = pages.length === 0;
  const lead = leadOf(run, graphs);
  const key = graphs.filter((graph) => graph.group === "key" && graph !== lead);
  const href = (graph: Graph) => alone ? {} : { href: `${graph.name}.html` };
  const client = clientTable(rows);
  const later = key.slice(MOST_KEY_GRAPHS);
  return dashboardBody({
    findings: { ...findings, headline: findings.headline.replaceAll(" %", "\u00a0%") },
    lead: lead === undefined ? "" : graphHtml(lead, { heading: "h2", ...href(lead) }),
    limits: findings.limits,
    warnings: foldedByCell(findings.warnings),
    sweep: run.kind !== "single-prompt",
    subject: subjectOf(run),
    contents: contents(run, findings.gains),
    gains: gainsSection(findings.gains),
    tiers: tiersSection(run),
    graphs: key.slice(0, MOST_KEY_GRAPHS).map((graph) =>
      graphHtml(graph, { heading: "h3", ...href(graph) })
    ),
    groups: [
      ...(later.length === 0 ? [] : [linkGroup("Further context sizes", later, alone)]),
      ...GROUP_TITLES.map(([group, title]) =>
        linkGroup(title, graphs.filter((graph) => graph.group === group), alone)
      ),
    ].filter((group) => group.links.length + group.graphs.length > 0),
    summary: run.summary.length === 0 ? "" : tableHtml(
      withoutEmptyColumns(summaryTable(run.summary)),
      "All cells, measured at their peak",
    ),
    command: run.config.command ?? "",
    server: tableHtml(serverTable(run), "Server", true),
    configuration: tableHtml(configurationTable(run), "Configuration"),
    notes: run.config.notes ?? [],
    clientRows: client?.rows.length ?? 0,
    client: client === undefined ? "" : tableHtml(client, "The client, cell by cell"),
    definitions: input.definitions,
    files: fileLists(run, pages, input.kept),
  });
}

/**
 * The graphs as they stand below each other on one page: the verdict is said above them, and what was
 * said under one graph is not said again under the next. On a page of its own each keeps all of it.
 */
function withoutRepeats(graphs: readonly Graph[], verdict: string): Graph[] {
  const said = new Set<string>();
  return graphs.map((graph) => {
    const about = verdict === "" ? graph.about : graph.about.replace(verdict, "").trim();
    const isNew = !said.has(about);
    said.add(about);
    return { ...graph, about: isNew ? about : "" };
  });
}

/**
 * The one graph that shows what the headline says: where the tiers end, throughput against the hit
 * rate, or cold against cached.
 */
function leadOf(run: RunData, graphs: readonly Graph[]): Graph | undefined {
  const drawn = graphs.filter((graph) => graph.group === "key" && graph.figure !== undefined);
  const map = run.kind === "working-set"
    ? drawn.find((graph) => graph.name.startsWith("tier_map_"))
    : undefined;
  return map ?? drawn[0];
}

function linkGroup(title: string, graphs: readonly Graph[], alone: boolean) {
  return {
    title,
    links: alone ? [] : graphs.map((graph) => ({ href: `${graph.name}.html`, title: graph.title })),
    graphs: alone ? graphs.map((graph) => graphHtml(graph, { heading: "h3" })) : [],
  };
}

/** What was measured, in a few words: model, server, when, by what. */
export function subjectOf(run: RunData): string[] {
  const { config } = run;
  const model = config.model ?? run.summary.find((row) => row.model !== undefined)?.model;
  return [
    model,
    config.server,
    config.startedAt?.replace("T", " ").replace(/(\.\d+)?(Z|\+00:00)$/, " UTC"),
    run.writtenBy === "python" ? "measured by the Python suite (kv-cache-tester)" : undefined,
  ].filter((part) => part !== undefined && part !== "") as string[];
}

function contents(run: RunData, gains: readonly Gain[]) {
  return [
    ...(gains.length === 0 ? [] : [{ id: "gains", title: "How much faster" }]),
    ...(hasTiers(run) ? [{ id: "tiers", title: "Memory tiers" }] : []),
    { id: "limits", title: run.kind === "single-prompt" ? "Warnings" : "Limits and warnings" },
    { id: "graphs", title: "Graphs" },
    ...(run.summary.length === 0 ? [] : [{ id: "cells", title: "All cells" }]),
    { id: "setup", title: "How it was measured" },
    { id: "client", title: "Client" },
    { id: "definitions", title: "Definitions" },
    { id: "files", title: "Files" },
  ];
}

function gainsSection(gains: readonly Gain[]) {
  const first = gains[0];
  if (first === undefined) return undefined;
  const along = first.along;
  const table = along === "single-prompt" ? coldTable(gains) : gainTable(gains);
  return {
    title: along === "working-set" ? "How the working set matters" : "How much faster",
    table: tableHtml(table, "Comparison", true),
    note: {
      "hit-rate": "Throughput compares the two cells at their own peaks, where TTFT is near the" +
        " limit by design; so TTFT is compared at the lowest concurrency that both cells ran at.",
      "working-set":
        "The largest against the smallest working set: throughput at their own peaks," +
        " TTFT at the lowest concurrency that both ran at.",
      "single-prompt": "Mean TTFT of the first sending of a prompt against the same prompt again.",
    }[along],
  };
}

function hasTiers({ tierMap }: RunData): boolean {
  return tierMap !== undefined && tierMap.series.length > 0;
}

/** Tiers, knees and what shows them, or why there are none; nothing without a tier map. */
function tiersSection(run: RunData) {
  const map = run.tierMap;
  if (map === undefined || !hasTiers(run)) return undefined;
  const [tiers, knees] = [tiersTable(map), kneesTable(map)];
  return {
    // Where there is no tier to tell of, this says why.
    note: tiers.rows.length === 0 ? map.headline : "",
    table: tiers.rows.length === 0 ? "" : tableHtml(tiers, "Memory tiers", true),
    knees: knees.rows.length === 0 ? "" : tableHtml(knees, "Knees", true),
    evidence: [
      ...map.evidence,
      ...map.breakEven.map(({ tier, prefixTokens, low, high, note }) =>
        `Break-even length of ${tier}: ${
          prefixTokens === undefined
            ? ""
            : `${formatCount(prefixTokens)} tokens (${formatCount(low)} to ${formatCount(high)}); `
        }${note}.`
      ),
    ],
  };
}

function fileLists(run: RunData, pages: readonly PageLink[], kept: readonly KeptPage[]) {
  const list = (
    files: readonly {
      readonly name: string;
      readonly sizeBytes: number;
      readonly title?: string;
    }[],
  ) =>
    files.map(({ name, title, sizeBytes }) => ({
      name,
      href: hrefOf(name),
      what: title ?? "",
      size: formatBytes(sizeBytes),
    }));
  const data = list(dataFiles(run));
  return [
    { title: `Data: ${counted(data.length, "file")}`, open: true, files: data },
    {
      title: `Graphs: ${counted(pages.length, "page")}`,
      open: pages.length <= 12,
      files: list(pages),
    },
    {
      title: `Drawn by the program that measured: ${counted(kept.length, "page")}, kept`,
      open: false,
      files: list(kept),
    },
  ].filter((part) => part.files.length > 0);
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Files that a report neither writes nor changes, so that a second report lists the same. */
function dataFiles(run: RunData) {
  return run.files.filter(({ name }) =>
    !/\.html$/i.test(name) && !name.startsWith(".") && !name.startsWith("assets/") &&
    name !== "assets"
  );
}

/** A relative link to a file of any name. */
export function hrefOf(name: string): string {
  return `./${name.toWellFormed().split("/").map(encodeURIComponent).join("/")}`;
}
