/**
 * The tier map as graphs: plateaus, and knees with their interval.
 *
 * @module
 */

import type { RunData } from "../results/schema.ts";
import type {
  MapKnee,
  MapSeries,
  MapSize,
  MapTier,
  MapTierName,
  TierMap,
} from "../results/tier_map_file.ts";
import { formatBytes, formatCount, formatMs, formatShort } from "../units.ts";
import {
  COLOURS,
  faded,
  type Figure,
  type Graph,
  type GraphTable,
  line,
  type Panel,
  type PlotlyObject,
  rounded,
  stackPanels,
  timeUnit,
} from "./figure.ts";

const TIER_COLOURS: Readonly<Record<MapTierName, string>> = {
  HBM: COLOURS.green,
  DRAM: COLOURS.blue,
  SSD: COLOURS.orange,
  offload: COLOURS.blue,
  cache: COLOURS.sky,
  recompute: COLOURS.vermillion,
};
const SHADE = 0.12;
/** From this ratio of the largest to the smallest working set on, the axis is logarithmic. */
const LOG_FROM = 8;

/** One graph for each context size and hit rate of the map; none where there is no map. */
export function tierMapGraphs(run: RunData): Graph[] {
  const map = run.tierMap;
  if (map === undefined) return [];
  return map.series.filter((series) => series.sizes.length > 1).map((series, i) =>
    tierMapGraph(map, series, i === 0)
  );
}

function tierMapGraph(map: TierMap, series: MapSeries, isFirst: boolean): Graph {
  const { contextSizeTokens: context, hitRatePercent: rate } = series;
  return {
    name: `tier_map_ctx${context}_cache${rate}`,
    title: `Memory tiers, context ${formatCount(context)} tokens, nominal hit rate ${rate} %`,
    group: isFirst ? "key" : "comparison",
    about: [
      isMixed(series)
        ? "Under random access all tiers whose names stand below serve a size together."
        : "Shaded: which tier serves a working set of that size.",
      "Grey: the interval of a knee.",
      ...series.evidence.slice(0, 1),
    ].join(" "),
    figure: figureOf(map, series),
    table: sizeTable(map, series),
  };
}

/** True where several tiers serve each size. */
function isMixed({ knees }: MapSeries): boolean {
  return knees.some((knee) => knee.method === "fit");
}

function figureOf(map: TierMap, series: MapSeries): Figure {
  const axis = axisOf(map, series.sizes);
  const share = sharePanel(series);
  const panels = [ttftPanel(series), share, throughputPanel(series)].filter((panel) =>
    panel.traces.length > 0
  );
  const shapes = [...regions(series).flatMap(shade), ...series.knees.flatMap(kneeShapes)];
  const figure = stackPanels(
    panels,
    {
      xTitle: map.kvBytesPerToken === undefined
        ? "Working set, tokens"
        : "Working set, tokens and GiB of KV cache",
      xaxis: axis.layout,
      // On each panel, and not on the titles and legends between them.
      shapes: panels.flatMap((_, i) =>
        shapes.map((shape) => ({ ...shape, yref: `y${i === 0 ? "" : i + 1} domain` }))
      ),
    },
  );
  const labels = regions(series).map((region, i, all) => {
    const together = isMixed(series) ? all.slice(0, i + 1) : [region];
    const text = together.map(({ tier }) => tier.name).join(" + ");
    return { ...tierLabel(region, text, axis), ...labelHeight(series, panels.indexOf(share)) };
  });
  const titles = figure.layout["annotations"] as readonly PlotlyObject[];
  return { ...figure, layout: { ...figure.layout, annotations: [...titles, ...labels] } };
}

interface Axis {
  /** Where a number of tokens stands, as plotly places text. */
  readonly position: (tokens: number) => number;
  readonly length: number;
  readonly layout: PlotlyObject;
}

function axisOf(map: TierMap, sizes: readonly MapSize[]): Axis {
  const tokens = sizes.map((size) => size.workingSetTokens);
  const [least, most] = [Math.min(...tokens), Math.max(...tokens)];
  const isLog = most / least >= LOG_FROM;
  const bytes = map.kvBytesPerToken;
  const ticks = isLog ? logTicks(least, most) : linearTicks(most);
  const position = (tokens: number) => isLog ? Math.log10(tokens) : tokens;
  return {
    position,
    length: position(most) - (isLog ? position(least) : 0),
    layout: {
      type: isLog ? "log" : "linear",
      tickformat: "~s",
      unifiedhovertitle: { text: "%{x:,} tokens working set" },
      ...(isLog ? {} : { rangemode: "tozero" }),
      ...(bytes === undefined && !isLog ? {} : {
        tickvals: ticks,
        ticktext: ticks.map((one) =>
          bytes === undefined
            ? formatShort(one)
            : `${formatShort(one)}<br>${formatBytes(one * bytes)}`
        ),
      }),
    },
  };
}

/** 1, 2 and 5 times powers of ten. */
function logTicks(least: number, most: number): number[] {
  const from = Math.floor(Math.log10(least));
  const decades = Array.from(
    { length: Math.ceil(Math.log10(most)) - from + 1 },
    (_, i) => from + i,
  );
  return decades.flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power))
    .filter((tick) => tick >= least * 0.9 && tick <= most * 1.1);
}

function linearTicks(most: number): number[] {
  const rough = most / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((one) => one >= rough) ?? rough;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
}

/** A stretch of the axis that one tier serves: from one knee to the next. */
interface Region {
  readonly tier: MapTier;
  readonly from: number;
  readonly to: number;
}

function regions({ tiers, knees, sizes }: MapSeries): Region[] {
  const [first, last] = [sizes[0]?.workingSetTokens ?? 0, sizes.at(-1)?.workingSetTokens ?? 0];
  // Without a knee between two tiers there is no telling where one of them begins.
  const shown = tiers.length === knees.length + 1 ? tiers : tiers.length === 1 ? tiers : [];
  return shown.map((tier, i) => ({
    tier,
    from: Math.max(first, knees[i - 1]?.workingSetTokens ?? first),
    to: Math.min(last, knees[i]?.workingSetTokens ?? last),
  })).filter((region) => region.to > region.from);
}

function shade({ tier, from, to }: Region): PlotlyObject[] {
  return [{
    type: "rect",
    xref: "x",
    x0: from,
    x1: to,
    y0: 0,
    y1: 1,
    layer: "below",
    fillcolor: faded(TIER_COLOURS[tier.name], SHADE),
    line: { width: 0 },
  }];
}

function kneeShapes({ workingSetTokens, low, high }: MapKnee): PlotlyObject[] {
  const common = { xref: "x", y0: 0, y1: 1, layer: "below" } as const;
  return [
    {
      ...common,
      type: "rect",
      x0: low,
      x1: high,
      fillcolor: faded(COLOURS.grey, 0.25),
      line: { width: 0 },
    },
    {
      ...common,
      type: "line",
      x0: workingSetTokens,
      x1: workingSetTokens,
      line: { color: COLOURS.grey, width: 2, dash: "dash" },
    },
  ];
}

/** Where the names cover no line: among the shares of hits, which are all or nothing in steps. */
function labelHeight(series: MapSeries, sharePanel: number): PlotlyObject {
  if (sharePanel < 0) return { yref: "paper", y: 0 };
  return { yref: `y${sharePanel + 1} domain`, y: isMixed(series) ? 0.03 : 0.4 };
}

/**
 * The name of a tier above its stretch. A logarithmic axis wants the logarithm, of text only.
 * `axisShare` tells `assets/report.js` how much room there is.
 */
function tierLabel({ from, to }: Region, text: string, axis: Axis): PlotlyObject {
  const [start, end] = [axis.position(from), axis.position(to)];
  return {
    text,
    xref: "x",
    x: rounded((start + end) / 2),
    yanchor: "bottom",
    showarrow: false,
    font: { size: 12 },
    axisShare: rounded((end - start) / axis.length),
  };
}

function ttftPanel(series: MapSeries): Panel {
  const { sizes, tiers } = series;
  const measured = sizes.filter((size) => size.ttftMs !== undefined);
  const time = timeUnit(measured.map((size) => (size.ttftMs ?? 0) / 1000));
  const mixed = isMixed(series);
  const byTier = tierTraces(series, time);
  const inRegion = new Map(regions(series).map((region) => [region.tier, region]));
  const ends = [sizes[0]?.workingSetTokens ?? 0, sizes.at(-1)?.workingSetTokens ?? 0];
  const plateaus = tiers.map((tier) => {
    const region = inRegion.get(tier);
    const x = mixed || region === undefined ? ends : [region.from, region.to];
    return line({
      name: `${tier.name} ${formatMs(tier.ttft.ms)}`,
      x,
      y: x.map(() => time.of(tier.ttft.ms / 1000)),
      color: TIER_COLOURS[tier.name],
      dash: "dash",
      unit: time.unit,
      more: { mode: "lines", hoverinfo: "skip" },
    });
  });
  return {
    title: `TTFT, ${time.unit}`,
    traces: measured.length === 0 ? [] : [
      ...(byTier.length > 0 ? byTier : [line({
        name: "median of each size",
        x: measured.map((size) => size.workingSetTokens),
        y: measured.map((size) => time.of((size.ttftMs ?? NaN) / 1000)),
        color: COLOURS.grey,
        unit: time.unit,
      })]),
      ...plateaus,
    ],
  };
}

/** The requests of each tier at each size: their common median would jump where half of them miss. */
function tierTraces(
  { sizes, tiers }: MapSeries,
  time: ReturnType<typeof timeUnit>,
): PlotlyObject[] {
  if (sizes.every((size) => size.tierTtftsMs === undefined)) return [];
  return tiers.map((tier, i) => {
    const here = sizes.filter((size) => typeof size.tierTtftsMs?.[i] === "number");
    return line({
      name: `${tier.name}, median of its requests`,
      x: here.map((size) => size.workingSetTokens),
      y: here.map((size) => time.of((size.tierTtftsMs?.[i] ?? NaN) / 1000)),
      color: TIER_COLOURS[tier.name],
      unit: time.unit,
      more: { mode: "markers" },
    });
  });
}

function sharePanel({ sizes, knees }: MapSeries): Panel {
  const x = sizes.map((size) => size.workingSetTokens);
  const found = sizes.some((size) => size.hitPercent !== undefined);
  // An end that only throughput shows has no shares.
  const isPlaced = (knee: MapKnee) => knee.method === "fit" && knee.signals[0] !== "throughput";
  const fits = knees.filter(isPlaced);
  return {
    title: "Share of hits, %",
    heightPx: 170,
    log: false,
    yaxis: { range: [-3, 103] },
    traces: [
      ...(found
        ? [line({
          name: "found in the cache, by the server",
          x,
          y: sizes.map((size) => rounded(size.hitPercent)),
          color: COLOURS.green,
          unit: "%",
        })]
        : []),
      ...fits.flatMap((knee, i) => [
        line({
          name: `served before ${knee.to}`,
          x,
          y: sizes.map((size) => rounded(size.fasterPercent?.[i])),
          color: TIER_COLOURS[knee.from],
          symbol: "diamond",
          unit: "%",
          more: { mode: "markers" },
        }),
        line({
          name: `fit, ${formatShort(knee.workingSetTokens)} tokens`,
          x,
          y: sizes.map((size) => rounded(size.fittedPercent?.[i])),
          color: TIER_COLOURS[knee.from],
          dash: "dot",
          unit: "%",
          more: { mode: "lines" },
        }),
      ]),
    ],
  };
}

function throughputPanel({ sizes }: MapSeries): Panel {
  const measured = sizes.filter((size) => size.inputTokensPerSec !== undefined);
  return {
    title: "Input throughput, tokens/s",
    heightPx: 170,
    yaxis: { tickformat: "~s" },
    traces: measured.length === 0 ? [] : [line({
      name: "all prompt tokens",
      x: measured.map((size) => size.workingSetTokens),
      y: measured.map((size) => rounded(size.inputTokensPerSec)),
      color: COLOURS.blue,
      unit: "tokens/s",
    })],
  };
}

function sizeTable(map: TierMap, { sizes, knees }: MapSeries): GraphTable {
  const fits = knees.filter((knee) => knee.method === "fit" && knee.signals[0] !== "throughput");
  const bytes = map.kvBytesPerToken;
  return {
    columns: [
      { label: "Working set, tokens", kind: "count" },
      ...(bytes === undefined ? [] : [{ label: "KV cache", kind: "text" as const }]),
      { label: "Prompts", kind: "count" },
      { label: "Requests", kind: "count" },
      { label: "TTFT median", kind: "ms" },
      { label: "Found in the cache", kind: "percent" },
      ...fits.map((knee) => ({ label: `Served before ${knee.to}`, kind: "percent" as const })),
      ...fits.map((knee) => ({ label: `Fit before ${knee.to}`, kind: "percent" as const })),
      { label: "Input, tokens/s", kind: "rate" },
    ],
    rows: sizes.map((size) => [
      size.workingSetTokens,
      ...(bytes === undefined ? [] : [formatBytes(size.workingSetTokens * bytes)]),
      size.prompts,
      size.requests,
      size.ttftMs,
      size.hitPercent,
      ...fits.map((_, i) => size.fasterPercent?.[i]),
      ...fits.map((_, i) => size.fittedPercent?.[i]),
      size.inputTokensPerSec,
    ]),
  };
}
