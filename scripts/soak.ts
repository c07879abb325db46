/**
 * Many streams against a simulator that does everything wrong now and then: every request has to
 * be accounted for exactly once, and no socket, timer or memory may be left over.
 *
 * Usage: `deno task soak --streams 200 --seconds 600 --seed 1`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { encodeBody, routeUrl, type Target } from "../lib/client/openai.ts";
import { systemClock } from "../lib/host.ts";
import { type LoadPool, openPool } from "../lib/load/pool.ts";
import { randomStream, seedFor } from "../lib/random.ts";
import type { FailureKind, InferenceRequest, RequestRecord } from "../lib/record.ts";
import { type FaultName, FAULTS } from "../lib/sim/faults.ts";
import { parseTruth, type TruthEntry } from "../lib/sim/truth_log.ts";
import { withTempDir } from "../tests/support/command.ts";
import { startSimulateCommand } from "../tests/support/simulator.ts";

/** What {@linkcode soak} is to do. */
export interface SoakOptions {
  readonly streams: number;
  readonly seconds: number;
  /** Length of one period. */
  readonly periodSeconds: number;
  readonly workers: number;
  /** Decides how often each fault happens. */
  readonly seed: string;
  readonly timeoutMs: number;
  /** Wait at the end until no connection is open any more. */
  readonly waitForSockets: boolean;
  readonly onPeriod?: (tally: SoakTally) => void;
}

/** What was seen. Whatever is not as it should be throws. */
export interface SoakTally {
  requests: number;
  periods: number;
  succeeded: number;
  readonly failures: Partial<Record<FailureKind, number>>;
  /** Requests that met each fault, by the simulator's own log. */
  readonly faults: Partial<Record<FaultName, number>>;
  /** After each period: open sockets of this process, and its memory. */
  readonly sockets: number[];
  readonly residentBytes: number[];
}

/** Faults that fail a request, and the kinds of failure that each may be. */
const FAILING: Partial<Record<FaultName, readonly FailureKind[]>> = {
  "reset-before-headers": ["disconnect"],
  "reset-mid-headers": ["disconnect"],
  "http-429": ["http_status"],
  "http-500": ["http_status"],
  "json-error-200": ["server_error"],
  "wrong-content-type": ["protocol"],
  "reset-mid-stream": ["disconnect"],
  "stall": ["timeout"],
};
const EXPECTED = new Set(Object.values(FAILING).flat());
/** Their streams take so long that a busy machine may not see their end in time. */
const SLOW: readonly FaultName[] = ["slow-drip", "huge-line"];
/** A stream with this event is 4 MiB long. */
const RARE: ReadonlySet<string> = new Set(["huge-line"]);
/** Idle connections are dropped after 4 s; they are looked through every 4 s. */
const IDLE_MS = 10_000;

/** Does it. @throws {assert.AssertionError} At the first period that does not add up. */
export async function soak(options: SoakOptions): Promise<SoakTally> {
  return await withTempDir(async (dir) => {
    const log = `${dir}/truth.jsonl`;
    const tally: SoakTally = {
      requests: 0,
      periods: 0,
      succeeded: 0,
      failures: {},
      faults: {},
      sockets: [],
      residentBytes: [],
    };
    const records = new Map<string, RequestRecord["failure"]>();
    {
      await using simulator = await startSimulateCommand([
        ...["--itl-ms", "100", "--prefill-tps", "1M", "--truth-log", log],
        // So that no request waits for room, and each timeout is a fault's.
        ...["--hbm-tokens", "1M", "--max-batch", "4096"],
        ...faultArguments(options.seed),
      ]);
      const pool = await openPool({
        workers: options.workers,
        headers: {},
        workerModule: new URL("../main.ts", import.meta.url).href,
        clock: systemClock,
        cpuMs: () => 0,
      });
      const before = openSockets();
      try {
        await load(pool, simulator.url, options, tally, records);
        if (options.waitForSockets) await systemClock.sleep(IDLE_MS);
        assert.ok(
          !options.waitForSockets || openSockets() <= before,
          `${openSockets()} sockets, ${before} at the start`,
        );
      } finally {
        await pool.close();
      }
    }
    assertSeenOnce(records, parseTruth(await Deno.readTextFile(log)), tally);
    assertNoGrowth(tally.residentBytes);
    return tally;
  });
}

/** Every fault, each in one to five percent of the requests. */
function faultArguments(seed: string): string[] {
  const random = randomStream(seedFor("soak", seed));
  return Object.keys(FAULTS).flatMap((name) => {
    const percent = RARE.has(name) ? 0.1 : 1 + random.nextBelow(5);
    return ["--fault", `${name}:${percent / 100}`];
  });
}

async function load(
  pool: LoadPool,
  baseUrl: string,
  options: SoakOptions,
  tally: SoakTally,
  records: Map<string, RequestRecord["failure"]>,
): Promise<void> {
  const startAtMs = systemClock.nowMs();
  while (systemClock.nowMs() - startAtMs < options.seconds * 1000) {
    const taken = new Set<string>();
    const outcome = await pool.runPeriod(
      {
        cellId: "soak",
        periodId: `p${tally.periods}`,
        concurrency: options.streams,
        durationMs: options.periodSeconds * 1000,
      },
      () => {
        const request = requestTo(baseUrl, tally.requests + taken.size, options.timeoutMs);
        taken.add(request.requestId);
        return request;
      },
      { onUnsent: ({ requestId }) => void taken.delete(requestId) },
    );
    const ids = outcome.records.map((record) => record.requestId);
    assert.equal(new Set(ids).size, ids.length, "a request has two records");
    assert.deepEqual(ids.toSorted(), [...taken].sort(), "requests and records differ");
    for (const { requestId, failure } of outcome.records) {
      records.set(requestId, failure);
      if (failure === undefined) tally.succeeded++;
      else {
        assert.ok(EXPECTED.has(failure.kind), `${failure.kind}: ${failure.message}`);
        tally.failures[failure.kind] = (tally.failures[failure.kind] ?? 0) + 1;
      }
    }
    tally.requests += taken.size + 2 * options.streams;
    tally.periods++;
    tally.sockets.push(openSockets());
    tally.residentBytes.push(Deno.memoryUsage().rss);
    options.onPeriod?.(tally);
  }
  tally.requests = records.size;
}

function requestTo(baseUrl: string, number: number, timeoutMs: number): InferenceRequest {
  const target: Target = {
    baseUrl,
    api: number % 2 === 0 ? "chat" : "completions",
    model: "sim/demo",
    streamUsage: true,
    ignoreEos: true,
    minTokens: true,
  };
  const text = `${number} ${"one two three four five six seven eight ".repeat(8)}`;
  return {
    requestId: `soak${number}`,
    labels: {
      cellId: "soak",
      periodId: "soak",
      purpose: "measure",
      contextSizeTokens: 64,
      hitRatePercent: 0,
      concurrency: 1,
    },
    plan: { promptTokens: 64, sharedTokens: 0, achievableTokens: 0 },
    api: target.api,
    url: routeUrl(target),
    body: encodeBody(target, text, 16),
    maxOutputTokens: 16,
    timeoutMs,
  };
}

/** The server saw each request once, and what failed is what it made fail. */
function assertSeenOnce(
  records: ReadonlyMap<string, RequestRecord["failure"]>,
  truth: readonly TruthEntry[],
  tally: SoakTally,
): void {
  const seen = new Map(truth.map((entry) => [entry.requestId, entry]));
  assert.equal(seen.size, truth.length, "the server saw a request twice");
  assert.deepEqual([...seen.keys()].sort(), [...records.keys()].sort());
  for (const [id, failure] of records) {
    const { faults = [] } = seen.get(id) ?? {};
    for (const name of faults) tally.faults[name] = (tally.faults[name] ?? 0) + 1;
    const allowed = faults.flatMap((name) => FAILING[name] ?? []);
    const kind = failure?.kind;
    if (kind === "timeout" && faults.some((name) => SLOW.includes(name))) continue;
    const fits = kind === undefined ? allowed.length === 0 : allowed.includes(kind);
    assert.ok(fits, `${id} met ${faults.join(", ") || "no fault"}: ${kind} ${failure?.message}`);
  }
}

/** The collector takes its time: memory saws up and down by a third. */
const MOST_GROWTH = 1.25;

/** Where memory only goes up, something is kept. */
function assertNoGrowth(residentBytes: readonly number[]): void {
  const third = Math.floor(residentBytes.length / 3);
  if (third < 3) return;
  const middle = Math.max(...residentBytes.slice(third, 2 * third));
  const last = Math.min(...residentBytes.slice(2 * third));
  assert.ok(last <= middle * MOST_GROWTH, `memory grew from ${middle} to ${last} bytes`);
}

/** Sockets that this process, its threads included, holds open. */
function openSockets(): number {
  let sockets = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith("socket:")) sockets++;
    } catch {
      // Closed while it was looked at.
    }
  }
  return sockets;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      streams: { type: "string", default: "200" },
      seconds: { type: "string", default: "60" },
      period: { type: "string", default: "20" },
      workers: { type: "string", default: "1" },
      seed: { type: "string", default: "1" },
      timeout: { type: "string", default: "10" },
    },
  });
  const mega = (bytes: number) => Math.round(bytes / 2 ** 20);
  const tally = await soak({
    streams: Number(values.streams),
    seconds: Number(values.seconds),
    periodSeconds: Number(values.period),
    workers: Number(values.workers),
    seed: values.seed,
    timeoutMs: Number(values.timeout) * 1000,
    waitForSockets: true,
    onPeriod: ({ periods, succeeded, failures, sockets, residentBytes }) =>
      console.error(
        `period ${periods}: ${succeeded} succeeded, failed ${JSON.stringify(failures)}, ` +
          `${sockets.at(-1)} sockets, ${mega(residentBytes.at(-1) ?? 0)} MiB`,
      ),
  });
  const { residentBytes, ...rest } = tally;
  console.log(JSON.stringify({ ...rest, residentMiB: residentBytes.map(mega) }));
}
