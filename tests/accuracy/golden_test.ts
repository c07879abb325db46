/**
 * kvmark's client against a server that shares no code with it: counts, and what the instants mean.
 * How close they are is a figure of a quiet machine, not a test: `scripts/ttft_error.ts`.
 */

import assert from "node:assert/strict";
import { denoHost } from "../../lib/host.ts";
import { encodeBody, routeUrl, type Target } from "../../lib/client/openai.ts";
import { openPool } from "../../lib/load/pool.ts";
import { readGapsMs, tpotMs, ttftMs, ttltMs } from "../../lib/metrics/durations.ts";
import type { InferenceRequest, RequestRecord } from "../../lib/record.ts";
import { SELF_SIGNED } from "../support/certificates.ts";
import type { GoldenEntry, GoldenEvent, GoldenScript } from "./golden_server.ts";

const SERVER = new URL("golden_server.ts", import.meta.url).pathname;
const WORKER_MODULE = new URL("../support/load_worker_main.ts", import.meta.url).href;
/** Clocks of two processes tick in steps. */
const CLOCK_STEP_MS = 0.1;
const END_AFTER_MS = 200;

/** A role at once, one token at 60 ms, then 1 to 3 tokens every 15 ms, the end much later. */
const EVENTS: readonly GoldenEvent[] = [
  [0, "role"],
  [60, "text", 1],
  [75, "text", 1],
  [90, "text", 3],
  [105, "text", 2],
  [105 + END_AFTER_MS, "end"],
];
const TEXTS = EVENTS.flatMap(([, what], index) => what === "text" ? [index] : []);
const TOKENS = 7;

interface Pair {
  readonly record: RequestRecord;
  /** Durations by the server's clock, from the request's head. */
  readonly sentAfterMs: readonly number[];
}

async function run(streams: number, requests: number, isTls: boolean): Promise<Pair[]> {
  const script: GoldenScript = { events: EVENTS, ...(isTls ? SELF_SIGNED : {}) };
  const server = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-lock", "--allow-net", SERVER, JSON.stringify(script)],
    stdout: "piped",
  }).spawn();
  const host = denoHost(import.meta.url);
  const pool = await openPool({
    workers: 1,
    headers: {},
    workerModule: WORKER_MODULE,
    clock: host.clock,
    cpuMs: () => host.cpuMs(),
    ...(isTls ? { caPem: SELF_SIGNED.cert } : {}),
  });
  try {
    const baseUrl = await firstLine(server.stdout);
    const spec = { cellId: "c", periodId: "p", concurrency: streams };
    let sent = 0;
    const next = () => sent < requests ? requestOf(baseUrl, sent++) : undefined;
    const { records } = await pool.runPeriod(spec, next);
    const log = await readLog(host.fetchWith(isTls ? SELF_SIGNED.cert : undefined), baseUrl);
    return records.map((record) => ({ record, sentAfterMs: sentAfterMs(log, record) }));
  } finally {
    await pool.close();
    server.kill("SIGTERM");
    await server.status;
  }
}

async function firstLine(stdout: ReadableStream<Uint8Array>): Promise<string> {
  for await (const line of stdout.pipeThrough(new TextDecoderStream())) return line.trim();
  throw new Error("the golden server did not start");
}

async function readLog(get: typeof fetch, baseUrl: string): Promise<GoldenEntry[]> {
  return await (await get(`${baseUrl}/log`)).json();
}

function sentAfterMs(log: readonly GoldenEntry[], { requestId }: RequestRecord): number[] {
  const [entry, ...more] = log.filter(({ id }) => id === requestId);
  assert.ok(entry !== undefined && more.length === 0, `${requestId} was sent once`);
  return entry.sentAtMs.map((atMs) => atMs - entry.receivedAtMs);
}

function requestOf(baseUrl: string, number: number): InferenceRequest {
  const target: Target = {
    baseUrl,
    api: "chat",
    model: "golden",
    streamUsage: true,
    ignoreEos: true,
    minTokens: true,
  };
  return {
    requestId: `golden-${number}`,
    labels: {
      cellId: "c",
      periodId: "p",
      purpose: "measure",
      contextSizeTokens: 7,
      hitRatePercent: 0,
      concurrency: 1,
    },
    plan: { promptTokens: 7, sharedTokens: 0, achievableTokens: 0 },
    api: target.api,
    url: routeUrl(target),
    body: encodeBody(target, "a prompt", TOKENS),
    maxOutputTokens: TOKENS,
    timeoutMs: 30_000,
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

for (const isTls of [false, true]) {
  for (const [streams, requests] of [[1, 3], [12, 24]] as const) {
    const how = `${streams} ${streams === 1 ? "stream" : "streams"}${isTls ? ", TLS" : ""}`;

    Deno.test(`golden server, ${how}: counts are exact, no instant is early`, async () => {
      const pairs = await run(streams, requests, isTls);
      assert.equal(pairs.length, requests);
      for (const { record, sentAfterMs } of pairs) {
        assert.equal(record.failure, undefined);
        assert.equal(record.outputTokens, TOKENS);
        assert.equal(record.contentChunks, TEXTS.length);
        assert.equal(record.usage?.promptTokens, 7);
        const [first = 0, last = 0] = [TEXTS[0], TEXTS.at(-1)];
        // Sent is stamped before the server can read, a read after the server has sent.
        assert.ok((ttftMs(record) ?? 0) >= (sentAfterMs[first] ?? NaN) - CLOCK_STEP_MS);
        assert.ok((ttltMs(record) ?? 0) >= (sentAfterMs[last] ?? NaN) - CLOCK_STEP_MS);
      }
      const afterLastMs = pairs.map(({ record }) =>
        record.endAtMs - (record.contentReadsAtMs.at(-1) ?? NaN)
      );
      // Half of the script's pause: the end of the stream is no token.
      assert.ok(median(afterLastMs) > END_AFTER_MS / 2, `end after ${median(afterLastMs)} ms`);
    });
  }
}

Deno.test("golden server: TPOT and ITL are those of the script", async () => {
  const pairs = await run(1, 5, false);
  const whole = pairs.filter(({ record }) => record.contentReadsAtMs.length === TEXTS.length);
  assert.ok(whole.length > 0, "in no answer every chunk was a read of its own");
  for (const { record } of whole) {
    const gaps = readGapsMs(record);
    assert.equal(gaps.length, TEXTS.length - 1);
    assert.equal(record.firstChunkTokens, 1);
    const sum = gaps.reduce((total, gap) => total + gap, 0);
    assert.ok(Math.abs((tpotMs(record) ?? NaN) - sum / (TOKENS - 1)) < 1e-6);
  }
});
