import assert from "node:assert/strict";
import { assertGolden } from "../../tests/support/golden.ts";
import {
  sampleCacheRateRun,
  samplePythonSustainedRun,
  sampleSinglePromptRun,
  sampleWorkingSetRun,
} from "../../tests/support/sample_run.ts";
import type { RunData } from "../results/schema.ts";
import type { Graph } from "./figure.ts";
import { graphsOf } from "./figures.ts";

function graphOf(run: RunData, name: string): Graph {
  const graph = graphsOf(run).find((one) => one.name === name);
  assert.ok(graph !== undefined, `no graph ${name}`);
  return graph;
}

function traceOf(graph: Graph, name: string): { x: unknown[]; y: (number | null)[] } {
  const trace = graph.figure?.data.find((one) => one["name"] === name);
  assert.ok(trace !== undefined, `no trace ${name} in ${graph.name}`);
  return trace as unknown as { x: unknown[]; y: (number | null)[] };
}

/** Graphs as text, one line a trace, so that a difference shows what changed. */
function printed(graphs: readonly Graph[]): string {
  return graphs.map((graph) => {
    const lines = [`== ${graph.name} (${graph.group})`, graph.title, graph.about];
    for (const trace of graph.figure?.data ?? []) lines.push(`  trace ${JSON.stringify(trace)}`);
    for (const [key, value] of Object.entries(graph.figure?.layout ?? {})) {
      lines.push(`  ${key} ${JSON.stringify(value)}`);
    }
    for (const row of graph.table.rows) lines.push(`  row ${JSON.stringify(row)}`);
    return `${lines.join("\n")}\n`;
  }).join("\n");
}

for (
  const [name, run] of [
    ["cache_rate", sampleCacheRateRun({ rates: [0, 50, 100], requests: 8 })],
    ["working_set", sampleWorkingSetRun({ rates: [100], requests: 6 })],
    ["single_prompt", sampleSinglePromptRun()],
    ["sustained", samplePythonSustainedRun("working-set")],
  ] as const
) {
  Deno.test(`graphsOf() draws what the golden of a ${name} run shows`, async () => {
    await assertGolden(`figures/${name}.txt`, printed(graphsOf(run)));
  });
}

Deno.test("graphsOf() names every page of a cache-rate run as the Python suite does", () => {
  const names = graphsOf(sampleCacheRateRun()).map((graph) => graph.name);
  const wanted = [
    "performance_vs_cache_rate_8000",
    "performance_vs_cache_rate_32000",
    "input_throughput_comparison",
    "output_throughput_comparison",
    "output_metrics_comparison",
    "ttft_heatmap",
    ...[8000, 32000].flatMap((c) => [0, 25, 50, 75, 100].map((r) => `ramp_ctx${c}_cache${r}`)),
  ];
  assert.deepEqual(wanted.filter((name) => !names.includes(name)), []);
  assert.equal(new Set(names).size, names.length, "names are unique");
});

Deno.test("graphsOf() names every page of a working-set run as the Python suite does", () => {
  const names = graphsOf(sampleWorkingSetRun()).map((graph) => graph.name);
  const wanted = [
    "performance_vs_working_set_32000_cache50",
    "input_throughput_comparison_cache100",
    "output_throughput_comparison_cache100",
    "output_metrics_comparison_cache50",
    "cache_comparison_ctx32000",
    "ramp_ctx32000_ws8000000_cache100",
  ];
  assert.deepEqual(wanted.filter((name) => !names.includes(name)), []);
  assert.ok(!names.includes("ttft_heatmap"));
});

Deno.test("graphsOf() names the sustained pages of a folder of the Python suite", () => {
  const cacheRate = graphsOf(samplePythonSustainedRun("cache-rate")).map((graph) => graph.name);
  assert.deepEqual(cacheRate, [
    "sustained_ctx8000_cache96",
    "sustained_ctx32000_cache96",
    "sustained_comparison_cache96",
  ]);
  const workingSet = graphsOf(samplePythonSustainedRun("working-set")).map((graph) => graph.name);
  assert.equal(workingSet[0], "sustained_performance_ctx8000_cache96_20260311_023744");
});

Deno.test("graphsOf() draws the heatmap only for several context sizes", () => {
  const names = graphsOf(sampleCacheRateRun({ contexts: [8000] })).map((graph) => graph.name);
  assert.ok(names.includes("performance_vs_cache_rate_8000"));
  assert.ok(!names.includes("ttft_heatmap"));
});

Deno.test("performance graph: values are those of the summary rows of its own context", () => {
  const run = sampleCacheRateRun();
  const graph = graphOf(run, "performance_vs_cache_rate_32000");
  const rows = run.summary.filter((row) => row.context_size === 32000);
  const near = (actual: readonly (number | null)[], expected: readonly (number | undefined)[]) => {
    assert.equal(actual.length, 5);
    actual.forEach((value, i) =>
      assert.ok(Math.abs((value ?? NaN) / (expected[i] ?? NaN) - 1) < 1e-5 || value === expected[i])
    );
  };
  near(traceOf(graph, "all prompt tokens").y, rows.map((row) => row.input_tokens_per_sec));
  near(traceOf(graph, "P95").y, rows.map((row) => row.p95_ttft));
  const [computed, reused] = [traceOf(graph, "computed").y, traceOf(graph, "reused").y];
  const sum = computed.map((value, i) => (value ?? NaN) + (reused[i] ?? NaN));
  near(sum, rows.map((row) => row.input_tokens_per_sec));
});

Deno.test("performance graph: the band spans the periods at the peak and holds the line", () => {
  const run = sampleCacheRateRun();
  const graph = graphOf(run, "performance_vs_cache_rate_8000");
  const peaks = run.phases.filter((phase) =>
    phase.context_size === 8000 && phase.cache_hit_rate === 25 && phase.at_peak === "yes"
  ).map((phase) => phase.input_tokens_per_sec ?? NaN);
  assert.equal(peaks.length, 3);
  const row = graph.table.rows[1];
  assert.deepEqual([row?.[2], row?.[3]], [Math.min(...peaks), Math.max(...peaks)]);
  for (const [, input, low, high] of graph.table.rows) {
    assert.ok(Number(low) <= Number(input) && Number(input) <= Number(high));
  }
});

Deno.test("throughput comparison: speedup is relative to the first point of its own series", () => {
  const run = sampleCacheRateRun();
  const graph = graphOf(run, "input_throughput_comparison");
  for (const context of [8000, 32000]) {
    const rows = run.summary.filter((row) => row.context_size === context);
    const ratios = traceOf(graph, `${context.toLocaleString("en-US")} tokens (speedup)`).y;
    assert.equal(ratios[0], 1);
    const last = (rows.at(-1)?.input_tokens_per_sec ?? NaN) /
      (rows[0]?.input_tokens_per_sec ?? NaN);
    assert.ok(Math.abs((ratios.at(-1) ?? NaN) - last) < 1e-3);
  }
});

Deno.test("ramp graph: only the periods of its own cell, repeats apart", () => {
  const run = sampleCacheRateRun();
  const graph = graphOf(run, "ramp_ctx8000_cache50");
  const phases = run.phases.filter((row) => row.context_size === 8000 && row.cache_hit_rate === 50);
  const ramp = phases.filter((row) => row.phase_type === "RAMP");
  assert.equal(traceOf(graph, "periods of the ramp").x.length, ramp.length);
  assert.equal(traceOf(graph, "repeats at the peak").x.length, phases.length - ramp.length);
  assert.equal(graph.table.rows.length, phases.length);
});

Deno.test("graphsOf() draws what there is when the request rows are lost", () => {
  const names = graphsOf(sampleCacheRateRun({ withoutDetails: true })).map((graph) => graph.name);
  assert.ok(names.includes("performance_vs_cache_rate_8000"));
  assert.ok(names.includes("ramp_ctx8000_cache50"));
  assert.deepEqual(names.filter((name) => /cdf|percentiles|requests/.test(name)), []);
});

Deno.test("graphsOf() draws nothing, and does not fail, for an empty run", () => {
  const empty = { ...sampleCacheRateRun(), summary: [], details: [], phases: [] };
  assert.deepEqual(graphsOf(empty), []);
  assert.deepEqual(graphsOf({ ...empty, kind: "working-set" }), []);
  assert.deepEqual(graphsOf({ ...empty, kind: "single-prompt" }), []);
});
