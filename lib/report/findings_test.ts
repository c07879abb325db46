import assert from "node:assert/strict";
import {
  sampleCacheRateRun,
  samplePythonSustainedRun,
  sampleSinglePromptRun,
  sampleWorkingSetRun,
} from "../../tests/support/sample_run.ts";
import type { RunData, SummaryRow } from "../results/schema.ts";
import { type Findings, findingsOf } from "./findings.ts";
import { changeText, formatRatio } from "./ratios.ts";
import { arrangeRows } from "./points.ts";

function findings(run: RunData): Findings {
  return findingsOf(run, arrangeRows(run));
}

function withRows(run: RunData, change: (row: SummaryRow) => SummaryRow): RunData {
  return { ...run, summary: run.summary.map(change) };
}

Deno.test("findingsOf() confirms a working cache, with the ratio of the rows", () => {
  const run = sampleCacheRateRun({ contexts: [32000] });
  const ratio = (run.summary.at(-1)?.input_tokens_per_sec ?? NaN) /
    (run.summary[0]?.input_tokens_per_sec ?? NaN);
  const found = findings(run);
  assert.equal(found.verdict, "confirmed");
  assert.equal(
    found.headline,
    `Caching works: ${ratio.toFixed(1)}× the input throughput at 100 % nominal hits,` +
      " 32,000-token prompts",
  );
  assert.match(found.evidence[0] ?? "", /^All 5 cells confirmed/);
});

Deno.test("findingsOf() compares TTFT at the lowest concurrency that both cells ran at", () => {
  const run = sampleCacheRateRun({ contexts: [32000] });
  const equal = findings(run).gains[0]?.ttft;
  assert.equal(equal?.concurrency, 2);
  const mean = (rate: number) => {
    const ttfts = run.details.filter((row) =>
      row.cache_hit_rate === rate && row.concurrency_level === 2 && row.ramp_in !== "yes"
    ).map((row) => row.ttft ?? NaN);
    assert.ok(ttfts.length > 50);
    return ttfts.reduce((sum, ttft) => sum + ttft, 0) / ttfts.length;
  };
  assert.ok(Math.abs((equal?.beforeSeconds ?? NaN) - mean(0)) < 1e-9);
  assert.ok(Math.abs((equal?.ratio ?? NaN) - mean(0) / mean(100)) < 1e-9);
});

Deno.test("findingsOf() says nothing of caching where hits are not proven", () => {
  const run = withRows(sampleCacheRateRun(), ({ hit_rate_verdict: _, ...row }) => row);
  const found = findings(run);
  assert.equal(found.verdict, "unchecked");
  assert.match(found.headline, /without proof of hits/);
  assert.doesNotMatch(found.headline, /works/);
});

Deno.test("findingsOf() does not call a confirmed rate 0 a confirmation of caching", () => {
  const run = withRows(
    sampleCacheRateRun(),
    (row) => row.cache_hit_rate === 0 ? row : { ...row, hit_rate_verdict: "unchecked" },
  );
  assert.equal(findings(run).verdict, "unchecked");
});

Deno.test("findingsOf() puts differing hit rates before any ratio", () => {
  const run = withRows(
    sampleCacheRateRun(),
    (row) =>
      row.cache_hit_rate === 75
        ? {
          ...row,
          hit_rate_verdict: "differs",
          observed_hit_rate: 12,
          hit_rate_cause: "eviction.",
        }
        : row,
  );
  const found = findings(run);
  assert.equal(found.verdict, "differs");
  assert.match(found.headline, /^Not the intended hit rates: /);
  assert.ok(
    found.evidence.some((line) =>
      /^8,000 tokens at 75 %: 12 % observed where 73.6 % was possible \(likely cause: eviction\)\.$/
        .test(line)
    ),
    found.evidence.join("\n"),
  );
});

Deno.test("findingsOf() takes a working set that outgrows the cache for the finding that it is", () => {
  const outgrown = (code: string) =>
    findings(withRows(sampleWorkingSetRun(), (row) => ({
      ...row,
      hit_rate_verdict: (row.working_set_size ?? 0) > 1e6 ? "differs" : "confirmed",
      hit_rate_cause: "too large.",
      hit_rate_cause_code: code,
    })));
  const found = outgrown("eviction");
  assert.equal(found.verdict, "confirmed");
  // The badge and the headline do not call a row confirmed that says `differs`.
  const said = /\d+ of \d+ cells outgrow the cache, the others are confirmed$/;
  assert.match(found.badge, said);
  assert.match(found.headline, said);
  assert.match(
    found.evidence.join("\n"),
    /cells outgrow the cache, from this one on: .*too large\)/,
  );
  assert.equal(outgrown("caching-off").verdict, "differs");
});

Deno.test("findingsOf() calls a flat server flat", () => {
  const run = withRows(sampleCacheRateRun({ contexts: [8000] }), (row) => ({
    ...row,
    input_tokens_per_sec: 50_000 + (row.cache_hit_rate ?? 0),
    client_limited: "",
  }));
  assert.match(findings(run).headline, /^The cache is used but brings no gain: 1.00× /);
});

Deno.test("findingsOf() cautions where the client may have been the limit, or periods overlap", () => {
  const base = sampleCacheRateRun({ contexts: [32000], rates: [0, 100] });
  const caution = (run: RunData) => findings(run).gains[0]?.caution;
  assert.equal(caution(base), undefined);
  const limited = (rate: number) =>
    withRows(base, (row) => row.cache_hit_rate === rate ? { ...row, client_limited: "yes" } : row);
  assert.match(caution(limited(100)) ?? "", /server may do more/);
  assert.match(caution(limited(0)) ?? "", /ratio may be too high/);
  const overlapping = {
    ...base,
    phases: base.phases.map((phase, i) => ({ ...phase, input_tokens_per_sec: 1000 + i % 7 })),
  };
  assert.match(caution(overlapping) ?? "", /spread of the periods/);
});

Deno.test("findingsOf() says how throughput falls with the working set, in tokens/s", () => {
  const found = findings(sampleWorkingSetRun({ rates: [100] }));
  assert.match(
    found.headline,
    /^Input throughput falls from \S+ to \S+ tokens\/s from the smallest to the largest set/,
  );
  assert.equal(found.verdict, "differs");
});

Deno.test("findingsOf() takes the mean of the cold over the mean of the cached TTFTs", () => {
  const run = sampleSinglePromptRun({ contexts: [4000] });
  const mean = (type: string) => {
    const ttfts = run.singlePrompt.filter((row) => row.prompt_type === type)
      .map((row) => row.ttft ?? NaN);
    return ttfts.reduce((sum, ttft) => sum + ttft, 0) / ttfts.length;
  };
  const expected = mean("unique") / mean("cached");
  assert.equal(
    findings(run).headline,
    `Caching works: ${formatRatio(expected)} faster first token for 4,000-token prompts`,
  );
});

Deno.test("findingsOf() claims no more of a Python folder than it records", () => {
  const found = findings(samplePythonSustainedRun("working-set"));
  assert.equal(found.verdict, "unchecked");
  assert.match(found.headline, /without proof of the hit rates/);
  assert.ok(found.warnings.some((line) => /records neither its failed requests/.test(line)));
});

Deno.test("findingsOf() says that nothing succeeded, and that nothing finished", () => {
  const run = sampleCacheRateRun({ contexts: [8000], rates: [0] });
  const failed = {
    ...run,
    summary: [{ context_size: 8000, cache_hit_rate: 0, peak_reason: "nothing was run" }],
  };
  assert.equal(findings(failed).headline, "No request succeeded");
  assert.match(findings({ ...run, summary: [] }).headline, /^No cell finished/);
});

Deno.test("findingsOf() lists failures and client limits first among the warnings", () => {
  const { warnings } = findings(sampleCacheRateRun());
  assert.match(warnings[0] ?? "", /^In 1 of 10 cells the measuring client/);
  assert.match(warnings[1] ?? "", /^33 of 3,420 requests failed \(http_status 33\)/);
});

Deno.test("findingsOf() assures only of what the rows record", () => {
  const run = sampleCacheRateRun({ withoutDetails: true });
  const known = findings(run).assurance;
  assert.doesNotMatch(known, /requests failed/);
  const unknown = withRows(run, ({ due_to_sent_p99_ms: _, ...row }) => row);
  assert.equal(findings(unknown).assurance, "No warnings.");
});

Deno.test("formatRatio() prints sensible digits", () => {
  assert.equal(formatRatio(1.234), "1.23×");
  assert.equal(formatRatio(12.34), "12.3×");
  assert.equal(formatRatio(123.4), "123×");
  assert.equal(formatRatio(undefined), "–");
});

Deno.test("findingsOf() says which cells stopped at --max-concurrency", () => {
  const run = sampleCacheRateRun();
  const at = (most: number) => ({ ...run, config: { parameters: { max_concurrency: most } } });
  assert.ok(!findings(at(1000)).limits.some(({ text }) => text.includes("max-concurrency")));
  const cells = run.summary.filter((row) => row.peak_concurrency === 64).length;
  assert.equal(cells, 2);
  assert.match(
    findings(at(64)).limits.at(-1)?.text ?? "",
    /^2 of 10 cells peaked at .*\(max-concurrency 64/,
  );
});

Deno.test("changeText() prints a ratio below one the other way round", () => {
  assert.deepEqual([changeText(6.9, "lower"), changeText(0.08, "slower"), changeText(1, "lower")], [
    "6.9×",
    "12.5× slower",
    "1.00×",
  ]);
  assert.equal(changeText(undefined, "lower"), "–");
});

Deno.test("findingsOf() does not hide a peak between the ends of a sweep", () => {
  const run = sampleCacheRateRun({ contexts: [8000], rates: [0, 50, 100] });
  const summary = run.summary.map((row) =>
    row.cache_hit_rate === 50 ? { ...row, input_tokens_per_sec: 1e6 } : row
  );
  assert.match(findings({ ...run, summary }).headline, /; highest at 50 %, [\d.]+×/);
  assert.doesNotMatch(findings(run).headline, /highest at/);
});
