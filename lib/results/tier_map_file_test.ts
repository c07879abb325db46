import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import { readRun } from "./read.ts";
import { memoryDisk } from "./test_disk.ts";
import { readTierMap, TIER_MAP_NAME, type TierMap, writeTierMap } from "./tier_map_file.ts";

const TTFT = { ms: 12, low: 11, high: 13, requests: 40, sizes: 4 };

function map(change: Partial<TierMap> = {}): TierMap {
  const tiers: TierMap["tiers"] = [
    {
      name: "HBM",
      namedBy: "order",
      ttft: TTFT,
      capacity: {
        tokens: 60_000,
        low: 58_000,
        high: 62_000,
        promptsLow: 29,
        reading: "same",
      },
      missCostMs: 100,
    },
    { name: "recompute", namedBy: "cached tokens", ttft: { ...TTFT, ms: 112 } },
  ];
  const knees: TierMap["knees"] = [{
    workingSetTokens: 60_000,
    low: 58_000,
    high: 62_000,
    from: "HBM",
    to: "recompute",
    method: "step",
    signals: ["ttft", "hit rate"],
  }];
  return {
    version: 1,
    basis: { cells: 1, requests: 0 },
    headline: "HBM ends at 60k tokens",
    tiers,
    knees,
    evidence: ["one"],
    breakEven: [{ tier: "HBM", note: "more context sizes are needed" }],
    series: [{
      contextSizeTokens: 2000,
      hitRatePercent: 100,
      accessOrder: "cyclic",
      concurrency: 1,
      reachesRecompute: "yes",
      tiers,
      knees,
      sizes: [{ workingSetTokens: 40_000, prompts: 20, requests: 30, ttftMs: 12 }],
      evidence: [],
    }],
    ...change,
  };
}

Deno.test("readTierMap() gives back what writeTierMap() wrote", async () => {
  const disk = memoryDisk();
  assert.equal(await readTierMap(disk.files, "out"), undefined);
  await writeTierMap(disk.files, "out", map());
  assert.deepEqual(await readTierMap(disk.files, "out"), map());
});

Deno.test("readTierMap() names what is damaged", async () => {
  const disk = memoryDisk();
  const broken = [
    ["{", /tier_map\.json/],
    [JSON.stringify({ ...map(), version: 2 }), /version/],
    [JSON.stringify({ ...map(), knees: [{ ...map().knees[0], low: null }] }), /knees\.0\.low/],
  ] as const;
  for (const [text, expected] of broken) {
    await disk.files.writeText(`out/${TIER_MAP_NAME}`, text);
    await assert.rejects(
      readTierMap(disk.files, "out"),
      (error: unknown) =>
        error instanceof KvmarkError && error.kind === "io" && expected.test(error.message),
    );
  }
});

Deno.test("readRun() takes a tier map of its own rows, and no other", async () => {
  const disk = memoryDisk();
  const columns = "context_size,working_set_size,cache_hit_rate,hit_rate_verdict\n";
  await disk.files.makeDir("out");
  await disk.files.writeText(
    "out/summary_20260101_000000.csv",
    `${columns}100,1000,50,confirmed\n`,
  );
  await writeTierMap(disk.files, "out", map());
  assert.deepEqual((await readRun(disk.files, "out")).tierMap, map());
  for (const text of [JSON.stringify(map({ basis: { cells: 2, requests: 0 } })), "[]"]) {
    await disk.files.writeText(`out/${TIER_MAP_NAME}`, text);
    const run = await readRun(disk.files, "out");
    assert.equal(run.tierMap, undefined);
    assert.match(run.problems.join(), /^tier_map\.json: /);
  }
});
