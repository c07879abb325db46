import assert from "node:assert/strict";
import type { RunData } from "../results/schema.ts";
import { diskFiles } from "../../tests/support/disk_files.ts";
import { withTempDir } from "../../tests/support/command.ts";
import {
  sampleCacheRateRun,
  sampleSinglePromptRun,
  sampleWorkingSetRun,
} from "../../tests/support/sample_run.ts";
import { incomparabilities, unknownAgreements } from "./comparability.ts";
import { compareRuns, type Comparison } from "./comparison.ts";
import { comparisonGraphs } from "./comparison_figures.ts";
import { readComparison, writeComparisonFiles } from "./comparison_file.ts";
import { comparisonHeadline, conclusionsOf, overallOf } from "./comparison_findings.ts";
import { writeComparisonPages } from "./comparison_pages.ts";
import { summaryComparison } from "./comparison_tables.ts";

/** The run on a server that takes `factor` times as long for everything. */
function slowed(run: RunData, factor: number): RunData {
  const times = /^(?:avg|median|p95|p99|max)?_?(?:ttft|ttlt|itl|tpot)$|^(?:generation|total)_time$/;
  const rates = /_tokens_per_sec$|^avg_output_tokens$/;
  const slow = <R extends object>(row: R): R =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => {
        if (typeof value !== "number") return [name, value];
        return [
          name,
          times.test(name) ? value * factor : rates.test(name) ? value / factor : value,
        ];
      }),
    ) as R;
  return {
    ...run,
    summary: run.summary.map(slow),
    details: run.details.map(slow),
    phases: run.phases.map(slow),
    singlePrompt: run.singlePrompt.map(slow),
  };
}

function pair(run: RunData, factor: number): Comparison {
  return compareRuns([{ label: "A", run }, { label: "B", run: slowed(run, factor) }], 0);
}

Deno.test("compareRuns() compares every shared point, with the values of the summaries", () => {
  const run = sampleCacheRateRun();
  const comparison = pair(run, 1.5);
  assert.equal(comparison.runs[0]?.points.length, 10);
  const ttfts = comparison.cells.filter((cell) => cell.metric === "p95_ttft");
  assert.equal(ttfts.length, 10);
  for (const cell of ttfts) {
    const row = run.summary.find((one) =>
      one.context_size === cell.contextSizeTokens && one.cache_hit_rate === cell.hitRatePercent
    );
    assert.equal(cell.baseline.estimate, row?.p95_ttft);
    assert.ok(Math.abs((cell.ratio?.estimate ?? NaN) - 1.5) < 1e-9);
    assert.ok((cell.ratio?.low ?? NaN) <= 1.5 && (cell.ratio?.high ?? NaN) >= 1.5);
    assert.equal(cell.verdict, "worse");
  }
  const input = overallOf(comparison).find((one) => one.metric === "input_tokens_per_sec");
  assert.deepEqual([input?.worse, input?.points], [10, 10]);
  assert.ok(Math.abs((input?.ratio ?? NaN) - 1 / 1.5) < 1e-9);
  assert.match(
    comparisonHeadline(comparison),
    /^B: 0\.67× the input throughput of A over 10 points/,
  );
});

Deno.test("compareRuns() finds no difference between a run and itself", () => {
  for (const run of [sampleCacheRateRun(), sampleWorkingSetRun(), sampleSinglePromptRun()]) {
    const comparison = pair(run, 1);
    assert.ok(comparison.cells.length > 20, run.kind);
    const marked = comparison.cells.filter((one) =>
      one.verdict === "better" || one.verdict === "worse"
    );
    assert.deepEqual(marked, []);
  }
});

Deno.test("compareRuns() compares latency at equal concurrency too", () => {
  const comparison = pair(sampleCacheRateRun(), 2);
  const cells = comparison.cells.filter((cell) => cell.metric === "equal_load_ttft");
  assert.equal(cells.length, 10);
  assert.ok(cells.every((cell) => cell.concurrency === 2 && cell.verdict === "worse"));
});

Deno.test("compareRuns() draws runs of other hit rates, and compares only what they share", () => {
  const a = sampleCacheRateRun({ rates: [0, 50] });
  const b = sampleCacheRateRun({ rates: [50, 100] });
  const comparison = compareRuns([{ label: "A", run: a }, { label: "B", run: b }], 0);
  assert.deepEqual([...new Set(comparison.cells.map((cell) => cell.hitRatePercent))], [50]);
  assert.match(conclusionsOf(comparison)[0] ?? "", /2 of its points are not in A\.$/);
  const graph = comparisonGraphs(comparison).find((one) => one.name === "input_throughput_ctx8000");
  assert.deepEqual(graph?.figure?.data.map((trace) => trace["x"]), [[0, 50], [0, 50], [50, 100], [
    50,
    100,
  ]]);
  const none = compareRuns([
    { label: "A", run: sampleCacheRateRun({ rates: [0] }) },
    { label: "B", run: sampleCacheRateRun({ rates: [100] }) },
  ], 0);
  assert.match(comparisonHeadline(none), /^No point in common with A/);
});

Deno.test("compareRuns() without request rows gives ratios and no verdict", () => {
  const run = { ...sampleCacheRateRun({ withoutDetails: true }) };
  const verdicts = new Set(pair(run, 2).cells.map((cell) => cell.verdict));
  assert.ok(verdicts.has("unknown") && !verdicts.has("worse") && !verdicts.has("better"));
});

Deno.test("summaryComparison() gives the columns of the Python suite at 0 and at 100 %", () => {
  const run = sampleCacheRateRun();
  const { columns, rows } = summaryComparison(pair(run, 2));
  assert.equal(columns[8]?.label, "TTFT Improvement");
  assert.equal(rows.length, 4);
  const [cold, warm] = [0, 100].map((rate) =>
    run.summary.find((row) => row.context_size === 8000 && row.cache_hit_rate === rate)
  );
  const [label, context, input0, input100, speedup, , , , improvement, peak] = rows[0] ?? [];
  assert.deepEqual([label, context, input0, input100, peak], [
    "A",
    8000,
    cold?.input_tokens_per_sec,
    warm?.input_tokens_per_sec,
    warm?.peak_concurrency,
  ]);
  assert.equal(speedup, Number(input100) / Number(input0));
  const [a = NaN, b = NaN] = [cold?.avg_ttft, warm?.avg_ttft];
  assert.ok(Math.abs(Number(improvement) - (a - b) / a * 100) < 1e-9);
});

Deno.test("incomparabilities() names the run and the reason", () => {
  const sample = sampleCacheRateRun();
  const parameters = { ...sample.config.parameters, "chunk-size": 256 };
  const run = { ...sample, config: { ...sample.config, parameters } };
  const other = (config: Partial<RunData["config"]>, more: Partial<RunData> = {}) => [
    { label: "A", run },
    { label: "B", run: { ...run, ...more, config: { ...run.config, ...config } } },
  ];
  assert.deepEqual(incomparabilities(other({}), 0), []);
  assert.match(incomparabilities(other({ model: "x/y" }), 0)[0] ?? "", /^B: other model: x\/y/);
  const longer = other({ parameters: { ...parameters, "output-tokens": 1024 } });
  assert.match(incomparabilities(longer, 0)[0] ?? "", /^B: other output length: 1,024 tokens/);
  const chunks = other({ parameters: { ...parameters, "chunk-size": 64 } });
  assert.match(incomparabilities(chunks, 0)[0] ?? "", /^B: other chunk size: 64 tokens/);
  const python = other({}, { writtenBy: "python" });
  assert.match(incomparabilities(python, 0)[0] ?? "", /^B: other definitions of the figures/);
  const silent = other({ parameters: {} });
  assert.deepEqual(incomparabilities(silent, 0), [], "what is not known is not other");
  assert.match(unknownAgreements(silent).join("\n"), /output length.*B does not say/);
});

Deno.test("readComparison() gives the pages again, byte for byte", async () => {
  await withTempDir(async (dir) => {
    const [base, other] = ["<b>\"'", "=cmd()|@x"];
    const comparison = compareRuns(
      [
        { label: base ?? "", run: sampleWorkingSetRun() },
        { label: other ?? "", run: slowed(sampleWorkingSetRun(), 1.2) },
      ],
      0,
      ["B: other model"],
    );
    await writeComparisonFiles(diskFiles, dir, comparison);
    const names = await writeComparisonPages(diskFiles, dir, comparison);
    const read = () => Promise.all(names.map((name) => Deno.readTextFile(`${dir}/${name}`)));
    const before = await read();
    await writeComparisonPages(diskFiles, dir, await readComparison(diskFiles, dir));
    assert.deepEqual(await read(), before);
    assert.match(
      await Deno.readTextFile(`${dir}/comparison.csv`),
      /^'=cmd\(\)\|@x,"<b>""'",32000,/m,
    );
  });
});

Deno.test("readComparison() refuses what is damaged, and reads the Python suite's table", async () => {
  await withTempDir(async (dir) => {
    const python = "Configuration,Context Size,Input @0% (tok/s),Input @100% (tok/s)\n" +
      'DRAM,"2,000.0","10,000.0",30000\nGDS,2000.0,9000,36000\n';
    await Deno.writeTextFile(`${dir}/summary_comparison.csv`, python);
    const read = await readComparison(diskFiles, dir);
    assert.deepEqual(read.runs.map((run) => run.label), ["DRAM", "GDS"]);
    const graphs = comparisonGraphs(read);
    assert.ok(graphs.some((graph) => graph.name === "input_throughput_ctx2000"));
    assert.deepEqual(read.runs[0]?.points.map((p) => p.row.input_tokens_per_sec), [10_000, 30_000]);
    await Deno.writeTextFile(`${dir}/comparison.json`, '{"version":1,"runs":[]}');
    await assert.rejects(readComparison(diskFiles, dir), /Cannot read .*comparison\.json/);
    await Deno.writeTextFile(`${dir}/comparison.json`, "{");
    await assert.rejects(readComparison(diskFiles, dir), /Cannot read .*comparison\.json/);
  });
});
