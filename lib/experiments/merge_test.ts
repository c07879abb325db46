import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import { denoHost } from "../host.ts";
import { type CellSummary, summariseCell, summarisePeriod } from "../metrics/summary.ts";
import { randomStream } from "../random.ts";
import type { PeriodOutcome, RequestRecord } from "../record.ts";
import { readRun } from "../results/read.ts";
import { openRunDir } from "../results/run_dir.ts";
import type { SummaryRow } from "../results/schema.ts";
import { mergeRun } from "./merge.ts";
import { detailRow, phaseRow, summaryRow } from "./rows.ts";

const { files } = denoHost(import.meta.url);
const JUDGEMENT = { strictTimeWindow: false };
const WALL_MS = 1_790_000_000_000;
const PERIOD_MS = 10_000;
const LABELS = { contextSizeTokens: 1000, hitRatePercent: 50 };

/** A shard of a run that nobody has run: its own records, as they would have been. */
interface Part {
  readonly index: number;
  readonly outcomes: readonly PeriodOutcome[];
}

/** Requests of one shard in one period, its first of each slot marked. */
function outcomeOf(
  index: number,
  periodId: string,
  concurrency: number,
  startAtMs: number,
): PeriodOutcome {
  const random = randomStream(BigInt(index * 1000 + startAtMs));
  const stopAtMs = startAtMs + PERIOD_MS;
  const records: RequestRecord[] = [];
  for (let slot = 0; slot < concurrency; slot++) {
    for (let atMs = startAtMs, n = 0; atMs < stopAtMs; n++) {
      const sentAtMs = atMs + random.nextFloat();
      const ttftMs = 200 + 300 * random.nextFloat();
      const reads = 4 + random.nextBelow(4);
      const contentReadsAtMs = Float64Array.from(
        { length: reads },
        (_, read) => sentAtMs + ttftMs + read * 20 + (read > 0 ? 5 * random.nextFloat() : 0),
      );
      const endAtMs = contentReadsAtMs.at(-1)! + 1;
      const failed = random.nextFloat() < 0.05;
      records.push({
        requestId: `s${index}_${periodId}_r${slot}_${n}`,
        labels: { cellId: "1000_50", periodId, purpose: "measure", concurrency, ...LABELS },
        plan: { promptTokens: 1000, sharedTokens: 512, achievableTokens: 512 },
        api: "completions",
        url: "http://server/v1/completions",
        maxOutputTokens: 64,
        worker: 0,
        dueAtMs: atMs,
        sentAtMs,
        headersAtMs: sentAtMs + 5,
        contentReadsAtMs,
        contentChunks: reads,
        endAtMs,
        status: failed ? 503 : 200,
        usage: { promptTokens: 1000, cachedTokens: 512 - 16 * random.nextBelow(2) },
        outputTokens: reads * 2,
        outputTokensSource: "usage",
        firstChunkTokens: 2,
        rampIn: n === 0,
        ...(failed ? { failure: { kind: "http_status", message: "503" } } : {}),
      });
      atMs = endAtMs + 0.1;
    }
  }
  const drainedAtMs = Math.max(...records.map((record) => record.endAtMs));
  const client = { retries: 0 };
  const times = { startAtMs, stopAtMs, drainedAtMs };
  return {
    cellId: "1000_50",
    periodId,
    concurrency,
    ...times,
    records,
    client,
    interrupted: false,
  };
}

/** Three repeats of level 8 in `count` shards; each shard starts a little later than the one before. */
function partsOf(count: number): Part[] {
  return Array.from({ length: count }, (_, index) => ({
    index,
    outcomes: ["run0", "RETRY_1", "RETRY_2"].map((suffix, n) =>
      outcomeOf(index, `FIXED_c8_${suffix}`, 8 / count, 1000 + n * 12_000 + index * 7)
    ),
  }));
}

interface Written {
  readonly count?: number;
  readonly clockOffsetMs?: number;
  readonly identity?: Record<string, unknown>;
  readonly nonce?: string;
  /** Folder, if not that of the shard. */
  readonly folder?: string;
  readonly unfinished?: boolean;
}

/** Writes the folder of a shard in the way an experiment does. */
async function writeShard(dir: string, part: Part, written: Written = {}): Promise<void> {
  const { index, outcomes } = part;
  const { count = 2, clockOffsetMs = 0, identity = {}, nonce = `nonce${index}` } = written;
  const run = await openRunDir({
    files,
    clock: { nowMs: () => 0, wallMs: () => WALL_MS + index * 3000, sleep: () => Promise.resolve() },
    dir: `${dir}/${written.folder ?? `shard-${index}`}`,
    experiment: "cache-rate",
    pid: 1,
    forceRestart: false,
    nonce: () => nonce,
  });
  const settings = { ramp_duration: PERIOD_MS / 1000, max_ttft: 2, num_retries: 2, ...identity };
  await run.begin({ ...settings, shard: `${index}/${count}` });
  await run.writeRunJson({
    experiment: "cache-rate",
    model: "m",
    endpoints: ["http://server"],
    warnings: ["the same everywhere", `only in ${index}`],
    shard: {
      ...{ index, count, runId: "run", workingSet: "split", startAt: "2026-01-01T00:00:00Z" },
      ...{ clockOffsetMs, clockPlusMinusMs: 20 },
    },
  });
  // The clock of a shard that is off shows in every instant that it writes.
  const wallOffsetMs = WALL_MS - clockOffsetMs;
  // As many failed requests of the warm-up as the summary says, each when its shard began.
  const unwarmed = outcomes[0]!.records.slice(0, index).map((one): RequestRecord => ({
    ...one,
    ...{ requestId: `WARMUP_${one.requestId}`, failure: { kind: "timeout", message: "no answer" } },
    labels: { ...one.labels, purpose: "warmup" },
  }));
  await run.appendDetails(1000, unwarmed.map((one) => detailRow(one, wallOffsetMs)));
  for (const outcome of outcomes) {
    await run.appendDetails(1000, outcome.records.map((one) => detailRow(one, wallOffsetMs)));
    const extras = { wallOffsetMs, decision: { action: "stop", reason: "own" } } as const;
    await run.appendPhase(
      phaseRow("FIXED", LABELS, outcome, summarisePeriod(outcome, JUDGEMENT), extras),
    );
  }
  const row = summaryRow(LABELS, summariseCell(outcomes, JUDGEMENT), {
    model: "m",
    verdict: { verdict: "confirmed" },
    pool: { prompts: 10, failedWarmUps: index },
  });
  if (!written.unfinished) await run.finishCell("1000_50", row);
  await run.close();
}

/** When the first request of a part was sent, by a clock that is right. */
function wallSecOf({ outcomes }: Part): number {
  return (WALL_MS + outcomes[0]!.records[0]!.sentAtMs) / 1000;
}

async function inTempDir(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The same load in one process: the records of all shards in the time that they share. */
function together(parts: readonly Part[]): CellSummary {
  const first = parts[0]!.outcomes;
  const outcomes = first.map((_, n): PeriodOutcome => {
    const all = parts.map((part) => part.outcomes[n]!);
    return {
      ...all[0]!,
      concurrency: all.reduce((sum, one) => sum + one.concurrency, 0),
      startAtMs: Math.max(...all.map((one) => one.startAtMs)),
      stopAtMs: Math.min(...all.map((one) => one.stopAtMs)),
      drainedAtMs: Math.max(...all.map((one) => one.drainedAtMs)),
      records: all.flatMap((one) => one.records),
    };
  });
  return summariseCell(outcomes, JUDGEMENT);
}

function assertNear(actual: number | undefined, expected: number | undefined, what: string): void {
  assert.ok(actual !== undefined && expected !== undefined, `${what}: ${actual} ${expected}`);
  const tolerance = 1e-5 * Math.max(1, Math.abs(expected));
  assert.ok(Math.abs(actual - expected) < tolerance, `${what}: ${actual}, not ${expected}`);
}

function assertSame(row: SummaryRow | undefined, whole: CellSummary): void {
  assert.ok(row !== undefined);
  assertNear(row.input_tokens_per_sec, whole.inputTokensPerSec, "input tokens/s");
  // The reads between the first and the last are not in the rows: those that lie around the end of
  // the window may fall on its other side.
  const output = (row.output_tokens_per_sec ?? NaN) / (whole.outputTokensPerSec ?? NaN);
  assert.ok(Math.abs(output - 1) < 0.001, `output tokens/s: ${output} of the whole`);
  assertNear(row.reused_tokens_per_sec, whole.reusedTokensPerSec, "reused tokens/s");
  assertNear(row.observed_hit_rate, whole.observedHitRatePercent, "hit rate");
  const sec = (ms: number | undefined) => ms === undefined ? ms : ms / 1000;
  assertNear(row.avg_ttft, sec(whole.ttft.meanMs), "mean TTFT");
  assertNear(row.p95_ttft, sec(whole.ttft.p95Ms), "TTFT p95");
  assertNear(row.p99_ttft, sec(whole.ttft.p99Ms), "TTFT p99");
  assertNear(row.p95_ttlt, sec(whole.ttlt.p95Ms), "TTLT p95");
  assertNear(row.p95_tpot, sec(whole.tpot.p95Ms), "TPOT p95");
  assertNear(row.avg_itl, sec(whole.itl.meanMs), "mean ITL");
  assertNear(row.avg_output_tokens, whole.decodeRate.meanPerSec, "decode rate");
  assert.equal(row.total_requests, whole.succeeded);
  assert.equal(row.failed_requests, whole.failed);
  assert.equal(row.failure_kinds, `http_status:${whole.failed}`);
  assert.equal(row.peak_concurrency, whole.concurrency);
}

Deno.test("mergeRun() gives the figures of one process with the requests of all shards", async () => {
  for (const count of [1, 2, 4]) {
    await inTempDir(async (dir) => {
      const parts = partsOf(count);
      for (const part of parts) await writeShard(dir, part, { count });
      const { rows, requests } = await mergeRun(files, dir);
      assertSame(rows[0], together(parts));
      assert.equal(rows[0]?.shard_problem, undefined);
      assert.equal(rows[0]?.shards, count);
      assertNear(rows[0]?.start_skew_ms, (count - 1) * 7, "start skew");
      assert.equal(rows[0]?.p95_itl, undefined, "gaps are not in the rows");
      const all = parts.flatMap((part) => part.outcomes).flatMap((one) => one.records);
      assert.equal(requests, all.length);
    });
  }
});

Deno.test("mergeRun() writes a run that readRun() reads, and no trace of the shards' own judgement", async () => {
  await inTempDir(async (dir) => {
    const parts = partsOf(2);
    for (const part of parts) await writeShard(dir, part);
    await mergeRun(files, dir);
    const run = await readRun(files, dir);
    assert.equal(run.kind, "cache-rate");
    assert.deepEqual(run.problems, []);
    assert.deepEqual(run.config.mergedShards, [0, 1]);
    assert.deepEqual(run.config.warnings, [
      "the same everywhere",
      "Shard 0: only in 0",
      "Shard 1: only in 1",
    ]);
    const ids = parts.flatMap((part) => part.outcomes).flatMap((one) => one.records)
      .map((record) => record.requestId);
    assert.deepEqual(run.details.map((row) => row.request_id).sort(), ids.sort());
    assert.ok(run.details.every((row) => row.concurrency_level === 8));
    assert.deepEqual(run.phases.map((row) => row.concurrency_level), [8, 8, 8]);
    assert.deepEqual(run.phases.map((row) => row.at_peak), ["yes", "yes", "yes"]);
    assert.match(run.phases[0]?.decision_reason ?? "", /highest input throughput/);
    const launched = run.phases.map((row) => row.num_requests_launched ?? 0);
    assert.equal(launched.reduce((sum, one) => sum + one, 0), ids.length);
    assert.equal(run.summary[0]?.failed_warmup_requests, 1, "0 + 1");
    assert.equal(run.failedWarmUps?.length, 1, "its row, apart from those that count");
    assert.equal(run.summary[0]?.hit_rate_verdict, "confirmed");
  });
});

/** Every file that a merge writes, with its content. */
async function contentsOf(dir: string): Promise<Record<string, string>> {
  const names = [...Deno.readDirSync(dir)].filter((entry) => entry.isFile);
  const pairs = names.map(async ({ name }) => [name, await Deno.readTextFile(`${dir}/${name}`)]);
  return Object.fromEntries(await Promise.all(pairs));
}

Deno.test("mergeRun() twice, or with a shard that is there twice, changes nothing", async () => {
  await inTempDir(async (dir) => {
    const parts = partsOf(2);
    for (const part of parts) await writeShard(dir, part);
    await mergeRun(files, dir);
    const once = await contentsOf(dir);
    assert.ok(Object.keys(once).length >= 5);
    await mergeRun(files, dir);
    assert.deepEqual(await contentsOf(dir), once);
    await writeShard(dir, parts[1]!, { folder: "copy-of-shard-1" });
    await mergeRun(files, dir);
    assert.deepEqual(await contentsOf(dir), once);
    // A copy that has less than the shard itself does not count.
    await writeShard(dir, parts[0]!, { folder: "a-copy", unfinished: true });
    await mergeRun(files, dir);
    assert.deepEqual(await contentsOf(dir), once);
  });
});

Deno.test("mergeRun() names a shard that is missing and marks its cells, and takes it in when it is back", async () => {
  await inTempDir(async (dir) => {
    const parts = partsOf(2);
    await writeShard(dir, parts[0]!);
    const { rows, shards, warnings } = await mergeRun(files, dir);
    assert.deepEqual(shards, [0]);
    assert.match(warnings.join("\n"), /Shard 1 of 2 is missing/);
    assert.equal(rows[0]?.shard_problem, "shard 1 is missing");
    assert.equal(rows[0]?.peak_concurrency, 4, "what was really there");
    assertSame(rows[0], together(parts.slice(0, 1)));
    // A shard without a finished cell is as good as none for the cell.
    await writeShard(dir, parts[1]!, { unfinished: true });
    const unfinished = await mergeRun(files, dir);
    assert.deepEqual(unfinished.shards, [0, 1]);
    assert.equal(unfinished.rows[0]?.shard_problem, "shard 1 is missing");
    await Deno.remove(`${dir}/shard-1`, { recursive: true });
    await writeShard(dir, parts[1]!);
    const whole = await mergeRun(files, dir);
    assert.equal(whole.rows[0]?.shard_problem, undefined);
    assertSame(whole.rows[0], together(parts));
  });
});

Deno.test("mergeRun() says how much of a period the shards had in common", async () => {
  await inTempDir(async (dir) => {
    const [first, second] = partsOf(2);
    const late = second!.outcomes.map((outcome, n) =>
      n === 1 ? { ...outcome, startAtMs: outcome.startAtMs + 3000 } : outcome
    );
    const absent = late.map((outcome, n) =>
      n === 2
        ? { ...outcome, stopAtMs: outcome.startAtMs, drainedAtMs: outcome.startAtMs, records: [] }
        : outcome
    );
    await writeShard(dir, first!);
    await writeShard(dir, { index: 1, outcomes: absent });
    const { rows, warnings } = await mergeRun(files, dir);
    const problem = "FIXED_c8_RETRY_1: 7.0 of 10.0 s in common; shard 1 was short; " +
      "FIXED_c8_RETRY_2: shard 1 sent nothing";
    assert.equal(rows[0]?.shard_problem, problem);
    assert.ok(warnings.includes(`1000_50: ${problem}`));
  });
});

Deno.test("mergeRun() corrects a clock that is provably off, and leaves one that is not", async () => {
  await inTempDir(async (dir) => {
    const parts = partsOf(2);
    await writeShard(dir, parts[0]!, { clockOffsetMs: 0 });
    await writeShard(dir, parts[1]!, { clockOffsetMs: 2500 });
    const { rows, notes, warnings } = await mergeRun(files, dir);
    assertSame(rows[0], together(parts));
    assertNear(rows[0]?.start_skew_ms, 7, "start skew by corrected clocks");
    const [unwarmed] = (await readRun(files, dir)).failedWarmUps ?? [];
    const offSec = (unwarmed?.launch_time ?? NaN) - wallSecOf(parts[1]!);
    assert.ok(Math.abs(offSec) < 0.1, `the warm-up's row by corrected clocks: ${offSec} s off`);
    assert.match(notes.join("\n"), /Clock skew .* at most 2500 ms, ± 40 ms/);
    assert.match(warnings.join("\n"), /The clock of shard 1 was 2500 ms off/);
  });
  await inTempDir(async (dir) => {
    const parts = partsOf(2);
    await writeShard(dir, parts[0]!);
    await writeShard(dir, parts[1]!, { clockOffsetMs: 30 });
    const { rows, warnings } = await mergeRun(files, dir);
    assertNear(rows[0]?.start_skew_ms, 23, "as the clocks say: 7 - 30");
    assert.doesNotMatch(warnings.join("\n"), /clock/);
  });
});

async function assertRefused(dir: string, kind: string, pattern: RegExp): Promise<void> {
  await assert.rejects(mergeRun(files, dir), (error: unknown) => {
    assert.ok(error instanceof KvmarkError);
    assert.equal(error.kind, kind);
    assert.match([error.message, ...error.problems].join("\n"), pattern);
    return true;
  });
}

Deno.test("mergeRun() refuses what is not one run in shards", async () => {
  await inTempDir(async (dir) => {
    await assertRefused(dir, "io", /holds no shard/);
    const parts = partsOf(2);
    await writeShard(dir, parts[0]!);
    await writeShard(dir, parts[1]!, { identity: { max_ttft: 5 } });
    await assertRefused(dir, "usage", /shard 1: max_ttft is 5 s, not 2 s as in shard 0/);
    await Deno.remove(`${dir}/shard-1`, { recursive: true });
    await writeShard(dir, parts[0]!, { folder: "other", nonce: "of another run" });
    await assertRefused(dir, "usage", /Shard 0 is there twice, of two runs/);
    await Deno.remove(`${dir}/other`, { recursive: true });
    await Deno.writeTextFile(`${dir}/summary_20260101_000000.csv`, "context_size\n1\n");
    await assertRefused(dir, "usage", /holds a run of its own/);
  });
});
