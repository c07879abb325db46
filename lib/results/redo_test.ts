import assert from "node:assert/strict";
import fc from "fast-check";
import type { Commit } from "./progress.ts";
import { withoutRedo } from "./redo.ts";

/** Cells that write rows to two files, as the journal would commit them. */
function journal(cells: readonly { redo: boolean; rows: readonly number[] }[]) {
  const text: Record<string, string> = { a: "head\n", b: "title\n" };
  const commits: Commit[] = cells.map(({ redo, rows }, cell) => {
    for (const row of rows) {
      const name = row % 2 === 0 ? "a" : "b";
      text[name] += `${cell},${row}\n`;
    }
    const touched = new Set(rows.map((row) => row % 2 === 0 ? "a" : "b"));
    const bytes = Object.fromEntries([...touched].map((name) => [name, text[name]!.length]));
    return { cell: `c${cell}`, bytes, ...(redo ? { redo } : {}) };
  });
  const contents = new Map(
    Object.entries(text).map(([name, one]) => [name, new TextEncoder().encode(one)]),
  );
  return { commits, contents };
}

Deno.test("withoutRedo() gives the files that the other cells alone would have written", () => {
  const cell = fc.record({ redo: fc.boolean(), rows: fc.array(fc.nat(999), { maxLength: 5 }) });
  fc.assert(fc.property(fc.array(cell, { maxLength: 8 }), (cells) => {
    const all = journal(cells);
    const result = withoutRedo(all.commits, all.contents);
    // The same cells, with no rows where a cell is taken out: names stay `c0`, `c1`, …
    const alone = journal(cells.map((one) => one.redo ? { redo: true, rows: [] } : one));
    assert.deepEqual(result.commits, alone.commits.filter((commit) => commit.redo !== true));
    for (const [name, bytes] of result.contents) assert.deepEqual(bytes, alone.contents.get(name));
    for (const [name, bytes] of alone.contents) {
      const after = result.contents.get(name) ?? all.contents.get(name)!;
      assert.equal(new TextDecoder().decode(after), new TextDecoder().decode(bytes));
    }
  }));
});
