import assert from "node:assert/strict";
import fc from "fast-check";
import { headerLine, plainNumber, readCsv, readRows, rowLines } from "./csv.ts";
import type { Column } from "./schema.ts";

const COLUMNS = [
  { name: "size", type: "number", unit: "", doc: "", python: false },
  { name: "label", type: "text", unit: "", doc: "", python: false },
  { name: "time", type: "number", unit: "s", doc: "", python: false },
] as const satisfies readonly Column[];

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function read(text: string) {
  const problems: string[] = [];
  const rows = readRows(encode(text), COLUMNS, (problem) => problems.push(problem));
  return { rows, problems };
}

Deno.test("readRows() gives back what rowLines() wrote, whatever the text and the number", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }).filter((value) => value.isWellFormed() && !value.includes("\0")),
    fc.string({ unit: fc.constantFrom("=", "+", "-", "@", "'", '"', ",", "\r", "\n", "\t", "a") }),
  );
  const number = fc.double({ noNaN: true, noDefaultInfinity: true });
  const row = fc.record({ size: number, label: text, time: number }, { requiredKeys: [] });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 8 }), (rows) => {
      const table = headerLine(COLUMNS) + rowLines(COLUMNS, rows);
      const expected = rows.map((one) =>
        Object.fromEntries(
          Object.entries(one).filter(([, value]) => value !== "").map((
            [key, value],
          ) => [key, Object.is(value, -0) ? 0 : value]),
        )
      );
      // A row without any value is an empty line of commas and stays a row.
      assert.deepEqual(read(table), { rows: expected, problems: [] });
    }),
    { numRuns: 500 },
  );
});

Deno.test("rowLines() keeps text from being a formula and leaves numbers alone", () => {
  const lines = rowLines(COLUMNS, [
    { size: -5, label: "=cmd()|' /C calc'!A0" },
    { size: -0.5, label: "+1" },
    { label: "@x", time: 1 },
    { label: "-" },
    { label: "'=quoted" },
    { label: "it's" },
  ]);
  assert.equal(
    lines,
    "-5,'=cmd()|' /C calc'!A0,\n-0.5,'+1,\n,'@x,1\n,'-,\n,''=quoted,\n,it's,\n",
  );
});

Deno.test("plainNumber() writes every digit and no exponent", () => {
  const table: [number, string][] = [
    [0.1 + 0.2, "0.30000000000000004"],
    [2.5e-7, "0.00000025"],
    [-1e-9, "-0.000000001"],
    [1.5e21, "1500000000000000000000"],
    [1766198448.2178764, "1766198448.2178764"],
    [NaN, ""],
    [Infinity, ""],
  ];
  for (const [value, expected] of table) assert.equal(plainNumber(value), expected);
});

Deno.test("plainNumber() can be read back exactly", () => {
  fc.assert(fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
    const text = plainNumber(value);
    assert.ok(!/e/i.test(text));
    assert.ok(Number(text) === value);
  }));
});

Deno.test("readRows() drops a last line without a line end", () => {
  assert.deepEqual(read("size,label,time\n1,a,2\n3,b,4.5"), {
    rows: [{ size: 1, label: "a", time: 2 }],
    problems: ["the last line was cut off and is left out"],
  });
  assert.deepEqual(read('size,label,time\n1,a,2\n3,"b\n4,c,5\n').rows, [
    { size: 1, label: "a", time: 2 },
  ]);
});

Deno.test("readRows() of a table cut off anywhere gives whole rows from its beginning", () => {
  const rows = [
    { size: 1, label: 'a "quoted", line\nof two' },
    { size: 22, time: 0.25 },
    { size: 3, label: "ü", time: 7 },
  ];
  const bytes = encode(headerLine(COLUMNS) + rowLines(COLUMNS, rows));
  for (let cut = headerLine(COLUMNS).length; cut <= bytes.length; cut++) {
    const found = readRows(bytes.slice(0, cut), COLUMNS);
    assert.deepEqual(found, rows.slice(0, found.length), `cut at ${cut}`);
  }
  assert.equal(readRows(bytes, COLUMNS).length, 3);
});

Deno.test("readRows() leaves out what is unknown, empty or not a number, and counts the last", () => {
  assert.deepEqual(read("time,other,size,label\n0.5,zzz,nan,x\n,,abc,\n 1,,0x10,y\n"), {
    rows: [{ time: 0.5, label: "x" }, {}, { label: "y" }],
    problems: ["1 cells of time are not numbers", "2 cells of size are not numbers"].sort((a, b) =>
      a.includes("size") ? -1 : b.includes("size") ? 1 : 0
    ),
  });
});

Deno.test("readRows() reads CRLF lines, a byte order mark and lines of uneven length", () => {
  assert.deepEqual(read("\uFEFFsize,label,time\r\n1,a\r\n2,b,3,4\r\n"), {
    rows: [{ size: 1, label: "a" }, { size: 2, label: "b", time: 3 }],
    problems: ["2 lines have more or fewer cells than the header"],
  });
});

Deno.test("readRows() of something else than a table says so", () => {
  assert.match(read("<html>\n<body>\n").problems.join(), /no known column/);
  assert.deepEqual(read(""), { rows: [], problems: [] });
});

Deno.test("readRows() never throws, whatever the bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const text = new TextDecoder().decode(bytes);
      assert.ok(Array.isArray(read("size,label,time\n" + text).rows));
      assert.ok(Array.isArray(read(text).rows));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("readCsv() reads a file of several pieces, quoted line ends at their seams included", () => {
  const row = { size: 1, label: `a\n${"x".repeat(700)}\n"b"`, time: 2 };
  const count = 5000;
  const text = headerLine(COLUMNS) + rowLines(COLUMNS, Array(count).fill(row));
  let seen = 0;
  for (const one of readCsv(encode(text), COLUMNS).rows) {
    assert.deepEqual(one, row);
    seen++;
  }
  assert.equal(seen, count);
});
