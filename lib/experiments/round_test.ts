import assert from "node:assert/strict";
import { progressText } from "../results/progress.ts";
import { memoryDisk } from "../results/test_disk.ts";
import { keepRound, planRound } from "./round.ts";
import type { ShardConfig } from "./shard.ts";

const CELLS = ["1000_0", "1000_50", "1000_100"];
const START = Date.parse("2026-01-01T00:00:00Z");

function configOf(index: number, startAtWallMs = START): ShardConfig {
  return {
    shard: { index, count: 2 },
    runId: "run",
    workingSet: "split",
    outputDir: "out",
    startAtWallMs,
    warmUpMs: 1000,
    gapMs: 1000,
  };
}

async function diskWith(
  finished: Readonly<Record<number, readonly string[]>>,
  flags: { readonly redo?: boolean; readonly partial?: boolean } = {},
) {
  const { files } = memoryDisk();
  for (const [index, cells] of Object.entries(finished)) {
    const progress = progressText({
      experiment: "cache-rate",
      version: "1",
      timestamp: "20260101_000000",
      runSeed: "seed",
      attempt: 1,
      identity: {},
      commits: cells.map((cell) => ({ cell, bytes: {}, ...flags })),
    }, "2026-01-01T00:00:00Z");
    await files.writeText(`out/shard-${index}/progress.json`, progress);
  }
  return files;
}

Deno.test("planRound() is all cells at first", async () => {
  const files = await diskWith({});
  const round = await planRound(files, configOf(0), CELLS, false);
  assert.deepEqual(round, { cells: CELLS, redo: new Set(CELLS) });
});

Deno.test("planRound() keeps cells that every shard has, and repeats those that only some have", async () => {
  const files = await diskWith({ 0: ["1000_0", "1000_50"], 1: ["1000_0"] });
  const [zero, one] = [
    await planRound(files, configOf(0), CELLS, false),
    await planRound(files, configOf(1), CELLS, false),
  ];
  assert.deepEqual(zero, {
    cells: ["1000_50", "1000_100"],
    redo: new Set(["1000_50", "1000_100"]),
  });
  assert.deepEqual(one, zero, "all shards agree");
});

Deno.test("planRound() repeats cells that failed or that a shard has only in part", async () => {
  for (const flags of [{ redo: true }, { partial: true }]) {
    const files = await diskWith({ 0: CELLS, 1: CELLS }, flags);
    assert.deepEqual((await planRound(files, configOf(1), CELLS, false)).cells, CELLS);
  }
});

Deno.test("planRound() of a shard that is restarted is the round that it had, whatever is finished by now", async () => {
  const files = await diskWith({ 0: ["1000_0"], 1: ["1000_0"] });
  const round = { cells: CELLS, redo: new Set<string>() };
  await keepRound(files, configOf(0), round, false);
  const killedEarly = await planRound(files, configOf(0), CELLS, false);
  assert.deepEqual(killedEarly, { cells: CELLS, redo: new Set(CELLS) }, "rows are still to go");
  await keepRound(files, configOf(0), round, true);
  const again = await planRound(files, configOf(0), CELLS, false);
  assert.deepEqual(again, { cells: CELLS, redo: new Set() });
  // A shard that comes late takes the round from the folder of another one.
  const late = await planRound(files, configOf(1), CELLS, false);
  assert.deepEqual(late, { cells: CELLS, redo: new Set(CELLS) });
  const next = await planRound(files, configOf(1, START + 1000), CELLS, false);
  assert.deepEqual(next.cells, ["1000_50", "1000_100"], "a new start is a new round");
});

Deno.test("planRound() agrees with a shard that takes rows out of its files meanwhile", async () => {
  const files = await diskWith({ 0: ["1000_0", "1000_100"], 1: ["1000_0", "1000_100"] });
  const first = await planRound(files, configOf(0), CELLS, false);
  assert.deepEqual(first.cells, ["1000_50"]);
  // While shard 1 looks, shard 0 writes its round down and is caught with half of its cells.
  const half = await diskWith({ 0: ["1000_0"] });
  const racing = {
    ...files,
    async readText(path: string) {
      if (path !== "out/shard-0/progress.json") return await files.readText(path);
      await keepRound(files, configOf(0), first, false);
      return await half.readText(path);
    },
  };
  const second = await planRound(racing, configOf(1), CELLS, false);
  assert.deepEqual(second.cells, first.cells);
});

Deno.test("planRound() counts nothing as finished with --force-restart, nor what cannot be read", async () => {
  const files = await diskWith({ 0: CELLS, 1: CELLS });
  assert.deepEqual((await planRound(files, configOf(0), CELLS, true)).cells, CELLS);
  assert.deepEqual((await planRound(files, configOf(0), CELLS, false)).cells, []);
  await files.writeText("out/shard-1/progress.json", "{");
  await files.writeText("out/shard-0/round.json", "{");
  const round = await planRound(files, configOf(0), CELLS, false);
  assert.deepEqual(round, { cells: CELLS, redo: new Set(CELLS) });
});
