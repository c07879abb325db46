import assert from "node:assert/strict";
import fc from "fast-check";
import { summarisePeriod } from "../metrics/summary.ts";
import type { FailureKind, PeriodOutcome, RequestRecord } from "../record.ts";
import { PLAIN_RECORDS, plainRecord, RecordStore } from "./record_store.ts";

function maybe<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

const AT_MS = fc.double({ min: 0, max: 1e7, noNaN: true, noDefaultInfinity: true });
const TOKENS = fc.nat({ max: 200_000 });

function without(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined));
}

const RECORD = fc.record({
  requestId: fc.string(),
  labels: fc.record({
    cellId: fc.constantFrom("8000_50", "8000_100"),
    periodId: fc.constantFrom("RAMP_c4", "RETRY_1"),
    purpose: fc.constant("measure"),
    contextSizeTokens: TOKENS,
    hitRatePercent: fc.nat({ max: 100 }),
    concurrency: fc.nat({ max: 1000 }),
    promptIndex: maybe(fc.nat()),
    recompute: maybe(fc.boolean()),
  }).map(without),
  plan: fc.record({ promptTokens: TOKENS, sharedTokens: TOKENS, achievableTokens: TOKENS }),
  api: fc.constantFrom("completions", "chat"),
  url: fc.webUrl(),
  maxOutputTokens: TOKENS,
  worker: fc.nat({ max: 8 }),
  dueAtMs: AT_MS,
  sentAtMs: AT_MS,
  headersAtMs: maybe(AT_MS),
  firstByteAtMs: maybe(AT_MS),
  contentReadsAtMs: fc.array(AT_MS, { maxLength: 9 }).map((reads) =>
    Float64Array.from(reads).sort()
  ),
  contentChunks: fc.nat(),
  endAtMs: AT_MS,
  status: maybe(fc.constantFrom(200, 500)),
  usage: maybe(
    fc.record({
      promptTokens: maybe(TOKENS),
      completionTokens: maybe(TOKENS),
      cachedTokens: maybe(TOKENS),
      cachedTokensByTier: maybe(fc.dictionary(fc.constantFrom("hbm", "dram"), TOKENS)),
    }).map(without),
  ),
  outputTokens: maybe(TOKENS),
  outputTokensSource: maybe(fc.constantFrom("usage", "chunks")),
  firstChunkTokens: maybe(fc.double({ min: 0, max: 9, noNaN: true })),
  finishReason: maybe(fc.constantFrom("stop", "length")),
  contentEncoding: maybe(fc.constant("gzip")),
  countBreaches: maybe(fc.constant([{ count: "cached", reported: 9e9 }])),
  ttftHeldMs: maybe(AT_MS),
  endHeldMs: maybe(AT_MS),
  stalled: maybe(fc.constant(true)),
  rampIn: fc.boolean(),
  failure: maybe(
    fc.record({ kind: fc.constantFrom<FailureKind>("timeout", "tls"), message: fc.string() }),
  ),
}).map((record) => without(record) as unknown as RequestRecord);

Deno.test("RecordStore gives back every record as it was, property by property", () => {
  fc.assert(
    fc.property(fc.array(RECORD, { maxLength: 30 }), fc.nat({ max: 5 }), (records, plain) => {
      const store = new RecordStore(plain);
      const kept = records.map((record) => store.keep(record));
      assert.deepEqual(kept.map((one) => normal(plainRecord(one))), records.map(normal));
      for (const [n, one] of kept.entries()) {
        for (const name of Object.keys(records[n]!) as (keyof RequestRecord)[]) {
          assert.deepEqual(
            normal({ value: one[name] }),
            normal({ value: records[n]![name] }),
            name,
          );
        }
      }
    }),
  );
});

/** Objects without a prototype, and -0, are not what this is about. */
function normal(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}

Deno.test("a long period comes to the same figures out of the store, and no record stays an object", () => {
  const records = Array.from({ length: 20_000 }, (_, n): RequestRecord => ({
    requestId: `RETRY_1_r${n}`,
    labels: {
      ...{ cellId: "8000_50", periodId: "RETRY_1", purpose: "measure", concurrency: 4 } as const,
      ...{ contextSizeTokens: 8000, hitRatePercent: 50, promptIndex: n % 7 },
    },
    plan: { promptTokens: 8000, sharedTokens: 4000, achievableTokens: 4000 },
    api: "completions",
    url: "http://h/v1/completions",
    maxOutputTokens: 4,
    worker: n % 2,
    dueAtMs: n,
    sentAtMs: n + 0.25,
    headersAtMs: n + 1,
    contentReadsAtMs: Float64Array.of(n + 2 + (n % 13), n + 20, n + 21.5),
    contentChunks: 3,
    endAtMs: n + 22,
    status: 200,
    usage: { promptTokens: 8000, completionTokens: 4, cachedTokens: n % 5 === 0 ? 0 : 4000 },
    outputTokens: 4,
    outputTokensSource: "usage",
    rampIn: n < 4,
    ...(n % 100 === 99 ? { failure: { kind: "timeout", message: "no answer" } } : {}),
  }));
  const store = new RecordStore();
  const kept = records.map((record) => store.keep(record));
  // Of what is kept, only the first records are objects with properties of their own.
  assert.equal(kept.filter((one) => Object.keys(one).length > 0).length, PLAIN_RECORDS);
  const outcome = (of: readonly RequestRecord[]): PeriodOutcome => ({
    ...{ cellId: "8000_50", periodId: "RETRY_1", concurrency: 4, startAtMs: 0, interrupted: false },
    ...{ stopAtMs: 20_000, drainedAtMs: 20_100, records: of, client: { retries: 0 } },
  });
  const options = { strictTimeWindow: false };
  const expected = summarisePeriod(outcome(records), options);
  assert.equal(expected.failed, 200);
  assert.deepEqual(summarisePeriod(outcome(kept), options), expected);
});
