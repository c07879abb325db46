/**
 * Bodies of answers: event streams that are cut and changed.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeStream, firstReadTokens } from "../../lib/client/events.ts";
import { toRecord } from "../../lib/client/openai.ts";
import type { Exchange } from "../../lib/client/stream.ts";
import type { ApiKind } from "../../lib/record.ts";
import { byteEdits, edited } from "./mutations.ts";
import { target } from "./target.ts";

const encoder = new TextEncoder();
const word = fc.oneof(
  fc.constantFrom(" token", "ö", "🙂", "\\n", "data:", "\u2028"),
  fc.string({ maxLength: 8 }),
);

interface Stream {
  readonly api: ApiKind;
  readonly words: readonly string[];
  readonly lineEnd: "\n" | "\r\n" | "\r";
  readonly comments: boolean;
}

const stream: fc.Arbitrary<Stream> = fc.record({
  api: fc.constantFrom("chat", "completions"),
  words: fc.array(word, { minLength: 1, maxLength: 8 }),
  lineEnd: fc.constantFrom("\n", "\r\n"),
  comments: fc.boolean(),
});

function eventsOf({ api, words, lineEnd, comments }: Stream): Uint8Array<ArrayBuffer> {
  const choice = (text: string, last: boolean) => ({
    index: 0,
    ...(api === "chat" ? { delta: { content: text } } : { text }),
    finish_reason: last ? "length" : null,
  });
  const events = words.map((text, i) =>
    `data: ${JSON.stringify({ choices: [choice(text, i === words.length - 1)] })}`
  );
  const usage = { prompt_tokens: 9, completion_tokens: words.length };
  events.push(`data: ${JSON.stringify({ choices: [], usage })}`, "data: [DONE]");
  const ping = comments ? `: ping${lineEnd}${lineEnd}` : "";
  return encoder.encode(events.map((event) => `${ping}${event}${lineEnd}${lineEnd}`).join(""));
}

/** Where the reads end, as shares of the length. */
const splits = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });

function exchangeOf(
  bytes: Uint8Array<ArrayBuffer>,
  shares: readonly number[],
  isBroken: boolean,
): Exchange {
  const ends = shares.map((share) => Math.floor(share * bytes.length));
  const readEnds = Uint32Array.from([...new Set([...ends, bytes.length])].sort((a, b) => a - b))
    .filter((end) => end > 0);
  return {
    requestId: "r",
    worker: 0,
    dueAtMs: 0,
    sentAtMs: 0,
    endAtMs: 1000,
    status: 200,
    contentType: "text/event-stream",
    bytes,
    readEnds,
    readAtMs: Float64Array.from(readEnds, (_, index) => index),
    ...(isBroken ? { failure: { kind: "disconnect", message: "broke" } } : {}),
  };
}

function recordOf(exchange: Exchange, api: ApiKind) {
  const { body: _, ...request } = {
    requestId: "r",
    labels: {
      cellId: "c",
      periodId: "p",
      purpose: "measure",
      contextSizeTokens: 9,
      hitRatePercent: 0,
      concurrency: 1,
    },
    plan: { promptTokens: 9, sharedTokens: 0, achievableTokens: 0 },
    api,
    url: "http://x",
    body: undefined,
    maxOutputTokens: 8,
    timeoutMs: 1000,
  } as const;
  return toRecord(request, exchange, false);
}

/** What holds for any body at all. */
function assertSound(exchange: Exchange, api: ApiKind): void {
  const decoded = decodeStream(exchange, api);
  const instants = [...decoded.contentReadsAtMs];
  assert.deepEqual(instants, [...new Set(instants)].sort((a, b) => a - b));
  assert.ok(instants.every((at) => exchange.readAtMs.includes(at)));
  assert.equal(decoded.contentChunks, decoded.chunkChars.length);
  assert.ok(decoded.firstReadEvents <= decoded.contentChunks);
  assert.equal(decoded.chunkChars.reduce((sum, chars) => sum + chars, 0), decoded.text.length);
  const record = recordOf(exchange, api);
  if (record.failure === undefined) assert.ok(record.contentReadsAtMs.length > 0);
  else assert.ok(!/[\r\n]/.test(record.failure.message) && record.failure.message.length <= 300);
  const tokens = record.outputTokens;
  if (tokens === undefined) return;
  const first = firstReadTokens(decoded, tokens);
  assert.ok(first === undefined || first > 0 && first <= tokens + 1e-9, `${first} of ${tokens}`);
}

/** Targets. */
export const SSE = [
  target(
    "sse: a stream that is cut anywhere is whole or a failure",
    fc.tuple(stream, splits, fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean()),
    ([one, shares, cut, isBroken]) => {
      const whole = eventsOf(one);
      const text = one.words.join("");
      const uncut = decodeStream(exchangeOf(whole, shares, false), one.api);
      assert.equal(uncut.text, text);
      assert.equal(uncut.usage?.completionTokens, one.words.length);
      const exchange = exchangeOf(whole.slice(0, Math.floor(cut * whole.length)), shares, isBroken);
      assertSound(exchange, one.api);
      assert.ok(text.startsWith(decodeStream(exchange, one.api).text));
      const record = recordOf(exchange, one.api);
      if (record.failure !== undefined) return;
      assert.equal(decodeStream(exchange, one.api).text, text, "a part passes for the whole");
    },
  ),
  target(
    "sse: a stream with changed bytes",
    fc.tuple(stream, byteEdits, splits, fc.boolean()),
    ([one, edits, shares, isBroken]) =>
      assertSound(exchangeOf(edited(eventsOf(one), edits), shares, isBroken), one.api),
  ),
  target(
    "sse: any bytes",
    fc.tuple(fc.uint8Array({ maxLength: 200 }), splits, fc.boolean()),
    ([bytes, shares, isBroken]) => {
      for (const api of ["chat", "completions"] as const) {
        assertSound(exchangeOf(Uint8Array.from(bytes), shares, isBroken), api);
      }
    },
  ),
];
