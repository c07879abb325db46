import assert from "node:assert/strict";
import fc from "fast-check";
import { CodeColumn, ListColumn, NumberColumn } from "./columns.ts";

/** Far rows too: a column grows by chunks. */
const ROWS = fc.uniqueArray(fc.nat({ max: 60_000 }), { maxLength: 60 });

Deno.test("NumberColumn keeps every number, whatever came before it", () => {
  const value = fc.oneof(
    fc.integer(),
    fc.double({ noNaN: true }),
    fc.constantFrom(undefined, 0, -0, -(2 ** 31), 2 ** 31, 2 ** 53, Infinity),
  );
  fc.assert(fc.property(ROWS, fc.array(value, { minLength: 60, maxLength: 60 }), (rows, values) => {
    const column = new NumberColumn();
    for (const [n, row] of rows.entries()) column.set(row, values[n]);
    for (const [n, row] of rows.entries()) assert.ok(Object.is(column.get(row), values[n]));
    assert.equal(column.get(70_000), undefined);
  }));
});

Deno.test("CodeColumn keeps every value, also of more kinds than it looks for", () => {
  const column = new CodeColumn<string>();
  const text = (row: number) => row % 3 === 0 ? undefined : `${row % 7 === 0 ? "same" : row}`;
  for (let row = 0; row < 20_000; row++) column.set(row, text(row));
  for (let row = 0; row < 20_000; row++) assert.equal(column.get(row), text(row));
});

Deno.test("ListColumn keeps lists of any length, longer than a chunk too", () => {
  const lengths = fc.array(fc.oneof(fc.nat({ max: 20 }), fc.constantFrom(16_384, 40_000)), {
    maxLength: 20,
  });
  fc.assert(
    fc.property(lengths, (all) => {
      const column = new ListColumn();
      const lists = all.map((length, n) => Float64Array.from({ length }, (_, i) => n + i / 7));
      for (const [row, list] of lists.entries()) column.set(row, list);
      for (const [row, list] of lists.entries()) assert.deepEqual(column.get(row), list);
      assert.equal(column.get(99).length, 0);
    }),
    { numRuns: 30 },
  );
});
