import assert from "node:assert/strict";
import fc from "fast-check";
import type { ApiKind } from "../record.ts";
import { type DecodedStream, decodeStream, firstReadTokens } from "./events.ts";
import type { Exchange } from "./stream.ts";

/** An exchange whose body was read in pieces that end at `ends`; read i came at i ms. */
function readAs(body: Uint8Array<ArrayBuffer>, ends: readonly number[]): Exchange {
  return {
    requestId: "r",
    worker: 0,
    dueAtMs: 0,
    sentAtMs: 0,
    endAtMs: 1e6,
    status: 200,
    bytes: body,
    readEnds: Uint32Array.from(ends),
    readAtMs: Float64Array.from(ends, (_, index) => index),
  };
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function decode(text: string, api: ApiKind = "chat"): DecodedStream {
  const body = bytesOf(text);
  return decodeStream(readAs(body, body.length === 0 ? [] : [body.length]), api);
}

function delta(fields: Record<string, unknown>, rest: Record<string, unknown> = {}): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, delta: fields }], ...rest })}\n\n`;
}

Deno.test("decodeStream() counts text, reasoning and tool calls, not roles and empty deltas", () => {
  const counted = [
    { content: "a" },
    { reasoning_content: "b" },
    { reasoning: "c", content: null },
    { reasoning: "d", reasoning_content: "d" },
    { tool_calls: [{ index: 0, id: "x", function: { name: "f", arguments: "" } }] },
    { tool_calls: [{ index: 0, function: { arguments: "{}" } }] },
  ];
  const ignored = [
    { role: "assistant", content: null },
    { role: "assistant", content: "" },
    {},
    { content: "", reasoning_content: "" },
    { tool_calls: [] },
    { tool_calls: [{ index: 0, function: { arguments: "" } }] },
  ];
  for (const fields of counted) assert.equal(decode(delta(fields)).contentChunks, 1);
  for (const fields of ignored) assert.equal(decode(delta(fields)).contentChunks, 0);
  assert.equal(decode(counted.map((fields) => delta(fields)).join("")).text, "abcdf{}");
  assert.equal(decode('data: {"choices":[]}\n\n').contentChunks, 0);
});

Deno.test("decodeStream() reads usage beside the last choice, alone, as timings, and by tier", () => {
  const usage = { prompt_tokens: 9, completion_tokens: 2 };
  const cases: [Record<string, unknown>, unknown][] = [
    [{ usage: null }, undefined],
    [{ usage }, { promptTokens: 9, completionTokens: 2 }],
    [{ usage: { ...usage, prompt_tokens_details: null } }, {
      promptTokens: 9,
      completionTokens: 2,
    }],
    [
      { usage: { ...usage, prompt_tokens_details: { cached_tokens: 0 } } },
      { promptTokens: 9, completionTokens: 2, cachedTokens: 0 },
    ],
    [
      { timings: { cache_n: 4, prompt_n: 5, predicted_n: 2 } },
      { promptTokens: 9, completionTokens: 2, cachedTokens: 4 },
    ],
    [
      {
        usage: {
          ...usage,
          prompt_tokens_details: { cached_tokens: 7, cached_tokens_by_tier: { hbm: 3, ssd: 4 } },
        },
      },
      {
        promptTokens: 9,
        completionTokens: 2,
        cachedTokens: 7,
        cachedTokensByTier: { hbm: 3, ssd: 4 },
      },
    ],
    [
      {
        usage,
        sglext: { cached_tokens_details: { device: 1, host: 2, storage_backend: "file" } },
      },
      {
        promptTokens: 9,
        completionTokens: 2,
        cachedTokens: 3,
        cachedTokensByTier: { device: 1, host: 2 },
      },
    ],
  ];
  for (const [rest, expected] of cases) {
    assert.deepEqual(decode(delta({ content: "a" }, rest)).usage, expected);
  }
  const alone = delta({ content: "a" }) + 'data: {"choices":[],"usage":{"prompt_tokens":9}}\n\n';
  assert.deepEqual(decode(alone).usage, { promptTokens: 9 });
});

Deno.test("decodeStream() finds errors, junk and the end", () => {
  assert.equal(decode('data: {"error":{"message":"no memory"}}\n\n').serverError, "no memory");
  assert.equal(decode('event: error\ndata: {"message":"m"}\n\n').serverError, "m");
  assert.equal(decode('error: {"code":500,"message":"old"}\n\n').serverError, "old");
  assert.equal(decode('data: {"object":"error","message":"vllm"}\n\n').serverError, "vllm");
  assert.equal(decode(delta({ content: "a" }, { error: null })).serverError, undefined);
  assert.match(decode("data: <html>\n\n").malformed ?? "", /not a JSON object: <html>/);
  assert.equal(decode("data: [DONE]\n\n").sawDone, true);
  assert.equal(decode("data: [DONE]").sawDone, true);
  const long = `data: {"x":"${"y".repeat(9 * 1024 * 1024)}"}\n\n`;
  assert.match(decode(long).malformed ?? "", /longer than/);
});

Deno.test("decodeStream() reads an answer that was not streamed", () => {
  const chat = '{"choices":[{"message":{"content":"ab"},"finish_reason":"stop"}],' +
    '"usage":{"prompt_tokens":4,"completion_tokens":2}}';
  const { form, text, finishReason, usage, contentChunks } = decode(chat);
  assert.deepEqual([form, text, finishReason, contentChunks], ["json", "ab", "stop", 1]);
  assert.deepEqual(usage, { promptTokens: 4, completionTokens: 2 });
  assert.equal(decode('{"choices":[{"text":"ab"}]}', "completions").text, "ab");
  assert.equal(decode('{"error":"bad"}').serverError, "bad");
  assert.match(decode('{"choices":').malformed ?? "", /not a JSON object/);
  assert.equal(decode("").form, "nothing");
});

/** A stream of known events, with the offset at which each one that carries content is complete. */
const streams = fc.record({
  newline: fc.constantFrom("\n", "\r\n", "\r"),
  bom: fc.boolean(),
  events: fc.array(
    fc.oneof(
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }).map((content) => ({ content })),
      fc.constantFrom({ comment: "ping" }, { content: "" }, { content: "日本🙂" }),
    ),
    { maxLength: 12 },
  ),
  cuts: fc.array(fc.nat(), { maxLength: 30 }),
});

Deno.test("decodeStream() finds the same however the stream is cut, and the read that ends it", () => {
  fc.assert(
    fc.property(streams, ({ newline, bom, events, cuts }) => {
      let body = bom ? "\ufeff" : "";
      const ends: number[] = [];
      let text = "";
      for (const event of events) {
        const line = "comment" in event
          ? `: ${event.comment}`
          : `data: ${JSON.stringify({ choices: [{ delta: event }] })}`;
        body += line + newline + newline;
        if (!("comment" in event) && event.content !== "") {
          text += event.content;
          ends.push(bytesOf(body).length);
        }
      }
      body += `data: {"choices":[],"usage":{"completion_tokens":5}}${newline}${newline}`;
      body += `data: [DONE]${newline}${newline}`;
      const bytes = bytesOf(body);
      const readEnds = [...new Set(cuts.map((cut) => 1 + cut % bytes.length)), bytes.length]
        .sort((a, b) => a - b).filter((end, index, all) => end !== all[index - 1]);
      const decoded = decodeStream(readAs(bytes, readEnds), "chat");
      // With CRLF the event is complete at the CR of the blank line: the LF may come later.
      const slack = newline === "\r\n" ? 1 : 0;
      const expected = [
        ...new Set(ends.map((end) => readEnds.findIndex((at) => at >= end - slack))),
      ];
      assert.deepEqual([...decoded.contentReadsAtMs], expected);
      assert.equal(decoded.text, text);
      assert.equal(decoded.contentChunks, ends.length);
      assert.equal(decoded.usage?.completionTokens, 5);
      assert.equal(decoded.sawDone, true);
      assert.equal(decoded.malformed, undefined);
    }),
    { numRuns: 300 },
  );
});

/** What firstReadTokens() looks at. */
function chunks(chars: readonly number[], firstReadEvents: number, reported?: number) {
  return {
    contentChunks: chars.length,
    chunkChars: chars,
    firstReadEvents,
    ...(reported === undefined ? {} : { firstReadReportedTokens: reported }),
  } as DecodedStream;
}

Deno.test("firstReadTokens() is exact for one token a chunk, and where the server counts", () => {
  assert.equal(firstReadTokens(chunks([3, 1, 9, 2], 1), 4), 1);
  assert.equal(firstReadTokens(chunks([3, 1, 9, 2], 2), 4), 2);
  assert.equal(firstReadTokens(chunks([9, 9, 9], 1, 4), 12), 4);
  assert.equal(firstReadTokens(chunks([5, 5], 2), 10), 10, "all in one read");
  assert.equal(firstReadTokens(chunks([], 0), 10), undefined);
});

Deno.test("firstReadTokens() shares the tokens out by characters, at least one a chunk", () => {
  assert.equal(firstReadTokens(chunks([40, 40, 40], 1), 30), 10);
  // One token after the prefill, then drafts of three: the first chunk is known to be one.
  assert.equal(firstReadTokens(chunks([4, 12, 12, 12], 1), 10), 1);
  // One token in excess belongs to the longest chunk.
  assert.equal(firstReadTokens(chunks([4, 3, 8, 4], 1), 5), 1);
  assert.equal(firstReadTokens(chunks([8, 3, 4, 4], 1), 5), 2);
  // Fewer tokens than chunks: even shares.
  assert.equal(firstReadTokens(chunks([1, 1, 1, 1], 1), 2), 0.5);
});

Deno.test("firstReadTokens() over all chunks adds up to the tokens", () => {
  const chars = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 20 });
  fc.assert(fc.property(chars, fc.integer({ min: 0, max: 100 }), (widths, excess) => {
    const tokens = widths.length + excess;
    // Rotated, so that each chunk is the first one once.
    const sum = widths.map((_, at) => [...widths.slice(at), ...widths.slice(0, at)])
      .map((rotated) => firstReadTokens(chunks(rotated, 1), tokens) ?? NaN)
      .reduce((a, b) => a + b);
    assert(Math.abs(sum - tokens) < 1e-6, `${sum} for ${tokens}`);
  }));
});
