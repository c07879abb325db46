import assert from "node:assert/strict";
import type { Failure, FailureKind } from "../record.ts";
import { Breaker, retryDelayMs, successProblem } from "./breaker.ts";

function failure(kind: FailureKind, more: Partial<Failure> = {}): Failure {
  return { kind, message: "why", ...more };
}

function status(code: number, more: Partial<Failure> = {}): Failure {
  return failure("http_status", { status: code, ...more });
}

const LIMITS = { maxConsecutiveErrors: 20, maxErrorPercent: 90, concurrency: 1 };

Deno.test("Breaker opens after so many failures in a row, and stays open", () => {
  const breaker = new Breaker({ ...LIMITS, maxConsecutiveErrors: 3 });
  for (let i = 0; i < 2; i++) breaker.record(failure("connect"));
  breaker.record(undefined);
  for (let i = 0; i < 2; i++) breaker.record(failure("connect"));
  assert.equal(breaker.isOpen, false);
  assert.equal(breaker.reason, undefined);
  breaker.record(failure("timeout"));
  assert.equal(breaker.isOpen, true);
  assert.equal(breaker.reason, "3 requests in a row failed (timeout: why)");
  breaker.record(undefined);
  assert.equal(breaker.isOpen, true);
});

Deno.test("Breaker waits until every slot may have failed twice", () => {
  const breaker = new Breaker({ ...LIMITS, maxConsecutiveErrors: 3, concurrency: 4 });
  for (let i = 0; i < 7; i++) breaker.record(status(503));
  assert.equal(breaker.isOpen, false);
  breaker.record(status(503));
  assert.equal(breaker.isOpen, true);
});

Deno.test("Breaker opens where most of the latest requests failed, though some succeed", () => {
  const breaker = new Breaker(LIMITS);
  // Every eleventh succeeds: 90 of the first 99 fail, never more than ten in a row.
  const outcome = (n: number) => n % 11 === 0 ? undefined : status(503);
  for (let n = 0; n < 99; n++) breaker.record(outcome(n));
  assert.equal(breaker.isOpen, false, "the window is not full");
  breaker.record(outcome(99));
  assert.equal(breaker.reason, "90 of the last 100 requests failed (http_status: why)");
});

Deno.test("Breaker looks at the latest requests only, four of each slot at least", () => {
  const breaker = new Breaker({ ...LIMITS, concurrency: 50 });
  const times = (count: number, one: () => Failure | undefined) => {
    for (let i = 0; i < count; i++) breaker.record(one());
  };
  times(1000, () => undefined);
  for (let i = 0; i < 19; i++) {
    breaker.record(undefined);
    times(9, () => status(503));
  }
  // 171 of the last 190, and ten successes from before.
  assert.equal(breaker.isOpen, false);
  breaker.record(undefined);
  times(9, () => status(503));
  assert.equal(breaker.isOpen, true);
  assert.match(breaker.reason ?? "", /^180 of the last 200 requests failed/);
});

Deno.test("Breaker leaves a server alone that fails less often than that", () => {
  const breaker = new Breaker(LIMITS);
  for (let n = 0; n < 10_000; n++) breaker.record(n % 9 === 0 ? undefined : status(503));
  assert.equal(breaker.isOpen, false);
});

Deno.test("Breaker does not count what the run itself gave up", () => {
  const breaker = new Breaker({ ...LIMITS, maxConsecutiveErrors: 2 });
  breaker.record(failure("connect"));
  for (let i = 0; i < 10; i++) breaker.record(failure("aborted"));
  assert.equal(breaker.isOpen, false);
  breaker.record(failure("connect"));
  assert.equal(breaker.isOpen, true);
});

Deno.test("retryDelayMs() asks again only after failures that may pass, as often as allowed", () => {
  const passing = [
    failure("connect"),
    failure("disconnect"),
    failure("timeout"),
    ...[408, 429, 500, 502, 503, 504].map((code) => status(code)),
  ];
  for (const one of passing) {
    const firstMs = one.kind === "disconnect" ? 0 : 250;
    assert.equal(retryDelayMs(one, 1, 1, false), firstMs, `${one.kind} ${one.status}`);
    assert.equal(retryDelayMs(one, 2, 2, false), 500, "a second failure in a row is waited for");
    assert.equal(retryDelayMs(one, 1, 0, false), undefined, "no retries unless asked for");
    assert.equal(retryDelayMs(one, 2, 1, false), undefined, "the last try was the last");
    assert.equal(retryDelayMs(one, 1, 1, true), undefined, "the answer had begun");
  }
  const final: (Failure | undefined)[] = [
    undefined,
    ...(["tls", "protocol", "server_error", "empty", "aborted"] as const).map((kind) =>
      failure(kind)
    ),
    ...[301, 400, 401, 403, 404, 413, 422, 501].map((code) => status(code)),
  ];
  for (const one of final) assert.equal(retryDelayMs(one, 1, 5, false), undefined);
});

Deno.test("retryDelayMs() doubles up to half a minute and obeys Retry-After", () => {
  const delays = [1, 2, 3, 7, 8, 100, 5000].map((attempt) =>
    retryDelayMs(failure("connect"), attempt, Infinity, false)
  );
  assert.deepEqual(delays, [250, 500, 1000, 16_000, 30_000, 30_000, 30_000]);
  assert.equal(retryDelayMs(status(429, { retryAfterMs: 90_000 }), 1, 1, false), 90_000);
  assert.equal(retryDelayMs(status(429, { retryAfterMs: 10 }), 1, 1, false), 250);
});

Deno.test("successProblem() finds nothing, and too little", () => {
  assert.equal(successProblem({ succeeded: 0, failed: 0 }, 0), "no request succeeded");
  assert.equal(successProblem({ succeeded: 0, failed: 9 }, 0), "no request succeeded");
  assert.equal(successProblem({ succeeded: 1, failed: 99 }, 0), undefined);
  assert.equal(successProblem({ succeeded: 95, failed: 5 }, 95), undefined);
  assert.equal(
    successProblem({ succeeded: 94, failed: 6 }, 95),
    "94 of 100 requests succeeded (94.0 %), less than --min-success 95",
  );
});

Deno.test("retryDelayMs() gives no delay that a timer cannot take", () => {
  for (const seconds of [99_999_999_999, 1e300, Infinity]) {
    const asked = status(429, { retryAfterMs: seconds * 1000 });
    assert.equal(retryDelayMs(asked, 1, 1, false), 2 ** 31 - 1);
  }
});
