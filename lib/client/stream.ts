/**
 * One exchange with a server: send the bytes, stamp each read on arrival, keep what was read.
 *
 * Nothing is decoded here. Between one read and the next the only work is a stamp and a copy into
 * a preallocated buffer; `events.ts` makes sense of the bytes afterwards, on another thread.
 *
 * @module
 */

import type { Failure } from "../record.ts";
import { redactorOf } from "../redaction.ts";
import { failureOfStatus, failureOfThrown } from "./failures.ts";

/** What {@linkcode exchange} sends. */
export interface ExchangeRequest {
  readonly requestId: string;
  readonly url: string;
  /** JSON, encoded. Only read, never changed. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** The exchange is given up after this time. */
  readonly timeoutMs: number;
  /** When the plan wanted it to start. */
  readonly dueAtMs: number;
}

/** Settings of {@linkcode exchange}. */
export interface ExchangeOptions {
  /** Index of the worker, copied to the result. */
  readonly worker: number;
  /** Sent with the request. Never repeated in any message. */
  readonly headers: Readonly<Record<string, string>>;
  /** The clock of all stamps. */
  readonly nowMs: () => number;
  /** A `Deno.HttpClient`: connection pool and certificates. */
  readonly client?: unknown;
  /**
   * Gives the exchange up. The failure is `aborted`; `timeout` if the reason of the abort is the
   * string `"timeout"`.
   */
  readonly signal?: AbortSignal;
  /** A longer answer is a `protocol` failure. @default {67108864} */
  readonly maxBytes?: number;
}

/** What happened on the wire. All its buffers can be transferred to another thread. */
export interface Exchange {
  readonly requestId: string;
  readonly worker: number;
  readonly dueAtMs: number;
  /**
   * Right after `fetch()` was called, which has queued the request for the I/O of this turn of the
   * event loop: no byte of it has left before. Between this and the first byte on the wire lie the
   * rest of the turn and, if no idle connection was at hand, opening one (TCP, TLS). The body is a
   * stream (see `onceStream`): it follows in the next turns, chunked.
   */
  readonly sentAtMs: number;
  readonly headersAtMs?: number;
  /** The body ended, or the failure was seen. */
  readonly endAtMs: number;
  readonly status?: number;
  readonly contentType?: string;
  /** `gzip` and the like, where the answer was compressed although none was asked for. */
  readonly contentEncoding?: string;
  readonly retryAfterMs?: number;
  /** The body, as far as it arrived. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** For each read, the offset in `bytes` where it ended. */
  readonly readEnds: Uint32Array<ArrayBuffer>;
  /** For each read, when it was seen. */
  readonly readAtMs: Float64Array<ArrayBuffer>;
  readonly failure?: Failure;
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
/** Of a body that is only read for its error message. */
const ERROR_BODY_BYTES = 64 * 1024;
/** Also the memory that an open stream starts with, twice: 10,000 streams take 160 MB. */
const READ_BUFFER_BYTES = 8 * 1024;

/**
 * Sends one request and reads the answer to its end. Never throws and never retries; redirects
 * are not followed (a key must not travel to another host).
 */
export async function exchange(
  request: ExchangeRequest,
  options: ExchangeOptions,
): Promise<Exchange> {
  const controller = new AbortController();
  let stopped: Failure | undefined;
  const stop = (failure: Failure) => {
    stopped ??= failure;
    controller.abort();
  };
  const onAbort = () => stop(options.signal?.reason === "timeout" ? DRAIN_TIMEOUT : ABORTED);
  if (options.signal?.aborted) onAbort();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(() => stop(tooLate(request.timeoutMs)), request.timeoutMs);
  const log = new ReadLog(options.nowMs);
  const facts: ResponseFacts = {};
  let failure: Failure | undefined;
  const init = requestInit(request, options, controller.signal);
  let sentAtMs = options.nowMs();
  try {
    const answer = fetch(request.url, init);
    sentAtMs = options.nowMs();
    const response = await answer;
    facts.headersAtMs = options.nowMs();
    readFacts(response, facts);
    const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    const limit = response.status === 200 ? maxBytes : Math.min(maxBytes, ERROR_BODY_BYTES);
    const whole = response.body === null || await readBody(response.body, log, limit);
    if (!whole) controller.abort();
    if (!whole && response.status === 200) {
      failure = { kind: "protocol", message: `the answer is longer than ${maxBytes} bytes` };
    }
  } catch (error) {
    failure = stopped ?? failureOfThrown(error, facts.headersAtMs !== undefined);
  }
  const endAtMs = options.nowMs();
  clearTimeout(timer);
  options.signal?.removeEventListener("abort", onAbort);
  const read = log.finish();
  if (facts.status !== undefined && facts.status !== 200 && stopped === undefined) {
    const body = redactorOf(options.headers)(new TextDecoder().decode(read.bytes));
    failure = failureOfStatus(facts.status, facts, body);
  }
  return {
    requestId: request.requestId,
    worker: options.worker,
    dueAtMs: request.dueAtMs,
    sentAtMs,
    endAtMs,
    ...read,
    ...(facts.headersAtMs === undefined ? {} : { headersAtMs: facts.headersAtMs }),
    ...(facts.status === undefined ? {} : { status: facts.status }),
    ...(facts.contentType === undefined ? {} : { contentType: facts.contentType }),
    ...(facts.contentEncoding === undefined ? {} : { contentEncoding: facts.contentEncoding }),
    ...(failure?.retryAfterMs === undefined ? {} : { retryAfterMs: failure.retryAfterMs }),
    ...(failure === undefined ? {} : { failure }),
  };
}

/** What is kept of the status line and the headers. */
export interface ResponseFacts {
  headersAtMs?: number;
  status?: number;
  contentType?: string;
  contentEncoding?: string;
  location?: string;
  retryAfter?: string;
  /** The server's own clock, against which a date in Retry-After is read. */
  date?: string;
}

function readFacts(response: Response, facts: ResponseFacts): void {
  facts.status = response.status;
  const contentType = response.headers.get("content-type");
  if (contentType !== null) facts.contentType = contentType;
  const contentEncoding = response.headers.get("content-encoding");
  if (contentEncoding !== null && contentEncoding.toLowerCase() !== "identity") {
    facts.contentEncoding = contentEncoding.slice(0, 40);
  }
  if (response.status === 200) return;
  const location = response.headers.get("location");
  const retryAfter = response.headers.get("retry-after");
  const date = response.headers.get("date");
  if (location !== null) facts.location = location;
  if (retryAfter !== null) facts.retryAfter = retryAfter;
  if (date !== null) facts.date = date;
}

function requestInit(
  request: ExchangeRequest,
  options: ExchangeOptions,
  signal: AbortSignal,
): RequestInit & { client?: Deno.HttpClient } {
  const { client } = options;
  return {
    method: "POST",
    // Without this fetch asks for gzip and brotli, and a compressing proxy would delay chunks.
    headers: {
      "content-type": "application/json",
      "accept-encoding": "identity",
      // Servers log it, so that a row can be found again there.
      "x-request-id": request.requestId,
      ...options.headers,
    },
    // As a stream, so that it cannot be sent twice: given bytes, fetch repeats a request by itself
    // when a reused connection breaks before the answer, and the repeat would hide in the TTFT.
    body: onceStream(request.body),
    redirect: "manual",
    signal,
    ...(client === undefined ? {} : { client: client as Deno.HttpClient }),
  };
}

function onceStream(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
}

const ABORTED: Failure = { kind: "aborted", message: "given up: the run was interrupted" };
const DRAIN_TIMEOUT: Failure = {
  kind: "timeout",
  message: "given up: still in flight when the time to drain was over",
};

function tooLate(timeoutMs: number): Failure {
  return { kind: "timeout", message: `no complete answer within ${Math.round(timeoutMs)} ms` };
}

/** Reads to the end. False if there is more than `limit` bytes; the rest is then left unread. */
async function readBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  log: ReadLog,
  limit: number,
): Promise<boolean> {
  const reader = body.getReader({ mode: "byob" });
  // Each read hands the buffer over and gets it back, so that one buffer serves the whole stream.
  // It is not the log's own: the buffer of a read that fails is lost.
  let buffer = new ArrayBuffer(READ_BUFFER_BYTES);
  while (true) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done) return true;
    log.add(value);
    if (log.length > limit) return false;
    buffer = value.buffer;
  }
}

/** Reads in the order of arrival, in buffers that double. */
class ReadLog {
  length = 0;
  readonly #nowMs: () => number;
  #bytes = new Uint8Array(READ_BUFFER_BYTES);
  #readEnds = new Uint32Array(64);
  #readAtMs = new Float64Array(64);
  #reads = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  add(chunk: Uint8Array): void {
    const atMs = this.#nowMs();
    const end = this.length + chunk.length;
    if (end > this.#bytes.length) this.#growBytes(end);
    if (this.#reads === this.#readEnds.length) this.#growReads();
    this.#bytes.set(chunk, this.length);
    this.#readEnds[this.#reads] = end;
    this.#readAtMs[this.#reads] = atMs;
    this.#reads++;
    this.length = end;
  }

  #growBytes(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#bytes = grown;
  }

  #growReads(): void {
    const ends = new Uint32Array(this.#reads * 2);
    ends.set(this.#readEnds);
    this.#readEnds = ends;
    const instants = new Float64Array(this.#reads * 2);
    instants.set(this.#readAtMs);
    this.#readAtMs = instants;
  }

  finish(): Pick<Exchange, "bytes" | "readEnds" | "readAtMs"> {
    return {
      bytes: this.#bytes.slice(0, this.length),
      readEnds: this.#readEnds.slice(0, this.#reads),
      readAtMs: this.#readAtMs.slice(0, this.#reads),
    };
  }
}
