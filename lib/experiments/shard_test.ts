import assert from "node:assert/strict";
import fc from "fast-check";
import { KvmarkError } from "../errors.ts";
import { runIdOf, shardDir, shardOf, sharedFrom, shareOf, sliceOf, wholeSlice } from "./shard.ts";

function envOf(variables: Readonly<Record<string, string>>) {
  return (name: string) => variables[name];
}

const NONE = envOf({});

function usage(act: () => unknown, pattern: RegExp): void {
  assert.throws(act, (error: unknown) => {
    assert.ok(error instanceof KvmarkError);
    assert.equal(error.kind, "usage");
    assert.match(error.message, pattern);
    return true;
  });
}

Deno.test("shardOf() reads --shard I/N, counted from 0", () => {
  assert.deepEqual(shardOf({ shard: "0/4" }, NONE), { index: 0, count: 4 });
  assert.deepEqual(shardOf({ shard: " 3 / 4 ", shards: 4 }, NONE), { index: 3, count: 4 });
  assert.equal(shardOf({ shard: "0/1" }, NONE), undefined, "one of one is the whole");
  for (const shard of ["4/4", "1", "-1/4", "a/b", "0/0", "1/4/2", "0.5/2", ""]) {
    usage(() => shardOf({ shard }, NONE), /is not a part such as/);
  }
  usage(() => shardOf({ shard: "1/4", shards: 8 }, NONE), /--shards 8, but this is shard 1\/4/);
});

Deno.test("shardOf() takes rank and size of srun and mpirun by itself", () => {
  const step = { SLURM_JOB_ID: "7", SLURM_STEP_ID: "0", SLURM_PROCID: "2", SLURM_NTASKS: "4" };
  assert.deepEqual(shardOf({}, envOf(step)), { index: 2, count: 4 });
  const mpi = { OMPI_COMM_WORLD_RANK: "5", OMPI_COMM_WORLD_SIZE: "6" };
  assert.deepEqual(shardOf({}, envOf(mpi)), { index: 5, count: 6 });
  assert.deepEqual(shardOf({ shard: "0/2" }, envOf(step)), { index: 0, count: 2 }, "given first");
  assert.equal(shardOf({}, envOf({ ...step, SLURM_NTASKS: "1", SLURM_PROCID: "0" })), undefined);
});

Deno.test("shardOf() does not take an sbatch script for its first task", () => {
  const batch = { SLURM_JOB_ID: "7", SLURM_PROCID: "0", SLURM_NTASKS: "4" };
  assert.equal(shardOf({}, envOf(batch)), undefined);
});

Deno.test("shardOf() takes the rank of an Indexed Job or a job array only with --shards", () => {
  const indexed = envOf({ JOB_COMPLETION_INDEX: "1" });
  assert.equal(shardOf({}, indexed), undefined);
  assert.deepEqual(shardOf({ shards: 3 }, indexed), { index: 1, count: 3 });
  const array = envOf({ SLURM_JOB_ID: "9", SLURM_PROCID: "0", SLURM_ARRAY_TASK_ID: "2" });
  assert.deepEqual(shardOf({ shards: 4 }, array), { index: 2, count: 4 });
  // srun of one task inside an element of an array.
  const step = envOf({
    ...{ SLURM_JOB_ID: "9", SLURM_STEP_ID: "0", SLURM_PROCID: "0", SLURM_NTASKS: "1" },
    SLURM_ARRAY_TASK_ID: "2",
  });
  assert.deepEqual(shardOf({ shards: 4 }, step), { index: 2, count: 4 });
});

Deno.test("shardOf() names what is missing or wrong", () => {
  usage(() => shardOf({ shards: 4 }, NONE), /Which of the 4 shards this is, is not known/);
  const beyond = envOf({ JOB_COMPLETION_INDEX: "4" });
  usage(() => shardOf({ shards: 4 }, beyond), /JOB_COMPLETION_INDEX is 4, but there are only 4/);
  usage(() => shardOf({ shards: 4 }, envOf({ JOB_COMPLETION_INDEX: "x" })), /is not a number: x/);
});

Deno.test("shareOf() deals out every level exactly, the remainder to the first", () => {
  fc.assert(fc.property(fc.nat(10_000), fc.integer({ min: 1, max: 300 }), (whole, count) => {
    const all = Array.from({ length: count }, (_, index) => shareOf({ index, count }, whole));
    assert.equal(all.reduce((sum, one) => sum + one, 0), whole);
    assert.ok(Math.max(...all) - Math.min(...all) <= 1);
  }));
});

Deno.test("sliceOf() gives each prompt to exactly one shard", () => {
  fc.assert(fc.property(fc.nat(500), fc.integer({ min: 1, max: 20 }), (prompts, count) => {
    const all = Array.from({ length: count }, (_, index) => sliceOf({ index, count }, prompts))
      .flatMap((slice) => Array.from({ length: slice.count }, (_, n) => slice.at(n)));
    assert.deepEqual(all.sort((a, b) => a - b), Array.from({ length: prompts }, (_, n) => n));
  }));
});

Deno.test("sharedFrom() is the whole set, begun at another place by each shard", () => {
  const begun = [0, 1, 2, 3].map((index) => sharedFrom({ index, count: 4 }, 8));
  assert.deepEqual(begun.map((slice) => slice.at(0)), [0, 2, 4, 6]);
  for (const slice of begun) {
    const all = Array.from({ length: slice.count }, (_, n) => slice.at(n));
    assert.deepEqual(all.sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
  }
  assert.deepEqual([0, 1, 2].map(wholeSlice(3).at), [0, 1, 2]);
});

Deno.test("runIdOf() finds the id of the job, and asks for --run-id without one", () => {
  assert.equal(runIdOf("mine", NONE), "mine");
  assert.equal(runIdOf(undefined, envOf({ SLURM_JOB_ID: "12" })), "slurm-12");
  const array = { SLURM_JOB_ID: "14", SLURM_ARRAY_JOB_ID: "12", SLURM_CLUSTER_NAME: "c1" };
  assert.equal(runIdOf(undefined, envOf(array)), "c1-12", "the same for all of an array");
  usage(() => runIdOf(undefined, NONE), /need a name of their run/);
  usage(() => runIdOf("  ", NONE), /need a name of their run/);
});

Deno.test("shardDir() is a folder in the output folder", () => {
  assert.equal(shardDir("out/", 3), "out/shard-3");
  assert.equal(shardDir("/", 0), "//shard-0");
});
