import assert from "node:assert/strict";
import { sampleCacheRateRun } from "../../tests/support/sample_run.ts";
import type { RunData, ServerMetricsRow } from "../results/schema.ts";
import type { Graph } from "./figure.ts";
import { serverMetricsGraphs } from "./server_metrics_figures.ts";

const START = 1_764_000_000;

function row(time: number, more: ServerMetricsRow = {}): ServerMetricsRow {
  return {
    context_size: 8000,
    cache_hit_rate: 50,
    phase_id: "RAMP_c2",
    endpoint: "http://one:8000",
    time: START + time,
    running: 2,
    waiting: 1,
    ...more,
  };
}

function counted(time: number, more: ServerMetricsRow = {}): ServerMetricsRow {
  return row(time, {
    interval_s: 5,
    prompt_tokens: 1000,
    cache_query_tokens: 1000,
    cache_hit_tokens: 600,
    hbm_hit_tokens: 400,
    ssd_hit_tokens: 200,
    offload_load_bytes: 5_000_000,
    preemptions: 0,
    ...more,
  });
}

function graphsOf(rows: readonly ServerMetricsRow[]): Graph[] {
  const run: RunData = { ...sampleCacheRateRun(), serverMetrics: rows };
  return serverMetricsGraphs(run);
}

function lines(graph: Graph | undefined): Record<string, (number | null)[]> {
  const data = graph?.figure?.data ?? [];
  return Object.fromEntries(
    data.map((trace) => [String(trace["name"]), trace["y"] as (number | null)[]]),
  );
}

Deno.test("serverMetricsGraphs() draws gauges as they are and counters per second", () => {
  const [graph, ...others] = graphsOf([row(0), counted(5), counted(10, { running: 4 })]);
  assert.deepEqual(others, []);
  assert.equal(graph?.name, "server_metrics_8000");
  assert.deepEqual(lines(graph), {
    running: [2, 2, 4],
    waiting: [1, 1, 1],
    computed: [null, 80, 80],
    HBM: [null, 80, 80],
    storage: [null, 40, 40],
    loaded: [null, 1_000_000, 1_000_000],
    preemptions: [null, 0, 0],
  });
});

Deno.test("serverMetricsGraphs() draws no line from one period to the next", () => {
  const later = { phase_id: "RAMP_c4" };
  const [graph] = graphsOf([row(0), counted(5), row(60, later), counted(65, later)]);
  assert.deepEqual(lines(graph)["running"], [2, 2, null, 2, 2]);
  assert.deepEqual(lines(graph)["HBM"], [null, 80, null, null, 80]);
});

Deno.test("serverMetricsGraphs() tells servers apart, and says where one was started again", () => {
  const other = { endpoint: "http://two:8000", running: 7 };
  const restarted = row(5, { interval_s: 5, restarted: "yes" });
  const [graph] = graphsOf([row(0), row(0, other), restarted, counted(5, other)]);
  assert.deepEqual(lines(graph)["running · one:8000"], [2, 2]);
  assert.deepEqual(lines(graph)["running · two:8000"], [7, 7]);
  assert.match(graph?.about ?? "", /In 1 intervals the server was started again/);
});

Deno.test("serverMetricsGraphs() sums each period up in its table", () => {
  const [graph] = graphsOf([row(0), counted(5), counted(10, { waiting: 9 })]);
  const [period, ...others] = graph?.table.rows ?? [];
  assert.deepEqual(others, []);
  const named = Object.fromEntries(
    (graph?.table.columns ?? []).map(({ label }, index) => [label, period?.[index]]),
  );
  assert.equal(named["Waiting, most"], 9);
  assert.equal(named["Prompt tokens"], 2000);
  assert.equal(named["Hit rate by counters"], 60);
  assert.equal(named["Hits below"], 400);
  assert.equal(named["Preemptions"], 0);
});

Deno.test("serverMetricsGraphs() draws a long run thinned out, and nothing without rows", () => {
  const many = Array.from({ length: 4000 }, (_, i) => i === 0 ? row(0) : counted(5 * i));
  const [graph] = graphsOf(many);
  assert.ok((lines(graph)["running"]?.length ?? Infinity) <= 1501);
  assert.match(graph?.about ?? "", /Not every reading is drawn/);
  assert.deepEqual(serverMetricsGraphs(sampleCacheRateRun()), []);
});
