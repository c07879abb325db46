/**
 * Marks around the points of a graph that say what is doubtful about their cells.
 *
 * @module
 */

import { COLOURS, type PlotlyObject, rounded } from "./figure.ts";
import { clientMarkText } from "./client_marks.ts";
import type { Point } from "./points.ts";

/** Where a point stands. */
type XOf = (point: Point) => number;

/** Every mark that a cell of the graph needs; none where nothing is doubtful. */
export function cellMarks(xOf: XOf, points: readonly Point[]): PlotlyObject[] {
  return [
    ...clientLimitedMarks(xOf, points),
    ...shardMarks(xOf, points),
    ...lowerBoundMarks(xOf, points),
    ...brokenLimitMarks(xOf, points),
  ];
}

/** Rings around the cells whose search was cut: the server may do more. */
function lowerBoundMarks(xOf: XOf, points: readonly Point[]): PlotlyObject[] {
  return rings(xOf, points.filter((point) => point.row.peak_bound === "lower"), {
    name: "lower bound",
    size: 18,
    color: COLOURS.blue,
    hovertemplate: "at least %{y:.3~s} tokens/s: the search was cut",
  });
}

/** Crosses on the cells that do not meet the limits of the run. */
function brokenLimitMarks(xOf: XOf, points: readonly Point[]): PlotlyObject[] {
  const broken = points.filter(brokeLimit);
  if (broken.length === 0) return [];
  return [{
    type: "scatter",
    mode: "markers",
    name: "over the limits",
    x: broken.map(xOf),
    y: broken.map((point) => rounded(point.row.input_tokens_per_sec)),
    marker: { symbol: "x", size: 12, color: COLOURS.vermillion, line: { width: 1 } },
    hovertemplate: "this cell does not meet the limits",
  }];
}

/** As the row says; of older rows by the statistic that the TTFT limit is about. */
function brokeLimit({ row }: Point): boolean {
  if (row.within_limits !== undefined) return row.within_limits === "no";
  const { ttft_limit: limit, ttft_metric: metric } = row;
  const measured = metric === "avg" ? row.avg_ttft : metric === "max" ? row.max_ttft : row.p95_ttft;
  return limit !== undefined && measured !== undefined && measured > limit;
}

/** Rings around the cells in which the client may have been the limit. */
function clientLimitedMarks(xOf: XOf, points: readonly Point[]): PlotlyObject[] {
  const limited = points.filter((point) => point.row.client_limited === "yes");
  return rings(xOf, limited, {
    name: "client-limited",
    size: 15,
    color: COLOURS.vermillion,
    hovertemplate: limited.map((point) =>
      `may be the client's own delay: ${clientMarkText(point.row) ?? ""}`
    ),
  });
}

/** Rings around the cells of a merged run whose load was not whole. */
function shardMarks(xOf: XOf, points: readonly Point[]): PlotlyObject[] {
  const short = points.filter((point) => point.row.shard_problem !== undefined);
  return rings(xOf, short, {
    name: "shards missing or short",
    size: 21,
    color: COLOURS.purple,
    hovertemplate: "the load was not whole: a shard is missing, or was short",
  });
}

interface Ring {
  readonly name: string;
  readonly size: number;
  readonly color: string;
  /** One for all, or one each. */
  readonly hovertemplate: string | readonly string[];
}

function rings(
  xOf: XOf,
  points: readonly Point[],
  { name, size, color, hovertemplate }: Ring,
): PlotlyObject[] {
  if (points.length === 0) return [];
  return [{
    type: "scatter",
    mode: "markers",
    name,
    x: points.map(xOf),
    y: points.map((point) => rounded(point.row.input_tokens_per_sec)),
    marker: { symbol: "circle-open", size, color, line: { width: 2 } },
    hovertemplate,
  }];
}
