/**
 * A server that is killed in the middle of a cell, and started again on the same port.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import { kvmark, withTempDir } from "../support/command.ts";
import { rowsOf } from "../support/exact_run.ts";
import { startSimulateCommand } from "../support/simulator.ts";
import { untilFile } from "../support/until.ts";

const RUN = [
  ...["cache-rate", "--context-sizes", "1000", "--cache-hit-rates", "50", "100"],
  ...["--mode", "fixed", "--fixed-concurrency-levels", "3", "--num-retries", "0"],
  ...["--working-set-size", "8000", "--ramp-duration", "2.5", "--test-duration", "2.5"],
  ...["--output-tokens", "2", "--skip-graphs", "--workers", "1"],
];
const SIMULATE = ["--prefill-tps", "100000"];
const AWAY_MS = 1500;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs, kills the server in the first period, and starts it again if it is to come back. */
async function killedInTheFirstPeriod(out: string, args: readonly string[], comesBack: boolean) {
  const first = await startSimulateCommand(SIMULATE);
  const running = kvmark([...RUN, ...args, "--api-endpoint", first.url, "--output-dir", out]);
  await untilFile(out, "phase_metadata_", "WARMUP");
  await pause(700);
  Deno.kill(first.pid, "SIGKILL");
  await pause(AWAY_MS);
  await first[Symbol.asyncDispose]();
  if (!comesBack) return await running;
  await using _second = await startSimulateCommand([
    ...SIMULATE,
    ...["--port", new URL(first.url).port],
  ]);
  return await running;
}

for (const args of [[], ["--metrics-interval", "0"]]) {
  const how = args.length === 0 ? "with its metrics" : "by its refusals alone";
  Deno.test(`a restart is recognised ${how}, the set warmed again, the period measured again`, async () => {
    await withTempDir(async (out) => {
      const { code, stderr } = await killedInTheFirstPeriod(out, args, true);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /went away at \d\d:\d\d:\d\d/);
      assert.match(stderr, /the server (?:restarted at \d\d:\d\d:\d\d|was away .*it restarted)/);

      const phases = rowsOf(out, "phase_metadata");
      const spoilt = phases.filter((row) => row["unusable"] !== "");
      assert.equal(spoilt.length, 1, "one period was spoilt");
      assert.ok(Number(spoilt[0]?.["num_requests_failed"]) > 0, "and its failures are kept");
      assert.notEqual(spoilt[0]?.["at_peak"], "yes");
      const again = phases.filter((row) => row["phase_id"]?.endsWith("_try2"));
      assert.deepEqual(again.map((row) => row["num_requests_failed"]), ["0"]);
      const warmUps = phases.filter((row) => row["phase_type"] === "WARMUP");
      assert.ok(warmUps.length >= 2, "warmed before it and after it");

      const summary = rowsOf(out, "summary");
      assert.equal(summary.length, 2);
      for (const row of summary) {
        assert.ok(Number(row["total_requests"]) > 0);
        assert.equal(row["failed_requests"], "0", "nothing of the dead time is in a figure");
        assert.equal(row["hit_rate_verdict"], "confirmed", `${row["hit_rate_cause"]}`);
        assert.ok(Number(row["test_duration"]) < 4, "nor in a divisor");
      }
      if (args.length > 0) return;
      const counted = rowsOf(out, "server_metrics").filter((row) => row["phase_id"] !== "");
      const last = counted.filter((row) => row["cache_hit_rate"] === "100");
      assert.ok(last.some((row) => Number(row["cache_hit_tokens"]) > 0), "counters go on after it");
    });
  });
}

Deno.test("a server that stays away ends the run when --server-wait is over; the cell is open", async () => {
  await withTempDir(async (out) => {
    const { code, stderr } = await killedInTheFirstPeriod(out, ["--server-wait", "1"], false);
    assert.equal(code, EXIT_CODES.unreachable.code, stderr);
    assert.match(stderr, /went away at \d\d:\d\d:\d\d and is not back after 1 s/);
    assert.match(stderr, /run the same command again/);
    assert.deepEqual(rowsOf(out, "summary"), []);
    const progress = JSON.parse(await Deno.readTextFile(`${out}/progress.json`));
    assert.deepEqual(progress.completed_tests, []);
  });
});
