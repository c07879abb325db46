import assert from "node:assert/strict";
import fc from "fast-check";
import { looksLikeExposition, parseExposition } from "./exposition.ts";

function only(text: string) {
  const { samples, malformedLines } = parseExposition(text);
  assert.equal(malformedLines, 0);
  assert.equal(samples.length, 1);
  const [sample] = samples;
  assert.ok(sample);
  return { ...sample, labels: { ...sample.labels } };
}

Deno.test("parseExposition() reads escapes in label values", () => {
  assert.deepEqual(only(`a{path="C:\\\\x",say="\\"hi\\"",line="1\\n2",odd="\\d"} 1`), {
    name: "a",
    labels: { path: "C:\\x", say: '"hi"', line: "1\n2", odd: "\\d" },
    value: 1,
  });
});

Deno.test("parseExposition() keeps braces, commas, hashes and equal signs inside label values", () => {
  assert.deepEqual(only(`a{x="}, b=\\"{ # 7",y=""} 2.5`).labels, { x: '}, b="{ # 7', y: "" });
});

Deno.test("parseExposition() reads the last line without a line break, and CRLF", () => {
  const { samples } = parseExposition("a 1\r\nb 2\r\nc 3");
  assert.deepEqual(samples.map(({ name, value }) => [name, value]), [["a", 1], ["b", 2], ["c", 3]]);
});

Deno.test("parseExposition() reads infinities, NaN, exponents and signs", () => {
  const values = ["+Inf", "-Inf", "Inf", "NaN", "1e+06", "1.5E-3", "-2.", ".5", "+7"];
  const { samples, malformedLines } = parseExposition(values.map((v) => `m ${v}`).join("\n"));
  assert.equal(malformedLines, 0);
  assert.deepEqual(
    samples.map(({ value }) => value),
    [Infinity, -Infinity, Infinity, NaN, 1e6, 0.0015, -2, 0.5, 7],
  );
});

Deno.test("parseExposition() skips timestamps and OpenMetrics exemplars", () => {
  const text = `a_total{x="1"} 3 1700000000000
b_bucket{le="1.0"} 4 # {trace_id="a b"} 0.5 1520879607.7
c_total 5.0 1520879607.789 # {t="1"} 1
# EOF`;
  const { samples, malformedLines } = parseExposition(text);
  assert.equal(malformedLines, 0);
  assert.deepEqual(samples.map(({ value }) => value), [3, 4, 5]);
});

Deno.test("parseExposition() keeps sum, count and buckets of labelled histograms", () => {
  const { samples, types } = parseExposition(`# HELP t_seconds Time
# TYPE t_seconds histogram
t_seconds_bucket{engine="0", le="0.1"} 2
t_seconds_bucket{engine="0", le="+Inf"} 3
t_seconds_sum{engine="0"} 1.25
t_seconds_count{engine="0"} 3
`);
  assert.equal(types.get("t_seconds"), "histogram");
  assert.deepEqual(samples.map(({ name, value }) => [name, value]), [
    ["t_seconds_bucket", 2],
    ["t_seconds_bucket", 3],
    ["t_seconds_sum", 1.25],
    ["t_seconds_count", 3],
  ]);
});

Deno.test("parseExposition() counts lines that are not of the format and keeps the others", () => {
  const odd = ["a", "a{", 'a{x="1"', 'a{x="1}', "a{x=1} 1", 'a{x="1"}', "a one", "a 1 2 3", "1a 1"];
  const { samples, malformedLines } = parseExposition(["ok 1", ...odd, "ok 2"].join("\n"));
  assert.deepEqual(samples.map(({ name }) => name), ["ok", "ok"]);
  assert.equal(malformedLines, odd.length);
});

Deno.test("looksLikeExposition() refuses JSON and HTML", () => {
  for (const body of ["[]", '[{"iter": 1}]', '{\n  "a": 1\n}', "<html>\n<body>x</body>", ""]) {
    assert.equal(looksLikeExposition(parseExposition(body)), false, body);
  }
  assert.equal(looksLikeExposition(parseExposition("up 1")), true);
});

Deno.test("parseExposition() bounds the number of samples and says so", () => {
  const read = parseExposition("a 1\nb 2\nc 3", 2);
  assert.deepEqual([read.samples.length, read.truncated], [2, true]);
});

const name = fc.stringMatching(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,20}$/);
const labelName = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,10}$/);
const value = fc.oneof(
  // String(-0) is "0".
  fc.double().map((number) => number + 0),
  fc.integer(),
  fc.constantFrom(Infinity, -Infinity, NaN),
);

Deno.test("parseExposition() reads back whatever is written by the rules of the format", () => {
  const family = fc.record({
    name,
    labels: fc.dictionary(labelName, fc.string({ unit: "binary" }), { maxKeys: 4 }),
    value,
  });
  fc.assert(fc.property(fc.array(family, { maxLength: 8 }), fc.boolean(), (written, spaced) => {
    const comma = spaced ? ", " : ",";
    const text = written.map((sample) => {
      const labels = Object.entries(sample.labels).map(([key, text]) =>
        `${key}="${text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')}"`
      );
      const number = Number.isNaN(sample.value)
        ? "NaN"
        : Number.isFinite(sample.value)
        ? String(sample.value)
        : sample.value > 0
        ? "+Inf"
        : "-Inf";
      return `${sample.name}${labels.length === 0 ? "" : `{${labels.join(comma)}}`} ${number}\n`;
    }).join("");
    const read = parseExposition(text);
    assert.equal(read.malformedLines, 0);
    assert.deepEqual(
      read.samples.map((s) => ({ ...s, labels: Object.entries(s.labels) })),
      written.map((s) => ({ ...s, labels: Object.entries(s.labels) })),
    );
  }));
});

Deno.test("parseExposition() takes any text without throwing", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
    const read = parseExposition(text);
    assert.ok(read.samples.length + read.malformedLines <= text.split("\n").length);
  }));
});
