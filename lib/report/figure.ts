/**
 * The vocabulary of the graphs: plain plotly figure JSON, its palette, and stacked panels.
 *
 * A figure is data for the browser and for goldens; nothing here touches a file or a document.
 *
 * @module
 */

import { spansDecade } from "./log_scale.ts";

/** A value that JSON can hold. */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json };

/** A trace or a layout of plotly. */
export type PlotlyObject = { readonly [key: string]: Json };

/** A plotly figure, complete but for the colours of the page, which `assets/report.js` adds. */
export interface Figure {
  readonly data: readonly PlotlyObject[];
  readonly layout: PlotlyObject;
}

/** How the cells of a table column are printed. */
export type CellKind = "text" | "count" | "rate" | "seconds" | "ms" | "percent" | "ratio";

/** The numbers behind a graph, for readers of tables, screen readers and the CSV download. */
export interface GraphTable {
  readonly columns: readonly { readonly label: string; readonly kind: CellKind }[];
  readonly rows: readonly (readonly (number | string | undefined)[])[];
}

/** Where a graph is listed. `key` graphs stand on the dashboard itself. */
export type GraphGroup =
  | "key"
  | "comparison"
  | "latency"
  | "requests"
  | "ramp"
  | "server"
  | "sustained";

/** One graph: a page of its own, and perhaps a place on the dashboard. */
export interface Graph {
  /** Name of its page without `.html`, and its id on a page. */
  readonly name: string;
  readonly title: string;
  /** What is drawn and from which rows. */
  readonly about: string;
  readonly group: GraphGroup;
  /** Absent for a page that is only a table. */
  readonly figure?: Figure;
  readonly table: GraphTable;
}

/** The colours of Okabe and Ito that hold up on white and on black. */
export const COLOURS = {
  blue: "#0072b2",
  vermillion: "#d55e00",
  green: "#009e73",
  purple: "#cc79a7",
  orange: "#e69f00",
  sky: "#56b4e9",
  grey: "#7a8087",
} as const;

const SERIES = [
  { color: COLOURS.blue, symbol: "circle" },
  { color: COLOURS.vermillion, symbol: "square" },
  { color: COLOURS.green, symbol: "diamond" },
  { color: COLOURS.purple, symbol: "triangle-up" },
  { color: COLOURS.orange, symbol: "x" },
  { color: COLOURS.sky, symbol: "cross" },
  { color: COLOURS.grey, symbol: "star" },
] as const;

/** Colour, marker and dash of series `index`: no two of the first 21 are the same. */
export function seriesStyle(index: number): { color: string; symbol: string; dash: string } {
  const style = SERIES[index % SERIES.length] ?? SERIES[0];
  const dash = ["solid", "dash", "dot"][Math.floor(index / SERIES.length) % 3] ?? "solid";
  return { ...style, dash };
}

const RAMP = [[59, 111, 182], [126, 91, 178], [185, 80, 143], [213, 94, 0], [207, 140, 0]] as const;

/** A colour of an ordered series, from blue (0) over purple to orange (1). */
export function rampColour(share: number): string {
  const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const low = RAMP[Math.floor(at)] ?? RAMP[0];
  const high = RAMP[Math.ceil(at)] ?? low;
  const mix = low.map((value, i) => Math.round(value + ((high[i] ?? value) - value) * (at % 1)));
  return `#${mix.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** A `#rrggbb` colour at an opacity. */
export function faded(hex: string, alpha: number): string {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r},${g},${b},${alpha})`;
}

/**
 * Text for plotly, which reads a subset of HTML in names, titles and hovers: shown as written.
 *
 * @example
 * ```ts
 * import { plotlyText } from "./figure.ts";
 * console.log(plotlyText("<b>%{x}")); // &lt;b&gt;%&#8203;{x}
 * ```
 */
export function plotlyText(text: string, maxLength = 60): string {
  const characters = [...text];
  const cut = characters.length > maxLength
    ? `${characters.slice(0, maxLength - 1).join("")}…`
    : text;
  return cut.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")
    .replace(/%\{/g, "%\u200b{").replace(/\$/g, "&#36;");
}

/** Rounds to six significant digits: enough for any screen, and half the bytes. */
export function rounded(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : Number(value.toPrecision(6));
}

/** The unit that a time axis is best read in, from the largest value in seconds. */
export function timeUnit(seconds: readonly (number | undefined)[]): {
  readonly unit: "s" | "ms";
  readonly of: (seconds: number | undefined) => number | null;
} {
  const largest = seconds.reduce<number>((max, s) => (s !== undefined && s > max ? s : max), 0);
  const unit = largest < 1 ? "ms" : "s";
  return {
    unit,
    of: (value) => rounded(value === undefined ? undefined : unit === "ms" ? value * 1000 : value),
  };
}

/** One of several graphs that share an x axis, one above the other. */
export interface Panel {
  readonly title: string;
  /** Traces of this panel; axis and legend are set here. */
  readonly traces: readonly PlotlyObject[];
  readonly heightPx?: number;
  /** More settings of the y axis. */
  readonly yaxis?: PlotlyObject;
  /** Title of a second y axis on the right; traces with `right: true` belong to it. */
  readonly rightTitle?: string;
  readonly right?: PlotlyObject;
  /** False where a logarithmic axis would mislead (shares, categories). */
  readonly log?: boolean;
  /** A dashed line across the panel: a limit of the run. */
  readonly limit?: { readonly value: number; readonly label: string };
}

/** What the panels share. */
export interface PanelOptions {
  readonly xTitle: string;
  readonly xaxis?: PlotlyObject;
  readonly shapes?: readonly PlotlyObject[];
  readonly barmode?: string;
  /** Graphs on one page with the same key point at the same x together. */
  readonly linkedBy?: string;
  readonly hovermode?: string;
  /** True where the x axis may be logarithmic too. */
  readonly logX?: boolean;
}

const MARGIN = { left: 58, right: 18, bottom: 56, top: 8 } as const;
const ABOVE_PX = 48;
const BETWEEN_PX = 24;
const DEFAULT_PX = 230;

interface Frame {
  readonly heightPx: number;
  readonly plotPx: number;
  readonly domains: readonly (readonly [number, number])[];
}

function frame(panels: readonly Panel[]): Frame {
  const heights = panels.map((panel) => panel.heightPx ?? DEFAULT_PX);
  const plotPx = heights.reduce((sum, height) => sum + height + ABOVE_PX, 0) +
    BETWEEN_PX * (panels.length - 1);
  let from = plotPx;
  const domains = heights.map((height) => {
    const top = from - ABOVE_PX;
    from = top - height - BETWEEN_PX;
    return [Math.max(0, (top - height) / plotPx), top / plotPx] as const;
  });
  return { plotPx, heightPx: plotPx + MARGIN.top + MARGIN.bottom, domains };
}

/** Puts panels above each other: one x axis, one y axis and one legend for each. */
export function stackPanels(panels: readonly Panel[], options: PanelOptions): Figure {
  const { heightPx, plotPx, domains } = frame(panels);
  const parts = panels.map((panel, index) => {
    const [bottom, top] = domains[index] ?? [0, 1];
    return panelParts(panel, index, panels.length, { bottom, top, plotPx });
  });
  const last = panels.length === 1 ? "y" : `y${panels.length}`;
  return {
    data: parts.flatMap((part) => part.data),
    layout: {
      ...Object.assign({}, ...parts.map((part) => part.layout)),
      height: heightPx,
      margin: { l: MARGIN.left, r: MARGIN.right, t: MARGIN.top, b: MARGIN.bottom },
      xaxis: {
        title: { text: options.xTitle, standoff: 10 },
        anchor: last,
        automargin: true,
        ...options.xaxis,
      },
      annotations: parts.map((part) => part.title),
      shapes: [...(options.shapes ?? []), ...parts.flatMap((part) => part.shapes)],
      hovermode: options.hovermode ?? "x unified",
      hoversubplots: "axis",
      ...(options.barmode === undefined ? {} : { barmode: options.barmode }),
      meta: {
        logAxes: [...(options.logX ? ["xaxis"] : []), ...parts.flatMap((part) => part.logAxes)],
        log: panels.some(spansDecade),
        linkedBy: options.linkedBy ?? null,
        // What `assets/report.js` needs to make room for the legends at the width of the page.
        panels: panels.map((panel, index) => ({
          heightPx: panel.heightPx ?? DEFAULT_PX,
          labels: parts[index]?.labels ?? [],
        })),
      },
    },
  };
}

/** One panel as the parts of a figure. */
function panelParts(
  panel: Panel,
  index: number,
  count: number,
  at: { readonly bottom: number; readonly top: number; readonly plotPx: number },
) {
  const n = index === 0 ? "" : String(index + 1);
  const right = panel.rightTitle === undefined ? undefined : String(count + index + 1);
  const traces = panel.limit === undefined ? panel.traces : [...panel.traces, limitKey(panel)];
  const withLegend = traces.length > 1;
  return {
    layout: {
      [`yaxis${n}`]: {
        domain: [at.bottom, at.top].map(rounded),
        automargin: true,
        rangemode: "tozero",
        nticks: 6,
        ...panel.yaxis,
      },
      [`legend${n}`]: legendAbove(at.top),
      ...(right === undefined ? {} : { [`yaxis${right}`]: rightAxis(panel, n) }),
    },
    data: traces.map(({ right: onRight, ...trace }): PlotlyObject => ({
      ...trace,
      ...(withLegend ? { legend: `legend${n}` } : { showlegend: false }),
      yaxis: onRight === true && right !== undefined ? `y${right}` : `y${n}`,
    })),
    title: panelTitle(panel, at.top, at.plotPx),
    shapes: panel.limit === undefined ? [] : [limitShape(panel.limit.value, `y${n}`)],
    logAxes: panel.log === false
      ? []
      : [`yaxis${n}`, ...(right === undefined ? [] : [`yaxis${right}`])],
    labels: withLegend ? traces.map((trace) => String(trace["name"] ?? "")) : [],
  };
}

function legendAbove(top: number): PlotlyObject {
  return {
    orientation: "h",
    x: 0,
    xanchor: "left",
    y: rounded(top),
    yanchor: "bottom",
    font: { size: 12 },
    tracegroupgap: 4,
  };
}

function rightAxis(panel: Panel, n: string): PlotlyObject {
  return {
    overlaying: `y${n}`,
    side: "right",
    title: { text: panel.rightTitle ?? "", standoff: 6 },
    tickmode: "auto",
    nticks: 6,
    showgrid: false,
    automargin: true,
    rangemode: "tozero",
    ...panel.right,
  };
}

function panelTitle(panel: Panel, top: number, plotPx: number): PlotlyObject {
  return {
    text: `<b>${panel.title}</b>`,
    xref: "paper",
    yref: "paper",
    x: 0,
    xanchor: "left",
    y: rounded(top + (ABOVE_PX - 2) / plotPx),
    yanchor: "top",
    showarrow: false,
    font: { size: 13 },
    align: "left",
  };
}

/** A line with markers. `hover` is the unit behind the value. */
export function line(o: {
  readonly name: string;
  readonly x: readonly (number | string)[];
  readonly y: readonly (number | null)[];
  readonly color: string;
  readonly dash?: string;
  readonly symbol?: string;
  readonly unit: string;
  readonly format?: string;
  readonly more?: PlotlyObject;
}): PlotlyObject {
  return {
    type: "scatter",
    mode: "lines+markers",
    name: plotlyText(o.name),
    x: o.x,
    y: o.y,
    line: { color: o.color, width: 2, dash: o.dash ?? "solid" },
    marker: { color: o.color, size: 7, symbol: o.symbol ?? "circle" },
    hovertemplate: `%{y:${o.format ?? ".3~s"}} ${o.unit}`.trimEnd(),
    ...o.more,
  };
}

/** A shaded area between two lines, without an entry in the hover. */
export function band(o: {
  readonly name: string;
  readonly x: readonly (number | string)[];
  readonly low: readonly (number | null)[];
  readonly high: readonly (number | null)[];
  readonly color: string;
  readonly alpha?: number;
}): PlotlyObject {
  const at = o.x.map((_, index) => index).filter((index) =>
    (o.low[index] ?? null) !== null && (o.high[index] ?? null) !== null
  );
  const back = [...at].reverse();
  return {
    type: "scatter",
    mode: "lines",
    name: plotlyText(o.name),
    x: [...at.map((i) => o.x[i] ?? ""), ...back.map((i) => o.x[i] ?? "")],
    y: [...at.map((i) => o.low[i] ?? null), ...back.map((i) => o.high[i] ?? null)],
    fill: "toself",
    fillcolor: faded(o.color, o.alpha ?? 0.18),
    line: { width: 0, color: o.color },
    hoverinfo: "skip",
  };
}

function limitShape(value: number, axis: string): PlotlyObject {
  return {
    type: "line",
    xref: "paper",
    x0: 0,
    x1: 1,
    yref: axis,
    y0: value,
    y1: value,
    layer: "below",
    line: LIMIT_LINE,
  };
}

const LIMIT_LINE = { color: COLOURS.grey, width: 2, dash: "longdash" } as const;

/** An entry in the legend for a line that is drawn as a shape. */
function limitKey(panel: Panel): PlotlyObject {
  return {
    type: "scatter",
    mode: "lines",
    name: plotlyText(panel.limit?.label ?? ""),
    x: [null],
    y: [null],
    line: LIMIT_LINE,
    hoverinfo: "skip",
  };
}
