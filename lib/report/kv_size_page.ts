/**
 * The page of `kvmark kv-size`: how the KV cache grows with the length of a sequence.
 *
 * @module
 */

import type { KvSize } from "../model/kv_size.ts";
import { COLOURS, type Graph, line, rounded, stackPanels } from "./figure.ts";
import { documentPage, graphHtml } from "./pages.ts";
import { siteOf } from "./site.ts";

/** Points of the curve, spread evenly on a logarithmic axis. */
const POINTS = 60;
/** Ticks like `8GB`. */
const BYTES = { tickformat: "~s", ticksuffix: "B" };

/** The graph: bytes at each length, and what the next token adds. Pure. */
export function kvSizeGraph(size: KvSize, longestTokens: number): Graph {
  const rows = curveLengths(size, longestTokens).map((tokens) => size.at(tokens));
  const x = rows.map((row) => row.tokens);
  const figure = stackPanels([
    {
      title: "KV cache",
      yaxis: BYTES,
      traces: [
        line({
          name: "KV cache",
          x,
          y: rows.map((row) => rounded(row.bytes)),
          color: COLOURS.blue,
          unit: "B",
        }),
      ],
    },
    {
      title: "What the next token adds",
      yaxis: BYTES,
      traces: [
        line({
          name: "next token",
          x,
          y: rows.map((row) => rounded(row.slopeBytesPerToken)),
          color: COLOURS.vermillion,
          unit: "B",
          more: { line: { shape: "hv", color: COLOURS.vermillion, width: 2 } },
        }),
      ],
      log: false,
    },
  ], { xTitle: "tokens in a sequence", logX: true });
  return {
    name: "kv-size",
    title: "KV cache by length",
    about: "Computed from the model's config. Where windows are full, growth slows down.",
    group: "key",
    figure,
    table: {
      columns: [
        { label: "tokens", kind: "count" },
        { label: "bytes", kind: "count" },
        { label: "bytes on one GPU", kind: "count" },
        { label: "next token adds (bytes)", kind: "count" },
      ],
      rows: rows.map((row) => [row.tokens, row.bytes, row.bytesPerGpu, row.slopeBytesPerToken]),
    },
  };
}

/** From one token to the longest, with both sides of every window. */
function curveLengths(size: KvSize, longestTokens: number): number[] {
  const even = Array.from(
    { length: POINTS },
    (_, i) => Math.round(longestTokens ** (i / (POINTS - 1))),
  );
  const edges = size.parts.flatMap(({ windowTokens }) =>
    windowTokens === undefined ? [] : [windowTokens - 1, windowTokens]
  );
  const inside = edges.filter((tokens) => tokens >= 1 && tokens <= longestTokens);
  return [...new Set([...even, ...inside])].sort((a, b) => a - b);
}

/** A whole page that needs nothing beside it. */
export async function kvSizePage(o: {
  readonly title: string;
  readonly source: string;
  readonly size: KvSize;
  readonly longestTokens: number;
}): Promise<string> {
  const graph = kvSizeGraph(o.size, Math.max(2, o.longestTokens));
  const { precision, engine, batchSize = 1 } = o.size.options;
  const about = [
    o.source,
    precision,
    engine ?? "no engine's padding",
    ...(batchSize === 1 ? [] : [`${batchSize} sequences`]),
  ].join(", ");
  const body = `<main id="main" class="one">${
    graphHtml({ ...graph, title: `KV cache of ${o.title}`, about: `${graph.about} ${about}.` }, {
      heading: "h1",
    })
  }</main>`;
  const site = await siteOf("KV cache size", "Page by kvmark kv-size.", { singleFile: true });
  return await documentPage(site, { title: `KV cache of ${o.title} · kvmark`, body });
}
