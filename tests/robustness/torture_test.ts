import assert from "node:assert/strict";
import { torture } from "../../scripts/torture.ts";
import { SMALL_EXACT_RUNS } from "../support/exact_run.ts";

Deno.test("a run of each experiment, killed at a random instant, ends with the rows of an unbroken one", async () => {
  const tally = await torture({ kills: 3, seed: "gate", parallel: 2, runs: SMALL_EXACT_RUNS });
  assert.deepEqual(Object.keys(tally), Object.keys(SMALL_EXACT_RUNS));
  for (const [experiment, { kills, runs, rows }] of Object.entries(tally)) {
    assert.ok(kills === 1 && runs >= 1 && rows > 0, `${experiment}: ${JSON.stringify(tally)}`);
  }
});
