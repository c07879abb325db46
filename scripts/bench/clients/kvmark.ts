/**
 * kvmark's client, whole: the pool, its worker, and the main thread that makes records.
 *
 *     deno run -A kvmark.ts URL STREAMS TOKENS SECONDS
 *
 * @module
 */

import { ttftMs } from "../../../lib/metrics/durations.ts";
import { runPool } from "../pool_load.ts";
import { clientTask } from "./load.ts";

const { url, streams, tokens, seconds } = clientTask();
const { records } = await runPool({
  baseUrl: url,
  model: "golden",
  streams,
  outputTokens: tokens,
  vary: 0.4,
  durationMs: seconds * 1000,
  workers: 1,
});
console.log(JSON.stringify(records.map((record) => ({
  id: record.requestId,
  ttftMs: ttftMs(record),
  chunks: record.contentChunks,
}))));
