import assert from "node:assert/strict";
import fc from "fast-check";
import { sampleCacheRateRun } from "../../tests/support/sample_run.ts";
import { graphsOf } from "./figures.ts";
import { failureKinds, MOST_DOTS, thinOut } from "./request_figures.ts";

Deno.test("thinOut() keeps the extremes, the order, and no more than it may", () => {
  fc.assert(fc.property(
    fc.array(fc.double({ min: 0.001, max: 100, noNaN: true }), { minLength: 1, maxLength: 400 }),
    fc.integer({ min: 3, max: 120 }),
    (ttfts, most) => {
      const rows = ttfts.map((ttft, index) => ({ ttft, launch_time: index }));
      const kept = thinOut(rows, most);
      assert.ok(kept.length <= Math.max(most, 0));
      assert.ok(kept.length >= Math.min(rows.length, Math.floor(most / 3)));
      const times = kept.map((row) => row.launch_time ?? NaN);
      assert.deepEqual(times, [...times].sort((a, b) => a - b));
      assert.equal(new Set(times).size, times.length, "no row twice");
      const values = kept.map((row) => row.ttft ?? NaN);
      assert.equal(Math.max(...values), Math.max(...ttfts));
      assert.equal(Math.min(...values), Math.min(...ttfts));
    },
  ));
});

Deno.test("requests over time: a large run is thinned out, and says so", () => {
  const run = sampleCacheRateRun({ contexts: [8000], requests: 500 });
  const graph = graphsOf(run).find((one) => one.name === "requests_over_time_8000");
  const traces = graph?.figure?.data ?? [];
  const points = traces.map((trace) => (trace["x"] as unknown[]).length);
  const failed = run.details.filter((row) => row.error_kind !== undefined).length;
  assert.ok(run.details.length > MOST_DOTS);
  assert.ok(points.slice(0, -1).reduce((sum, n) => sum + n, 0) <= MOST_DOTS);
  assert.equal(points.at(-1), failed, "every failure is drawn");
  assert.match(graph?.about ?? "", /of 15,000 requests are drawn/);
});

Deno.test("TTFT distribution: shares rise to 100 % at the slowest request of the peak", () => {
  const run = sampleCacheRateRun({ contexts: [8000] });
  const graph = graphsOf(run).find((one) => one.name === "ttft_cdf_8000");
  assert.equal(graph?.figure?.data.length, 5);
  for (const trace of graph?.figure?.data ?? []) {
    const [x, y] = [trace["x"] as number[], trace["y"] as number[]];
    assert.equal(y.at(-1), 100);
    assert.deepEqual(x, [...x].sort((a, b) => a - b));
  }
  const peak = run.phases.filter((row) => row.at_peak === "yes" && row.cache_hit_rate === 0);
  const slowest = Math.max(
    ...run.details.filter((row) =>
      row.cache_hit_rate === 0 && row.ramp_in !== "yes" &&
      peak.some((phase) => phase.phase_id === row.phase_id)
    ).map((row) => row.ttft ?? NaN),
  );
  const first = graph?.figure?.data[0]?.["x"] as number[];
  assert.ok(Math.abs((first.at(-1) ?? NaN) - slowest) < 1e-4);
});

Deno.test("failureKinds() lists kinds by how often they came", () => {
  const row = (kind: string) => ({ error_kind: kind });
  assert.equal(
    failureKinds([row("timeout"), row("http_status"), row("timeout")]),
    "timeout 2, http_status 1",
  );
  assert.equal(failureKinds([]), "");
});
