/**
 * What the bytes of an exchange say, decoded after it is over and off the measuring thread.
 *
 * The parser is fed read by read through one streaming UTF-8 decoder, so every event belongs to
 * the read in which its last byte arrived by construction, however the stream was cut (in the
 * middle of a line, of a character, of a CRLF).
 *
 * @module
 */

import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { ApiKind, ReportedUsage } from "../record.ts";
import { errorMessage, oneLine } from "./failures.ts";
import { finishReasonIn, generatedIn, isObject, usageIn } from "./payload.ts";
import type { Exchange } from "./stream.ts";

/** What was found in the body of an exchange. */
export interface DecodedStream {
  /** A stream of events, one JSON document (an answer that was not streamed), or no byte. */
  readonly form: "events" | "json" | "nothing";
  /** Each read that completed an event with generated text, reasoning or a tool-call delta. */
  readonly contentReadsAtMs: Float64Array<ArrayBuffer>;
  /** Characters (UTF-16 units) of each event that carried content, in order. */
  readonly chunkChars: readonly number[];
  /** Events that carried content: the length of `chunkChars`. */
  readonly contentChunks: number;
  /** Of these, the events in the first content-bearing read. */
  readonly firstReadEvents: number;
  /** `completion_tokens` as of the first content-bearing read, if the server reports as it goes. */
  readonly firstReadReportedTokens?: number;
  readonly usage?: ReportedUsage;
  readonly finishReason?: string;
  /** Message of an error object in the body. */
  readonly serverError?: string;
  /** True if the stream said `[DONE]`. */
  readonly sawDone: boolean;
  /** Why the body is not what the route promises, if it is not. */
  readonly malformed?: string;
  /** All that was generated, in order: reasoning, content, tool-call fragments. */
  readonly text: string;
}

/** Longest event, in characters; a longer one is malformed. */
const MAX_EVENT_CHARS = 8 * 1024 * 1024;

/**
 * Decodes the body of an exchange, whatever became of it. Never throws.
 *
 * An event counts from the read in which its terminating blank line arrived, as the standard says.
 * The last event of a body that ended cleanly counts without its blank line; one that was cut off
 * by a failure does not count.
 *
 * @param api Says where the text stands: `choices[].text` or `choices[].delta`.
 */
export function decodeStream(exchange: Exchange, api: ApiKind): DecodedStream {
  const findings = new Findings(api);
  const form = formOf(exchange.bytes);
  if (form === "json") decodeDocument(exchange, findings);
  if (form === "events") decodeEvents(exchange, findings);
  return findings.result(form, exchange.readAtMs);
}

/** An event stream never begins with a brace: a line that did would not be a field. */
function formOf(bytes: Uint8Array): DecodedStream["form"] {
  const first = bytes.find((byte) => byte > 0x20);
  if (first === undefined) return bytes.length === 0 ? "nothing" : "events";
  return first === 0x7b /* { */ || first === 0x5b /* [ */ ? "json" : "events";
}

function decodeDocument(exchange: Exchange, findings: Findings): void {
  const lastRead = exchange.readEnds.length - 1;
  const text = new TextDecoder().decode(exchange.bytes);
  findings.take(text, lastRead);
}

function decodeEvents(exchange: Exchange, findings: Findings): void {
  let read = 0;
  const parser = createParser({ onEvent: (event) => takeEvent(event, read, findings) });
  const decoder = new TextDecoder();
  let start = 0;
  for (; read < exchange.readEnds.length; read++) {
    const end = exchange.readEnds[read] ?? start;
    parser.feed(decoder.decode(exchange.bytes.subarray(start, end), { stream: true }));
    start = end;
  }
  read = exchange.readEnds.length - 1;
  if (exchange.failure === undefined) parser.feed(`${decoder.decode()}\n\n`);
  if (!findings.sawDone && findings.finishReason === undefined) {
    findings.serverError ??= errorField(exchange.bytes);
  }
}

/** Older llama.cpp ends a failed stream with a line `error: {…}`, which is not a field of SSE. */
function errorField(bytes: Uint8Array): string | undefined {
  const line = /^error: ?(.+)$/m.exec(new TextDecoder().decode(bytes))?.[1];
  if (line === undefined) return undefined;
  const value = parseJson(line);
  return errorMessage({ error: value }) ?? oneLine(line);
}

function takeEvent(event: EventSourceMessage, read: number, findings: Findings): void {
  if (event.event === "error") {
    const value = parseJson(event.data);
    findings.serverError ??= errorMessage(value) ?? errorMessage({ error: value }) ??
      (oneLine(event.data) || "an event of the type 'error'");
    return;
  }
  if (event.data.length > MAX_EVENT_CHARS) {
    findings.malformed ??= `an event is longer than ${MAX_EVENT_CHARS} characters`;
  } else if (event.data.trim() === "[DONE]") findings.sawDone = true;
  else if (event.data.trim() !== "") findings.take(event.data, read);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Collects what the events say, in order. */
class Findings {
  sawDone = false;
  finishReason: string | undefined;
  serverError: string | undefined;
  malformed: string | undefined;
  readonly #api: ApiKind;
  readonly #contentReads: number[] = [];
  readonly #chunkChars: number[] = [];
  #text = "";
  #usage: ReportedUsage | undefined;
  #firstReadEvents = 0;
  #firstReadReportedTokens: number | undefined;

  constructor(api: ApiKind) {
    this.#api = api;
  }

  /** Takes one JSON document that was complete with a read. */
  take(json: string, read: number): void {
    const payload = parseJson(json);
    if (!isObject(payload)) {
      this.malformed ??= `not a JSON object: ${oneLine(json).slice(0, 80)}`;
      return;
    }
    const error = payload.error ?? (payload.object === "error" ? payload : undefined);
    if (error !== undefined) {
      this.serverError ??= errorMessage(payload) ?? "an error object without a message";
      return;
    }
    const generated = generatedIn(payload, this.#api);
    if (generated !== "") this.#addChunk(generated, read);
    this.finishReason = finishReasonIn(payload) ?? this.finishReason;
    const usage = usageIn(payload);
    if (usage === undefined) return;
    this.#usage = { ...this.#usage, ...usage };
    if (this.#contentReads.length === 1 && this.#contentReads[0] === read) {
      this.#firstReadReportedTokens = usage.completionTokens;
    }
  }

  #addChunk(generated: string, read: number): void {
    this.#text += generated;
    this.#chunkChars.push(generated.length);
    if (this.#contentReads.at(-1) !== read) this.#contentReads.push(read);
    if (this.#contentReads.length === 1) this.#firstReadEvents++;
  }

  result(form: DecodedStream["form"], readAtMs: Float64Array): DecodedStream {
    const reported = this.#firstReadReportedTokens;
    return {
      form,
      contentReadsAtMs: Float64Array.from(this.#contentReads, (read) => readAtMs[read] ?? NaN),
      chunkChars: this.#chunkChars,
      contentChunks: this.#chunkChars.length,
      firstReadEvents: this.#firstReadEvents,
      sawDone: this.sawDone,
      text: this.#text,
      ...(reported === undefined ? {} : { firstReadReportedTokens: reported }),
      ...(this.#usage === undefined ? {} : { usage: this.#usage }),
      ...(this.finishReason === undefined ? {} : { finishReason: this.finishReason }),
      ...(this.serverError === undefined ? {} : { serverError: this.serverError }),
      ...(this.malformed === undefined ? {} : { malformed: this.malformed }),
    };
  }
}

/**
 * The generated tokens that the first content-bearing read brought, which the decode time between
 * the first and the last read does not pay for.
 *
 * - Exact where the server reports its count with every chunk, and where it sends one token a
 *   chunk (`tokens` equals the number of chunks): the events of that read.
 * - More tokens than chunks (speculative decoding, buffering): a chunk of c characters is taken
 *   for max(1, c / w) tokens, with the one w for which all chunks add up to `tokens`.
 * - Fewer tokens than chunks: an even share of them.
 *
 * @param tokens Generated tokens of the whole answer.
 * @returns Undefined if nothing was generated.
 */
export function firstReadTokens(decoded: DecodedStream, tokens: number): number | undefined {
  const { contentChunks, firstReadEvents, firstReadReportedTokens: reported } = decoded;
  if (contentChunks === 0 || tokens <= 0) return undefined;
  if (firstReadEvents === contentChunks) return tokens;
  if (reported !== undefined && reported >= 1) return Math.min(reported, tokens);
  if (tokens <= contentChunks) return firstReadEvents * (tokens / contentChunks);
  const width = tokenWidth(decoded.chunkChars, tokens);
  let sum = 0;
  for (const chars of decoded.chunkChars.slice(0, firstReadEvents)) {
    sum += Math.max(1, chars / width);
  }
  return sum;
}

/** The w with Σ max(1, c / w) = tokens, for more tokens than chunks. */
function tokenWidth(chunkChars: readonly number[], tokens: number): number {
  const longestFirst = [...chunkChars].sort((a, b) => b - a);
  let chars = 0;
  let width = Infinity;
  for (let wide = 1; wide <= longestFirst.length; wide++) {
    chars += longestFirst[wide - 1] ?? 0;
    // The chunks after the `wide` longest hold one token each; the others share what is left.
    width = chars / (tokens - (longestFirst.length - wide));
    if ((longestFirst[wide] ?? 0) <= width) break;
  }
  return width;
}
