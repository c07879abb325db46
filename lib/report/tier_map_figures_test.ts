import assert from "node:assert/strict";
import { sampleWorkingSetRun } from "../../tests/support/sample_run.ts";
import type { MapTier, TierMap } from "../results/tier_map_file.ts";
import { findingsOf } from "./findings.ts";
import { graphsOf } from "./figures.ts";
import { arrangeRows } from "./points.ts";
import { reportPages } from "./report.ts";
import { kneesTable, tiersTable } from "./tier_map_tables.ts";

const TTFT = { ms: 12, low: 11, high: 13, requests: 40, sizes: 4 };
const HBM: MapTier = {
  name: "HBM",
  namedBy: "stated capacities",
  ttft: TTFT,
  missCostMs: 488,
  capacity: {
    tokens: 60_000,
    low: 58_000,
    high: 62_000,
    prompts: 30,
    promptsLow: 29,
    gib: 9.2,
    reading: "same",
  },
};
const DRAM: MapTier = {
  name: "DRAM",
  namedBy: "order",
  ttft: { ...TTFT, ms: 500 },
  capacity: { low: 300_000, promptsLow: 150, gibLow: 45, reading: "unknown" },
  bandwidth: { tokensPerSec: 400_000, low: 380_000, high: 420_000, gbPerSec: 65, basis: "test" },
};

function tierMap(): TierMap {
  const knees: TierMap["knees"] = [{
    workingSetTokens: 60_000,
    low: 58_000,
    high: 62_000,
    from: "HBM",
    to: "DRAM",
    method: "fit",
    signals: ["ttft", "share of hits"],
  }];
  const sizes = [20_000, 40_000, 80_000, 160_000, 320_000].map((workingSetTokens) => ({
    workingSetTokens,
    prompts: workingSetTokens / 2000,
    requests: 30,
    ttftMs: workingSetTokens < 60_000 ? 12 : 500,
    fasterPercent: [Math.min(100, 6e6 / workingSetTokens)],
    fittedPercent: [Math.min(100, 6e6 / workingSetTokens)],
  }));
  const evidence = ["share of <hits> & misses"];
  return {
    version: 1,
    basis: { cells: 10, requests: 400 },
    headline: "HBM ends at 60k tokens (58k–62k)",
    tiers: [HBM, DRAM],
    knees,
    evidence,
    breakEven: [{ tier: "DRAM", prefixTokens: 900, low: 800, high: 1000, note: "from 4 lengths" }],
    series: [{
      contextSizeTokens: 2000,
      hitRatePercent: 100,
      accessOrder: "random",
      concurrency: 1,
      reachesRecompute: "no",
      tiers: [HBM, DRAM],
      knees,
      sizes,
      evidence,
    }],
    kvBytesPerToken: 163_840,
  };
}

const run = { ...sampleWorkingSetRun(), tierMap: tierMap() };

Deno.test("tierMapGraphs() shades the tiers and marks each knee with its interval", () => {
  const [graph, ...others] = graphsOf(run);
  assert.equal(graph?.name, "tier_map_ctx2000_cache100");
  assert.equal(graph.group, "key");
  assert.ok(others.every((one) => !one.name.startsWith("tier_map")));
  const { shapes, annotations, xaxis } = graph.figure?.layout as unknown as {
    shapes: { type: string; x0: number; x1: number; yref: string }[];
    annotations: { text: string; x: number }[];
    xaxis: { type: string; tickvals: number[]; ticktext: string[] };
  };
  // On each of the two panels (no throughput is known), not across what lies between them.
  assert.deepEqual([...new Set(shapes.map(({ yref }) => yref))], ["y domain", "y2 domain"]);
  assert.equal(shapes.length, 2 * 4);
  assert.deepEqual(
    shapes.slice(0, 4).map(({ type, x0, x1 }) => [type, x0, x1]),
    [
      ["rect", 20_000, 60_000],
      ["rect", 60_000, 320_000],
      ["rect", 58_000, 62_000],
      ["line", 60_000, 60_000],
    ],
  );
  assert.equal(xaxis.type, "log");
  assert.equal(xaxis.ticktext[xaxis.tickvals.indexOf(100_000)], "100k<br>15.3 GiB");
  // Plotly places shapes by value and text by logarithm.
  const label = annotations.find(({ text }) => text === "HBM + DRAM");
  assert.ok(Math.abs((label?.x ?? NaN) - Math.log10(Math.sqrt(60_000 * 320_000))) < 1e-4);
  assert.equal(graph.table.rows.length, 5);
  assert.deepEqual(graph.table.rows[2]?.slice(0, 5), [80_000, "12.2 GiB", 40, 30, 500]);
});

Deno.test("tierMapGraphs() draws nothing without a map", () => {
  const names = graphsOf(sampleWorkingSetRun()).map((graph) => graph.name);
  assert.ok(names.every((name) => !name.startsWith("tier_map")));
});

Deno.test("tiersTable() and kneesTable() say what is known, and no more", () => {
  const [hbm, dram] = tiersTable(tierMap()).rows;
  assert.equal(hbm?.[2], "60k tokens (58k to 62k); 30 prompts; 9.2 GiB");
  assert.deepEqual(hbm?.slice(4), ["", "488 ms", "stated capacities"]);
  assert.equal(dram?.[2], "at least 300k tokens, 45 GiB");
  assert.equal(dram?.[4], "400k tokens/s (380k to 420k), 65 GB/s");
  assert.deepEqual(kneesTable(tierMap()).rows, [[
    "2,000 tokens at 100 %",
    "HBM → DRAM",
    "60,000 (58,000 to 62,000), 9.16 GiB",
    "ttft, share of hits, by a fit",
  ]]);
});

Deno.test("reportPages() puts the tier map first: a line on top, a section, a page", async () => {
  assert.equal(
    findingsOf(run, arrangeRows(run)).headline,
    "HBM holds 60k tokens (9.2 GiB); a miss costs 488 ms",
  );
  const pages = await reportPages(run);
  assert.ok(pages.has("tier_map_ctx2000_cache100.html"));
  const index = pages.get("index.html") ?? "";
  assert.match(index, /<h2 id="tiers">Memory tiers<\/h2>/);
  assert.match(index, /<li>share of &lt;hits&gt; &amp; misses<\/li>/);
  assert.match(index, /Break-even length of DRAM: 900 tokens \(800 to 1,000\); from 4 lengths\./);
  assert.match(index, /<details class="printed" >/);
  const bare = { ...tierMap(), tiers: [], knees: [], headline: "No tier map: too few requests" };
  const series = bare.series.map((one) => ({ ...one, tiers: [], knees: [], sizes: [] }));
  const empty = await reportPages({ ...run, tierMap: { ...bare, series } });
  assert.match(empty.get("index.html") ?? "", /No tier map: too few requests\.<\/p>/);
  assert.match(empty.get("index.html") ?? "", /<details class="printed" open>/);
  const without = await reportPages(sampleWorkingSetRun());
  assert.doesNotMatch(without.get("index.html") ?? "", /id="tiers"/);
});
