import assert from "node:assert/strict";
import fc from "fast-check";
import { checkThresholds, parseThreshold } from "../metrics/thresholds.ts";
import { sampleCacheRateRun } from "../../tests/support/sample_run.ts";
import { compareRuns } from "./comparison.ts";
import { junitXml, xmlText } from "./junit.ts";
import { comparisonMarkdown, markdownText, runMarkdown } from "./markdown.ts";
import { checkComparison, checkRuns } from "./run_thresholds.ts";

const HOSTILE = `<img src=x onerror=alert(1)>"'|\`*_[x](http://evil)@team #1 =cmd()🙂\n\n# h` +
  "A".repeat(500);

/** Short texts of any UTF-16 units, lone surrogates and control characters too. */
const anyText = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 12 }).map((units) =>
  String.fromCharCode(...units)
);

Deno.test("markdownText() leaves nothing that Markdown reads", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), anyText), (text) => {
    const escaped = markdownText(text);
    assert.doesNotMatch(escaped, /[\n\r<>@]/);
    assert.doesNotMatch(escaped.replaceAll(/\\./g, ""), /[\\|`*_[\]{}~!]|(?<!&)#/, escaped);
    assert.doesNotMatch(escaped, /:\/\//);
  }));
  assert.equal(markdownText("a|b <i> @me"), "a\\|b &lt;i&gt; &#64;me");
  assert.equal(markdownText("1.54 s"), "1.54 s");
  assert.ok([...markdownText("A".repeat(600))].length === 400);
});

Deno.test("comparisonMarkdown() shows hostile labels as text, in a table of whole rows", () => {
  const run = sampleCacheRateRun({ contexts: [8000], rates: [0, 100], hostileText: HOSTILE });
  const comparison = compareRuns([{ label: HOSTILE, run }, { label: "B", run }], 0, {
    forced: [HOSTILE],
  });
  const text = comparisonMarkdown(comparison);
  assert.doesNotMatch(text, /<img|@team|[^\\]\]\(/);
  const table = text.split("\n").filter((line) => line.startsWith("| "));
  assert.ok(table.length > 4);
  for (const line of table) {
    assert.equal(line.match(/(?<!\\)\|/g)?.length, 10, line);
  }
});

Deno.test("runMarkdown() shows a run with its limits, and hostile names as text", () => {
  const run = sampleCacheRateRun({ contexts: [8000], rates: [0, 100], hostileText: HOSTILE });
  const text = runMarkdown(run, checkRuns([run], [parseThreshold("avg_ttft@0 > 1ms")]));
  assert.match(text, /^### .*\n\n- ❌ avg\\_ttft&#64;0/);
  assert.equal(text.split("\n").filter((line) => line.startsWith("| ")).length, 4);
  assert.doesNotMatch(text, /<img|@team|[^\\]\]\(/);
});

Deno.test("junitXml() has a case for each limit and point, and a failure for each crossed one", () => {
  const run = sampleCacheRateRun({ contexts: [8000], rates: [0, 100] });
  const outcomes = checkRuns(
    [run],
    ["avg_ttft@0 > 1ms", "avg_ttft > 1000", "p95_ttft@50 > 1"]
      .map(parseThreshold),
  );
  assert.deepEqual(outcomes.map((one) => one.state), ["crossed", "kept", "kept", "unknown"]);
  const xml = junitXml(HOSTILE, outcomes);
  assert.match(xml, /tests="4" failures="1" errors="1"/);
  assert.equal(xml.match(/<testcase /g)?.length, 4);
  assert.equal(xml.match(/<failure /g)?.length, 1);
  assert.doesNotMatch(xml, /<img/);
});

Deno.test("xmlText() leaves nothing that XML reads or refuses", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), anyText), (text) => {
    // deno-lint-ignore no-control-regex -- what XML 1.0 cannot hold
    assert.doesNotMatch(xmlText(text), /[<>"'\u0000-\u001f\ufffe\uffff]|&(?!#?\w+;)/);
  }));
});

Deno.test("checkComparison() checks ratios to the baseline at every shared point", () => {
  const run = sampleCacheRateRun({ contexts: [8000], rates: [0, 100] });
  const comparison = compareRuns([{ label: "A", run }, { label: "B", run }], 0);
  const states = (text: string) =>
    checkComparison(comparison, [parseThreshold(text)]).map((one) => one.state);
  assert.deepEqual(states("p95_ttft > 1.10x"), ["kept", "kept"]);
  assert.deepEqual(states("p95_ttft > 0.5x"), ["crossed", "crossed"]);
  assert.deepEqual(states("p95_ttft@100 >= 1x"), ["unsure"]);
  assert.equal(checkThresholds([], []).length, 0);
});
