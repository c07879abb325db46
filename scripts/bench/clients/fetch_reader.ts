/**
 * A client that anyone would write with `fetch`, in two ways:
 *
 * - `json`: the default reader, a text decoder, and JSON of each chunk as it comes;
 * - `count`: a BYOB reader that only counts bytes, the least that fetch can cost.
 *
 *     deno run -A fetch_reader.ts URL STREAMS TOKENS SECONDS json|count
 *
 * @module
 */

import { bodyOf, type ClientRequest, clientTask, closedLoop, tokensOf } from "./load.ts";

const task = clientTask();
const client = Deno.createHttpClient({ http2: false, poolMaxIdlePerHost: task.streams });

async function open(n: number): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const response = await fetch(`${task.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-request-id": `${n}` },
    body: bodyOf(task, n),
    client,
  });
  if (response.status !== 200 || response.body === null) throw new Error(`${response.status}`);
  return response.body;
}

async function readJson(n: number): Promise<ClientRequest> {
  const startMs = performance.now();
  const instants: number[] = [];
  let rest = "";
  for await (const text of (await open(n)).pipeThrough(new TextDecoderStream())) {
    const events = (rest + text).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) {
      const data = event.slice("data: ".length);
      if (data === "[DONE]") continue;
      if (JSON.parse(data).choices[0]?.text) instants.push(performance.now());
    }
  }
  return { id: `${n}`, ttftMs: (instants[0] ?? NaN) - startMs, chunks: instants.length };
}

async function readCount(n: number): Promise<ClientRequest> {
  const startMs = performance.now();
  const reader = (await open(n)).getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(8192);
  let [bytes, firstMs] = [0, NaN];
  while (true) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done) break;
    if (bytes === 0) firstMs = performance.now();
    bytes += value.length;
    buffer = value.buffer;
  }
  return { id: `${n}`, ttftMs: firstMs - startMs, chunks: tokensOf(task, n) };
}

const done = await closedLoop(task, Deno.args[4] === "count" ? readCount : readJson);
console.log(JSON.stringify(done));
