import assert from "node:assert/strict";
import type { SummaryRow } from "../lib/results/schema.ts";
import { resultTable } from "./_result_table.ts";

const row: SummaryRow = {
  context_size: 128_000,
  cache_hit_rate: 100,
  achievable_hit_rate: 99.8,
  observed_hit_rate: 99.8,
  peak_concurrency: 1000,
  input_tokens_per_sec: 768_000,
  output_tokens_per_sec: 2870,
  p95_ttft: 0.1234,
  avg_ttft: 0.0987,
  total_requests: 96,
  failed_requests: 1_234,
  hit_rate_verdict: "unchecked",
  client_limited: "yes",
  client_marks: "throughput 12 %, TTFT p50 8 %, TTFT p95 31.4 %",
};

Deno.test("resultTable() fits a terminal of 80 columns", () => {
  const lines = resultTable([row], 80).trimEnd().split("\n");
  assert.equal(lines.length, 5, "a line a mark, and one a client mark");
  for (const line of lines) assert.ok(line.length <= 80, `${line.length}: ${line}`);
  assert.match(lines[1] ?? "", /128,000.*99\.8 %.*768k.*123 ms.*1,234! .*unchecked\*$/);
});

Deno.test("resultTable() prints every column where there is room", () => {
  const [head = "", line = "", note = "", marks = ""] = resultTable([row], Infinity).split("\n");
  assert.match(head, /achiev\..*TTFT avg.*ok/);
  assert.match(line, /98\.7 ms.*96/);
  assert.match(note, /more than 5 % of a figure may be the client's own delay/);
  assert.equal(marks, "  128,000 at 100 %: throughput 12 %, TTFT p50 8 %, TTFT p95 31.4 %");
});

Deno.test("resultTable() names the working set of each row, within 80 columns", () => {
  const sets = [100_000, 1_234_000].map((size) => ({ ...row, working_set_size: size }));
  const lines = resultTable(sets, 80).trimEnd().split("\n");
  for (const line of lines) assert.ok(line.length <= 80, `${line.length}: ${line}`);
  assert.match(lines[2] ?? "", /128,000 +1\.23M .*unchecked\*$/);
  assert.ok(!resultTable([row], 80).includes(" set "));
});

Deno.test("resultTable() has no note where the client was never the limit", () => {
  const { client_limited: _limited, ...rest } = row;
  assert.ok(!resultTable([rest], 80).includes("*"));
});

Deno.test("resultTable() marks a cell that lost more than one request in a hundred", () => {
  const few = { ...row, total_requests: 990, failed_requests: 10 };
  assert.ok(!resultTable([few], 80).includes("!"));
  assert.match(
    resultTable([{ ...few, failed_requests: 11 }], 80),
    /11! [^]*1 % of the requests failed/,
  );
});
