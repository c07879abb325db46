import assert from "node:assert/strict";
import { readConfig } from "../model/config.ts";
import { kvSize } from "../model/kv_size.ts";
import { kvSizeGraph, kvSizePage } from "./kv_size_page.ts";

const SHAPE = readConfig({
  model_type: "gpt_oss",
  num_hidden_layers: 24,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  head_dim: 64,
  hidden_size: 2880,
  sliding_window: 128,
}, { source: "config.json of x" });
const SIZE = kvSize(SHAPE, { precision: "fp16" });

Deno.test("kvSizeGraph() has both sides of a window, and the same numbers in its table", () => {
  const { figure, table } = kvSizeGraph(SIZE, 100_000);
  const rows = new Map(table.rows.map((row) => [row[0], row]));
  assert.equal(table.rows[0]?.[0], 1);
  assert.equal(table.rows.at(-1)?.[0], 100_000);
  assert.deepEqual(rows.get(127), [127, 127 * 49_152, 127 * 49_152, 49_152]);
  assert.deepEqual(rows.get(128), [128, 128 * 49_152, 128 * 49_152, 24_576]);
  assert.deepEqual(figure?.data[0]?.["x"], table.rows.map((row) => row[0]));
  const lengths = table.rows.map((row) => Number(row[0]));
  assert.deepEqual(lengths, [...new Set(lengths)].sort((a, b) => a - b));
});

Deno.test("kvSizePage() escapes names and needs no file beside it", async () => {
  const page = await kvSizePage({
    title: "<b>x</b>",
    source: "config.json of <i>",
    size: SIZE,
    longestTokens: 1,
  });
  assert.ok(page.includes("&lt;b&gt;x"));
  assert.ok(!page.includes("<b>x</b>") && !page.includes("<i>"));
  assert.doesNotMatch(page, /<script[^>]* src=/);
});
