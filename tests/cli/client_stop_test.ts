/**
 * The client is stopped in the middle of a period, as by a debugger, a full machine or Ctrl-Z.
 */

import assert from "node:assert/strict";
import { kvmark, withTempDir } from "../support/command.ts";
import { rowsOf } from "../support/exact_run.ts";
import { startSimulateCommand } from "../support/simulator.ts";
import { untilFile } from "../support/until.ts";

const RUN = [
  ...["cache-rate", "--context-sizes", "1000", "--cache-hit-rates", "50"],
  ...["--mode", "fixed", "--fixed-concurrency-levels", "3", "--num-retries", "0"],
  ...["--working-set-size", "8000", "--ramp-duration", "2.5", "--test-duration", "2.5"],
  ...["--output-tokens", "2", "--skip-graphs", "--workers", "1"],
];
const STOPPED_MS = 1200;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.test("a period in which the client was stopped is said, kept, and measured again", async () => {
  await withTempDir(async (out) => {
    await using server = await startSimulateCommand(["--prefill-tps", "100000"]);
    const args = [...RUN, "--api-endpoint", server.url, "--output-dir", out];
    let pid = 0;
    const running = kvmark(args, { onStart: (started) => pid = started });
    await untilFile(out, "phase_metadata_", "WARMUP");
    await pause(700);
    Deno.kill(pid, "SIGSTOP");
    await pause(STOPPED_MS);
    Deno.kill(pid, "SIGCONT");
    const { code, stderr } = await running;
    assert.equal(code, 0, stderr);

    const phases = rowsOf(out, "phase_metadata").filter((row) => row["phase_type"] !== "WARMUP");
    const [stopped, ...others] = phases;
    assert.match(stopped?.["unusable"] ?? "", /^the client stood still for 1\.\d+ s of 2\.5 s/);
    assert.ok(Number(stopped?.["client_stopped_s"]) >= STOPPED_MS / 1000 * 0.9);
    assert.ok(Number(stopped?.["client_share_throughput_percent"]) > 5);
    assert.match(stderr, /does not count: the client stood still/);
    const counted = others.at(-1);
    assert.match(counted?.["phase_id"] ?? "", /_try\d$/);
    assert.equal(counted?.["unusable"], "");

    const details = rowsOf(out, "detailed_results");
    const stalled = details.filter((row) => row["stalled"] === "yes");
    assert.ok(stalled.length > 0, "the requests in flight are marked");
    for (const row of stalled) assert.notEqual(row["phase_id"], counted?.["phase_id"]);
    const [cell] = rowsOf(out, "summary");
    assert.equal(cell?.["input_tokens_per_sec"], counted?.["input_tokens_per_sec"]);
  });
});
