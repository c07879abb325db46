import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import type { FailureKind } from "../record.ts";
import { type Exchange, exchange, type ExchangeOptions } from "./stream.ts";
import {
  type Answering,
  chunked,
  scriptedServer,
  STREAM_END,
  STREAM_HEAD,
  whole,
} from "../../tests/support/scripted_server.ts";

const body = new TextEncoder().encode('{"prompt":"hello"}');

function send(
  url: string,
  changes: Partial<ExchangeOptions & { timeoutMs: number; body: Uint8Array<ArrayBuffer> }> = {},
): Promise<Exchange> {
  const { timeoutMs = 10_000, ...options } = changes;
  const request = { requestId: "r1", url, body: changes.body ?? body, timeoutMs, dueAtMs: 1 };
  const nowMs = () => performance.now();
  return exchange(request, { worker: 2, headers: {}, nowMs, ...options });
}

/** Sends one request to a server that answers it as told. */
async function ask(
  answer: (connection: Answering) => Promise<void> | void,
  changes: Parameters<typeof send>[1] = {},
): Promise<Exchange> {
  using server = scriptedServer((_request, connection) => answer(connection));
  return await send(server.url, changes);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.test("exchange() sends the bytes as they are, once, and asks for no compression", async () => {
  using server = scriptedServer((_request, { write }) => write(whole("200 OK", "x")));
  const headers = { authorization: "Bearer key-12345678", "x-run": "7" };
  const result = await send(`${server.url}/v1/completions`, { headers });
  assert.equal(result.failure, undefined);
  const [seen, ...more] = server.requests;
  assert.equal(more.length, 0);
  // As a stream, in one chunk: given bytes, fetch could send them a second time by itself.
  assert.match(seen?.head ?? "", /^transfer-encoding: chunked$/im);
  assert.match(seen?.head ?? "", /^POST \/v1\/completions HTTP\/1\.1/);
  assert.match(seen?.head ?? "", /^content-type: application\/json$/im);
  assert.match(seen?.head ?? "", /^accept-encoding: identity$/im);
  assert.match(seen?.head ?? "", /^authorization: Bearer key-12345678$/im);
  assert.match(seen?.head ?? "", /^x-run: 7$/im);
  assert.equal(body.length, 18, "the body was not transferred away");
});

Deno.test("exchange() stamps every read, in order, and keeps every byte", async () => {
  const parts = Array.from({ length: 150 }, (_, index) => `part ${index} ${"x".repeat(index)}\n`);
  const writtenAtMs: number[] = [];
  const result = await ask(async ({ write }) => {
    await write(STREAM_HEAD);
    for (const part of parts) {
      await pause(1);
      writtenAtMs.push(performance.now());
      await write(chunked(part));
    }
    await write(STREAM_END);
  });
  assert.equal(result.failure, undefined);
  assert.equal(new TextDecoder().decode(result.bytes), parts.join(""));
  assert.equal(result.readEnds.length, result.readAtMs.length);
  assert.equal(result.readEnds.at(-1), result.bytes.length);
  assert.equal(result.bytes.buffer.byteLength, result.bytes.length, "ready to be transferred");
  const { dueAtMs, sentAtMs, headersAtMs = NaN, endAtMs, readAtMs } = result;
  const instants = [sentAtMs, headersAtMs, ...readAtMs, endAtMs];
  assert.equal(dueAtMs, 1);
  assert.deepEqual(instants, instants.toSorted((a, b) => a - b));
  // No byte is seen before it was written: the read that ends part i comes after its write.
  let length = 0;
  for (const [index, part] of parts.entries()) {
    length += part.length;
    const read = result.readEnds.findIndex((end) => end >= length);
    assert((readAtMs[read] ?? 0) >= (writtenAtMs[index] ?? Infinity), `part ${index}`);
  }
  assert(result.readEnds.length > 64, "the stamps outgrew their first buffer");
});

Deno.test("exchange() keeps a body that is larger than its buffers", async () => {
  const large = crypto.getRandomValues(new Uint8Array(60_000));
  const result = await ask(async ({ write }) => {
    await write(STREAM_HEAD);
    for (let i = 0; i < 5; i++) await write(chunked(large));
    await write(STREAM_END);
  });
  assert.equal(result.bytes.length, 300_000);
  assert.deepEqual(result.bytes.slice(240_000), large);
});

const head200 = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
const bigBody = new Uint8Array(4_000_000).fill(0x20);

/** How a server can fail, and the failure that it has to be. */
const faults: Record<
  string,
  [FailureKind, RegExp, (connection: Answering) => Promise<void> | void]
> = {
  "close before headers": ["disconnect", /closed before/, ({ close }) => close()],
  "close in the headers": ["disconnect", /closed before/, async ({ write, close }) => {
    await write("HTTP/1.1 200 OK\r\nContent-");
    close();
  }],
  "close in a chunked body": ["disconnect", /broke before/, async ({ write, close }) => {
    await write(STREAM_HEAD);
    await write(chunked("data: x\n\n"));
    close();
  }],
  "close in a counted body": ["disconnect", /broke before/, async ({ write, close }) => {
    await write(`${head200}Content-Length: 100\r\n\r\nhello`);
    close();
  }],
  "broken chunk size": ["disconnect", /broke before/, async ({ write }) => {
    await write(`${STREAM_HEAD}zz\r\nhello\r\n`);
  }],
  "not HTTP": ["protocol", /not HTTP/, async ({ write }) => {
    await write("SSH-2.0-OpenSSH_9\r\n\r\n");
  }],
};

for (const [name, [kind, message, answer]] of Object.entries(faults)) {
  Deno.test(`exchange() calls it ${kind}: ${name}`, async () => {
    const { failure, endAtMs, sentAtMs } = await ask(answer);
    assert.equal(failure?.kind, kind);
    assert.match(failure?.message ?? "", message);
    assert(endAtMs >= sentAtMs);
  });
}

Deno.test("exchange() calls it disconnect: reset while the request is being sent", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const accepted = listener.accept().then(async (connection) => {
    await connection.read(new Uint8Array(10));
    connection.close(); // with unread input: a reset
  });
  const { failure } = await send(`http://127.0.0.1:${port}`, { body: bigBody });
  await accepted;
  listener.close();
  assert.equal(failure?.kind, "disconnect");
});

Deno.test("exchange() calls it disconnect: reset in mid-stream, and keeps what was read", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const accepted = listener.accept().then(async (connection) => {
    await connection.read(new Uint8Array(10));
    await connection.write(new TextEncoder().encode(STREAM_HEAD));
    await connection.write(chunked("data: kept\n\n"));
    await pause(50);
    connection.close();
  });
  const result = await send(`http://127.0.0.1:${port}`, { body: bigBody });
  await accepted;
  listener.close();
  assert.equal(result.failure?.kind, "disconnect");
  assert.equal(new TextDecoder().decode(result.bytes), "data: kept\n\n");
  assert.equal(result.readEnds.length, 1);
});

Deno.test("exchange() calls it connect: refused, no such host, a port that fetch blocks", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  for (const url of [`http://127.0.0.1:${port}/`, "http://no-such-host.invalid/", "http://h:1/"]) {
    const { failure, status } = await send(url);
    assert.equal(failure?.kind, "connect", failure?.message);
    assert.equal(status, undefined);
  }
  assert.match((await send(`http://127.0.0.1:${port}/`)).failure?.message ?? "", /refused/);
});

Deno.test("exchange() calls it tls: a port that does not speak TLS, or hangs up", async () => {
  using plain = scriptedServer(() => {});
  const { failure } = await send(`https://127.0.0.1:${plain.port}/`, { timeoutMs: 2000 });
  // The server waits for the end of a head that never comes: only the timeout ends that.
  assert.equal(failure?.kind, "timeout");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const answers = ["HTTP/1.1 400 Bad Request\r\n\r\n", ""];
  const accepted = (async () => {
    for (const answer of answers) {
      const connection = await listener.accept();
      await connection.read(new Uint8Array(10_000));
      await connection.write(new TextEncoder().encode(answer));
      connection.close();
    }
  })();
  for (const _ of answers) {
    const { failure } = await send(`https://127.0.0.1:${port}/`);
    assert.equal(failure?.kind, "tls", failure?.message);
  }
  await accepted;
  listener.close();
});

Deno.test("exchange() gives up after timeoutMs, before the headers and in the body", async () => {
  const silent = await ask(() => pause(1000), { timeoutMs: 30 });
  assert.equal(silent.failure?.kind, "timeout");
  assert.equal(silent.headersAtMs, undefined);
  const stalled = await ask(async ({ write }) => {
    await write(STREAM_HEAD);
    await write(chunked("data: kept\n\n"));
    await pause(1000);
  }, { timeoutMs: 100 });
  assert.equal(stalled.failure?.kind, "timeout");
  assert.match(stalled.failure?.message ?? "", /within 100 ms/);
  assert.equal(new TextDecoder().decode(stalled.bytes), "data: kept\n\n");
  assert.equal(stalled.status, 200);
});

Deno.test("exchange() gives up when its signal aborts, and says for what", async () => {
  for (const reason of ["aborted", "timeout"] as const) {
    const controller = new AbortController();
    const { failure } = await ask(async ({ write }) => {
      await write(STREAM_HEAD);
      controller.abort(reason);
      await pause(1000);
    }, { signal: controller.signal });
    assert.equal(failure?.kind, reason);
  }
  const { failure } = await ask(() => {}, { signal: AbortSignal.abort() });
  assert.equal(failure?.kind, "aborted", "aborted before it began");
});

Deno.test("exchange() gives the error message and the Retry-After of a status", async () => {
  const date =
    "Date: Tue, 24 Nov 2026 09:00:00 GMT\r\nRetry-After: Tue, 24 Nov 2026 09:00:03 GMT\r\n";
  const cases: [string, string, string, string, number | undefined][] = [
    [
      "429 Too Many",
      '{"error":{"message":"slow\\ndown"}}',
      "Retry-After: 2\r\n",
      "slow down",
      2000,
    ],
    ["503 Busy", '{"detail":"overloaded"}', date, "overloaded", 3000],
    ["400 Bad", '{"object":"error","message":"too long"}', "", "too long", undefined],
    ["500 Oops", "Internal Server Error", "", "Internal Server Error", undefined],
    ["502 Gateway", "<html><h1>x</h1></html>", "Retry-After: soon\r\n", "", undefined],
    ["204 No Content", "", "", "", undefined],
  ];
  for (const [status, text, headers, said, retryAfterMs] of cases) {
    const result = await ask(({ write }) => write(whole(status, text, headers)));
    const code = Number(status.slice(0, 3));
    assert.equal(result.failure?.kind, "http_status");
    assert.equal(result.failure?.message, said === "" ? `HTTP ${code}` : `HTTP ${code}: ${said}`);
    assert.equal(result.failure?.status, code);
    assert.equal(result.status, code);
    assert.equal(result.retryAfterMs, retryAfterMs);
  }
});

Deno.test("exchange() follows no redirect, and names where it leads without its query", async () => {
  using other = scriptedServer((_request, { write }) => write(whole("200 OK", "x")));
  const location = `Location: ${other.url}/v1?token=secret\r\n`;
  const { failure } = await ask(({ write }) => write(whole("307 Moved", "", location)));
  assert.equal(failure?.kind, "http_status");
  assert.match(failure?.message ?? "", new RegExp(`redirected to ${other.url}/v1, which`));
  assert(!failure?.message.includes("secret"));
  assert.equal(other.requests.length, 0);
});

Deno.test("exchange() keeps keys out of its messages, also where a server repeats them", async () => {
  const headers = { authorization: "Bearer sk-abcdefghijkl" };
  for (const before of ["", "x".repeat(270)]) {
    const said = `{"error":{"message":"${before} wrong key sk-abcdefghijkl"}}`;
    const { failure } = await ask(({ write }) => write(whole("401 No", said)), { headers });
    assert(!failure?.message.includes("sk-a"), failure?.message);
  }
});

Deno.test("exchange() gives up a body that has no end", async () => {
  const { failure, bytes } = await ask(async ({ write }) => {
    await write(STREAM_HEAD);
    for (let i = 0; i < 100; i++) await write(chunked("x".repeat(10_000)));
  }, { maxBytes: 100_000 });
  assert.equal(failure?.kind, "protocol");
  assert.match(failure?.message ?? "", /longer than 100000 bytes/);
  assert(bytes.length > 100_000 && bytes.length < 200_000);
});

Deno.test("exchange() names the compression of an answer that comes compressed all the same", async () => {
  const packed = gzipSync("data: [DONE]\n\n");
  const head =
    `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`;
  const result = await ask(async ({ write }) => {
    await write(head);
    await write(packed);
  });
  assert.equal(result.failure, undefined);
  assert.equal(result.contentEncoding, "gzip");
  const plain = await ask(({ write }) => write(whole("200 OK", "x")));
  assert.equal(plain.contentEncoding, undefined);
});
