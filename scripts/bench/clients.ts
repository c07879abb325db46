/**
 * CPU time of a client per streamed chunk, against peers in one run on one machine.
 *
 * ```sh
 * deno run -A scripts/bench/clients.ts                                # 200 streams, 10,000 chunks/s
 * deno run -A scripts/bench/clients.ts --chunks-per-sec 20000 --only kvmark,aiohttp
 * ```
 *
 * The load is the golden server's, whose truth is also the measure of each client's TTFT. A client
 * runs in a process of its own; its CPU time (all its threads, user and system) is read twice, some
 * seconds apart, when the load has settled, and divided by the chunks that the server sent between.
 * The Python ones need `scripts/bench/peers.sh`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { latencySpread } from "../../lib/metrics/spread.ts";
import type { ClientRequest } from "./clients/load.ts";
import { type GoldenRequest, startGolden } from "./golden.ts";
import { benchPython, machineLines, processUse, pythonVersions } from "./processes.ts";

const TS = ["run", "-A"];
const folder = new URL("clients/", import.meta.url).pathname;

/** Name, what it is, and its program with the arguments before and after the task's. */
const CLIENTS = [
  ["kvmark", "kvmark: pool, worker, records", Deno.execPath(), [...TS, `${folder}kvmark.ts`], []],
  [
    "bare",
    "fetch, BYOB, only counts bytes",
    Deno.execPath(),
    [...TS, `${folder}fetch_reader.ts`],
    ["count"],
  ],
  ["raw", "TCP without HTTP, only counts bytes", Deno.execPath(), [
    ...TS,
    `${folder}raw_reader.ts`,
  ], []],
  [
    "fetch",
    "fetch, JSON of each chunk",
    Deno.execPath(),
    [...TS, `${folder}fetch_reader.ts`],
    ["json"],
  ],
  ["uvloop", "aiohttp on uvloop, JSON of each chunk", "python", [`${folder}aiohttp_reader.py`], [
    "uvloop",
  ]],
  ["aiohttp", "aiohttp, JSON of each chunk", "python", [`${folder}aiohttp_reader.py`], []],
  ["openai", "openai (httpx)", "python", [`${folder}openai_reader.py`], []],
] as const;

type Client = (typeof CLIENTS)[number];

interface Load {
  readonly streams: number;
  readonly chunksPerSec: number;
  readonly tokens: number;
  readonly windowSeconds: number;
}

/** What one client did. */
interface Result {
  readonly name: string;
  readonly what: string;
  readonly chunksPerSec: number;
  readonly cpuMicrosPerChunk: number;
  readonly cores: number;
  readonly peakBytes: number;
  readonly ttftErrorMedianMs: number;
  readonly ttftErrorP99Ms: number;
}

const SETTLE_SECONDS = 4;
const TTFT_MS = 100;

async function measure([name, what, program, before, after]: Client, load: Load): Promise<Result> {
  await using golden = await startGolden({
    ttftMs: TTFT_MS,
    spread: 1,
    // What a stream waits for its first chunk it makes up for afterwards.
    itlMs: 1000 * load.streams / load.chunksPerSec - 1.5 * TTFT_MS / load.tokens,
  });
  const seconds = SETTLE_SECONDS + load.windowSeconds + 1;
  const task = [golden.url, load.streams, load.tokens, seconds].map(String);
  const child = new Deno.Command(program === "python" ? await benchPython() : program, {
    args: [...before, ...task, ...after],
    stdout: "piped",
  }).spawn();
  const output = child.output();
  while ((await golden.stats()).running < load.streams * 0.9) await pause(100);
  await pause(SETTLE_SECONDS * 1000);
  const [use, stats] = [await processUse(child.pid), await golden.stats()];
  await pause(load.windowSeconds * 1000);
  const [useLater, statsLater] = [await processUse(child.pid), await golden.stats()];
  const { code, stdout } = await output;
  if (code !== 0) throw new Error(`${name} ended with ${code}`);
  const chunks = statsLater.chunks - stats.chunks;
  const cpuMs = useLater.cpuMs - use.cpuMs;
  const wallMs = statsLater.atMs - stats.atMs;
  return {
    name,
    what,
    chunksPerSec: chunks / wallMs * 1000,
    cpuMicrosPerChunk: cpuMs * 1000 / chunks,
    cores: cpuMs / wallMs,
    peakBytes: useLater.peakBytes,
    ...ttftErrors(JSON.parse(new TextDecoder().decode(stdout)), await golden.stop(), load),
  };
}

/** How far the client's TTFT is from the server's, without the first request of each stream. */
function ttftErrors(
  said: readonly ClientRequest[],
  done: readonly GoldenRequest[],
  { streams }: Load,
) {
  const truth = new Map(done.map((request) => [request.id, request]));
  const steady = said.filter(({ id }) => Number(id.replace("bench-", "")) >= streams);
  const errors = steady.map(({ id, ttftMs, chunks }) => {
    const request = truth.get(id);
    if (request?.sentMs.length !== chunks) {
      throw new Error(`request ${id}: ${chunks} chunks, and not ${request?.sentMs.length}`);
    }
    return Math.abs(ttftMs - ((request.sentMs[0] ?? NaN) - request.receivedMs));
  });
  const { medianMs = NaN, p99Ms = NaN } = latencySpread(errors);
  return { ttftErrorMedianMs: medianMs, ttftErrorP99Ms: p99Ms };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function print(results: readonly Result[], load: Load): void {
  const own = results.find(({ name }) => name === "kvmark");
  console.log(`\n${load.streams} streams, ${load.chunksPerSec} chunks/s asked for\n`);
  console.log(
    "| client | chunks/s | CPU us/chunk | kvmark's is | cores | peak MiB | TTFT error median | p99 (ms) |",
  );
  console.log("|---|---|---|---|---|---|---|---|");
  for (const one of results) {
    const ratio = own === undefined ? NaN : own.cpuMicrosPerChunk / one.cpuMicrosPerChunk;
    console.log(
      `| ${one.what} | ${one.chunksPerSec.toFixed(0)} | ${one.cpuMicrosPerChunk.toFixed(1)} | ` +
        `${ratio.toFixed(2)}x | ${one.cores.toFixed(2)} | ${
          (one.peakBytes / 2 ** 20).toFixed(0)
        } | ` +
        `${one.ttftErrorMedianMs.toFixed(2)} | ${one.ttftErrorP99Ms.toFixed(2)} |`,
    );
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      "streams": { type: "string", default: "200" },
      "chunks-per-sec": { type: "string", default: "10000" },
      "tokens": { type: "string", default: "150" },
      "seconds": { type: "string", default: "8" },
      "only": { type: "string", default: CLIENTS.map(([name]) => name).join(",") },
      "json": { type: "boolean", default: false },
    },
  });
  const load: Load = {
    streams: Number(values.streams),
    chunksPerSec: Number(values["chunks-per-sec"]),
    tokens: Number(values.tokens),
    windowSeconds: Number(values.seconds),
  };
  const chosen = values.only.split(",");
  const results: Result[] = [];
  for (const client of CLIENTS) {
    if (chosen.includes(client[0])) results.push(await measure(client, load));
  }
  if (values.json) return console.log(JSON.stringify({ load, results }));
  console.log([...await machineLines(), ...await pythonVersions()].join("\n"));
  print(results, load);
}

if (import.meta.main) await main();
