import assert from "node:assert/strict";
import type { Failure, FailureKind } from "../record.ts";
import { Breaker, retryDelayMs, successProblem } from "./breaker.ts";

function failure(kind: FailureKind, more: Partial<Failure> = {}): Failure {
  return { kind, message: "why", ...more };
}

function status(code: number, more: Partial<Failure> = {}): Failure {
  return failure("http_status", { status: code, ...more });
}

Deno.test("Breaker opens after so many failures in a row, and stays open", () => {
  const breaker = new Breaker({ maxConsecutiveErrors: 3, concurrency: 1 });
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
  const breaker = new Breaker({ maxConsecutiveErrors: 3, concurrency: 4 });
  for (let i = 0; i < 7; i++) breaker.record(status(503));
  assert.equal(breaker.isOpen, false);
  breaker.record(status(503));
  assert.equal(breaker.isOpen, true);
});

Deno.test("Breaker does not count what the run itself gave up", () => {
  const breaker = new Breaker({ maxConsecutiveErrors: 2, concurrency: 1 });
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
    assert.equal(retryDelayMs(one, 1, 1, false), 250, `${one.kind} ${one.status}`);
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
