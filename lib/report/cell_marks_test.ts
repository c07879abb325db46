import assert from "node:assert/strict";
import type { SummaryRow } from "../results/schema.ts";
import { cellMarks } from "./cell_marks.ts";
import { summaryTable } from "./dashboard_tables.ts";
import type { Point } from "./points.ts";

function pointOf(row: SummaryRow): Point {
  return { row, hitRatePercent: row.cache_hit_rate ?? 0 } as Point;
}

const ROWS: SummaryRow[] = [
  { context_size: 1000, cache_hit_rate: 0, input_tokens_per_sec: 10, shards: 4 },
  {
    context_size: 1000,
    cache_hit_rate: 50,
    input_tokens_per_sec: 20,
    shards: 3,
    shard_problem: "shard 2 is missing",
    client_limited: "yes",
  },
];

Deno.test("cellMarks() rings the cells that a shard is missing in, and those that the client limited", () => {
  const marks = cellMarks((point) => point.hitRatePercent, ROWS.map(pointOf));
  assert.deepEqual(marks.map(({ name, x, y }) => ({ name, x, y })), [
    { name: "client-limited", x: [50], y: [20] },
    { name: "shards missing or short", x: [50], y: [20] },
  ]);
  assert.deepEqual(cellMarks((point) => point.hitRatePercent, ROWS.slice(0, 1).map(pointOf)), []);
});

Deno.test("summaryTable() says what is missing of a merged cell, and nothing of shards elsewhere", () => {
  const { columns, rows } = summaryTable(ROWS);
  assert.deepEqual(columns.slice(-2).map((one) => one.label), ["Shards", "Missing of the load"]);
  assert.deepEqual(rows.map((row) => row.slice(-2)), [[4, undefined], [3, "shard 2 is missing"]]);
  const plain = summaryTable([{ context_size: 1000, cache_hit_rate: 0 }]);
  assert.equal(plain.columns.at(-1)?.label, "Client-limited");
});
