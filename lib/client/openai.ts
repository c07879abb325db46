/**
 * Requests of the OpenAI-compatible routes: where they go, what their bytes are, and what becomes
 * of an exchange as a record.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { ApiKind, Failure, InferenceRequest, RequestRecord } from "../record.ts";
import { type DecodedStream, decodeStream, firstReadTokens } from "./events.ts";
import type { Exchange } from "./stream.ts";
import { boundUsage, limitsOfPlan } from "../token_counts.ts";

/** What one served model is asked, and how. Learned once per run by the probe. */
export interface Target {
  /** The server without `/v1`, as {@linkcode normaliseEndpoint} returns it. */
  readonly baseUrl: string;
  readonly api: ApiKind;
  readonly model: string;
  /** Ask for the token counts at the end of the stream (`stream_options.include_usage`). */
  readonly streamUsage: boolean;
  /** Ask the server to generate past the end-of-sequence token (`ignore_eos`). */
  readonly ignoreEos: boolean;
  /** Ask for `min_tokens` = `max_tokens`, so that the output has exactly that length. */
  readonly minTokens: boolean;
  /** Further fields of the body, such as `cache_salt`. They win over the default fields. */
  readonly extraBody?: Readonly<Record<string, unknown>>;
}

/** Endings that users paste along with the server's address. */
const ROUTE_ENDINGS = ["/chat/completions", "/completions", "/models", "/v1"];

/**
 * The base URL of a server, from what a user typed: with or without a scheme, `/v1`, a route or
 * slashes at the end. A path before `/v1` (a gateway's) is kept.
 *
 * @throws {KvmarkError} `usage` if the text is not an http or https address, or carries a
 * password, a query or a fragment (none of which may land in a results folder).
 * @example
 * ```ts
 * import { normaliseEndpoint } from "./openai.ts";
 * console.log(normaliseEndpoint("localhost:8000/v1/")); // http://localhost:8000
 * ```
 */
export function normaliseEndpoint(text: string): string {
  const trimmed = text.trim();
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`);
  const refuse = (why: string): never => {
    throw new KvmarkError("usage", `Cannot use the API endpoint: ${why}`, {
      hint: "give the address of the server, for instance http://localhost:8000",
    });
  };
  if (trimmed === "" || url === null || url.hostname === "") {
    return refuse(`'${trimmed}' is not a URL`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return refuse(`'${url.protocol}//' is neither http nor https`);
  }
  if (url.username !== "" || url.password !== "") {
    return refuse("it holds a user name or a password; use --api-key-env or --header");
  }
  if (url.search !== "" || url.hash !== "") return refuse("it has a query or a fragment");
  return `${url.protocol}//${url.host}${barePath(url.pathname)}`;
}

function barePath(pathname: string): string {
  let path = pathname.replace(/\/+$/, "");
  for (const ending of ROUTE_ENDINGS) {
    if (path.endsWith(ending)) path = path.slice(0, -ending.length).replace(/\/+$/, "");
  }
  return path;
}

/** The absolute URL of the route that a target is asked on. */
export function routeUrl(target: Pick<Target, "baseUrl" | "api">): string {
  return `${target.baseUrl}/v1/${target.api === "chat" ? "chat/completions" : "completions"}`;
}

/** A prompt: text, text as JSON-safe ASCII bytes (copied as they are), or token ids. */
export type Prompt = string | Uint8Array | readonly number[];

/** Fields that the measurement depends on; `extraBody` cannot replace them. */
const RESERVED_FIELDS = ["model", "prompt", "messages", "stream"];

/**
 * The JSON body of one streamed request, as bytes. The prompt is the last field, spliced into a
 * small skeleton, so that a long prompt is copied once.
 *
 * @param prompt Text of any characters; or bytes that are already the inside of a JSON string
 * (printable ASCII without `"` and `\`; not checked, for speed); or token ids, which only the
 * completions route takes.
 * @param maxOutputTokens Sent as `max_tokens`, and as `min_tokens` if the target takes it.
 * @throws {KvmarkError} `usage` for token ids on the chat route, and for an `extraBody` that
 * replaces a field that the measurement depends on.
 */
export function encodeBody(
  target: Target,
  prompt: Prompt,
  maxOutputTokens: number,
): Uint8Array<ArrayBuffer> {
  const chat = target.api === "chat";
  const isIds = typeof prompt !== "string" && !(prompt instanceof Uint8Array);
  if (chat && isIds) {
    throw new KvmarkError("usage", "The chat route takes no token ids", {
      hint: "use --api completions, or --prompt-format text",
    });
  }
  const fields = JSON.stringify(bodyFields(target, maxOutputTokens)).slice(0, -1);
  const head = `${fields},${chat ? '"messages":[{"role":"user","content":' : '"prompt":'}`;
  const tail = chat ? "}]}" : "}";
  if (prompt instanceof Uint8Array) return spliceBytes(`${head}"`, prompt, `"${tail}`);
  return new TextEncoder().encode(head + JSON.stringify(prompt) + tail);
}

function bodyFields(target: Target, maxOutputTokens: number): Record<string, unknown> {
  const extra = target.extraBody ?? {};
  for (const name of RESERVED_FIELDS) {
    if (name in extra) {
      throw new KvmarkError("usage", `Cannot replace the field '${name}' of the request body`);
    }
  }
  return {
    model: target.model,
    max_tokens: maxOutputTokens,
    ...(target.minTokens ? { min_tokens: maxOutputTokens } : {}),
    ...(target.ignoreEos ? { ignore_eos: true } : {}),
    temperature: 0,
    ...(target.streamUsage ? { stream_options: { include_usage: true } } : {}),
    ...extra,
    stream: true,
  };
}

function spliceBytes(head: string, middle: Uint8Array, tail: string): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const headBytes = encoder.encode(head);
  const tailBytes = encoder.encode(tail);
  const body = new Uint8Array(headBytes.length + middle.length + tailBytes.length);
  body.set(headBytes);
  body.set(middle, headBytes.length);
  body.set(tailBytes, headBytes.length + middle.length);
  return body;
}

/**
 * The record of a request, whatever became of it. Decodes the exchange, so not for a thread that
 * measures.
 *
 * A complete answer ended with a `finish_reason` or `[DONE]`. One that broke off after `[DONE]` was
 * complete. One that ended cleanly without either is a `protocol` failure, as is an answer with
 * another content type than `text/event-stream`.
 *
 * @param rampIn True for the first request of a slot in its period.
 */
export function toRecord(
  request: Omit<InferenceRequest, "body">,
  exchange: Exchange,
  rampIn: boolean,
): RequestRecord {
  const answered = exchange.status === 200;
  const decoded = answered ? decodeStream(exchange, request.api) : undefined;
  const limits = limitsOfPlan(request.plan, request.maxOutputTokens);
  const { usage, breaches } = boundUsage(decoded?.usage, limits, decoded?.contentChunks ?? 0);
  const failure = decoded === undefined
    ? exchange.failure ?? { kind: "protocol", message: "no answer" } as const
    : failureOf(exchange, decoded, usage?.completionTokens);
  return {
    requestId: request.requestId,
    labels: request.labels,
    plan: request.plan,
    api: request.api,
    url: request.url,
    maxOutputTokens: request.maxOutputTokens,
    worker: exchange.worker,
    dueAtMs: exchange.dueAtMs,
    sentAtMs: exchange.sentAtMs,
    contentReadsAtMs: decoded?.contentReadsAtMs ?? new Float64Array(),
    contentChunks: decoded?.contentChunks ?? 0,
    endAtMs: exchange.endAtMs,
    rampIn,
    ...(exchange.headersAtMs === undefined ? {} : { headersAtMs: exchange.headersAtMs }),
    ...(exchange.readAtMs[0] === undefined ? {} : { firstByteAtMs: exchange.readAtMs[0] }),
    ...(exchange.status === undefined ? {} : { status: exchange.status }),
    ...(usage === undefined ? {} : { usage }),
    ...(breaches.length === 0 ? {} : { countBreaches: breaches }),
    ...(decoded === undefined ? {} : outputOf(decoded, usage?.completionTokens)),
    ...(decoded?.finishReason === undefined ? {} : { finishReason: decoded.finishReason }),
    ...(exchange.contentEncoding === undefined
      ? {}
      : { contentEncoding: exchange.contentEncoding }),
    ...(failure === undefined ? {} : { failure }),
  };
}

/** Generated tokens: the server's possible count, or one for each chunk that carried content. */
function outputOf(
  decoded: DecodedStream,
  reported: number | undefined,
): Pick<RequestRecord, "outputTokens" | "outputTokensSource" | "firstChunkTokens"> {
  const { contentChunks } = decoded;
  if (reported === undefined && contentChunks === 0) return {};
  const outputTokens = reported ?? contentChunks;
  const firstChunkTokens = firstReadTokens(decoded, outputTokens);
  return {
    outputTokens,
    outputTokensSource: reported === undefined ? "chunks" : "usage",
    ...(firstChunkTokens === undefined ? {} : { firstChunkTokens }),
  };
}

/** What is wrong with an answer of status 200, the most telling fault first. */
function failureOf(
  exchange: Exchange,
  decoded: DecodedStream,
  counted: number | undefined,
): Failure | undefined {
  const broken = exchange.failure;
  if (decoded.serverError !== undefined) {
    return { kind: "server_error", message: decoded.serverError, status: 200 };
  }
  if (broken !== undefined && !(broken.kind === "disconnect" && decoded.sawDone)) return broken;
  const protocol = (message: string): Failure => ({ kind: "protocol", message, status: 200 });
  if (exchange.contentEncoding !== undefined && decoded.contentChunks === 0) {
    // Asked for identity, fetch leaves it as it is.
    return protocol(
      `the answer is compressed (${exchange.contentEncoding}), which nobody asked for`,
    );
  }
  const type = exchange.contentType;
  if (type !== undefined && !/^text\/event-stream\b/i.test(type)) {
    return protocol(`asked for a stream of events, got ${type.slice(0, 100)}`);
  }
  if (decoded.form === "json") return protocol("asked for a stream of events, got a document");
  if (decoded.malformed !== undefined) return protocol(decoded.malformed);
  if (decoded.contentChunks > 0 && !decoded.sawDone && decoded.finishReason === undefined) {
    return protocol("the stream ended without a finish_reason or [DONE]");
  }
  if (decoded.contentChunks > 0) return undefined;
  const note = counted === undefined ? "" : ` (the server counted ${counted} tokens)`;
  return { kind: "empty", message: `the stream ended without any text${note}`, status: 200 };
}
