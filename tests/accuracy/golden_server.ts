/**
 * A server that plays a script, as a process of its own, and writes down when. It shares no code
 * with kvmark: it is the oracle of `golden_test.ts`. (`scripts/bench/golden_server.c` is its fast
 * brother for figures; this one needs no compiler.)
 *
 *     deno run --allow-net golden_server.ts '{"events": [[0, "role"], [40, "text", 1], …]}'
 *
 * An event is the instant after the request was read, in milliseconds, and what is sent then: a
 * delta with nothing but the role, text of so many tokens, or the end of the stream with the token
 * counts. `cert` and `key` (PEM) serve TLS. GET /log: what was done. Instants are of
 * `performance.now()`, which on Linux is the kernel's monotonic clock.
 *
 * @module
 */

/** What is sent, and when. */
export type GoldenEvent =
  | readonly [atMs: number, what: "role"]
  | readonly [atMs: number, what: "text", tokens: number]
  | readonly [atMs: number, what: "end"];

/** The argument of the process. */
export interface GoldenScript {
  readonly events: readonly GoldenEvent[];
  readonly cert?: string;
  readonly key?: string;
}

/** One request, as the server saw it. */
export interface GoldenEntry {
  readonly id: string;
  /** The head was read. */
  readonly receivedAtMs: number;
  /** Right before each event was written. */
  readonly sentAtMs: readonly number[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const log: GoldenEntry[] = [];

function eventJson(event: GoldenEvent, tokens: number): string {
  const choice = (delta: unknown, finish: string | null) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  if (event[1] === "role") return choice({ role: "assistant", content: "" }, null);
  if (event[1] === "text") return choice({ content: " word".repeat(event[2]) }, null);
  const usage = { prompt_tokens: 7, completion_tokens: tokens, total_tokens: 7 + tokens };
  return choice({}, "length") + `data: ${JSON.stringify({ choices: [], usage })}\n\n` +
    "data: [DONE]\n\n";
}

async function write(connection: Deno.Conn, text: string): Promise<void> {
  const bytes = encoder.encode(text);
  for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
}

function framed(text: string): string {
  return `${encoder.encode(text).length.toString(16)}\r\n${text}\r\n`;
}

async function play(connection: Deno.Conn, head: string, script: GoldenScript): Promise<void> {
  const receivedAtMs = performance.now();
  const sentAtMs: number[] = [];
  const id = /^x-request-id: *(\S+)/im.exec(head)?.[1] ?? "";
  log.push({ id, receivedAtMs, sentAtMs });
  await write(
    connection,
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
  );
  let tokens = 0;
  for (const event of script.events) {
    const leftMs = receivedAtMs + event[0] - performance.now();
    if (leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs));
    if (event[1] === "text") tokens += event[2];
    sentAtMs.push(performance.now());
    await write(connection, framed(eventJson(event, tokens)));
  }
  await write(connection, "0\r\n\r\n");
}

async function answer(connection: Deno.Conn, head: string, script: GoldenScript): Promise<void> {
  if (head.startsWith("POST ")) return await play(connection, head, script);
  const body = head.startsWith("GET /log") ? JSON.stringify(log) : "{}";
  const length = encoder.encode(body).length;
  await write(connection, `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n${body}`);
}

async function serve(connection: Deno.Conn, script: GoldenScript): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  while (true) {
    const length = await connection.read(buffer);
    if (length === null) return connection.close();
    text += decoder.decode(buffer.subarray(0, length));
    const bodyAt = text.indexOf("\r\n\r\n") + 4;
    // kvmark sends a body in one chunk of transfer coding; "0" ends it.
    if (bodyAt < 4 || (text.startsWith("POST ") && !text.endsWith("\r\n0\r\n\r\n"))) continue;
    const head = text.slice(0, bodyAt);
    text = "";
    await answer(connection, head, script);
  }
}

if (import.meta.main) {
  const script = JSON.parse(Deno.args[0] ?? "") as GoldenScript;
  const { cert, key } = script;
  const address = { hostname: "127.0.0.1", port: 0 };
  const isTls = cert !== undefined && key !== undefined;
  const listener = isTls ? Deno.listenTls({ ...address, cert, key }) : Deno.listen(address);
  const { port } = listener.addr as Deno.NetAddr;
  console.log(isTls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`);
  for await (const connection of listener) serve(connection, script).catch(() => {});
}
