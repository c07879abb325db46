import assert from "node:assert/strict";
import { PHASE_COLUMNS, SUMMARY_COLUMNS } from "../results/schema.ts";
import { type Metric, metricNamed, METRICS } from "./catalogue.ts";

const COLUMNS = new Map<string, { unit: string }>(
  [...PHASE_COLUMNS, ...SUMMARY_COLUMNS].map((column) => [column.name, column]),
);

Deno.test("METRICS has a column in the tables for each metric, of the same unit", () => {
  const prefixes = ["", "avg_", "p95_"];
  const suffixes = ["", "_p99_ms"];
  for (const metric of METRICS as readonly Metric[]) {
    const names = prefixes.flatMap((before) =>
      suffixes.map((after) => before + metric.name + after)
    );
    const column = names.map((name) => COLUMNS.get(name)).find((one) => one !== undefined);
    assert.ok(column !== undefined, metric.name);
    if (metric.unit !== "cores") assert.equal(column.unit, metric.unit, metric.name);
  }
});

Deno.test("METRICS names no metric twice", () => {
  assert.equal(new Set(METRICS.map((metric) => metric.name)).size, METRICS.length);
  assert.equal(metricNamed("tpot")?.title, "TPOT");
  assert.equal(metricNamed("nothing"), undefined);
});
