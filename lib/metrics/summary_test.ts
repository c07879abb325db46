import assert from "node:assert/strict";
import fc from "fast-check";
import type { PeriodOutcome, RequestRecord } from "../record.ts";
import {
  decodeRateOf,
  measuredTtftMs,
  type PeriodSummary,
  summariseCell,
  summarisePeriod,
} from "./summary.ts";

const LOOSE = { strictTimeWindow: false };
const STRICT = { strictTimeWindow: true };

type Change = Partial<Omit<RequestRecord, "contentReadsAtMs">> & { reads?: number[] };

/** A request of 100 prompt tokens (40 cached): sent at 0, read at 100, 110, 120; 3 tokens. */
function request(change: Change = {}): RequestRecord {
  const { reads = [100, 110, 120], ...rest } = change;
  return {
    requestId: "r",
    labels: {
      cellId: "100_50",
      periodId: "RAMP_c2",
      purpose: "measure",
      contextSizeTokens: 100,
      hitRatePercent: 50,
      concurrency: 2,
    },
    plan: { promptTokens: 100, sharedTokens: 50, achievableTokens: 48 },
    api: "completions",
    url: "http://localhost/v1/completions",
    maxOutputTokens: 3,
    worker: 0,
    dueAtMs: rest.sentAtMs ?? 0,
    sentAtMs: 0,
    contentReadsAtMs: Float64Array.from(reads),
    contentChunks: reads.length,
    endAtMs: reads.at(-1) ?? 0,
    status: 200,
    usage: { promptTokens: 100, completionTokens: 3, cachedTokens: 40 },
    outputTokens: 3,
    outputTokensSource: "usage",
    firstChunkTokens: 1,
    rampIn: false,
    ...rest,
  };
}

function period(records: RequestRecord[], change: Partial<PeriodOutcome> = {}): PeriodOutcome {
  return {
    cellId: "100_50",
    periodId: "RAMP_c2",
    concurrency: 2,
    startAtMs: 0,
    stopAtMs: 1000,
    drainedAtMs: 1200,
    records,
    client: { retries: 0 },
    interrupted: false,
    ...change,
  };
}

const FAILED = request({
  reads: [5, 6],
  failure: { kind: "disconnect", message: "cut" },
  endAtMs: 7,
});

function without(summary: PeriodSummary) {
  const { launched: _l, failed: _f, failureKinds: _k, dueToSent: _d, ...rest } = summary;
  return rest;
}

Deno.test("summarisePeriod() prorates a request that reaches over the end of the window", () => {
  // Prompt: sent at 900, first content at 1100: half inside. Output: all of it outside.
  const late = request({ sentAtMs: 900, reads: [1100, 1200], endAtMs: 1200 });
  const summary = summarisePeriod(period([late]), LOOSE);
  assert.equal(summary.inputTokensPerSec, 50);
  assert.equal(summary.reusedTokensPerSec, 20);
  assert.equal(summary.computedTokensPerSec, 30);
  assert.equal(summary.outputTokensPerSec, 0);
  assert.equal(summary.drainMs, 200);
});

Deno.test("summarisePeriod() puts the tokens of the first read at the first content", () => {
  // 11 tokens: 3 at 500 ms, and 4 with each later read, of which one is inside the window.
  const usage = { promptTokens: 100, completionTokens: 11, cachedTokens: 0 };
  const answer = request({
    reads: [500, 900, 1500],
    endAtMs: 1500,
    outputTokens: 11,
    firstChunkTokens: 3,
    usage,
  });
  assert.equal(summarisePeriod(period([answer]), LOOSE).outputTokensPerSec, 7);
});

Deno.test("summarisePeriod() derives TPOT and decode rate from the tokens after the first read", () => {
  const answer = request({ reads: [100, 150, 200], outputTokens: 9, firstChunkTokens: 4 });
  const { tpot, itl, decodeRate } = summarisePeriod(period([answer]), LOOSE);
  assert.equal(tpot.meanMs, 100 / 5);
  assert.equal(decodeRate.meanPerSec, 50);
  assert.deepEqual([itl.count, itl.meanMs, itl.maxMs], [2, 50, 50]);
});

Deno.test("summarisePeriod() leaves TPOT and decode rate out for answers of one token", () => {
  const one = request({ reads: [100], outputTokens: 1 });
  const { tpot, itl, decodeRate, ttft } = summarisePeriod(period([one]), LOOSE);
  assert.deepEqual([tpot, itl, decodeRate], [{ count: 0 }, { count: 0 }, { count: 0 }]);
  assert.equal(ttft.count, 1);
});

Deno.test("summarisePeriod() leaves out what a request has no count for, and never says 0", () => {
  const { usage: _usage, outputTokens: _tokens, ...bare } = request();
  const summary = summarisePeriod(period([request(), bare]), LOOSE);
  assert.equal(summary.inputTokensPerSec, 200);
  for (
    const absent of [
      "reusedTokensPerSec",
      "computedTokensPerSec",
      "outputTokensPerSec",
      "observedHitRatePercent",
    ]
  ) assert.ok(!(absent in summary), absent);
  assert.equal(summary.achievableHitRatePercent, 48);
});

Deno.test("summarisePeriod() of failures only has counts and no figure", () => {
  const summary = summarisePeriod(period([FAILED, FAILED]), LOOSE);
  assert.deepEqual([summary.launched, summary.succeeded, summary.failed], [2, 0, 2]);
  assert.deepEqual(summary.failureKinds, { disconnect: 2 });
  for (const key of Object.keys(summary)) {
    assert.ok(!/PerSec|HitRate/.test(key), `${key} has a value`);
  }
  assert.deepEqual(summary.ttft, { count: 0 });
  assert.equal(measuredTtftMs(summary, "p95"), undefined);
  assert.equal(decodeRateOf(summary, "avg"), undefined);
});

Deno.test("summarisePeriod() leaves the first request of a slot out only if enough others remain", () => {
  const first = request({ rampIn: true, reads: [900, 910, 920] });
  const others = (count: number) => Array.from({ length: count }, () => request());
  const four = summarisePeriod(period([first, first, ...others(4)]), LOOSE);
  assert.deepEqual([four.ttft.maxMs, four.latencyRequests, four.rampInLeftOut], [100, 4, 2]);
  const three = summarisePeriod(period([first, first, ...others(3)]), LOOSE);
  assert.deepEqual([three.ttft.maxMs, three.latencyRequests, three.rampInLeftOut], [900, 5, 0]);
  // As many as there are slots, where there are more than four.
  const wide = summarisePeriod(period([first, ...others(4)], { concurrency: 5 }), LOOSE);
  assert.equal(wide.rampInLeftOut, 0);
  // They count for the rates in any case.
  assert.equal(four.inputTokensPerSec, 600);
});

Deno.test("summarisePeriod() by the strict window counts whole requests that ended inside", () => {
  const late = request({ sentAtMs: 900, reads: [1100, 1200], endAtMs: 1200 });
  const both = period([request(), late]);
  const strict = summarisePeriod(both, STRICT);
  assert.deepEqual(
    [strict.inputTokensPerSec, strict.outputTokensPerSec, strict.ttft.count],
    [100, 3, 1],
  );
  const loose = summarisePeriod(both, LOOSE);
  assert.ok(Math.abs((loose.inputTokensPerSec ?? NaN) - 150) < 0.1);
  assert.ok(Math.abs((loose.unansweredInputPercent ?? NaN) - 100 / 3) < 0.1);
  assert.equal(strict.unansweredInputPercent, undefined);
  assert.deepEqual(loose.strict, strict.strict);
  assert.equal(loose.strict.inputTokensPerSec, 100);
  assert.equal(loose.strict.requests, 1);
  assert.deepEqual([loose.succeeded, strict.succeeded], [2, 2]);
});

Deno.test("summarisePeriod() takes latencies over requests that were sent in the window", () => {
  const tooLate = request({ dueAtMs: 999, sentAtMs: 1001, reads: [9000], endAtMs: 9000 });
  const summary = summarisePeriod(period([request(), tooLate]), LOOSE);
  assert.deepEqual([summary.ttft.count, summary.ttft.maxMs], [1, 100]);
});

Deno.test("summarisePeriod() weighs hit rates by the server's prompt tokens", () => {
  const long = request({
    plan: { promptTokens: 290, sharedTokens: 200, achievableTokens: 192 },
    usage: { promptTokens: 300, completionTokens: 3, cachedTokens: 160 },
  });
  const summary = summarisePeriod(period([request(), long]), LOOSE);
  assert.equal(summary.observedHitRatePercent, 200 / 400 * 100);
  assert.equal(summary.achievableHitRatePercent, 240 / 400 * 100);
});

Deno.test("summarisePeriod() keeps a hit rate of 0 % that the server reported", () => {
  const cold = request({ usage: { promptTokens: 100, completionTokens: 3, cachedTokens: 0 } });
  const summary = summarisePeriod(period([cold]), LOOSE);
  assert.equal(summary.observedHitRatePercent, 0);
  assert.equal(summary.reusedTokensPerSec, 0);
});

Deno.test("summarisePeriod() counts requests whose chunks carried several tokens", () => {
  const wide = request({ outputTokens: 9 });
  // An end token without text is not a second token in a chunk.
  const ended = request({ outputTokens: 4 });
  const counted = request({ outputTokens: 9, outputTokensSource: "chunks" });
  const summary = summarisePeriod(period([wide, ended, counted]), LOOSE);
  assert.equal(summary.multiTokenChunks, 1);
  assert.equal(summary.outputTokensSource, "chunks+usage");
});

Deno.test("summarisePeriod() marks a period whose slots stood idle before the client sent", () => {
  // Two slots of a second each; 120 ms of them idle is 6 %.
  const late = request({ dueAtMs: 0, sentAtMs: 120, reads: [5000], endAtMs: 5000 });
  const summary = summarisePeriod(period([late, ...Array(200).fill(request())]), LOOSE);
  assert.equal(summary.clientLimited, true);
  assert.deepEqual(summary.clientMarks, ["throughput 6 %"]);
});

Deno.test("summarisePeriod() leaves requests that met a long stall out of latencies only", () => {
  const stalled = request({ sentAtMs: 0, reads: [900, 910], endAtMs: 910, stalled: true });
  const [with_, without_] = [
    period([...Array(5).fill(request()), stalled]),
    period(Array(5).fill(request())),
  ].map((outcome) => summarisePeriod(outcome, LOOSE));
  assert.deepEqual([with_!.stalledLeftOut, with_!.latencyRequests], [1, 5]);
  for (const latency of ["ttft", "ttlt", "itl", "tpot", "ttftFromDue"] as const) {
    assert.deepEqual(with_![latency], without_![latency], latency);
  }
  assert.equal(with_!.succeeded, 6);
  assert((with_!.inputTokensPerSec ?? 0) > (without_!.inputTokensPerSec ?? 0));
});

Deno.test("summarisePeriod() keeps stalled requests where the client was held up all along", () => {
  const stalled = request({ stalled: true, ttftHeldMs: 90 });
  const summary = summarisePeriod(period([stalled, stalled, request()]), LOOSE);
  assert.deepEqual([summary.stalledLeftOut, summary.latencyRequests], [0, 3]);
  assert.match(summary.clientMarks.join(), /TTFT p50 90 %/);
});

Deno.test("summariseCell() pools requests and divides sums by sums", () => {
  const slow = request({ reads: [500, 510, 520], endAtMs: 520 });
  const a = period([request(), request()]);
  const b = period([slow], {
    periodId: "RETRY_1",
    startAtMs: 0,
    stopAtMs: 3000,
    drainedAtMs: 3000,
    client: { retries: 1, cpuCores: 0.5, eventLoopLagP99Ms: 3 },
  });
  const cell = summariseCell([a, b], LOOSE);
  assert.equal(cell.inputTokensPerSec, 300 / 4);
  assert.deepEqual([cell.minInputTokensPerSec, cell.maxInputTokensPerSec], [100 / 3, 200]);
  close(cell.ttft.p95Ms, 460, "p95"); // of 100, 100, 500: 100 + 0.9 * 400
  assert.deepEqual([cell.periods, cell.windowMs, cell.drainMs], [2, 4000, 200]);
  assert.equal(cell.client.eventLoopLagP99Ms, 3);
  assert.ok(!("cpuCores" in cell.client), "the CPU time of one period is not known");
  assert.equal(cell.client.retries, 1);
});

Deno.test("summariseCell() judges the pooled figure, not its worst period", () => {
  const idle = (ms: number) => period([request({ dueAtMs: 0, sentAtMs: ms, reads: [ms + 100] })]);
  const cell = summariseCell([idle(0), idle(180)], LOOSE);
  assert.equal(cell.clientShares.throughputPercent, 4.5);
  assert.ok(!cell.clientLimited);
  assert.ok(summariseCell([idle(90), idle(180)], LOOSE).clientLimited);
});

Deno.test("a saturated CPU or retries alone mark nothing: they move no figure", () => {
  const busy = period([request()], { client: { retries: 9, cpuCores: 64, eventLoopLagP99Ms: 50 } });
  assert.deepEqual(summarisePeriod(busy, LOOSE).clientMarks, []);
});

Deno.test("summariseCell() refuses no period and different concurrencies", () => {
  assert.throws(() => summariseCell([], LOOSE), RangeError);
  const other = period([request()], { concurrency: 3 });
  assert.throws(() => summariseCell([period([request()]), other], LOOSE), RangeError);
});

/** Requests at random in and around a window of 0 to 1000 ms. */
const anyRequest = fc.record({
  sentAtMs: fc.integer({ min: 0, max: 1000 }),
  waitMs: fc.integer({ min: 0, max: 500 }),
  gapsMs: fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 5 }),
  tokens: fc.integer({ min: 1, max: 50 }),
  firstChunkTokens: fc.integer({ min: 1, max: 3 }),
  prompt: fc.integer({ min: 1, max: 1000 }),
  cachedShare: fc.double({ min: 0, max: 1, noNaN: true }),
  rampIn: fc.boolean(),
}).map((one) => {
  const reads = [one.sentAtMs + one.waitMs];
  for (const gap of one.gapsMs) reads.push((reads.at(-1) ?? 0) + gap);
  return request({
    sentAtMs: one.sentAtMs,
    reads,
    endAtMs: reads.at(-1) ?? 0,
    outputTokens: one.tokens,
    firstChunkTokens: one.firstChunkTokens,
    usage: {
      promptTokens: one.prompt,
      completionTokens: one.tokens,
      cachedTokens: Math.floor(one.prompt * one.cachedShare),
    },
    rampIn: one.rampIn,
  });
});

function close(actual: number | undefined, expected: number, what: string) {
  assert.ok(
    actual !== undefined && Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)),
    `${what}: ${actual} instead of ${expected}`,
  );
}

Deno.test("summarisePeriod() never lets a failed request change a figure", () => {
  fc.assert(fc.property(
    fc.array(anyRequest, { minLength: 1, maxLength: 12 }),
    fc.array(anyRequest.map((one) => ({ ...one, failure: FAILED.failure as never })), {
      maxLength: 5,
    }),
    fc.boolean(),
    (good, bad, strictTimeWindow) => {
      const clean = summarisePeriod(period(good), { strictTimeWindow });
      const mixed = summarisePeriod(period([...bad, ...good]), { strictTimeWindow });
      assert.deepEqual(without(mixed), without(clean));
      assert.equal(mixed.failed, bad.length);
    },
  ));
});

Deno.test("summarisePeriod() over adjacent windows adds up to the tokens of all requests", () => {
  fc.assert(fc.property(
    fc.array(anyRequest, { minLength: 1, maxLength: 12 }),
    fc.uniqueArray(fc.integer({ min: 1, max: 2999 }), { maxLength: 6 }),
    (records, cuts) => {
      const edges = [0, ...cuts.sort((a, b) => a - b), 3000];
      const tokens = { input: 0, computed: 0, reused: 0, output: 0 };
      for (const [i, startAtMs] of edges.slice(0, -1).entries()) {
        const stopAtMs = edges[i + 1] ?? NaN;
        const one = summarisePeriod(period(records, { startAtMs, stopAtMs }), LOOSE);
        const seconds = (stopAtMs - startAtMs) / 1000;
        close(
          (one.computedTokensPerSec ?? NaN) + (one.reusedTokensPerSec ?? NaN),
          one.inputTokensPerSec ?? NaN,
          "computed + reused",
        );
        tokens.input += (one.inputTokensPerSec ?? NaN) * seconds;
        tokens.computed += (one.computedTokensPerSec ?? NaN) * seconds;
        tokens.reused += (one.reusedTokensPerSec ?? NaN) * seconds;
        tokens.output += (one.outputTokensPerSec ?? NaN) * seconds;
      }
      const of = (pick: (record: RequestRecord) => number) =>
        records.reduce((sum, record) => sum + pick(record), 0);
      close(tokens.input, of((record) => record.usage?.promptTokens ?? NaN), "input");
      close(tokens.reused, of((record) => record.usage?.cachedTokens ?? NaN), "reused");
      close(tokens.output, of((record) => record.outputTokens ?? NaN), "output");
    },
  ));
});

/** A second way to the figures, with plain loops; of the input its bounds. */
function naive(outcome: PeriodOutcome) {
  let [answered, sent, output] = [0, 0, 0];
  for (const record of outcome.records) {
    if (record.failure !== undefined) continue;
    const [first = NaN, ...later] = record.contentReadsAtMs;
    const tokens = record.usage?.promptTokens ?? NaN;
    if (record.sentAtMs < outcome.stopAtMs) sent += tokens;
    if (first < outcome.stopAtMs) answered += tokens;
    const n = record.outputTokens ?? NaN;
    const atFirst = later.length === 0 ? n : Math.min(n, record.firstChunkTokens ?? NaN);
    if (first < outcome.stopAtMs) output += atFirst;
    for (const read of later) {
      if (read < outcome.stopAtMs) output += (n - atFirst) / later.length;
    }
  }
  const ok = outcome.records.filter((record) => record.failure === undefined);
  const rest = ok.filter((record) => !record.rampIn);
  const used = rest.length >= 4 ? rest : ok;
  const ttfts = used.map((record) => (record.contentReadsAtMs[0] ?? NaN) - record.sentAtMs)
    .sort((a, b) => a - b);
  const position = 0.95 * (ttfts.length - 1);
  const [low = NaN, high = NaN] = [ttfts[Math.floor(position)], ttfts[Math.ceil(position)]];
  const gaps: number[] = [];
  for (const record of used) {
    const reads = [...record.contentReadsAtMs];
    for (let i = 1; i < reads.length; i++) gaps.push((reads[i] ?? NaN) - (reads[i - 1] ?? NaN));
  }
  return {
    answered,
    sent,
    output,
    meanTtft: ttfts.reduce((a, b) => a + b, 0) / ttfts.length,
    p95Ttft: low * (1 - position % 1) + high * (position % 1),
    gaps,
  };
}

Deno.test("summarisePeriod() agrees with a plain second way to the same figures", () => {
  fc.assert(fc.property(
    fc.array(anyRequest, { minLength: 1, maxLength: 15 }),
    fc.array(fc.constant(FAILED), { maxLength: 2 }),
    (good, bad) => {
      const outcome = period([...good, ...bad]);
      const summary = summarisePeriod(outcome, LOOSE);
      const expected = naive(outcome);
      const input = summary.inputTokensPerSec ?? NaN;
      assert.ok(input >= expected.answered - 1e-6 && input <= expected.sent + 1e-6);
      close(summary.outputTokensPerSec, expected.output, "output");
      close(summary.ttft.meanMs, expected.meanTtft, "mean TTFT");
      close(summary.ttft.p95Ms, expected.p95Ttft, "p95 TTFT");
      assert.equal(summary.itl.count, expected.gaps.length);
      if (expected.gaps.length > 0) close(summary.itl.maxMs, Math.max(...expected.gaps), "max ITL");
    },
  ));
});
