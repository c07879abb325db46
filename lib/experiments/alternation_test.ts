import assert from "node:assert/strict";
import type { PeriodOutcome, RequestRecord } from "../record.ts";
import { alternatedOf, alternation } from "./alternation.ts";

function record(cachedTokens: number | undefined, ttftMs: number, recompute = false) {
  const made: RequestRecord = {
    requestId: "r",
    labels: {
      cellId: "1000_50",
      periodId: "FIXED_c2_run0",
      purpose: "measure",
      contextSizeTokens: 1000,
      hitRatePercent: 50,
      concurrency: 2,
      ...(recompute ? { recompute } : {}),
    },
    plan: { promptTokens: 1000, sharedTokens: 512, achievableTokens: recompute ? 0 : 512 },
    api: "completions",
    url: "http://a/v1/completions",
    maxOutputTokens: 1,
    worker: 0,
    dueAtMs: 0,
    sentAtMs: 0,
    contentReadsAtMs: Float64Array.of(ttftMs),
    contentChunks: 1,
    endAtMs: ttftMs,
    rampIn: false,
    usage: {
      promptTokens: 1000,
      ...(cachedTokens === undefined ? {} : { cachedTokens }),
    },
  };
  return made;
}

function outcomeOf(records: readonly RequestRecord[], concurrency = 2): PeriodOutcome {
  return {
    cellId: "1000_50",
    periodId: "FIXED_c2_run0",
    concurrency,
    startAtMs: 0,
    stopAtMs: 100,
    drainedAtMs: 100,
    records,
    client: { retries: 0 },
    interrupted: false,
  };
}

Deno.test("alternation() gives every prompt of a cycle both turns, and equally often", () => {
  for (const prompts of [1, 2, 3, 4, 7, 8]) {
    const next = alternation(true, prompts);
    const told = Array.from({ length: prompts * 4 }, () => next().recompute === true);
    assert.equal(told.filter(Boolean).length, prompts * 2, `${prompts} prompts`);
    for (let prompt = 0; prompt < prompts; prompt++) {
      const own = told.filter((_, i) => i % prompts === prompt);
      assert.equal(own.filter(Boolean).length, 2, `prompt ${prompt} of ${prompts}`);
    }
  }
  const never = alternation(false, 4);
  assert.ok(Array.from({ length: 8 }, () => never()).every((turn) => turn.recompute === undefined));
});

Deno.test("alternatedOf() keeps loaded and recomputed requests apart", () => {
  const found = alternatedOf([
    outcomeOf([record(512, 10), record(0, 100, true)]),
    outcomeOf([record(512, 20), record(0, 120, true)]),
  ]);
  assert.deepEqual(found?.loaded, { achievablePercent: 51.2, reportedPercent: 51.2 });
  assert.deepEqual(found?.recomputed, { achievablePercent: 0, reportedPercent: 0 });
  assert.deepEqual(found?.ttft, { loadedMs: 15, recomputedMs: 110 });
  assert.deepEqual(found?.note, {
    text: "Loaded requests reused 51.2 %, recomputed ones 0 %.",
    isWarning: false,
  });
});

Deno.test("alternatedOf() says where telling the server changed nothing", () => {
  const found = alternatedOf([outcomeOf([record(512, 10), record(512, 11, true)])]);
  assert.equal(found?.note?.isWarning, true);
  assert.match(found?.note?.text ?? "", /changed nothing/);
});

Deno.test("alternatedOf() says nothing without counts, or where no request was told", () => {
  const silent = alternatedOf([outcomeOf([record(undefined, 10), record(undefined, 11, true)])]);
  assert.equal(silent?.note, undefined);
  assert.equal(silent?.loaded.reportedPercent, undefined);
  assert.equal(alternatedOf([outcomeOf([record(512, 10)])]), undefined);
});

Deno.test("alternatedOf() warns where the halves wait for each other, and only there", () => {
  const records = [record(512, 10), record(0, 100, true)];
  assert.equal(alternatedOf([outcomeOf(records, 1)])?.caution, undefined);
  assert.match(
    alternatedOf([outcomeOf(records, 1), outcomeOf(records, 4)])?.caution ?? "",
    /4 req/,
  );
});
