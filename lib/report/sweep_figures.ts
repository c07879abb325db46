/**
 * Graphs of the summary rows along one axis: hit rate (cache-rate) or working set (working-set).
 *
 * @module
 */

import { formatCount } from "../units.ts";
import { cellMarks } from "./cell_marks.ts";
import {
  band,
  COLOURS,
  type Graph,
  type GraphTable,
  line,
  type Panel,
  type PlotlyObject,
  rounded,
  seriesStyle,
  stackPanels,
  timeUnit,
} from "./figure.ts";
import { distinct, type Point, type Span } from "./points.ts";
import { hasDecoding, type SweepAxis } from "./sweep_axis.ts";

/** A series of points, drawn as one line. */
export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

function spanBand(
  name: string,
  axis: SweepAxis,
  points: readonly Point[],
  span: (point: Point) => Span | undefined,
  color: string,
): PlotlyObject[] {
  const spread = points.filter((point) => (span(point)?.high ?? 0) > (span(point)?.low ?? 0));
  if (spread.length === 0) return [];
  return [band({
    name,
    x: points.map(axis.of),
    low: points.map((point) => rounded(span(point)?.low)),
    high: points.map((point) => rounded(span(point)?.high)),
    color,
  })];
}

function inputPanel(axis: SweepAxis, points: readonly Point[]): Panel {
  const x = points.map(axis.of);
  const unit = "tokens/s";
  const y = (of: (point: Point) => number | undefined) => points.map((p) => rounded(of(p)));
  const computed = y((point) => point.row.computed_tokens_per_sec);
  const reused = y((point) => point.row.reused_tokens_per_sec);
  const split = computed.some((value) => value !== null);
  const spans = spanBand("min–max of periods", axis, points, (p) => p.inputSpan, COLOURS.blue);
  return {
    title: "Input throughput, tokens/s",
    yaxis: { tickformat: "~s" },
    traces: [
      ...spans,
      line({
        name: "all prompt tokens",
        x,
        y: y((point) => point.row.input_tokens_per_sec),
        color: COLOURS.blue,
        unit,
      }),
      ...(split
        ? [
          line({
            name: "reused",
            x,
            y: reused,
            color: COLOURS.green,
            dash: "dash",
            symbol: "diamond",
            unit,
          }),
          line({
            name: "computed",
            x,
            y: computed,
            color: COLOURS.vermillion,
            dash: "dot",
            symbol: "square",
            unit,
          }),
        ]
        : []),
      ...cellMarks(axis.of, points),
    ],
  };
}

function outputPanel(axis: SweepAxis, points: readonly Point[]): Panel {
  return {
    title: "Output throughput, tokens/s",
    heightPx: 170,
    yaxis: { tickformat: "~s" },
    traces: [
      ...spanBand("min–max of periods", axis, points, (p) => p.outputSpan, COLOURS.purple),
      line({
        name: "generated tokens",
        x: points.map(axis.of),
        y: points.map((point) => rounded(point.row.output_tokens_per_sec)),
        color: COLOURS.purple,
        unit: "tokens/s",
      }),
    ],
  };
}

const TTFT_LINES = [
  { name: "avg", key: "avg_ttft", color: COLOURS.blue, dash: "solid", symbol: "circle" },
  { name: "median", key: "median_ttft", color: COLOURS.green, dash: "dash", symbol: "diamond" },
  { name: "P95", key: "p95_ttft", color: COLOURS.orange, dash: "dot", symbol: "square" },
  { name: "P99", key: "p99_ttft", color: COLOURS.vermillion, dash: "dashdot", symbol: "x" },
] as const;

const METRIC_LABELS: Readonly<Record<string, string>> = { p95: "P95", avg: "avg", max: "max" };

/** The TTFT limit as part of a panel, if there is one. */
export function limitOf(value: number | null, metric?: string): Pick<Panel, "limit"> {
  const label = metric === undefined ? "TTFT limit" : `limit of ${METRIC_LABELS[metric] ?? metric}`;
  return value === null ? {} : { limit: { value, label } };
}

/** The heart of both sweeps: input and output throughput and TTFT, one above the other. */
export function performanceGraph(o: {
  readonly name: string;
  readonly title: string;
  readonly axis: SweepAxis;
  readonly points: readonly Point[];
  readonly limitSeconds: number | undefined;
}): Graph {
  const { axis, points } = o;
  const x = points.map(axis.of);
  const time = timeUnit(points.flatMap((p) => [p.row.p99_ttft, o.limitSeconds]));
  const ttft: Panel = {
    title: `TTFT, ${time.unit}`,
    ...limitOf(time.of(o.limitSeconds), points[0]?.row.ttft_metric),
    traces: TTFT_LINES.map(({ key, ...style }) =>
      line({
        ...style,
        x,
        y: points.map((point) => time.of(point.row[key])),
        unit: time.unit,
        format: ".3~r",
      })
    ),
  };
  return {
    name: o.name,
    title: o.title,
    group: "key",
    about: "Each point is a cell at its own peak concurrency: the highest throughput that met the" +
      " limits. Bands span the lowest and highest of the periods that a point pools." +
      " TTFT is therefore seen under a different load at each point.",
    figure: stackPanels([
      inputPanel(axis, points),
      ...(hasDecoding(points) ? [outputPanel(axis, points)] : []),
      ttft,
    ], {
      xTitle: axis.title,
      xaxis: axis.xaxis,
      linkedBy: axis.linkedBy,
    }),
    table: performanceTable(axis, points),
  };
}

function performanceTable(axis: SweepAxis, points: readonly Point[]): GraphTable {
  return {
    columns: [
      { label: axis.title.replace(/, .*/, ""), kind: axis.kind },
      { label: "Input, tokens/s", kind: "rate" },
      { label: "lowest period", kind: "rate" },
      { label: "highest period", kind: "rate" },
      { label: "Reused, tokens/s", kind: "rate" },
      { label: "Computed, tokens/s", kind: "rate" },
      { label: "Output, tokens/s", kind: "rate" },
      { label: "TTFT avg", kind: "seconds" },
      { label: "TTFT median", kind: "seconds" },
      { label: "TTFT P95", kind: "seconds" },
      { label: "TTFT P99", kind: "seconds" },
      { label: "Concurrency", kind: "count" },
    ],
    rows: points.map((point) => [
      axis.of(point),
      point.row.input_tokens_per_sec,
      point.inputSpan?.low,
      point.inputSpan?.high,
      point.row.reused_tokens_per_sec,
      point.row.computed_tokens_per_sec,
      point.row.output_tokens_per_sec,
      point.row.avg_ttft,
      point.row.median_ttft,
      point.row.p95_ttft,
      point.row.p99_ttft,
      point.row.peak_concurrency,
    ]),
  };
}

function speedupTraces(
  name: string,
  index: number,
  x: readonly number[],
  values: readonly (number | undefined)[],
  ratios: readonly (number | undefined)[],
): PlotlyObject[] {
  const { color, symbol } = seriesStyle(index);
  const speedup = line({
    name: `${name} (speedup)`,
    x,
    y: ratios.map(rounded),
    color,
    dash: "dash",
    symbol: `${symbol}-open`,
    unit: "×",
    format: ".2f",
  });
  return [
    line({ name, x, y: values.map(rounded), color, symbol, unit: "tokens/s" }),
    { ...speedup, right: true },
  ];
}

/**
 * Throughput of several series on one axis, with their speed-up (right) over the first place at
 * which all of them have a value: a base of its own for each would make equal ratios differ.
 */
export function throughputComparison(o: {
  readonly name: string;
  readonly title: string;
  readonly axis: SweepAxis;
  readonly series: readonly Series[];
  readonly of: (point: Point) => number | undefined;
  readonly group?: "key";
}): Graph {
  const { axis } = o;
  const has = (series: Series, x: number) =>
    series.points.some((point) => axis.of(point) === x && (o.of(point) ?? 0) > 0);
  const common = distinct(o.series.flatMap((series) => series.points.map(axis.of)))
    .find((x) => o.series.every((series) => has(series, x)));
  const traces: PlotlyObject[] = [];
  const rows: (string | number | undefined)[][] = [];
  let highest = 1;
  o.series.forEach((series, index) => {
    const x = series.points.map(axis.of);
    const values = series.points.map(o.of);
    const base = values[x.indexOf(common ?? NaN)];
    const ratios = values.map((value) =>
      base === undefined || base <= 0 || value === undefined ? undefined : value / base
    );
    highest = Math.max(highest, ...ratios.map((ratio) => ratio ?? 0));
    traces.push(...speedupTraces(series.name, index, x, values, ratios));
    values.forEach((value, i) => rows.push([series.name, x[i], value, ratios[i]]));
  });
  return {
    name: o.name,
    title: o.title,
    group: o.group ?? "comparison",
    about: "Solid lines: tokens per second at the peak of each cell (left axis)." +
      (common === undefined
        ? " The series have no point in common, so that no speed-up is drawn."
        : ` Dashed lines: the ratio to the same series at ${
          placeText(axis, common)
        } (right axis).`),
    figure: stackPanels([{
      title: "Tokens/s (solid), speedup (dashed)",
      traces,
      heightPx: 360,
      yaxis: { tickformat: "~s" },
      rightTitle: "Speedup, ×",
      // Room above, so that the dashed lines do not hide the solid ones.
      right: { ticksuffix: "×", range: [0, rounded(highest * 1.25)] },
    }], { xTitle: axis.title, xaxis: axis.xaxis, linkedBy: axis.linkedBy }),
    table: {
      columns: [
        { label: "Series", kind: "text" },
        { label: axis.title.replace(/, .*/, ""), kind: axis.kind },
        { label: "Tokens/s", kind: "rate" },
        { label: "Speedup", kind: "ratio" },
      ],
      rows,
    },
  };
}

function placeText({ kind }: SweepAxis, x: number): string {
  return kind === "percent" ? `${x} % hits` : `${formatCount(x)} tokens`;
}

/** A panel of {@linkcode comparisonGraph}: one figure of a point. */
interface ComparedFigure {
  readonly title: string;
  readonly unit: string;
  readonly kind: "rate" | "seconds" | "ms";
  readonly of: (point: Point) => number | undefined;
}

/** One line a series in each of several panels. */
export function comparisonGraph(o: {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly axis: SweepAxis;
  readonly series: readonly Series[];
  readonly panels: readonly ComparedFigure[];
}): Graph {
  const specs = o.panels.filter((spec) =>
    o.series.some(({ points }) => points.some((point) => spec.of(point) !== undefined))
  );
  const panels = specs.map((spec): Panel => ({
    title: `${spec.title}, ${spec.unit}`,
    heightPx: 210,
    ...(spec.unit === "tokens/s" ? { yaxis: { tickformat: "~s" } } : {}),
    traces: o.series.map((series, index) =>
      line({
        ...seriesStyle(index),
        name: series.name,
        x: series.points.map(o.axis.of),
        y: series.points.map((point) => rounded(spec.of(point))),
        unit: spec.unit,
      })
    ),
  }));
  return {
    name: o.name,
    title: o.title,
    group: "comparison",
    about: o.about,
    figure: stackPanels(panels, {
      xTitle: o.axis.title,
      xaxis: o.axis.xaxis,
      linkedBy: o.axis.linkedBy,
    }),
    table: {
      columns: [
        { label: "Series", kind: "text" },
        { label: o.axis.title.replace(/, .*/, ""), kind: o.axis.kind },
        // Times have their unit in each cell, and in the header of the CSV.
        ...specs.map(({ title, unit, kind }) => ({
          label: kind === "seconds" || kind === "ms" ? title : `${title}, ${unit}`,
          kind,
        })),
      ],
      rows: o.series.flatMap((series) =>
        series.points.map((point) => [
          series.name,
          o.axis.of(point),
          ...specs.map((spec) => spec.of(point)),
        ])
      ),
    },
  };
}

/** `8,000 tokens`: how a context size is named in a legend. */
export function contextName(tokens: number): string {
  return `${formatCount(tokens)} tokens`;
}

/** What decoding looks like at the peak of a cell. TPOT is what the Python suite calls ITL. */
export const DECODING_PANELS = [
  {
    title: "Decode rate of a request, mean",
    unit: "tokens/s",
    kind: "rate",
    of: (point: Point) => point.row.avg_output_tokens,
  },
  { title: "ITL, mean", unit: "ms", kind: "ms", of: (point: Point) => inMs(point.row.avg_itl) },
  { title: "TPOT, mean", unit: "ms", kind: "ms", of: (point: Point) => inMs(point.row.avg_tpot) },
] as const;

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}
