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
import { checkComparison } from "./run_thresholds.ts";
import { parseThreshold } from "../metrics/thresholds.ts";
import { gainsOf } from "./gains.ts";
import { readComparison, writeComparisonFiles } from "./comparison_file.ts";
import { comparisonHeadline, comparisonWarnings, conclusionsOf } from "./comparison_findings.ts";
import { writeComparisonPages } from "./comparison_pages.ts";
import { arrangeRows, type CellKey } from "./points.ts";
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

/** The run of another day: all times longer by a factor that differs from run to run. */
function replicates(label: string, run: RunData, factors: readonly number[]) {
  return factors.map((factor) => ({ label, run: slowed(run, factor) }));
}

Deno.test("compareRuns() compares every shared point, with the values of the summaries", () => {
  const run = sampleCacheRateRun();
  const comparison = pair(run, 2);
  assert.equal(comparison.runs[0]?.points.length, 10);
  const ttfts = comparison.cells.filter((cell) => cell.metric === "p95_ttft");
  assert.equal(ttfts.length, 10);
  for (const cell of ttfts) {
    const row = run.summary.find((one) =>
      one.context_size === cell.contextSizeTokens && one.cache_hit_rate === cell.hitRatePercent
    );
    assert.equal(cell.baseline.estimate, row?.p95_ttft);
    assert.equal(cell.concurrency, row?.peak_concurrency);
    assert.equal(cell.baselineConcurrency, row?.peak_concurrency);
    assert.ok(Math.abs((cell.ratio?.estimate ?? NaN) - 2) < 1e-9);
    assert.ok((cell.ratio?.low ?? NaN) <= 2 && (cell.ratio?.high ?? NaN) >= 2);
    assert.equal(cell.basis, "assumed");
  }
  const input = comparison.cells.filter((cell) => cell.metric === "input_tokens_per_sec");
  assert.equal(input.length, 10);
  assert.ok(input.every((cell) => Math.abs((cell.ratio?.estimate ?? NaN) - 0.5) < 1e-9));
  assert.equal(
    comparisonHeadline(comparison),
    "B against A: 2x slower at all 10 points",
  );
});

Deno.test("compareRuns() marks nothing for one run a side that differs as days do, and says why", () => {
  for (const factor of [0.95, 1.06]) {
    const comparison = pair(sampleCacheRateRun(), factor);
    const verdicts = comparison.cells.filter((cell) => cell.metric === "input_tokens_per_sec")
      .map((cell) => cell.verdict);
    assert.deepEqual([...new Set(verdicts)], ["within noise"]);
    const [note] = comparisonWarnings(comparison).filter((text) => text.includes("--replicates"));
    assert.match(note ?? "", /One run of each configuration.*10 %.*20 %.*--labels A A A B B B/);
  }
});

Deno.test("compareRuns() takes runs of one label as replicates, and marks what they show", () => {
  const run = sampleCacheRateRun();
  const labelled = [
    ...replicates("A", run, [0.99, 1, 1.01]),
    ...replicates("B", run, [1.09, 1.1, 1.12]),
  ];
  const comparison = compareRuns(labelled, 0);
  assert.deepEqual(comparison.runs.map((one) => one.replicates?.length), [3, 3]);
  const input = comparison.cells.filter((cell) => cell.metric === "input_tokens_per_sec");
  assert.equal(input.length, 10);
  for (const cell of input) {
    assert.deepEqual([cell.runs, cell.baselineRuns, cell.basis], [3, 3, "replicates"]);
    assert.equal(cell.verdict, "worse");
    const { low = NaN, high = NaN } = cell.ratio ?? {};
    assert.ok(low < 1 / 1.1033 && 1 / 1.1033 < high && high < 1, `${low} to ${high}`);
  }
  assert.equal(comparisonWarnings(comparison).some((text) => text.includes("--replicates")), false);
  assert.match(comparisonHeadline(comparison), /^B against A: costs 9\.4 %/);
  const same = compareRuns([
    ...replicates("A", run, [0.97, 1, 1.03]),
    ...replicates("B", run, [0.98, 1.04, 1]),
  ], 0);
  assert.equal(same.cells.some((cell) => ["better", "worse"].includes(cell.verdict)), false);
  assert.match(comparisonHeadline(same), /no difference beyond noise at all 10 points$/);
});

Deno.test("compareRuns() says where a configuration breaks even, with GiB and other limits", () => {
  const run = sampleWorkingSetRun();
  const sizes = [...new Set(run.summary.map((row) => row.working_set_size ?? 0))].sort((a, b) =>
    a - b
  );
  const middle = Math.sqrt((sizes[0] ?? 0) * (sizes.at(-1) ?? 0));
  const tilted = {
    ...run,
    summary: run.summary.map((row) => ({
      ...row,
      ttft_limit: 10,
      input_tokens_per_sec: (row.input_tokens_per_sec ?? 0) *
        ((row.working_set_size ?? 0) / middle) ** 2,
    })),
  };
  const config = { ...run.config, kvBytesPerToken: 131_072 };
  const own = { ...run, config, summary: run.summary.map((row) => ({ ...row, ttft_limit: 2 })) };
  const comparison = compareRuns([{ label: "DRAM", run: own }, { label: "GDS", run: tilted }], 0);
  const headline = comparisonHeadline(comparison);
  assert.match(headline, /^GDS against DRAM: [\d.]+ to [\d.]+x slower /);
  assert.match(headline, / up to [\d.]+[kM]? tokens \([\d.]+ [GM]iB\), breaks even near /);
  assert.match(headline, /, wins [\d.]+ to [\d.]+x beyond/);
  assert.match(headline, /under other TTFT limits: 10 s against 2 s$/);
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

Deno.test("compareRuns() compares latencies at equal load, at the own peaks only on request", () => {
  const run = sampleCacheRateRun();
  // B serves four times the load: its peak is a level that A never ran, and it waits longer there.
  const raised = (level: number | undefined) => level === undefined ? level : level * 4;
  const peakOf = (cell: CellKey) =>
    run.summary.find((row) =>
      row.context_size === cell.contextSizeTokens && row.cache_hit_rate === cell.hitRatePercent
    )?.peak_concurrency;
  const higher = {
    ...run,
    summary: run.summary.map((row) =>
      ({
        ...row,
        peak_concurrency: raised(row.peak_concurrency),
        p95_ttft: (row.p95_ttft ?? 0) * 5,
        avg_ttft: (row.avg_ttft ?? 0) * 5,
      }) as typeof row
    ),
  };
  const labelled = [{ label: "A", run }, { label: "B", run: higher }];
  const p95 = (comparison: Comparison) =>
    comparison.cells.filter((cell) => cell.metric === "p95_ttft");
  const equal = p95(compareRuns(labelled, 0));
  assert.equal(equal.length, 10);
  for (const cell of equal) {
    assert.equal(cell.concurrency, peakOf(cell));
    assert.equal(cell.baselineConcurrency, cell.concurrency);
    assert.ok((cell.ratio?.estimate ?? NaN) < 1.5, `${cell.ratio?.estimate}`);
  }
  const own = p95(compareRuns(labelled, 0, { latencyAt: "own-peak" }));
  assert.equal(own.length, 10);
  for (const cell of own) {
    assert.equal(cell.concurrency, (cell.baselineConcurrency ?? NaN) * 4);
    assert.equal(cell.ratio?.estimate, 5);
  }
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
  assert.match(comparisonHeadline(none), /^B and A have no point in common/);
});

Deno.test("compareRuns() without rows of requests or periods gives ratios and no verdict", () => {
  const run = sampleCacheRateRun({ withoutDetails: true });
  const latencies = pair(run, 2).cells.filter((cell) => cell.metric === "p95_ttft");
  assert.equal(latencies.length, 10);
  assert.deepEqual([...new Set(latencies.map((cell) => cell.verdict))], ["unknown"]);
  const bare = pair({ ...run, phases: [] }, 2).cells;
  assert.ok(bare.length > 20);
  assert.equal(bare.some((cell) => cell.verdict === "worse" || cell.verdict === "better"), false);
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
  const early = run.summary.map(({ unanswered_input_percent: _, ...row }) => row);
  assert.match(
    incomparabilities(other({}, { summary: early }), 0)[0] ?? "",
    /^B: other definitions of the figures: kvmark, throughput with the prompts that still waited/,
  );
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
      { forced: ["B: other model"] },
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

/** Half of the output came at the first rate of the first context size, where the peaks are. */
function shortened(run: RunData): RunData {
  const [first] = run.summary;
  return {
    ...run,
    summary: run.summary.map((row) =>
      row === first ? { ...row, output_not_as_asked: (row.total_requests ?? 0) / 2 } : row
    ),
  };
}

Deno.test("compareRuns() makes no ratio where answers are not as long as asked, on either side", () => {
  const run = sampleCacheRateRun();
  const [first] = run.summary;
  assert.ok((first?.total_requests ?? 0) > 0);
  for (const sides of [[shortened(run), slowed(run, 2)], [run, slowed(shortened(run), 2)]]) {
    const comparison = compareRuns(
      sides.map((one, n) => ({ label: n === 0 ? "A" : "B", run: one })),
      0,
    );
    const isOdd = (key: CellKey) =>
      key.contextSizeTokens === first?.context_size &&
      key.hitRatePercent === first?.cache_hit_rate;
    const [odd, others] = [true, false].map((is) =>
      comparison.cells.filter((cell) => isOdd(cell) === is)
    );
    assert.ok(odd!.length > 0 && others!.length > 0);
    for (const cell of odd!) {
      assert.deepEqual([cell.ratio, cell.pValue, cell.verdict], [undefined, undefined, "unknown"]);
    }
    // Nothing is a multiple of 0: a rate of 0 %, no failures.
    const based = others!.filter((cell) => cell.baseline.estimate > 0);
    assert.ok(based.length > 0 && based.every((cell) => cell.ratio !== undefined));
    const warnings = comparisonWarnings(comparison).filter((text) => /no ratio/.test(text));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /^[AB]: more than 1 % .* at [\d,]+ tokens at 0 %: no ratio/);
    // B is slower, so that only what cannot be checked is not kept.
    const limit = parseThreshold("input_tokens_per_sec > 1.10x");
    const unkept = checkComparison(comparison, [limit]).filter(({ state }) => state !== "kept");
    assert.deepEqual(unkept.map(({ state }) => state), ["unknown"]);
    assert.match(unkept[0]?.reason ?? "", /not as long as was asked for/);
  }
});

Deno.test("gainsOf() takes no cell whose answers are not as long as asked for the base of a ratio", () => {
  const run = sampleCacheRateRun();
  const whole = gainsOf(run, arrangeRows(run))[0];
  const odd = shortened(run);
  const left = gainsOf(odd, arrangeRows(odd))[0];
  assert.match(whole?.against ?? "", /^0 %/);
  assert.ok(left !== undefined && !left.against.startsWith("0 %"), left?.against);
  assert.notEqual(left.inputBefore, whole?.inputBefore);
});
