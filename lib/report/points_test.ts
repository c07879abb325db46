import assert from "node:assert/strict";
import { sampleCacheRateRun } from "../../tests/support/sample_run.ts";
import {
  arrangeRows,
  measuredRequests,
  numberParameter,
  percentileOf,
  type Period,
  periodsAtPeak,
  periodThroughput,
} from "./points.ts";

const KEY = { contextSizeTokens: 1000, hitRatePercent: 0 };

Deno.test("percentileOf() interpolates linearly, as NumPy does", () => {
  assert.equal(percentileOf([1, 2, 3, 4], 50), 2.5);
  assert.equal(percentileOf([10, 20, 30, 40, 50], 95), 48);
  assert.equal(percentileOf([7], 99), 7);
  assert.equal(percentileOf([], 50), undefined);
});

Deno.test("arrangeRows() sorts cells, and takes the later of two rows for one cell", () => {
  const run = sampleCacheRateRun({ contexts: [8000], rates: [0, 50] });
  const again = { ...run.summary[0], input_tokens_per_sec: 1 };
  const { points } = arrangeRows({ ...run, summary: [...run.summary].reverse().concat(again) });
  assert.deepEqual(points.map((point) => point.hitRatePercent), [0, 50]);
  assert.equal(points[0]?.row.input_tokens_per_sec, 1);
});

Deno.test("arrangeRows() never mixes the periods of two contexts", () => {
  const run = sampleCacheRateRun();
  const rows = arrangeRows(run);
  const { points, periods: all } = rows;
  assert.deepEqual([points.length, all.length], [10, run.phases.length]);
  for (const point of points) {
    const periods = rows.periodsOf(point);
    assert.ok(periods.length >= 5);
    for (const period of periods) {
      assert.equal(period.requests.length, 60);
      for (const request of period.requests) {
        assert.equal(request.context_size, point.contextSizeTokens);
        assert.equal(request.cache_hit_rate, point.hitRatePercent);
      }
    }
  }
});

Deno.test("periodsAtPeak() takes the marked periods, or those at the peak concurrency", () => {
  const rows = arrangeRows(sampleCacheRateRun({ contexts: [8000], rates: [0] }));
  const point = rows.points[0];
  assert.ok(point !== undefined);
  const ids = (periods: readonly Period[]) => periods.map((period) => period.periodId);
  const marked = ids(periodsAtPeak(point.row, rows.periodsOf(point)));
  assert.deepEqual(marked.slice(1), ["RETRY_1", "RETRY_2"]);
  const unmarked = rows.periodsOf(point).map(({ phase: _, ...period }) => period);
  assert.deepEqual(ids(periodsAtPeak(point.row, unmarked)), marked);
});

Deno.test("periodThroughput() of a period without a row is tokens over launch to finish", () => {
  const request = (launched: number, finished: number) => ({
    ttft: 0.1,
    launch_time: launched,
    finish_time: finished,
    cached_tokens: 400,
    unique_tokens: 600,
    output_tokens: 10,
  });
  const failed = { ...request(0, 99), error_kind: "timeout" };
  const period = { key: KEY, periodId: "a", requests: [request(10, 12), request(11, 14), failed] };
  assert.deepEqual(periodThroughput(period), { input: 500, output: 5 });
  assert.deepEqual(periodThroughput({ ...period, requests: [] }), {});
});

Deno.test("measuredRequests() leaves out ramp-in only where enough others remain", () => {
  const row = (ramp_in: string) => ({ ttft: 1, ramp_in });
  const period = (steady: number): Period => ({
    key: KEY,
    periodId: "a",
    concurrency: 2,
    requests: [row("yes"), row("yes"), ...Array.from({ length: steady }, () => row(""))],
  });
  assert.equal(measuredRequests(period(4)).length, 4);
  assert.equal(measuredRequests(period(3)).length, 5);
});

Deno.test("numberParameter() reads both spellings, and only numbers", () => {
  assert.equal(numberParameter({ parameters: { "max-ttft": 2 } }, "max-ttft"), 2);
  assert.equal(numberParameter({ parameters: { max_ttft: "1.5" } }, "max-ttft"), 1.5);
  assert.equal(numberParameter({ parameters: { max_ttft: null } }, "max-ttft"), undefined);
  assert.equal(numberParameter({ parameters: { max_ttft: "" } }, "max-ttft"), undefined);
  assert.equal(numberParameter({}, "max-ttft"), undefined);
});
