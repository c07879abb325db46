/**
 * CSV files.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { headerLine, readRows, rowLines } from "../../lib/results/csv.ts";
import { DETAIL_COLUMNS, type DetailRow } from "../../lib/results/schema.ts";
import { byteEdits, edited } from "./mutations.ts";
import { target } from "./target.ts";

const encoder = new TextEncoder();
/** The text of a cell. */
export const cell = fc.oneof(
  fc.constantFrom("", "=1+1", "'=x", "-3", '"', '""', "a,b", "a\nb", "\r", "\ufeff", " x "),
  fc.string({ unit: "grapheme", maxLength: 10 }),
);
const detailRow: fc.Arbitrary<DetailRow> = fc.record({
  request_id: cell,
  error: cell,
  ttft: fc.double({ noNaN: true, noDefaultInfinity: true }),
  context_size: fc.nat(),
});
/** A table of requests. */
export const csvBytes = fc.array(detailRow, { maxLength: 5 }).map((rows) =>
  encoder.encode(headerLine(DETAIL_COLUMNS) + rowLines(DETAIL_COLUMNS, rows))
);

function assertTypedRows(bytes: Uint8Array<ArrayBuffer>): void {
  for (const row of readRows(bytes, DETAIL_COLUMNS, () => {})) {
    for (const column of DETAIL_COLUMNS) {
      const value = row[column.name];
      if (value === undefined) continue;
      assert.equal(typeof value, column.type === "number" ? "number" : "string");
      if (typeof value === "number") assert.ok(Number.isFinite(value));
    }
  }
}

/** Targets. */
export const CSV = [
  target(
    "csv: what was written is read",
    fc.array(detailRow, { maxLength: 5 }),
    (rows) => {
      const bytes = encoder.encode(
        headerLine(DETAIL_COLUMNS) + rowLines(DETAIL_COLUMNS, rows),
      );
      const problems: string[] = [];
      const read = readRows(bytes, DETAIL_COLUMNS, (problem) => void problems.push(problem));
      assert.deepEqual(problems, []);
      assert.deepEqual(read, rows.map(stored));
    },
  ),
  target(
    "csv: a file with changed bytes",
    fc.tuple(csvBytes, byteEdits),
    ([bytes, edits]) => assertTypedRows(edited(bytes, edits)),
  ),
  target(
    "csv: any bytes behind a header",
    fc.uint8Array({ maxLength: 300 }),
    (bytes) =>
      assertTypedRows(
        Uint8Array.from([...encoder.encode(headerLine(DETAIL_COLUMNS)), ...bytes]),
      ),
  ),
];

/** A row as a file holds it: no empty cells, no NUL, no negative zero, whole characters. */
function stored(row: DetailRow): DetailRow {
  const entries = Object.entries(row).filter(([, value]) => value !== "").map(([name, value]) => [
    name,
    typeof value === "string"
      ? value.replaceAll("\0", "\ufffd").toWellFormed()
      : value === 0
      ? 0
      : value,
  ]);
  return Object.fromEntries(entries);
}
