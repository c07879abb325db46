/**
 * Bare TCP, only counts bytes: the least that a read costs in this runtime, below fetch. No client:
 * it knows the golden server's framing.
 *
 *     deno run -A raw_reader.ts URL STREAMS TOKENS SECONDS
 *
 * @module
 */

import { bodyOf, type ClientRequest, clientTask, closedLoop, tokensOf } from "./load.ts";

const task = clientTask();
const { hostname, port } = new URL(task.url);
const idle: Deno.TcpConn[] = [];
const encoder = new TextEncoder();
const END = "0\r\n\r\n";

async function read(n: number): Promise<ClientRequest> {
  const connection = idle.pop() ?? await Deno.connect({ hostname, port: Number(port) });
  const body = bodyOf(task, n);
  const startMs = performance.now();
  await connection.write(encoder.encode(
    `POST /v1/completions HTTP/1.1\r\nhost: golden\r\nx-request-id: ${n}\r\n` +
      `content-length: ${body.length}\r\n\r\n${body}`,
  ));
  const buffer = new Uint8Array(8192);
  let [reads, firstMs] = [0, NaN];
  while (true) {
    const length = await connection.read(buffer);
    if (length === null) throw new Error("the connection was closed");
    // The first read is the head of the response.
    if (reads++ === 1) firstMs = performance.now();
    if (endsHere(buffer, length)) break;
  }
  idle.push(connection);
  return { id: `${n}`, ttftMs: firstMs - startMs, chunks: tokensOf(task, n) };
}

function endsHere(buffer: Uint8Array, length: number): boolean {
  if (length < END.length) return false;
  for (let i = 0; i < END.length; i++) {
    if (buffer[length - END.length + i] !== END.charCodeAt(i)) return false;
  }
  return true;
}

console.log(JSON.stringify(await closedLoop(task, read)));
