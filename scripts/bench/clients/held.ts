/**
 * kvmark's client with many slow streams: what it lost, how late it was, what it took.
 *
 *     deno run -A held.ts URL STREAMS SECONDS
 *
 * @module
 */

import { runPool } from "../pool_load.ts";
import { processUse } from "../processes.ts";

const [baseUrl = "", streams, seconds] = Deno.args;
const idle = await processUse("self");
const tokens = Number(seconds);
const { records, client } = await runPool({
  baseUrl,
  model: "golden",
  streams: Number(streams),
  outputTokens: tokens,
  // One request a slot: launching ends before the first answer does.
  durationMs: Number(seconds) * 500,
  workers: 1,
  allowFailures: true,
});
const { peakBytes } = await processUse("self");
const answered = records.filter(({ failure }) => failure === undefined);
console.log(JSON.stringify({
  failed: records.length - answered.length,
  firstFailure: records.find(({ failure }) => failure !== undefined)?.failure?.message,
  lost: answered.reduce((sum, { contentChunks }) => sum + tokens - contentChunks, 0),
  lagP99Ms: client.eventLoopLagP99Ms,
  lagMaxMs: client.eventLoopLagMaxMs,
  cores: client.cpuCores,
  idleBytes: idle.residentBytes,
  peakBytes,
}));
