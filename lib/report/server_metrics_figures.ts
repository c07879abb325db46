/**
 * What the servers' own metrics say over time: queue, running, KV usage, hits by tier, offload,
 * preemptions.
 *
 * @module
 */

import type { RunData, ServerMetricsRow } from "../results/schema.ts";
import { formatBytes } from "../units.ts";
import {
  COLOURS,
  type Graph,
  line,
  type Panel,
  type PlotlyObject,
  rounded,
  seriesStyle,
  stackPanels,
} from "./figure.ts";
import { cellName, distinct, keyOf } from "./points.ts";
import { contextName } from "./sweep_figures.ts";

/** Rows of one server that are drawn at most; beyond, every second, third, … row is. */
const MOST_ROWS = 1500;

/** One graph for each context size of a run whose servers were watched. */
export function serverMetricsGraphs(run: RunData): Graph[] {
  const rows = (run.serverMetrics ?? []).filter((row) => row.time !== undefined);
  return distinct(rows.map((row) => row.context_size)).map((context) =>
    graphOf(context, rows.filter((row) => row.context_size === context))
  );
}

function graphOf(context: number, rows: readonly ServerMetricsRow[]): Graph {
  const start = rows.reduce((least, row) => Math.min(least, row.time ?? least), Infinity);
  const servers = serversOf(rows);
  const panels = MEASURES.map((measure) => panelOf(measure, servers, start))
    .filter((panel) => panel.traces.length > 0);
  const restarts = rows.filter((row) => row.restarted === "yes").length;
  const thinned = servers.some((server) => server.step > 1);
  return {
    name: `server_metrics_${context}`,
    title: `The server's own metrics, context ${contextName(context)}`,
    group: "server",
    about:
      "Read from the server's metrics route while the periods ran, warm-up included; counters" +
      " are drawn as what they gained since the reading before." +
      (restarts === 0 ? "" : ` In ${restarts} intervals the server was started again.`) +
      (thinned ? " Not every reading is drawn." : ""),
    figure: stackPanels(panels, {
      xTitle: "Time since the first reading, s",
      xaxis: { rangemode: "tozero", unifiedhovertitle: { text: "after %{x:.1f} s" } },
    }),
    table: periodTable(rows),
  };
}

/** The readings of one server, in order. */
interface ServerRows {
  /** Put behind the names of its lines; empty where it is the only one. */
  readonly suffix: string;
  readonly rows: readonly ServerMetricsRow[];
  /** Every `step`-th row is drawn. */
  readonly step: number;
}

function serversOf(rows: readonly ServerMetricsRow[]): ServerRows[] {
  const byEndpoint = Map.groupBy(rows, (row) => row.endpoint ?? "");
  return [...byEndpoint].map(([endpoint, own]) => {
    const step = Math.ceil(own.length / MOST_ROWS);
    return {
      suffix: byEndpoint.size > 1 ? ` · ${hostOf(endpoint)}` : "",
      rows: own.filter((row, index) => row.interval_s === undefined || index % step === 0),
      step,
    };
  });
}

function hostOf(endpoint: string): string {
  return URL.canParse(endpoint) ? new URL(endpoint).host : endpoint;
}

type Value = (row: ServerMetricsRow) => number | undefined;

interface Measure {
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly (readonly [name: string, value: Value])[];
  /** Also drawn where it is 0 all the time. */
  readonly always?: boolean;
  readonly log?: false;
}

/** A panel without a value above 0 is left out, unless it is `always` drawn. */
const MEASURES: readonly Measure[] = [
  {
    title: "Requests on the server",
    unit: "requests",
    lines: [["running", (row) => row.running], ["waiting", (row) => row.waiting]],
    always: true,
  },
  {
    title: "KV cache in use, %",
    unit: "%",
    lines: [["HBM", (row) => row.kv_usage], ["host memory", (row) => row.host_kv_usage]],
    always: true,
    log: false,
  },
  {
    title: "Prompt tokens/s by where they came from",
    unit: "tokens/s",
    lines: [
      ["computed", perSec((row) => less(row.cache_query_tokens, row.cache_hit_tokens))],
      ["HBM", perSec((row) => row.hbm_hit_tokens)],
      ["host memory", perSec((row) => row.dram_hit_tokens)],
      ["storage", perSec((row) => row.ssd_hit_tokens)],
      ["below HBM", perSec((row) => row.offload_hit_tokens)],
      ["cached, tier not told", perSec(untold)],
    ],
  },
  {
    title: "Offload, bytes/s",
    unit: "B/s",
    lines: [
      ["loaded", perSec((row) => row.offload_load_bytes)],
      ["stored", perSec((row) => row.offload_store_bytes)],
    ],
  },
  {
    title: "Offload time, seconds per second",
    unit: "s/s",
    lines: [
      ["loading", perSec((row) => row.offload_load_s)],
      ["storing", perSec((row) => row.offload_store_s)],
    ],
  },
  {
    title: "Evicted tokens/s",
    unit: "tokens/s",
    lines: [["evicted", perSec((row) => row.evicted_tokens)]],
  },
  {
    title: "Preemptions since the reading before",
    unit: "requests",
    lines: [["preemptions", (row) => row.preemptions]],
    always: true,
  },
];

function perSec(value: Value): Value {
  return (row) => {
    const amount = value(row);
    const seconds = row.interval_s ?? 0;
    return amount === undefined || seconds <= 0 ? undefined : amount / seconds;
  };
}

function less(whole: number | undefined, part: number | undefined): number | undefined {
  return whole === undefined || part === undefined ? undefined : whole - part;
}

function untold(row: ServerMetricsRow): number | undefined {
  const told = [
    row.hbm_hit_tokens,
    row.dram_hit_tokens,
    row.ssd_hit_tokens,
    row.offload_hit_tokens,
  ].some((tokens) => tokens !== undefined);
  return told ? undefined : row.cache_hit_tokens;
}

function panelOf(measure: Measure, servers: readonly ServerRows[], start: number): Panel {
  const traces: PlotlyObject[] = [];
  for (const { suffix, rows } of servers) {
    for (const [name, value] of measure.lines) {
      const values = rows.map(value);
      const drawn = values.some((one) => one !== undefined && (measure.always || one > 0));
      if (!drawn) continue;
      traces.push(line({
        ...seriesStyle(traces.length),
        ...(name === "waiting" ? { color: COLOURS.vermillion } : {}),
        name: `${name}${suffix}`,
        ...withGaps(rows, values, start),
        unit: measure.unit,
        ...(isRate(measure) ? {} : { format: ".3~r" }),
        more: { marker: { size: 4 }, connectgaps: false },
      }));
    }
  }
  return {
    title: measure.title,
    heightPx: 150,
    traces,
    // Only large numbers are read better as 15k; a share of 0.4 must not become 400m.
    yaxis: isRate(measure) ? { tickformat: "~s" } : {},
    ...(measure.log === undefined ? {} : { log: measure.log }),
  };
}

/** Tokens or bytes per second, but not seconds per second. */
function isRate({ unit }: Measure): boolean {
  return unit === "tokens/s" || unit === "B/s";
}

/** A line must not run from one period to the next: nothing was read in between. */
function withGaps(
  rows: readonly ServerMetricsRow[],
  values: readonly (number | undefined)[],
  start: number,
): { x: number[]; y: (number | null)[] } {
  const x: number[] = [];
  const y: (number | null)[] = [];
  for (const [index, row] of rows.entries()) {
    const at = rounded((row.time ?? start) - start) ?? 0;
    if (row.interval_s === undefined && index > 0) {
      x.push(at);
      y.push(null);
    }
    x.push(at);
    y.push(rounded(values[index]));
  }
  return { x, y };
}

function periodTable(rows: readonly ServerMetricsRow[]): Graph["table"] {
  const periods = Map.groupBy(rows, (row) => {
    const key = keyOf(row);
    return `${key === undefined ? "" : cellName(key)} ${row.phase_id}`;
  });
  return {
    columns: [
      { label: "Working set", kind: "count" },
      { label: "Rate", kind: "percent" },
      { label: "Period", kind: "text" },
      { label: "Running, most", kind: "count" },
      { label: "Waiting, most", kind: "count" },
      { label: "KV in use, most", kind: "percent" },
      { label: "Prompt tokens", kind: "count" },
      { label: "Hit rate by counters", kind: "percent" },
      { label: "Hits in HBM", kind: "count" },
      { label: "Hits below", kind: "count" },
      { label: "Loaded", kind: "text" },
      { label: "Stored", kind: "text" },
      { label: "Preemptions", kind: "count" },
    ],
    rows: [...periods.values()].map(periodRow),
  };
}

function periodRow(rows: readonly ServerMetricsRow[]): (number | string | undefined)[] {
  const [first] = rows;
  const total = (value: Value) => totalOf(rows.map(value));
  const most = (value: Value) => mostOf(rows.map(value));
  const queries = total((row) => row.cache_query_tokens);
  const hits = total((row) => row.cache_hit_tokens);
  const bytes = (value: Value) => {
    const sum = total(value);
    return sum === undefined ? undefined : formatBytes(sum);
  };
  return [
    first?.working_set_size,
    first?.cache_hit_rate,
    first?.phase_id,
    most((row) => row.running),
    most((row) => row.waiting),
    most((row) => row.kv_usage),
    total((row) => row.prompt_tokens) ?? queries,
    queries === undefined || queries === 0 || hits === undefined ? undefined : 100 * hits / queries,
    total((row) => row.hbm_hit_tokens),
    total((row) => totalOf([row.dram_hit_tokens, row.ssd_hit_tokens, row.offload_hit_tokens])),
    bytes((row) => row.offload_load_bytes),
    bytes((row) => row.offload_store_bytes),
    total((row) => row.preemptions),
  ];
}

function totalOf(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0);
}

function mostOf(values: readonly (number | undefined)[]): number | undefined {
  return values.reduce(
    (most, value) => value === undefined ? most : Math.max(most ?? value, value),
    undefined,
  );
}
