/**
 * Graphs of the assessment periods of a sustained run of the Python suite.
 *
 * @module
 */

import type { RunData, SustainedRow } from "../results/schema.ts";
import {
  COLOURS,
  type Graph,
  line,
  type Panel,
  rounded,
  seriesStyle,
  stackPanels,
} from "./figure.ts";
import { distinct, numberParameter, ttftLimit } from "./points.ts";
import { contextName } from "./sweep_figures.ts";

interface Quantity {
  readonly key: keyof SustainedRow;
  readonly name: string;
  readonly dash?: string;
}

interface Measure {
  readonly title: string;
  readonly unit: string;
  readonly scale: number;
  readonly of: readonly Quantity[];
  readonly limit?: "ttft" | "rate";
}

const MEASURES: readonly Measure[] = [
  {
    title: "Input throughput, tokens/s",
    unit: "tokens/s",
    scale: 1,
    of: [{ key: "input_tokens_per_sec", name: "input" }],
  },
  {
    title: "Output throughput, tokens/s",
    unit: "tokens/s",
    scale: 1,
    of: [{ key: "output_tokens_per_sec", name: "output" }],
  },
  {
    title: "TTFT, s",
    unit: "s",
    scale: 1,
    limit: "ttft",
    of: [
      { key: "avg_ttft", name: "avg" },
      { key: "p95_ttft", name: "P95", dash: "dot" },
      { key: "p99_ttft", name: "P99", dash: "dashdot" },
    ],
  },
  {
    title: "Decode rate of a request, tokens/s",
    unit: "tokens/s",
    scale: 1,
    limit: "rate",
    of: [{ key: "avg_output_tokens_per_request", name: "mean" }],
  },
  {
    title: "ITL, ms",
    unit: "ms",
    scale: 1000,
    of: [{ key: "avg_itl", name: "avg" }, { key: "p95_itl", name: "P95", dash: "dot" }],
  },
];

/** Graphs over time for each context and rate, and all contexts of a rate together. */
export function sustainedGraphs(run: RunData): Graph[] {
  if (run.sustained.length === 0) return [];
  const contexts = distinct(run.sustained.map((row) => row.context_size));
  const rates = distinct(run.sustained.map((row) => row.cache_hit_rate));
  const of = (context: number, rate: number) =>
    run.sustained.filter((row) => row.context_size === context && row.cache_hit_rate === rate)
      .sort((a, b) => (a.start_time ?? 0) - (b.start_time ?? 0));
  const single = rates.flatMap((rate) =>
    contexts.flatMap((context) => {
      const rows = of(context, rate);
      return rows.length === 0 ? [] : [overTime(run, rows, context, rate)];
    })
  );
  const together = contexts.length < 2 ? [] : rates.map((rate) =>
    comparison(
      rate,
      contexts.map((context) => ({ context, rows: of(context, rate) }))
        .filter(({ rows }) => rows.length > 0),
    )
  );
  return [...single, ...together];
}

/** The measures that the rows hold: a suite run with one output token has no decode rate. */
function measuresOf(rows: readonly SustainedRow[]): Measure[] {
  return MEASURES.filter((measure) =>
    measure.of.some(({ key }) => rows.some((row) => typeof row[key] === "number" && row[key] > 0))
  );
}

function elapsed(rows: readonly SustainedRow[]): number[] {
  const start = rows[0]?.start_time ?? 0;
  return rows.map((row) => Number(((row.end_time ?? start) - start).toFixed(1)));
}

function value(row: SustainedRow, key: keyof SustainedRow, scale: number): number | null {
  const found = row[key];
  return typeof found === "number" ? rounded(found * scale) : null;
}

function measurePanel(measure: Measure, rows: readonly SustainedRow[], x: number[]): Panel {
  const colours = [COLOURS.blue, COLOURS.orange, COLOURS.vermillion];
  return {
    title: measure.title,
    heightPx: 150,
    ...(measure.unit === "tokens/s" ? { yaxis: { tickformat: "~s" } } : {}),
    traces: measure.of.map((quantity, index) =>
      line({
        name: quantity.name,
        x,
        y: rows.map((row) => value(row, quantity.key, measure.scale)),
        color: colours[index] ?? COLOURS.blue,
        dash: quantity.dash ?? "solid",
        unit: measure.unit,
      })
    ),
  };
}

function stepPanel(title: string, x: number[], y: (number | null)[], unit: string): Panel {
  return {
    title,
    heightPx: 110,
    yaxis: { tickformat: "~s" },
    traces: [line({
      name: title.replace(/, .*/, "").toLowerCase(),
      x,
      y,
      color: COLOURS.grey,
      unit,
      format: ",",
      more: { line: { color: COLOURS.grey, width: 2, shape: "vh" } },
    })],
  };
}

function overTime(
  run: RunData,
  rows: readonly SustainedRow[],
  context: number,
  rate: number,
): Graph {
  const x = elapsed(rows);
  const withSets = run.kind === "working-set";
  const panels = measuresOf(rows).map((measure): Panel => ({
    ...measurePanel(measure, rows, x),
    ...limitFor(run, measure),
  }));
  panels.push(stepPanel(
    "Concurrency",
    x,
    rows.map((row) => rounded(row.concurrency_level)),
    "requests",
  ));
  if (withSets) {
    const sets = rows.map((row) => rounded(row.working_set_size));
    panels.push(stepPanel("Working set, tokens", x, sets, "tokens"));
  }
  return {
    name: sustainedName(run, context, rate),
    title: `Over time, context ${contextName(context)}, nominal hit rate ${rate} %`,
    group: withSets ? "key" : "sustained",
    about: "One point for each assessment period of the Python suite, at the end of the period." +
      " It reports ramp-up periods too.",
    figure: stackPanels(panels, {
      xTitle: "Time since the start, s",
      xaxis: { rangemode: "tozero", unifiedhovertitle: { text: "after %{x:.0f} s" } },
    }),
    table: sustainedTable(rows, x),
  };
}

/** Working-set graphs carry the time stamp of their table, as the Python suite names them. */
function sustainedName(run: RunData, context: number, rate: number): string {
  if (run.kind !== "working-set") return `sustained_ctx${context}_cache${rate}`;
  const table = new RegExp(
    `^sustained_periods_ctx${context}_ws\\d+_cache${rate}_(\\d{8}_\\d{6})\\.csv$`,
  );
  const stamp = run.files.map((file) => table.exec(file.name)?.[1])
    .filter((found) => found !== undefined).sort().at(-1);
  return `sustained_performance_ctx${context}_cache${rate}${stamp ? `_${stamp}` : ""}`;
}

function limitFor(run: RunData, measure: Measure): Pick<Panel, "limit"> {
  if (measure.limit === undefined) return {};
  const isTtft = measure.limit === "ttft";
  const value = isTtft ? ttftLimit(run) : numberParameter(run.config, "min-tokens-per-req");
  const label = isTtft ? "TTFT limit" : "lowest decode rate allowed";
  return value === undefined ? {} : { limit: { value, label } };
}

function comparison(
  rate: number,
  series: readonly { readonly context: number; readonly rows: readonly SustainedRow[] }[],
): Graph {
  const measures = measuresOf(series.flatMap(({ rows }) => rows));
  const panels = measures.map((measure): Panel => {
    const quantity = measure.of[0];
    return {
      title: measure.title,
      heightPx: 150,
      traces: series.map(({ context, rows }, index) =>
        line({
          ...seriesStyle(index),
          name: contextName(context),
          x: elapsed(rows),
          y: rows.map((row) =>
            quantity === undefined ? null : value(row, quantity.key, measure.scale)
          ),
          unit: measure.unit,
        })
      ),
    };
  });
  return {
    name: `sustained_comparison_cache${rate}`,
    title: `Context sizes over time, nominal hit rate ${rate} %`,
    group: "sustained",
    about: "One line for each context size; each starts at its own time 0.",
    figure: stackPanels(panels, { xTitle: "Time since the start of the context, s" }),
    table: {
      columns: [{ label: "Context", kind: "count" }, ...SUSTAINED_COLUMNS],
      rows: series.flatMap(({ context, rows }) => {
        const x = elapsed(rows);
        return sustainedTable(rows, x).rows.map((row) => [context, ...row]);
      }),
    },
  };
}

const SUSTAINED_COLUMNS: Graph["table"]["columns"] = [
  { label: "Period", kind: "count" },
  { label: "Ends after", kind: "seconds" },
  { label: "Working set", kind: "count" },
  { label: "Concurrency", kind: "count" },
  { label: "Completed", kind: "count" },
  { label: "Input, tokens/s", kind: "rate" },
  { label: "Output, tokens/s", kind: "rate" },
  { label: "TTFT avg", kind: "seconds" },
  { label: "TTFT P95", kind: "seconds" },
  { label: "Decision", kind: "text" },
];

function sustainedTable(rows: readonly SustainedRow[], x: readonly number[]): Graph["table"] {
  return {
    columns: SUSTAINED_COLUMNS,
    rows: rows.map((row, index) => [
      row.period_number,
      x[index],
      row.working_set_size,
      row.concurrency_level,
      row.num_requests_completed,
      row.input_tokens_per_sec,
      row.output_tokens_per_sec,
      row.avg_ttft,
      row.p95_ttft,
      row.decision,
    ]),
  };
}
