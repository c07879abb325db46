/**
 * How far kvmark's TTFT is from the truth: its real client against a server in another process
 * that writes down what it did.
 *
 * ```sh
 * deno run -A scripts/ttft_error.ts                                  # 2,000 chunks/s, both servers
 * deno run -A scripts/ttft_error.ts --server golden --chunks-per-sec 10000 --streams 200
 * deno run -A scripts/ttft_error.ts --server golden --tls
 * ```
 *
 * | option | meaning |
 * |---|---|
 * | `--server sim,golden` | `kvmark simulate --truth-log`, the C server `bench/golden_server.c`, or both |
 * | `--chunks-per-sec N`, `--streams N` | load: every stream gets its share of the chunks (2000, 10) |
 * | `--seconds N`, `--tokens N` | launching time (15), chunks of one answer (50) |
 * | `--vary F` | answers are up to this share shorter or longer (0.4); 0: streams that began together end together |
 * | `--prompt-words N` | length of a prompt (1000) |
 * | `--in-step` | golden: all streams send at the same instants, as an engine's batch does (the simulator always does) |
 * | `--realtime` | golden goes before all other processes (root): no wait of its own for a core is in the figures |
 * | `--tls` | golden over TLS |
 * | `--workers N` | sending threads (1) |
 *
 * The truth of a request: the first chunk was handed to the kernel, less the request's first byte
 * was read, both by the server's own clock. What the client says must be that; the difference holds
 * all that happens between the client's stamps and the server's. It is split at the server into the
 * way out and the way back by the clock that both processes share.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { dueToSentMs, firstContentAtMs, ttftMs } from "../lib/metrics/durations.ts";
import { latencySpread } from "../lib/metrics/spread.ts";
import type { PeriodOutcome, RequestRecord } from "../lib/record.ts";
import { parseTruth } from "../lib/sim/truth_log.ts";
import { SELF_SIGNED } from "../tests/support/certificates.ts";
import { type GoldenScript, monotonicOffsetMs, startGolden } from "./bench/golden.ts";
import { MAIN_MODULE, runPool } from "./bench/pool_load.ts";
import { machineLines, readyLine, watchOthers } from "./bench/processes.ts";

/** What a server says of one request, on the main thread's timeline of this process. */
interface Truth {
  readonly receivedAtMs: number;
  readonly chunksAtMs: readonly number[];
}

interface Run {
  /** Cores that other processes used meanwhile. */
  readonly others: number;
  readonly outcome: PeriodOutcome;
  readonly truth: ReadonlyMap<string, Truth>;
}

interface Load {
  readonly streams: number;
  readonly itlMs: number;
  readonly tokens: number;
  readonly vary: number;
  readonly promptWords: number;
  readonly durationMs: number;
  readonly workers: number;
  readonly inStep: boolean;
  readonly realtime: boolean;
  readonly tls: boolean;
}

/** Of the golden server, plus up to the same again. */
const TTFT_MS = 50;
/** Of the simulator: a prompt of 1,000 tokens takes 10 ms. */
const PREFILL_TOKENS_PER_SEC = 100_000;
const MODEL = "golden";

async function runSimulator(load: Load): Promise<Run> {
  const log = await Deno.makeTempFile({ prefix: "kvmark-truth-" });
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", MAIN_MODULE, "simulate", "--port", "0", "--truth-log", log],
      ...["--model", MODEL, "--max-batch", `${load.streams}`],
      ...["--itl-ms", `${load.itlMs}`, "--itl-growth-ms", "0"],
      ...["--prefill-tps", `${PREFILL_TOKENS_PER_SEC}`],
    ],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const driven = await readyLine(child)
    .then(({ url }) => drive(load, url, child.pid))
    .finally(async () => {
      child.kill("SIGTERM");
      await child.status;
    });
  const entries = parseTruth(await Deno.readTextFile(log));
  await Deno.remove(log);
  const at = (epochMs: number) => epochMs - performance.timeOrigin;
  const truth = entries.map(({ requestId, receivedEpochMs, chunks }) =>
    [requestId, {
      receivedAtMs: at(receivedEpochMs),
      chunksAtMs: chunks.map(([epochMs]) => at(epochMs)),
    }] as const
  );
  return { ...driven, truth: new Map(truth) };
}

async function drive(load: Load, baseUrl: string, server: number, caPem?: string) {
  const { streams, tokens, vary, promptWords, durationMs, workers } = load;
  const watch = await watchOthers(["self", server]);
  const outcome = await runPool({
    ...{ baseUrl, model: MODEL, streams, outputTokens: tokens },
    ...{ vary, promptWords, durationMs, workers },
    ...(caPem === undefined ? {} : { caPem }),
  });
  return { outcome, others: await watch.end() };
}

async function runGolden(load: Load): Promise<Run> {
  const dir = await Deno.makeTempDir({ prefix: "kvmark-golden-" });
  const tls = { certFile: `${dir}/cert.pem`, keyFile: `${dir}/key.pem` };
  await Deno.writeTextFile(tls.certFile, SELF_SIGNED.cert);
  await Deno.writeTextFile(tls.keyFile, SELF_SIGNED.key);
  // What a stream waits for its first chunk it makes up for afterwards.
  const itlMs = load.itlMs - 1.5 * TTFT_MS / load.tokens;
  const script: GoldenScript = {
    ttftMs: TTFT_MS,
    itlMs,
    realtime: load.realtime,
    ...(load.inStep ? { stepMs: itlMs } : { spread: 1 }),
    ...(load.tls ? { tls } : {}),
  };
  await using golden = await startGolden(script);
  const driven = await drive(load, golden.url, golden.pid, load.tls ? SELF_SIGNED.cert : undefined);
  const offsetMs = monotonicOffsetMs();
  const truth = (await golden.stop()).map(({ id, receivedMs, sentMs }) =>
    [id, {
      receivedAtMs: receivedMs - offsetMs,
      chunksAtMs: sentMs.map((ms) => ms - offsetMs),
    }] as const
  );
  await Deno.remove(dir, { recursive: true });
  return { ...driven, truth: new Map(truth) };
}

/** Prints the distribution of the errors; throws if a count is wrong. */
function report(name: string, { outcome, truth, others }: Run): void {
  const known = outcome.records.map((record) => {
    const entry = truth.get(record.requestId);
    if (entry === undefined) throw new Error(`${record.requestId} is not in the server's log`);
    if (record.outputTokens !== entry.chunksAtMs.length) {
      throw new Error(`${record.outputTokens} tokens instead of ${entry.chunksAtMs.length}`);
    }
    return { record, entry };
  });
  // The requests that fill the slots at the start wait for one another in one thread.
  const steady = known.filter(({ record }) => !record.rampIn);
  const of = (error: (record: RequestRecord, entry: Truth) => number, pairs = steady) =>
    row(pairs.map(({ record, entry }) => error(record, entry)));
  const ttft = (record: RequestRecord, { receivedAtMs, chunksAtMs }: Truth) =>
    Math.abs((ttftMs(record) ?? NaN) - ((chunksAtMs[0] ?? NaN) - receivedAtMs));
  console.log(
    `\n${name}: ${known.length} requests, ${steady.length} of them in steady state, ` +
      `${chunkRate(steady).toFixed(0)} chunks/s`,
  );
  console.log("| milliseconds | median | p99 | max |\n|---|---|---|---|");
  console.log(`| abs(TTFT - truth) | ${of(ttft)}`);
  console.log(`| the same, first request of each slot included | ${of(ttft, known)}`);
  console.log(
    `| way out: sent to received | ${of((record, entry) => entry.receivedAtMs - record.sentAtMs)}`,
  );
  console.log(
    `| way back: chunk sent to read | ${
      of((record, entry) => (firstContentAtMs(record) ?? NaN) - (entry.chunksAtMs[0] ?? NaN))
    }`,
  );
  console.log(`| abs(TPOT - truth) | ${of(tpotError)}`);
  const { eventLoopLagP99Ms: lagMs, cpuCores } = outcome.client;
  const { p99Ms: dueMs } = latencySpread(outcome.records.map(dueToSentMs));
  console.log(
    `client: event-loop lag p99 ${lagMs?.toFixed(2)} ms, due to sent p99 ${
      dueMs?.toFixed(2)
    } ms, ` +
      `CPU ${cpuCores?.toFixed(2)} cores; other processes: ${others.toFixed(2)} cores`,
  );
}

function tpotError(record: RequestRecord, { chunksAtMs }: Truth): number {
  const perToken = (first: number, last: number) => (last - first) / (chunksAtMs.length - 1);
  const measured = perToken(
    record.contentReadsAtMs[0] ?? NaN,
    record.contentReadsAtMs.at(-1) ?? NaN,
  );
  return Math.abs(measured - perToken(chunksAtMs[0] ?? NaN, chunksAtMs.at(-1) ?? NaN));
}

function row(values: readonly number[]): string {
  const { medianMs, p99Ms, maxMs } = latencySpread(values);
  return [medianMs, p99Ms, maxMs].map((ms) => `${ms?.toFixed(3)} |`).join(" ");
}

/** Chunks a second between the first and the last steady request. */
function chunkRate(pairs: readonly { readonly entry: Truth }[]): number {
  const instants = pairs.flatMap(({ entry }) => entry.chunksAtMs).sort((a, b) => a - b);
  const [first = NaN, last = NaN] = [
    instants[Math.floor(instants.length * 0.1)],
    instants[Math.floor(instants.length * 0.9)],
  ];
  return instants.length * 0.8 / (last - first) * 1000;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      "server": { type: "string", default: "sim,golden" },
      "chunks-per-sec": { type: "string", default: "2000" },
      "streams": { type: "string", default: "10" },
      "seconds": { type: "string", default: "15" },
      "tokens": { type: "string", default: "50" },
      "vary": { type: "string", default: "0.4" },
      "prompt-words": { type: "string", default: "1000" },
      "workers": { type: "string", default: "1" },
      "in-step": { type: "boolean", default: false },
      "realtime": { type: "boolean", default: false },
      "tls": { type: "boolean", default: false },
    },
  });
  const tokens = Number(values.tokens);
  const itlMs = 1000 * Number(values.streams) / Number(values["chunks-per-sec"]);
  const load: Load = {
    streams: Number(values.streams),
    itlMs,
    tokens,
    vary: Number(values.vary),
    promptWords: Number(values["prompt-words"]),
    durationMs: Number(values.seconds) * 1000,
    workers: Number(values.workers),
    inStep: values["in-step"],
    realtime: values.realtime,
    tls: values.tls,
  };
  console.log((await machineLines()).join("\n"));
  console.log(`${load.streams} streams, ${itlMs} ms between chunks, ${tokens} chunks an answer`);
  const servers = values.server.split(",");
  if (servers.includes("sim")) report("kvmark simulate", await runSimulator(load));
  const style = `${load.inStep ? ", in step" : ""}${load.tls ? ", TLS" : ""}${
    load.realtime ? ", real-time priority" : ""
  }`;
  if (servers.includes("golden")) report(`golden server${style}`, await runGolden(load));
}

if (import.meta.main) await main();
