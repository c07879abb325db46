import assert from "node:assert/strict";
import fc from "fast-check";
import { KvmarkError } from "../errors.ts";
import type { InferenceRequest } from "../record.ts";
import { encodeBody, normaliseEndpoint, routeUrl, type Target, toRecord } from "./openai.ts";
import type { Exchange } from "./stream.ts";

const target: Target = {
  baseUrl: "http://h:1",
  api: "completions",
  model: "m",
  streamUsage: true,
  ignoreEos: true,
  minTokens: true,
};

function parsed(body: Uint8Array): Record<string, unknown> {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
}

Deno.test("normaliseEndpoint() takes an address with or without scheme, route and slashes", () => {
  const cases: Record<string, string> = {
    "http://localhost:8000": "http://localhost:8000",
    "http://localhost:8000/": "http://localhost:8000",
    "http://localhost:8000/v1": "http://localhost:8000",
    "http://localhost:8000/v1//": "http://localhost:8000",
    " localhost:8000 ": "http://localhost:8000",
    "10.0.0.7:80/v1/completions": "http://10.0.0.7",
    "HTTPS://Example.com/team/v1/chat/completions": "https://example.com/team",
    "http://[::1]:9/v1/models": "http://[::1]:9",
    "https://h/api/v1": "https://h/api",
    "https://h/v10": "https://h/v10",
  };
  for (const [text, base] of Object.entries(cases)) assert.equal(normaliseEndpoint(text), base);
});

Deno.test("normaliseEndpoint() refuses nonsense, and never repeats a password", () => {
  const wrong = [
    "",
    "http://",
    "ftp://h/v1",
    "http://h:99999",
    "http://u:hunter2@h/",
    "h/?k=hunter2",
  ];
  for (const text of wrong) {
    assert.throws(() => normaliseEndpoint(text), (error: unknown) => {
      assert(error instanceof KvmarkError);
      assert.equal(error.kind, "usage");
      assert(!error.message.includes("hunter2"), error.message);
      return true;
    });
  }
});

Deno.test("routeUrl() names the route of the API", () => {
  assert.equal(routeUrl(target), "http://h:1/v1/completions");
  assert.equal(routeUrl({ ...target, api: "chat" }), "http://h:1/v1/chat/completions");
});

Deno.test("encodeBody() sends what the target takes, and nothing more", () => {
  assert.deepEqual(parsed(encodeBody(target, "hi", 7)), {
    model: "m",
    max_tokens: 7,
    min_tokens: 7,
    ignore_eos: true,
    temperature: 0,
    stream_options: { include_usage: true },
    stream: true,
    prompt: "hi",
  });
  const plain = { ...target, api: "chat", streamUsage: false, ignoreEos: false } as const;
  assert.deepEqual(parsed(encodeBody({ ...plain, minTokens: false }, "hi", 7)), {
    model: "m",
    max_tokens: 7,
    temperature: 0,
    stream: true,
    messages: [{ role: "user", content: "hi" }],
  });
});

Deno.test("encodeBody() carries any text, and the same for bytes and ids", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    assert.equal(parsed(encodeBody(target, text, 1)).prompt, text.toWellFormed());
  }));
  const ascii = fc.string({ unit: fc.constantFrom(..."ab zZ09.,'") });
  fc.assert(fc.property(ascii, fc.constantFrom("chat", "completions"), (text, api) => {
    const bytes = encodeBody({ ...target, api }, new TextEncoder().encode(text), 1);
    assert.deepEqual(bytes, encodeBody({ ...target, api }, text, 1));
  }));
  assert.deepEqual(parsed(encodeBody(target, [1, 0, 128000], 1)).prompt, [1, 0, 128000]);
});

Deno.test("encodeBody() lets extraBody win over defaults, but not over what is measured", () => {
  const extraBody = { temperature: 1, cache_salt: "s" };
  const body = parsed(encodeBody({ ...target, extraBody }, "p", 1));
  assert.equal(body.temperature, 1);
  assert.equal(body.cache_salt, "s");
  for (const name of ["model", "prompt", "messages", "stream"]) {
    const wrong = { ...target, extraBody: { [name]: 1 } };
    assert.throws(() => encodeBody(wrong, "p", 1), { name: "KvmarkError", kind: "usage" });
  }
  assert.throws(() => encodeBody({ ...target, api: "chat" }, [1], 1), { kind: "usage" });
});

const request: Omit<InferenceRequest, "body"> = {
  requestId: "r1",
  labels: {
    cellId: "1000_50",
    periodId: "FIXED_c1_run0",
    purpose: "measure",
    contextSizeTokens: 1000,
    hitRatePercent: 50,
    concurrency: 1,
  },
  plan: { promptTokens: 1000, sharedTokens: 500, achievableTokens: 496 },
  api: "completions",
  url: "http://h:1/v1/completions",
  maxOutputTokens: 3,
  timeoutMs: 1000,
};

/** An exchange of status 200 that was read in the given parts, at 101, 102, … ms. */
function exchangeOf(parts: readonly string[], changes: Partial<Exchange> = {}): Exchange {
  const encoded = parts.map((part) => new TextEncoder().encode(part));
  const bytes = new Uint8Array(encoded.reduce((sum, part) => sum + part.length, 0));
  let end = 0;
  const ends = encoded.map((part) => {
    bytes.set(part, end);
    return end += part.length;
  });
  return {
    requestId: "r1",
    worker: 3,
    dueAtMs: 98,
    sentAtMs: 99,
    headersAtMs: 100,
    endAtMs: 200,
    status: 200,
    contentType: "text/event-stream; charset=utf-8",
    bytes,
    readEnds: Uint32Array.from(ends),
    readAtMs: Float64Array.from(ends, (_, index) => 101 + index),
    ...changes,
  };
}

function text(content: string, rest = ""): string {
  return `data: {"choices":[{"index":0,"text":${JSON.stringify(content)}${rest}}]}\n\n`;
}

const finish = text("", ',"finish_reason":"length"');
const usage = 'data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":3,' +
  '"prompt_tokens_details":{"cached_tokens":496}}}\n\n';
const done = "data: [DONE]\n\n";

Deno.test("toRecord() keeps instants, counts and labels of a complete answer", () => {
  const parts = [": ping\n\n", text("a"), text("b"), text("c"), finish + usage + done];
  assert.deepEqual(toRecord(request, exchangeOf(parts), true), {
    requestId: "r1",
    labels: request.labels,
    plan: request.plan,
    api: "completions",
    url: request.url,
    maxOutputTokens: 3,
    worker: 3,
    dueAtMs: 98,
    sentAtMs: 99,
    headersAtMs: 100,
    firstByteAtMs: 101,
    contentReadsAtMs: Float64Array.of(102, 103, 104),
    contentChunks: 3,
    endAtMs: 200,
    status: 200,
    usage: { promptTokens: 1000, completionTokens: 3, cachedTokens: 496 },
    outputTokens: 3,
    outputTokensSource: "usage",
    firstChunkTokens: 1,
    finishReason: "length",
    rampIn: true,
  });
});

Deno.test("toRecord() counts chunks where the server counts nothing, or 0 beside text", () => {
  for (const said of ["", 'data: {"choices":[],"usage":null}\n\n', usage.replace(":3", ":0")]) {
    const record = toRecord(
      request,
      exchangeOf([text("a"), text("b") + finish + said + done]),
      false,
    );
    assert.equal(record.failure, undefined);
    assert.equal(record.outputTokens, 2);
    assert.equal(record.outputTokensSource, "chunks");
    assert.equal(record.firstChunkTokens, 1);
  }
});

Deno.test("toRecord() tells the ways an answer of status 200 can be wrong apart", () => {
  const broke = { failure: { kind: "disconnect", message: "broke" } } as const;
  const cases: [string, readonly string[], Partial<Exchange>, string | undefined][] = [
    ["finish without [DONE]", [text("a"), finish], {}, undefined],
    ["[DONE] without finish", [text("a"), done], {}, undefined],
    ["[DONE] without its blank line", [text("a"), "data: [DONE]"], {}, undefined],
    ["broke after [DONE]", [text("a"), done], broke, undefined],
    ["broke before [DONE]", [text("a"), finish], broke, "disconnect"],
    ["ended in the middle", [text("a")], {}, "protocol"],
    ["no byte", [], {}, "empty"],
    ["no text", [finish, done], {}, "empty"],
    ["only comments", [": a\n\n"], {}, "empty"],
    ["not JSON", [text("a"), "data: <html>\n\n", done], {}, "protocol"],
    ["other type", [text("a"), done], { contentType: "text/plain" }, "protocol"],
    ["a document", ['{"choices":[{"text":"a"}]}'], { contentType: "application/json" }, "protocol"],
    ["an error document", ['{"error":{"message":"m"}}'], {}, "server_error"],
    [
      "an error in the stream",
      [text("a"), 'data: {"error":{"message":"m"}}\n\n'],
      {},
      "server_error",
    ],
    ["an error event", ["event: error\ndata: boom\n\n"], {}, "server_error"],
    ["an error, then broke", ['data: {"error":{"message":"m"}}\n\n'], broke, "server_error"],
  ];
  for (const [name, parts, changes, kind] of cases) {
    assert.equal(toRecord(request, exchangeOf(parts, changes), false).failure?.kind, kind, name);
  }
});

Deno.test("toRecord() keeps what is known of a failed exchange", () => {
  const failure = {
    kind: "http_status",
    message: "HTTP 429",
    status: 429,
    retryAfterMs: 5,
  } as const;
  const changes = { status: 429, failure, contentType: "application/json" };
  const refused = toRecord(request, exchangeOf(['{"error":"x"}'], changes), false);
  assert.deepEqual(refused.failure, failure);
  assert.equal(refused.contentChunks, 0);
  assert.equal(refused.outputTokens, undefined);
  const cut = { failure: { kind: "timeout", message: "late" } } as const;
  const late = toRecord(request, exchangeOf([text("a"), text("b").slice(0, -3)], cut), false);
  assert.equal(late.failure?.kind, "timeout");
  assert.deepEqual(late.contentReadsAtMs, Float64Array.of(101), "the cut event does not count");
});
