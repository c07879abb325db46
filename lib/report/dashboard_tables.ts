/**
 * The tables of the dashboard, from rows.
 *
 * @module
 */

import type { RunData, SummaryRow } from "../results/schema.ts";
import { formatBytes, formatCount } from "../units.ts";
import { clientMarkText } from "./client_marks.ts";
import type { GraphTable } from "./figure.ts";
import { boundedRatio, changeText, formatRatio } from "./ratios.ts";
import { cellText } from "./points.ts";
import type { Gain } from "./gains.ts";
import { isWarmup, type Period, type RunRows } from "./points.ts";
import { factTable, formatCell, formatParameter } from "./tables.ts";

/** Two cells of each series side by side. */
export function gainTable(gains: readonly Gain[]): GraphTable {
  return {
    columns: [
      { label: "Where", kind: "text" },
      { label: "From → to", kind: "text" },
      { label: "Input, tokens/s", kind: "text" },
      { label: "Throughput ratio", kind: "text" },
      { label: "Concurrency at peak", kind: "text" },
      { label: "Mean TTFT at equal load", kind: "text" },
      { label: "TTFT ratio, before / after", kind: "text" },
      { label: "Caution", kind: "text" },
    ],
    rows: gains.map((gain) => [
      gain.where,
      `${gain.against} → ${gain.at}`,
      arrow("rate", gain.inputBefore, gain.inputAfter),
      boundedRatio(gain, "lower"),
      arrow("count", gain.concurrencyBefore, gain.concurrencyAfter),
      gain.ttft === undefined
        ? "no common concurrency"
        : `${arrow("seconds", gain.ttft.beforeSeconds, gain.ttft.afterSeconds)} (concurrency ${
          formatCount(gain.ttft.concurrency)
        })`,
      changeText(gain.ttft?.ratio, "slower"),
      gain.caution ?? "",
    ]),
  };
}

/** Cold and cached side by side. */
export function coldTable(gains: readonly Gain[]): GraphTable {
  return {
    columns: [
      { label: "Where", kind: "text" },
      { label: "Mean TTFT, cold → cached", kind: "text" },
      { label: "Speedup", kind: "text" },
      { label: "Caution", kind: "text" },
    ],
    rows: gains.map((gain) => [
      gain.where,
      arrow("seconds", gain.ttft?.beforeSeconds, gain.ttft?.afterSeconds),
      formatRatio(gain.ratio),
      gain.caution ?? "",
    ]),
  };
}

function arrow(
  kind: "rate" | "count" | "seconds",
  before: number | undefined,
  after: number | undefined,
): string {
  return `${formatCell(kind, before)} → ${formatCell(kind, after)}`;
}

/** What a hit rate is held against, beside what the requests report. */
const HIT_EVIDENCE = [
  { label: "Achievable", name: "achievable_hit_rate" },
  { label: "By LRU model", name: "theoretical_hit_rate" },
  { label: "By counters", name: "counter_hit_rate" },
] as const;

/** The two halves of a run that alternates loaded and recomputed requests. */
const ALTERNATED = [
  { label: "TTFT loaded", name: "median_ttft_loaded" },
  { label: "TTFT recomputed", name: "median_ttft_recomputed" },
] as const;

/** Of a merged run: how many shards a cell is made of, and what is missing of them. */
const SHARDS = [
  { label: "Shards", name: "shards", kind: "count" },
  { label: "Missing of the load", name: "shard_problem", kind: "text" },
] as const;

/** How far a search came, and whether what is shown meets the limits. */
const PEAK = [
  { label: "Peak is", name: "peak_bound", shown: { lower: "at least", exact: "exact" } },
  { label: "Within limits", name: "within_limits", shown: { yes: "yes", no: "no" } },
] as const;

function peakText(row: SummaryRow, { name, shown }: (typeof PEAK)[number]): string | undefined {
  const value = row[name];
  return value === undefined ? value : (shown as Readonly<Record<string, string>>)[value] ?? value;
}

/** Every cell at its peak. */
export function summaryTable(summary: readonly SummaryRow[]): GraphTable {
  const withSets = summary.some((row) => row.working_set_size !== undefined);
  const isKnown = ({ name }: { readonly name: keyof SummaryRow }) =>
    summary.some((row) => row[name] !== undefined);
  const evidence = HIT_EVIDENCE.filter(isKnown);
  const halves = ALTERNATED.filter(isKnown);
  const shards = SHARDS.filter(isKnown);
  const peak = PEAK.filter(isKnown);
  return {
    columns: [
      { label: "Context", kind: "count" },
      ...(withSets ? [{ label: "Working set", kind: "count" as const }] : []),
      { label: "Nominal hit rate", kind: "percent" },
      ...evidence.map(({ label }) => ({ label, kind: "percent" as const })),
      { label: "Observed", kind: "percent" },
      { label: "Verdict", kind: "text" },
      { label: "Input, tokens/s", kind: "rate" },
      { label: "Output, tokens/s", kind: "rate" },
      { label: "TTFT median", kind: "seconds" },
      ...halves.map(({ label }) => ({ label, kind: "seconds" as const })),
      { label: "TTFT P95", kind: "seconds" },
      { label: "ITL mean", kind: "seconds" },
      { label: "Peak concurrency", kind: "count" },
      ...peak.map(({ label }) => ({ label, kind: "text" as const })),
      { label: "Requests", kind: "count" },
      { label: "Failed", kind: "count" },
      { label: "Client-limited", kind: "text" },
      ...shards.map(({ label, kind }) => ({ label, kind })),
    ],
    rows: summary.map((row) => [
      row.context_size,
      ...(withSets ? [row.working_set_size] : []),
      row.cache_hit_rate,
      ...evidence.map(({ name }) => row[name]),
      row.observed_hit_rate,
      row.hit_rate_verdict ?? "unchecked",
      row.input_tokens_per_sec,
      row.output_tokens_per_sec,
      row.median_ttft,
      ...halves.map(({ name }) => row[name]),
      row.p95_ttft,
      row.avg_itl,
      row.peak_concurrency,
      ...peak.map((column) => peakText(row, column)),
      row.total_requests,
      row.failed_requests,
      row.client_limited,
      ...shards.map(({ name }) => row[name]),
    ]),
  };
}

/** What the server is, each fact with its evidence. */
export function serverTable(run: RunData): GraphTable {
  const { config } = run;
  const kv = config.kvBytesPerToken;
  const rows: (readonly [string, string] | readonly [string, string, string])[] = [
    ["Model", subjectModel(run)],
    ["Server", config.server ?? "not identified"],
    ["Endpoint", (config.endpoints ?? []).join(", ") || "not recorded"],
    ...(config.serverFacts ?? []).map((fact) => [fact.name, fact.value, fact.evidence] as const),
    ...(config.blockTokens === undefined ? [] : [
      ["KV block", `${formatCount(config.blockTokens)} tokens`] as const,
    ]),
    ...(config.cold === undefined ? [] : [
      [
        "Cold start",
        `${config.cold.by}, ${config.cold.proved ? "proved" : "not proved"}`,
        config.cold.evidence.join(" "),
      ] as const,
    ]),
    ...(kv === undefined ? [] : [
      ["KV cache per token", formatBytes(kv), config.kvBytesPerTokenSource ?? ""] as const,
    ]),
  ];
  return factTable(rows);
}

function subjectModel(run: RunData): string {
  return run.config.model ?? run.summary.find((row) => row.model)?.model ?? "not recorded";
}

/** The options of the run. */
export function configurationTable(run: RunData): GraphTable {
  const parameters = Object.entries(run.config.parameters ?? {});
  return factTable([
    ["Written by", writer(run)],
    ...parameters.map(([name, value]) => [name, formatParameter(value)] as const),
  ]);
}

function writer(run: RunData): string {
  if (run.writtenBy === "python") return "kv-cache-tester (Python)";
  return `kvmark ${run.config.kvmarkVersion ?? ""}`.trim();
}

/** The worst period of each cell, by what the client itself did. */
export function clientTable(rows: RunRows): GraphTable | undefined {
  const table: (string | number | undefined)[][] = [];
  for (const point of rows.points) {
    const periods = rows.periodsOf(point).filter((period) => !isWarmup(period));
    const most = (key: ClientColumn) => largest(periods, key);
    const cells = [
      most("due_to_sent_p99_ms") ?? point.row.due_to_sent_p99_ms,
      most("due_to_sent_max_ms"),
      most("event_loop_lag_p99_ms") ?? point.row.event_loop_lag_p99_ms,
      most("event_loop_lag_max_ms"),
      most("client_cpu_cores") ?? point.row.client_cpu_cores,
      most("connections_opened"),
      most("retries"),
    ];
    if (cells.every((cell) => cell === undefined)) continue;
    table.push([cellText(point.row), ...cells, clientMarkText(point.row)]);
  }
  return table.length === 0 ? undefined : { columns: CLIENT_COLUMNS, rows: table };
}

const CLIENT_COLUMNS: GraphTable["columns"] = [
  { label: "Cell", kind: "text" },
  { label: "Due to sent, P99", kind: "ms" },
  { label: "Due to sent, max", kind: "ms" },
  { label: "Event-loop lag, P99", kind: "ms" },
  { label: "Event-loop lag, max", kind: "ms" },
  { label: "CPU, cores", kind: "rate" },
  { label: "Connections opened", kind: "count" },
  { label: "Retries", kind: "count" },
  { label: "May be the client's own delay", kind: "text" },
];

type ClientColumn =
  | "due_to_sent_p99_ms"
  | "due_to_sent_max_ms"
  | "event_loop_lag_p99_ms"
  | "event_loop_lag_max_ms"
  | "client_cpu_cores"
  | "connections_opened"
  | "retries";

function largest(periods: readonly Period[], key: ClientColumn): number | undefined {
  let most: number | undefined;
  for (const period of periods) {
    const value = period.phase?.[key];
    if (value !== undefined && (most === undefined || value > most)) most = value;
  }
  return most;
}
