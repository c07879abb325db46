import assert from "node:assert/strict";
import fc from "fast-check";
import type { AnyRow } from "./csv.ts";
import { plainRow, RowTable } from "./row_table.ts";
import { DETAIL_COLUMNS } from "./schema.ts";

const VALUES = Object.fromEntries(
  DETAIL_COLUMNS.map(({ name, type }) => {
    const value: fc.Arbitrary<number | string> = type === "number"
      ? fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }))
      : fc.string();
    return [name, fc.option(value, { nil: undefined, freq: 2 })];
  }),
);

const ROW = fc.record(VALUES).map((row) =>
  Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined)) as AnyRow
);

Deno.test("RowTable gives back every row as it was, cell by cell", () => {
  fc.assert(fc.property(fc.array(ROW, { maxLength: 20 }), fc.nat({ max: 5 }), (rows, plain) => {
    const table = new RowTable(DETAIL_COLUMNS, plain);
    const kept = rows.map((row) => table.keep(row));
    assert.deepEqual(kept.map((row) => ({ ...plainRow(row) })), rows.map((row) => ({ ...row })));
    for (const [n, row] of kept.entries()) {
      for (const { name } of DETAIL_COLUMNS) assert.equal(row[name], rows[n]![name], name);
    }
    const own = kept.filter((row) => Object.keys(row).length > 0).length;
    assert.ok(own <= plain, "the others have no property of their own");
  }));
});
