import assert from "node:assert/strict";
import fc from "fast-check";
import { foldedByCell } from "./remarks.ts";

Deno.test("foldedByCell() makes one line of what is said of several cells", () => {
  const lines = [
    "A sentence about the run.",
    "8000_50: up to so much may be the client's own delay: TTFT p95 5 %",
    "8000_90: up to so much may be the client's own delay: throughput 6 %, TTFT p95 12.5 %",
    "8000_90 RETRY_2 ended early: 20 failures in a row",
  ];
  assert.deepEqual(foldedByCell(lines), [
    { text: lines[0], cells: [] },
    {
      text: "2 cells: up to so much may be the client's own delay …",
      cells: [lines[1], lines[2]],
    },
    { text: lines[3], cells: [] },
  ]);
});

Deno.test("foldedByCell() loses no line", () => {
  const line = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(9), fc.nat(9), fc.constantFrom("a b", "a c 1", "")).map(([a, b, said]) =>
      `${a}_${b}: ${said}`
    ),
  );
  fc.assert(fc.property(fc.array(line), (lines) => {
    const kept = foldedByCell(lines).flatMap(({ text, cells }) =>
      cells.length > 0 ? cells : [text]
    );
    assert.deepEqual([...kept].sort(), [...lines].sort());
  }));
});
