/** A run in which nothing succeeded, run again: its rows make way, those that succeeded stay. */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import { kvmark, withTempDir } from "../support/command.ts";
import { readCsvText } from "../support/csv_text.ts";
import { startSimulateCommand } from "../support/simulator.ts";
import { shortRun } from "../support/sweep.ts";

function rowsIn(dir: string, prefix: string): Record<string, string>[] {
  return [...Deno.readDirSync(dir)].filter(({ name }) => name.startsWith(prefix)).flatMap(
    ({ name }) => readCsvText(Deno.readTextFileSync(`${dir}/${name}`)),
  );
}

Deno.test("cache-rate runs a cell again in which every request had timed out", async () => {
  await withTempDir(async (dir) => {
    // A cold prompt takes 200 ms: more than --timeout at first.
    await using simulator = await startSimulateCommand(["--prefill-tps", "2500", "--speedup", "1"]);
    const out = `${dir}/out`;
    const run = (more: readonly string[]) => {
      const where = ["--api-endpoint", simulator.url, "--output-dir", out];
      return kvmark(["cache-rate", ...where, ...shortRun(["--cache-hit-rates", "0", ...more])]);
    };
    const first = await run(["--timeout", "0.1"]);
    assert.equal(first.code, EXIT_CODES.failed.code, first.stderr);
    const failed = rowsIn(out, "detailed_results_");
    assert.ok(failed.length > 0);
    assert.ok(failed.every((row) => row.error_kind === "timeout"));
    assert.equal(rowsIn(out, "summary_").length, 1);

    const second = await run(["--timeout", "30"]);
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stderr, /1 finished cell run again: they had failed or were cut short/);
    const rows = rowsIn(out, "detailed_results_");
    assert.ok(rows.length > 0);
    assert.ok(rows.every((row) => row.error_kind === ""));
    const [summary, ...others] = rowsIn(out, "summary_");
    assert.equal(others.length, 0);
    assert.ok(Number(summary?.total_requests) > 0);
    assert.equal(summary?.failed_requests, "0");
    const phases = rowsIn(out, "phase_metadata_").filter((row) => row.phase_type !== "WARMUP");
    assert.deepEqual(phases.map((row) => row.at_peak), ["yes"]);

    const third = await run(["--timeout", "30"]);
    assert.equal(third.code, 0, third.stderr);
    assert.deepEqual(rowsIn(out, "detailed_results_"), rows, "what succeeded is not run again");
  });
});
