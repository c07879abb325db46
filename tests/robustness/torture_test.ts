import assert from "node:assert/strict";
import { torture } from "../../scripts/torture.ts";
import { SMALL_EXACT_RUN } from "../support/exact_run.ts";

Deno.test("a run that is killed at random instants ends with the rows of an unbroken one", async () => {
  const tally = await torture({ kills: 2, seed: "gate", parallel: 2, run: SMALL_EXACT_RUN });
  assert.ok(tally.kills >= 2 && tally.runs >= 1 && tally.rows > 0, JSON.stringify(tally));
});
