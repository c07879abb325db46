/**
 * One answer on its way out: headers, events, faults of the stream, and what the truth log needs.
 *
 * The response is node:http's. Measured on one core against `Deno.serve` and bare sockets, a
 * chunk arrives about 0.1 ms after it is written with each of them; node:http is the one that has
 * both a tested parser and a socket that can be reset at any byte.
 *
 * @module
 */

import type { ServerResponse } from "node:http";
import type { Emission } from "./engine.ts";
import {
  type AnswerContext,
  type AnswerUsage,
  closingEvents,
  commentEvent,
  emptyEvent,
  openingEvent,
  pieceEvent,
  wholeBody,
} from "./events.ts";
import type { Generation } from "./generation.ts";
import { SPECIAL_IDS, tokenText } from "./tokenizer.ts";

/** Pause between two pieces of an event, of the faults that cut events. */
const PIECE_GAP_MS = 2;
/** What was written has to leave before the connection is reset. */
const BEFORE_RESET_MS = 5;
const DRIP_BYTES = 8;
const COMMENT_EVERY_MS = 10;
const TOKENS_PER_CHUNK = 4;
/** Added to each token's text by the fault `split-utf8`: characters of two, three and four bytes. */
const NON_ASCII = ["é", "日", "🙂"] as const;

/** How an answer ended before its last token. */
export type Cut = "reset" | "stall";

/** What an answer is made from. */
export interface AnswerOptions {
  readonly response: ServerResponse;
  readonly context: AnswerContext;
  readonly generation: Generation;
  readonly blockTokens: number;
  readonly nowMs: () => number;
  /** No more tokens are wanted. */
  readonly onCut: (cut: Cut) => void;
  /** All bytes were handed over. */
  readonly onSent: () => void;
}

/** See the module's text. */
export class Answer {
  /** Instant and tokens of every event with output. */
  readonly chunks: (readonly [atMs: number, tokens: number])[] = [];
  headersAtMs: number | undefined;
  readonly #options: AnswerOptions;
  readonly #queue: QueuedBytes;
  readonly #texts: string[] = [];
  /** Tokens of the piece that is not yet sent. */
  #pending: string[] = [];
  #received = 0;
  #cut = false;
  #comments: ReturnType<typeof setInterval> | undefined;

  constructor(options: AnswerOptions) {
    this.#options = options;
    const { response, context: { faults }, nowMs } = options;
    const pieces = faults.has("slow-drip")
      ? dripPieces
      : faults.has("split-utf8")
      ? halves
      : undefined;
    this.#queue = new QueuedBytes(response, nowMs, pieces);
  }

  /** Sends the headers of a stream, and whatever comes before its first token. */
  open(): void {
    const { context } = this.#options;
    if (!this.#options.generation.stream) return;
    this.#writeHead("text/event-stream; charset=utf-8", {
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    });
    this.#options.response.flushHeaders();
    if (context.faults.has("role-only-deltas")) {
      this.#queue.send(openingEvent(context));
      for (let n = 0; n < 2; n++) this.#queue.send(emptyEvent(context));
    }
    if (context.faults.has("sse-comments")) {
      const comment = () => this.#queue.send(commentEvent(context));
      comment();
      this.#comments = setInterval(comment, COMMENT_EVERY_MS);
    }
  }

  /** Takes the next token. */
  token(emission: Emission): void {
    if (this.#cut) return;
    const { context, generation } = this.#options;
    if (this.#received++ === 0) this.#beforeFirstToken();
    const text = this.#textOf(emission);
    this.#pending.push(text);
    this.#texts.push(text);
    const cutAfter = Math.max(1, Math.floor(generation.outputTokens / 2));
    const cut = this.#received < cutAfter ? undefined : this.#cutFault();
    if (!generation.stream) {
      if (cut !== undefined || emission.isLast) this.#sendBody(emission, cut);
      return;
    }
    const wanted = context.faults.has("multi-token-chunks") ? TOKENS_PER_CHUNK : 1;
    if (this.#pending.length >= wanted || emission.isLast || cut !== undefined) {
      this.#sendPiece(emission, cut === undefined && emission.isLast);
    }
    if (cut !== undefined) this.#cutOff(cut);
    else if (emission.isLast) this.#close(emission);
  }

  /** The client has gone, or the server closes: no more bytes. */
  stop(): void {
    this.#cut = true;
    clearInterval(this.#comments);
    this.#queue.stop();
  }

  #cutFault(): Cut | undefined {
    const { faults } = this.#options.context;
    return faults.has("reset-mid-stream") ? "reset" : faults.has("stall") ? "stall" : undefined;
  }

  #beforeFirstToken(): void {
    clearInterval(this.#comments);
    const { context, generation } = this.#options;
    const isOpen = context.faults.has("role-only-deltas");
    if (generation.stream && context.api === "chat" && !isOpen) {
      this.#queue.send(openingEvent(context));
    }
  }

  #textOf({ token, index }: Emission): string {
    if (token === SPECIAL_IDS.end) return "";
    const extra = this.#options.context.faults.has("split-utf8")
      ? NON_ASCII[index % NON_ASCII.length]
      : "";
    return tokenText(token) + extra;
  }

  #usage({ cached }: Emission): AnswerUsage {
    const { generation, blockTokens } = this.#options;
    return {
      promptTokens: generation.promptIds.length,
      completionTokens: this.#received,
      cached,
      blockTokens,
    };
  }

  #sendPiece(emission: Emission, isLast: boolean): void {
    const { context, generation } = this.#options;
    const tokens = this.#pending.length;
    const text = pieceEvent(context, {
      text: this.#pending.join(""),
      index: this.#received - tokens,
      tokens,
      ...(isLast ? { finishReason: generation.finishReason, usage: this.#usage(emission) } : {}),
    });
    this.#pending = [];
    this.#queue.send(text, (atMs) => this.chunks.push([atMs, tokens]));
  }

  #close(emission: Emission): void {
    const { context, onSent, response } = this.#options;
    for (const text of closingEvents(context, this.#usage(emission))) this.#queue.send(text);
    this.#queue.whenEmpty(() => response.end(onSent));
  }

  #sendBody(emission: Emission, cut: Cut | undefined): void {
    const { context, generation, response, onSent } = this.#options;
    const body = wholeBody(context, this.#texts, generation.finishReason, this.#usage(emission));
    const bytes = new TextEncoder().encode(body);
    this.#writeHead("application/json", { "content-length": `${bytes.length}` });
    const tokens = this.#received;
    if (cut !== undefined) {
      this.#queue.send(bytes.subarray(0, Math.floor(bytes.length / 2)));
      this.#cutOff(cut);
      return;
    }
    this.#queue.send(bytes, (atMs) => this.chunks.push([atMs, tokens]));
    this.#queue.whenEmpty(() => response.end(onSent));
  }

  #cutOff(cut: Cut): void {
    this.#cut = true;
    const { response, onCut } = this.#options;
    this.#queue.whenEmpty(() => {
      if (cut === "reset") setTimeout(() => resetConnection(response), BEFORE_RESET_MS);
    });
    onCut(cut);
  }

  #writeHead(contentType: string, headers: Readonly<Record<string, string>>): void {
    const { response, context, nowMs } = this.#options;
    const labelled = context.faults.has("wrong-content-type")
      ? "text/html; charset=utf-8"
      : contentType;
    this.headersAtMs = nowMs();
    response.writeHead(200, { ...headers, "content-type": labelled });
  }
}

/** Ends the connection of a response with a reset, so that the client sees an error, no end. */
export function resetConnection(response: ServerResponse): void {
  const { socket } = response;
  if (socket === null) return;
  // A TLS connection has no reset of its own: it is cut without a goodbye.
  if ("encrypted" in socket) socket.destroy();
  else socket.resetAndDestroy();
}

/** Bytes in order, each event whole or in pieces with pauses. */
class QueuedBytes {
  readonly #response: ServerResponse;
  readonly #nowMs: () => number;
  readonly #cutUp: ((bytes: Uint8Array) => Uint8Array[]) | undefined;
  readonly #waiting: { bytes: Uint8Array; onSend?: (atMs: number) => void }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(
    response: ServerResponse,
    nowMs: () => number,
    cutUp: ((bytes: Uint8Array) => Uint8Array[]) | undefined,
  ) {
    this.#response = response;
    this.#nowMs = nowMs;
    this.#cutUp = cutUp;
  }

  /** Sends an event; `onSend` gets the instant right before the bytes that complete it. */
  send(data: string | Uint8Array, onSend?: (atMs: number) => void): void {
    if (this.#cutUp === undefined) {
      this.#write(data, onSend);
      return;
    }
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    const pieces = this.#cutUp(bytes);
    pieces.forEach((piece, i) =>
      this.#waiting.push({
        bytes: piece,
        ...(i === pieces.length - 1 && onSend !== undefined ? { onSend } : {}),
      })
    );
    if (this.#timer === undefined) this.#next();
  }

  /** Calls `onEmpty` once, when everything so far is written. */
  whenEmpty(onEmpty: () => void): void {
    if (this.#timer === undefined) onEmpty();
    else this.#onEmpty = onEmpty;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
    this.#onEmpty = undefined;
  }

  #write(data: string | Uint8Array, onSend: ((atMs: number) => void) | undefined): void {
    // By itself node:http would hand chunks to the system only after everything else that is
    // due now: in a batch of 40, more than a millisecond after the instant that is logged.
    this.#response.cork();
    onSend?.(this.#nowMs());
    this.#response.write(data);
    this.#response.uncork();
  }

  #next(): void {
    const piece = this.#waiting.shift();
    if (piece === undefined) {
      this.#timer = undefined;
      this.#onEmpty?.();
      return;
    }
    this.#write(piece.bytes, piece.onSend);
    this.#timer = setTimeout(() => this.#next(), PIECE_GAP_MS);
  }
}

function dripPieces(bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += DRIP_BYTES) {
    pieces.push(bytes.subarray(at, at + DRIP_BYTES));
  }
  return pieces;
}

/** Two pieces, cut inside the first character that has several bytes, else in the middle. */
function halves(bytes: Uint8Array): Uint8Array[] {
  const wide = bytes.findIndex((byte) => byte >= 0x80);
  const at = wide >= 0 ? wide + 1 : Math.floor(bytes.length / 2);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}
