import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import { type Clock, denoHost, type Host } from "../host.ts";
import { memoryDisk } from "../results/test_disk.ts";
import { cacheRateCells } from "./cache_rate.ts";
import type { LoadConfig } from "./config.ts";
import {
  isPartial,
  ownConcurrency,
  partOf,
  planPace,
  shardFacts,
  waitForTurn,
  waitUntil,
} from "./pace.ts";
import type { ShardConfig } from "./shard.ts";
import type { SweepCell } from "./sweep.ts";

const START = Date.parse("2026-01-01T00:00:00Z");

/** A clock that jumps ahead when somebody sleeps. */
function jumpingClock(wallMs: number): Clock & { readonly slept: number[] } {
  const slept: number[] = [];
  let passedMs = 0;
  return {
    slept,
    nowMs: () => 5000 + passedMs,
    wallMs: () => wallMs + passedMs,
    sleep(ms) {
      slept.push(ms);
      passedMs += ms;
      return Promise.resolve();
    },
  };
}

function hostAt(wallMs: number): Host {
  const { files } = memoryDisk();
  return { ...denoHost(import.meta.url), files, clock: jumpingClock(wallMs) };
}

function shardConfig(given: Partial<ShardConfig> = {}): ShardConfig {
  return {
    shard: { index: 1, count: 4 },
    runId: "run",
    workingSet: "split",
    outputDir: "out",
    startAtWallMs: START,
    warmUpMs: 60_000,
    gapMs: 5000,
    ...given,
  };
}

function loadOf(given: Partial<LoadConfig> = {}): LoadConfig {
  return {
    limits: {},
    ttftMetric: "p95",
    tokensPerReqMetric: "avg",
    strictTimeWindow: false,
    mode: "fixed",
    fixedConcurrencyLevels: [8, 17],
    startConcurrency: 2,
    concurrencyIncrement: 2,
    maxConcurrency: 100,
    initConcurrency: 16,
    testDurationMs: 60_000,
    rampDurationMs: 30_000,
    retries: 1,
    outputTokens: 16,
    chunkTokens: 16,
    accessOrder: "cyclic",
    workers: 1,
    reuseCache: false,
    shard: shardConfig(),
    ...given,
  };
}

const CELLS = cacheRateCells({
  contextSizes: [1000],
  hitRates: [0, 50],
  workingSetTokens: 10_000,
  reinitStrategy: "once",
});

async function problemsOf(load: LoadConfig, cells: readonly SweepCell[] = CELLS): Promise<string> {
  const error = await planPace(hostAt(START), load, cells, false).then(
    () => undefined,
    (thrown) => thrown,
  );
  assert.ok(error instanceof KvmarkError, "it is refused");
  assert.equal(error.kind, "usage");
  return [error.message, ...error.problems, error.hint].join("\n");
}

Deno.test("planPace() gives each cell its time, and a run in one piece none", async () => {
  const pace = await planPace(hostAt(START), loadOf(), CELLS, false);
  assert.deepEqual(pace?.round.cells, ["1000_0", "1000_50"]);
  const [first, second] = CELLS.map(({ cellId }) => pace?.times.get(cellId));
  assert.equal(first?.warmUpAtWallMs, START);
  assert.equal(first?.periods.length, 4, "two levels, each run twice");
  assert.equal(second?.warmUpAtWallMs, undefined);
  assert.equal(second?.periods[0]?.startAtWallMs, START + 60_000 + 4 * 35_000);
  const { shard: _, ...whole } = loadOf();
  assert.equal(await planPace(hostAt(START), whole, CELLS, false), undefined);
});

Deno.test("planPace() says why shards cannot ramp, and how to do it", async () => {
  const text = await problemsOf(loadOf({ mode: "ramp", fixedConcurrencyLevels: [] }));
  assert.match(text, /shards cannot search the peak together/);
  assert.match(text, /--mode ramp\), then give levels around it to the shards: --mode fixed/);
});

Deno.test("planPace() refuses what cannot be dealt out, all of it at once", async () => {
  const cells = CELLS.map((cell) => ({ ...cell, poolTokens: 3000, minRequests: 3 }));
  const proof = { cold: "reset", metricsIntervalMs: 0, alternateRecompute: false } as const;
  const text = await problemsOf(loadOf({ fixedConcurrencyLevels: [3, 8], proof }), cells);
  assert.match(text, /a concurrency of 3 cannot be dealt out to 4 shards/);
  assert.match(text, /a working set of 3 prompts cannot be dealt out/);
  assert.match(text, /does not fit a timetable/);
  assert.match(text, /a reset empties the cache under the other shards/);
  const shared = loadOf({ shard: shardConfig({ workingSet: "shared" }) });
  const small = CELLS.map((cell) => ({ ...cell, poolTokens: 3000 }));
  assert.ok(await planPace(hostAt(START), shared, small, false));
});

Deno.test("planPace() refuses a timetable that has passed", async () => {
  const endMs = START + 60_000 + 8 * 35_000 - 5000;
  assert.ok(await planPace(hostAt(endMs - 1), loadOf(), CELLS, false));
  await assert.rejects(
    planPace(hostAt(endMs), loadOf(), CELLS, false),
    /The timetable from 2026-01-01T00:00:00.000Z to 2026-01-01T00:05:35.000Z has passed/,
  );
});

Deno.test("partOf() splits the working set or shares it; each prompt is warmed by one shard", async () => {
  const pace = (await planPace(hostAt(START), loadOf(), CELLS, false))!;
  const times = pace.times.get("1000_0")!;
  const split = partOf(pace, times, 10);
  assert.deepEqual([0, 1, 2].map(split.measured.at), [1, 5, 9]);
  assert.equal(split.measured.count, 3);
  const shared = partOf({ ...pace, config: shardConfig({ workingSet: "shared" }) }, times, 10);
  assert.equal(shared.measured.count, 10);
  assert.equal(shared.warmed.count, 3);
  assert.equal(ownConcurrency(split, 17), 4);
  assert.equal(ownConcurrency(undefined, 17), 17);
});

Deno.test("waitForTurn() waits until just before a period, and leaves the last bit to the workers", async () => {
  const clock = jumpingClock(START);
  const slot = { startAtWallMs: START + 30_000, stopAtWallMs: START + 40_000 };
  const turn = await waitForTurn(clock, slot, new AbortController().signal);
  assert.equal(clock.wallMs(), START + 29_000);
  assert.deepEqual(turn, { startAtMs: 5000 + 30_000, durationMs: 10_000 });
});

Deno.test("waitForTurn() of a late shard begins at once and still stops in time", async () => {
  const slot = { startAtWallMs: START, stopAtWallMs: START + 10_000 };
  const { signal } = new AbortController();
  assert.deepEqual(await waitForTurn(jumpingClock(START + 4000), slot, signal), {
    startAtMs: 5000,
    durationMs: 6000,
  });
  assert.equal(await waitForTurn(jumpingClock(START + 10_000), slot, signal), undefined);
  const stopped = AbortSignal.abort();
  assert.equal(await waitForTurn(jumpingClock(START - 60_000), slot, stopped), undefined);
});

Deno.test("waitUntil() looks at the wall clock again and again, and does not wait for the past", async () => {
  const clock = jumpingClock(START);
  await waitUntil(clock, START + 25_000, new AbortController().signal);
  assert.deepEqual(clock.slept, [10_000, 10_000, 5000]);
  await waitUntil(clock, START, new AbortController().signal);
  await waitUntil(clock, undefined, new AbortController().signal);
  assert.equal(clock.slept.length, 3);
});

Deno.test("isPartial() is true for a period that is missing, or lacks more than a twentieth", () => {
  const periods = [{ startAtWallMs: 0, stopAtWallMs: 100 }, {
    startAtWallMs: 0,
    stopAtWallMs: 100,
  }];
  const times = { periods, stopAtWallMs: 100 };
  const ran = (...windows: number[]) => windows.map((windowMs) => ({ summary: { windowMs } }));
  assert.equal(isPartial(ran(100, 96), times), false);
  assert.equal(isPartial(ran(100, 94), times), true);
  assert.equal(isPartial(ran(100), times), true);
});

Deno.test("shardFacts() is what run.json keeps", () => {
  const offset = { offsetMs: 5, plusMinusMs: 20, answers: 24 };
  assert.deepEqual(shardFacts(shardConfig(), offset), {
    index: 1,
    count: 4,
    runId: "run",
    workingSet: "split",
    startAt: "2026-01-01T00:00:00.000Z",
    clockOffsetMs: 5,
    clockPlusMinusMs: 20,
  });
});
