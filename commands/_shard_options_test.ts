import assert from "node:assert/strict";
import * as v from "valibot";
import { KvmarkError } from "../lib/errors.ts";
import { checkOptions } from "./_options.ts";
import { dealtOut, SHARD_OPTIONS } from "./_shard_options.ts";

const OPTIONS = v.object({ ...SHARD_OPTIONS, outputDir: v.string() });

function dealt(raw: Record<string, string>, env: Record<string, string> = {}) {
  const options = checkOptions(OPTIONS, { outputDir: "out", ...raw });
  return dealtOut({ env: (name) => env[name] }, options);
}

function refusal(raw: Record<string, string>, env: Record<string, string> = {}): string {
  try {
    dealt(raw, env);
  } catch (error) {
    assert.ok(error instanceof KvmarkError);
    assert.equal(error.kind, "usage");
    return [error.message, ...error.problems, error.hint].join("\n");
  }
  assert.fail("it is not refused");
}

Deno.test("dealtOut() leaves a run in one piece as it is", () => {
  assert.deepEqual(dealt({}), [{ outputDir: "out", shard: undefined }, {}]);
  const [options, { shard }] = dealt({ shard: "0/1", startAt: "1790000000" });
  assert.equal(options.outputDir, "out");
  assert.equal(options.shard, undefined, "so that it is no other run than one without it");
  assert.equal(shard, undefined);
});

Deno.test("dealtOut() gives a shard a folder of its own and the defaults of the timetable", () => {
  const env = { JOB_COMPLETION_INDEX: "2" };
  const [options, { shard }] = dealt({ shards: "4", startAt: "1790000000", runId: "r" }, env);
  assert.equal(options.outputDir, "out/shard-2");
  assert.equal(options.shard, "2/4");
  assert.equal(options.shardWorkingSet, "split");
  assert.deepEqual(shard, {
    shard: { index: 2, count: 4 },
    runId: "r",
    workingSet: "split",
    outputDir: "out",
    startAtWallMs: 1_790_000_000_000,
    warmUpMs: 300_000,
    gapMs: 15_000,
  });
});

Deno.test("--start-at is an instant that every host reads in the same way", () => {
  const at = (startAt: string) => dealt({ shard: "0/2", runId: "r", startAt })[1].shard;
  const expected = Date.parse("2030-01-31T09:30:00Z");
  assert.equal(at("2030-01-31T09:30Z")?.startAtWallMs, expected);
  assert.equal(at("2030-01-31T10:30:00.000+01:00")?.startAtWallMs, expected);
  assert.equal(at(String(expected / 1000))?.startAtWallMs, expected);
  for (const startAt of ["2030-01-31T09:30:00", "now", "+60", "2030-01-31", ""]) {
    assert.match(refusal({ shard: "0/2", runId: "r", startAt }), /--start-at .*its time zone/);
  }
});

Deno.test("dealtOut() says what shards need to agree on", () => {
  assert.match(refusal({ shard: "0/2", runId: "r" }), /Shard 0\/2 needs --start-at/);
  assert.match(refusal({ shard: "0/2", startAt: "1790000000" }), /need a name of their run/);
  const startAt = "1790000000";
  assert.match(refusal({ startAt }), /--start-at is for shards.*\n.*give --shards N/);
  const index = { JOB_COMPLETION_INDEX: "1" };
  assert.match(refusal({ startAt }, index), /--start-at is for shards/);
});
