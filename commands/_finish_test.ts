import assert from "node:assert/strict";
import { KvmarkError } from "../lib/errors.ts";
import { DEFAULT_ERROR_HANDLING } from "../lib/experiments/error_handling.ts";
import { denoHost } from "../lib/host.ts";
import { finish, type FinishOptions, runSignals } from "./_finish.ts";

function optionsOf(table: string): FinishOptions {
  return {
    experiment: "cache-rate",
    dir: "out",
    json: false,
    brief: false,
    skipGraphs: true,
    requireVerified: false,
    errors: DEFAULT_ERROR_HANDLING,
    view: () => ({ table: () => table, brief: () => "", json: {} }),
  };
}

Deno.test("finish() of a shard that came too late fails, and says what to do", async () => {
  const written: string[] = [];
  const stdout = {
    isTerminal: false,
    columns: () => 80,
    write: (text: string) => void written.push(text),
  };
  const rows = [{ context_size: 1000, cache_hit_rate: 0, total_requests: 9 }];
  const result = { rows, warnings: [], interrupted: false, missed: ["1000_50", "1000_100"] };
  const error = await finish(
    { ...denoHost(import.meta.url), stdout },
    result,
    optionsOf("the table"),
  ).catch((thrown) => thrown);
  assert.match(written.join(""), /the table/, "what was measured is printed first");
  assert.ok(error instanceof KvmarkError);
  assert.equal(error.kind, "failed");
  assert.match(error.message, /came too late for 2 cells/);
  assert.deepEqual(error.problems, ["1000_50", "1000_100"]);
  assert.match(String(error.hint), /new --start-at/);
});

Deno.test("finish() of a run that failed adds the kinds of failures up", async () => {
  const stdout = { isTerminal: false, columns: () => 80, write: () => {} };
  const rows = ["timeout:2 http_status:1", "http_status:4", "tls", undefined].map((kinds) => ({
    total_requests: 0,
    failed_requests: 7,
    ...(kinds === undefined ? {} : { failure_kinds: kinds }),
  }));
  const result = { rows, warnings: [], interrupted: false };
  await assert.rejects(
    finish({ ...denoHost(import.meta.url), stdout }, result, optionsOf("")),
    { message: "No request succeeded (timeout:2 http_status:5 tls)", kind: "failed" },
  );
});

/** What a run has been told after signals at these instants: `drain`, `abort`, or nothing. */
function toldAfter(...signalsAtMs: number[]): string {
  let nowMs = 0;
  let interrupt = () => {};
  const { clock, stderr } = denoHost(import.meta.url);
  const signals = runSignals({
    clock: { ...clock, nowMs: () => nowMs },
    stderr: { ...stderr, write: () => {} },
    onInterrupt(handler) {
      interrupt = () => handler("SIGINT");
      return () => {};
    },
  });
  for (nowMs of signalsAtMs) interrupt();
  return signals.abort.aborted ? "abort" : signals.drain.aborted ? "drain" : "nothing";
}

Deno.test("runSignals() takes signals that come together for one press, and a second press for two", () => {
  assert.equal(toldAfter(), "nothing");
  assert.equal(toldAfter(0), "drain");
  // The terminal and `deno task` both send it.
  assert.equal(toldAfter(1000, 1004), "drain");
  assert.equal(toldAfter(1000, 1004, 1600), "abort");
  assert.equal(toldAfter(1000, 1400), "abort");
  // A stream of signals does not put the second press off for ever.
  assert.equal(toldAfter(1000, 1200, 1400), "abort");
});

Deno.test("finish() writes what a pipeline reads for a run that failed too, with the reason", async () => {
  const stdout = { isTerminal: false, columns: () => 80, write: () => {} };
  let stderr = "";
  const host = {
    ...denoHost(import.meta.url),
    stdout,
    stderr: { ...stdout, write: (text: string) => void (stderr += text) },
  };
  const differs = { hit_rate_verdict: "differs", total_requests: 9 };
  const cases = [
    { rows: [{ total_requests: 0, failed_requests: 7 }], kind: "failed" },
    { rows: [differs], kind: "unverified" },
    { rows: [{ total_requests: 9 }], kind: undefined },
  ];
  for (const { rows, kind } of cases) {
    const seen: (string | undefined)[] = [];
    const thrown = await finish(host, { rows, warnings: [], interrupted: false }, {
      ...optionsOf(""),
      requireVerified: true,
      reports(problem) {
        seen.push(problem?.kind);
        return Promise.reject(new KvmarkError("threshold", "a limit was crossed"));
      },
    }).catch((error) => error);
    assert.deepEqual(seen, [kind]);
    // The limits decide the exit code only where nothing else is wrong; they are told either way.
    assert.equal(thrown.kind, kind ?? "threshold");
  }
  assert.equal(stderr.match(/a limit was crossed/g)?.length, 2);
});
