import assert from "node:assert/strict";
import type { PeriodOutcome, RequestRecord } from "../record.ts";
import { clientMarks, clientShares, limitsThroughput, withoutStalled } from "./client_limit.ts";

function request(change: Partial<RequestRecord> & { readonly firstAtMs?: number }): RequestRecord {
  const { firstAtMs = 100, ...rest } = change;
  return {
    requestId: "r",
    labels: {
      cellId: "c",
      periodId: "p",
      purpose: "measure",
      contextSizeTokens: 10,
      hitRatePercent: 0,
      concurrency: 1,
    },
    plan: { promptTokens: 10, sharedTokens: 0, achievableTokens: 0 },
    api: "completions",
    url: "http://server/v1/completions",
    maxOutputTokens: 1,
    worker: 0,
    dueAtMs: 0,
    sentAtMs: 0,
    contentReadsAtMs: Float64Array.of(firstAtMs),
    contentChunks: 1,
    endAtMs: firstAtMs,
    rampIn: false,
    ...rest,
  };
}

function period(records: readonly RequestRecord[], stopAtMs = 1000): PeriodOutcome {
  return {
    cellId: "c",
    periodId: "p",
    concurrency: 1,
    startAtMs: 0,
    stopAtMs,
    drainedAtMs: stopAtMs,
    records,
    client: { retries: 0 },
    interrupted: false,
  };
}

function sharesOf(records: readonly RequestRecord[]) {
  return clientShares([period(records)], records);
}

Deno.test("clientShares() of a client that held nothing up are 0, of no request absent", () => {
  assert.deepEqual(sharesOf([request({}), request({})]), {
    ttftP50Percent: 0,
    ttftP95Percent: 0,
    ttftP99Percent: 0,
    throughputPercent: 0,
  });
  assert.deepEqual(sharesOf([]), { throughputPercent: 0 });
});

Deno.test("clientShares() tell the figures apart: one request in ten held up moves the tail alone", () => {
  const calm = Array.from({ length: 90 }, () => request({}));
  const held = Array.from({ length: 10 }, () => request({ firstAtMs: 300, ttftHeldMs: 200 }));
  const shares = sharesOf([...calm, ...held]);
  assert.equal(shares.ttftP50Percent, 0);
  assert.equal(Math.round(shares.ttftP95Percent ?? 0), 67);
  assert.equal(Math.round(shares.ttftP99Percent ?? 0), 67);
  assert.deepEqual(clientMarks(shares), ["TTFT p95 66.7 %", "TTFT p99 66.7 %"]);
  assert.equal(limitsThroughput(shares), false, "no slot stood empty");
});

Deno.test("clientShares() count a request that went out late: in the TTFT from due, and the slot", () => {
  const shares = sharesOf([request({ dueAtMs: 0, sentAtMs: 100, firstAtMs: 300 })]);
  assert.equal(shares.ttftP50Percent, 50);
  assert.equal(shares.throughputPercent, 10);
  assert(limitsThroughput(shares));
});

Deno.test("clientShares() count an end that was seen late, and only inside the window", () => {
  const at = (endAtMs: number) => sharesOf([request({ endAtMs, endHeldMs: 400 })]);
  assert.equal(at(900).throughputPercent, 40);
  assert.equal(at(1200).throughputPercent, 20, "from 800 to the end of the window");
  assert.equal(at(1500).throughputPercent, 0);
});

Deno.test("clientMarks() begin beyond 5 %, not at it", () => {
  assert.deepEqual(clientMarks({ ttftP95Percent: 5, throughputPercent: 5 }), []);
  assert.deepEqual(clientMarks({ throughputPercent: 5.1 }), ["throughput 5.1 %"]);
});

Deno.test("withoutStalled() leaves a minority out, and keeps a majority", () => {
  const calm = request({});
  const stalled = request({ stalled: true });
  assert.equal(withoutStalled([calm, calm, stalled]).leftOut, 1);
  assert.deepEqual(withoutStalled([calm, calm, stalled]).kept, [calm, calm]);
  assert.equal(withoutStalled([calm, stalled]).leftOut, 0);
  assert.deepEqual(withoutStalled([]), { kept: [], leftOut: 0 });
});
