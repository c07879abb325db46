/**
 * Every fault of the simulator, end to end: what the rows, the table and the exit code are.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import { type FaultName, FAULTS } from "../../lib/sim/faults.ts";
import { type Sweep, sweep } from "../support/sweep.ts";

/** What a run must show. */
interface Expectation {
  /** The run fails for want of a server that answers; nothing is measured. */
  readonly unreachable?: true;
  /** The kind of every failed row; without it no row may have failed. */
  readonly kind?: string;
  readonly share?: number;
  readonly api?: "chat" | "completions";
  readonly verdict?: "confirmed" | "differs" | "unchecked";
  readonly cause?: RegExp;
  readonly status?: string;
  readonly outputTokens?: string;
  readonly source?: string;
  readonly multiToken?: true;
  /** The server's own metrics are not read: nothing but the requests can prove a hit rate. */
  readonly withoutMetrics?: true;
}

const FAULTY_SHARE = 0.3;

/** Faults that fail a request: all of them together, and a share of them. */
const FAILING: Partial<Record<FaultName, Expectation>> = {
  "reset-before-headers": { kind: "disconnect" },
  "reset-mid-headers": { kind: "disconnect" },
  "http-429": { kind: "http_status", status: "429" },
  "http-500": { kind: "http_status", status: "500" },
  "json-error-200": { kind: "server_error" },
  "wrong-content-type": { kind: "protocol" },
  "reset-mid-stream": { kind: "disconnect", share: 0.02 },
  "stall": { kind: "timeout", share: 0.02 },
};

/** Faults that a correct client reads through. */
const HARMLESS: Partial<Record<FaultName, readonly Expectation[]>> = {
  "slow-drip": [{ verdict: "confirmed" }],
  "split-utf8": [{ verdict: "confirmed" }],
  "huge-line": [{ verdict: "confirmed" }],
  "crlf": [{ verdict: "confirmed" }],
  "sse-comments": [{ verdict: "confirmed" }],
  "role-only-deltas": [{ verdict: "confirmed", api: "chat" }],
  "multi-token-chunks": [{ verdict: "confirmed", multiToken: true }],
  "reasoning": [{ verdict: "confirmed", api: "chat" }],
  "tool-calls": [{ verdict: "confirmed", api: "chat" }],
  "usage-on-last-choice": [{ verdict: "confirmed" }],
  "no-usage": [
    { verdict: "confirmed", cause: /server's counters/, source: "chunks" },
    { verdict: "unchecked", source: "chunks", withoutMetrics: true },
  ],
  "null-usage": [{ verdict: "confirmed", cause: /server's counters/, source: "chunks" }],
  "lying-cache-counter": [{ verdict: "differs" }],
  "cache-off": [{ verdict: "differs", cause: /does not reuse/ }],
  "constant-latency": [{ verdict: "differs", cause: /does not reuse/ }],
};

Deno.test("faults: every fault of the simulator is tested here", () => {
  assert.deepEqual(
    [...Object.keys(FAILING), ...Object.keys(HARMLESS)].sort(),
    Object.keys(FAULTS).sort(),
  );
});

for (const [name, expected] of Object.entries(FAILING)) {
  Deno.test(`faults: ${name} in a share of the requests is a row and a count`, async () => {
    const run = await sweep({
      simulate: ["--fault", `${name}:${expected.share ?? FAULTY_SHARE}`],
      cacheRate: [
        ...["--timeout", "1", "--ramp-duration", "2.5", "--test-duration", "2.5"],
        // More fail than a cell may have that stands: what is written of them is tested here.
        ...["--min-success", "0"],
      ],
    });
    const met = run.truth.filter((entry) => entry.faults.length > 0).length;
    assert.ok(met > 0, "the fault met no request at all");
    if (run.code === EXIT_CODES.unreachable.code) {
      // The probe itself met the fault: said plainly, and nothing was measured.
      assert.match(run.stderr, /kvmark: .+\n\s+hint: /);
      assert.equal(run.details.length, 0);
      return;
    }
    assert.equal(run.code, 0, run.stderr);
    // A machine that stops the client for a while has the period measured again: its rows are kept,
    // and counted nowhere.
    const unusable = new Set(
      run.phases.filter((row) => row["unusable"] !== "").map((row) => row["phase_id"]),
    );
    const measured = run.details.filter((row) =>
      row["purpose"] !== "warmup" && !unusable.has(row["phase_id"])
    );
    const failed = measured.filter((row) => row["error_kind"] !== "");
    const good = run.details.filter((row) => row["error_kind"] === "");
    assert.ok(failed.length > 0 && good.length > 0, `${failed.length} failed, ${good.length} not`);
    assert.deepEqual([...new Set(failed.map((row) => row["error_kind"]))], [expected.kind]);
    if (expected.status) assert.ok(failed.every((row) => row["http_status"] === expected.status));
    const [row] = run.summary;
    assert.equal(row?.["failed_requests"], String(failed.length));
    assert.equal(row?.["failure_kinds"], `${expected.kind}:${failed.length}`);
    assertEachRequestOnce(run);
  });
}

for (const [name, expectations] of Object.entries(HARMLESS)) {
  for (const expected of expectations) {
    Deno.test(`faults: ${name} is read through: ${expected.verdict}`, async () => {
      const metrics = expected.withoutMetrics === true ? ["--metrics-interval", "0"] : [];
      const run = await sweep({
        simulate: ["--fault", name],
        cacheRate: ["--api", expected.api ?? "completions", "--timeout", "10", ...metrics],
      });
      assert.equal(run.code, 0, run.stderr);
      assert.ok(run.details.length >= 2, `only ${run.details.length} requests`);
      const [row] = run.summary;
      assert.equal(row?.["failed_requests"], "0");
      assert.equal(row?.["hit_rate_verdict"], expected.verdict, row?.["hit_rate_cause"]);
      if (expected.cause) assert.match(row?.["hit_rate_cause"] ?? "", expected.cause);
      assert.equal(row?.["output_tokens_source"], expected.source ?? "usage");
      assert.equal(Number(row?.["multi_token_chunks"]) > 0, expected.multiToken === true);
      assert.ok(run.details.every((detail) => detail["output_tokens"] === "8"));
      assertEachRequestOnce(run);
    });
  }
}

/** The server saw every request of the table once: none was repeated behind its back. */
function assertEachRequestOnce(run: Sweep): void {
  const seen = new Map<string, number>();
  for (const { requestId } of run.truth) seen.set(requestId, (seen.get(requestId) ?? 0) + 1);
  for (const row of run.details) {
    assert.equal(seen.get(row["request_id"] ?? ""), 1, `request ${row["request_id"]}`);
  }
}

Deno.test("a server that refuses most requests ends a period early, though some succeed", async () => {
  const { stderr, details, summary } = await sweep({
    simulate: ["--fault", "http-500:0.85"],
    cacheRate: [
      ...["--fixed-concurrency-levels", "16"],
      ...["--max-consecutive-errors", "1000000", "--max-error-percent", "80"],
      ...["--ramp-duration", "60", "--test-duration", "60", "--timeout", "5"],
    ],
  });
  assert.match(stderr, /ended early: \d+ of the last 100 requests failed \(http_status: /);
  const warmUps = /The warm-up of (\d+) prompts failed, and the first use/.exec(stderr)?.[1];
  // Every failed request is a row, those of the warm-up too.
  const unwarmed = details.filter((row) => row["purpose"] === "warmup");
  const measured = details.filter((row) => row["purpose"] !== "warmup");
  assert.equal(unwarmed.length, Number(warmUps));
  assert.ok(unwarmed.every((row) => row["error_kind"] === "http_status"));
  const failed = measured.filter((row) => row["error_kind"] === "http_status");
  assert.ok(failed.length >= 80 && measured.length >= 100, `${failed.length} failed`);
  assert.equal(Number(summary[0]?.["failed_requests"]), failed.length, "no figure counts them");
});
