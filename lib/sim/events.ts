/**
 * The bytes of an answer: stream events and whole bodies, in the shapes of vLLM.
 *
 * @module
 */

import type { ApiKind } from "../record.ts";
import type { FaultName } from "./faults.ts";
import type { TokensByTier } from "./tiered_cache.ts";

/** What every event of an answer needs. */
export interface AnswerContext {
  readonly api: ApiKind;
  /** `cmpl-…` or `chatcmpl-…`. */
  readonly id: string;
  readonly model: string;
  /** Unix seconds. */
  readonly created: number;
  readonly faults: ReadonlySet<FaultName>;
  readonly requestNumber: number;
  readonly outputTokens: number;
  readonly includeUsage: boolean;
}

/** Counts of a finished answer. */
export interface AnswerUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cached: TokensByTier;
  readonly blockTokens: number;
}

/** A stretch of output that travels in one event. */
export interface Piece {
  readonly text: string;
  /** Index of its first token. */
  readonly index: number;
  readonly tokens: number;
  /** Set in the last piece. */
  readonly finishReason?: "length" | "stop";
  readonly usage?: AnswerUsage;
}

/** Bytes of the line that the fault `huge-line` makes. */
export const HUGE_LINE_BYTES = 4 * 2 ** 20;

function event(context: AnswerContext, fields: Readonly<Record<string, unknown>>): string {
  const end = context.faults.has("crlf") ? "\r\n" : "\n";
  const body = { ...head(context, true), ...fields };
  return `data: ${JSON.stringify(body)}${end}${end}`;
}

function head({ api, id, created, model }: AnswerContext, isChunk: boolean) {
  const object = api === "completions"
    ? "text_completion"
    : isChunk
    ? "chat.completion.chunk"
    : "chat.completion";
  return { id, object, created, model };
}

/** A comment, which a client has to ignore. */
export function commentEvent(context: AnswerContext): string {
  const end = context.faults.has("crlf") ? "\r\n" : "\n";
  return `: waiting${end}${end}`;
}

/** The event that opens a chat (role, no text); for completions one with an empty text. */
export function openingEvent(context: AnswerContext): string {
  return deltaEvent(context, { role: "assistant", content: "" }, "", null, undefined);
}

/** An event without any text, of the fault `role-only-deltas`. */
export function emptyEvent(context: AnswerContext): string {
  return deltaEvent(context, { content: "" }, "", null, undefined);
}

/** The event of a piece of output. */
export function pieceEvent(context: AnswerContext, piece: Piece): string {
  const usage = context.faults.has("usage-on-last-choice") ? piece.usage : undefined;
  const reason = finishReason(context, piece.finishReason);
  const middle = Math.floor((context.outputTokens - 1) / 2);
  const isMiddle = context.faults.has("huge-line") && piece.index <= middle &&
    piece.index + piece.tokens > middle;
  const extra = isMiddle ? { padding: "x".repeat(HUGE_LINE_BYTES) } : {};
  return deltaEvent(context, delta(context, piece), piece.text, reason, usage, extra);
}

function deltaEvent(
  context: AnswerContext,
  chatDelta: Readonly<Record<string, unknown>>,
  text: string,
  reason: string | null,
  usage: AnswerUsage | undefined,
  extra: Readonly<Record<string, unknown>> = {},
): string {
  const choice = context.api === "chat"
    ? { index: 0, delta: chatDelta, logprobs: null, finish_reason: reason }
    : { index: 0, text, logprobs: null, finish_reason: reason, stop_reason: null };
  return event(context, {
    ...extra,
    choices: [choice],
    ...(usage !== undefined ? usageField(context, usage) : {}),
    ...(context.faults.has("null-usage") && context.includeUsage ? { usage: null } : {}),
  });
}

function delta(context: AnswerContext, { text, index }: Piece): Record<string, unknown> {
  if (context.faults.has("tool-calls")) {
    const fragment = { index: 0, function: { arguments: text } };
    const opening = {
      index: 0,
      id: `call_${context.requestNumber}`,
      type: "function",
      function: { name: "simulate", arguments: text },
    };
    return { tool_calls: [index === 0 ? opening : fragment] };
  }
  if (context.faults.has("reasoning") && index < context.outputTokens / 2) {
    return { [context.requestNumber % 2 === 0 ? "reasoning_content" : "reasoning"]: text };
  }
  return { content: text };
}

function finishReason(
  context: AnswerContext,
  reason: "length" | "stop" | undefined,
): string | null {
  if (reason === undefined) return null;
  return context.api === "chat" && context.faults.has("tool-calls") ? "tool_calls" : reason;
}

/** What follows the last piece: usage if it was asked for and is not withheld, and `[DONE]`. */
export function closingEvents(context: AnswerContext, usage: AnswerUsage): string[] {
  const end = context.faults.has("crlf") ? "\r\n" : "\n";
  const hasOwnEvent = context.includeUsage && !context.faults.has("no-usage") &&
    !context.faults.has("usage-on-last-choice");
  const fields = usageField(context, usage);
  return [
    ...(hasOwnEvent ? [event(context, { choices: [], ...fields })] : []),
    `data: [DONE]${end}${end}`,
  ];
}

/** The `usage` field of an answer, with whatever is wrong about it. */
function usageField(
  { faults }: AnswerContext,
  usage: AnswerUsage,
): { usage?: Readonly<Record<string, unknown>> | null } {
  if (faults.has("no-usage")) return {};
  if (faults.has("null-usage")) return { usage: null };
  const { promptTokens, completionTokens, blockTokens } = usage;
  const claimed = Math.floor((promptTokens - 1) / blockTokens) * blockTokens;
  const cached = faults.has("lying-cache-counter")
    ? { hbm: claimed, dram: 0, ssd: 0 }
    : usage.cached;
  return {
    usage: {
      prompt_tokens: promptTokens,
      total_tokens: promptTokens + completionTokens,
      completion_tokens: completionTokens,
      prompt_tokens_details: {
        cached_tokens: cached.hbm + cached.dram + cached.ssd,
        cached_tokens_by_tier: cached,
      },
    },
  };
}

/** The body of an answer that is not streamed. */
export function wholeBody(
  context: AnswerContext,
  texts: readonly string[],
  reason: "length" | "stop",
  usage: AnswerUsage,
): string {
  const text = texts.join("");
  const finish_reason = finishReason(context, reason);
  const choice = context.api === "chat"
    ? { index: 0, message: message(context, texts), logprobs: null, finish_reason }
    : { index: 0, text, logprobs: null, finish_reason, stop_reason: null };
  const extra = context.faults.has("huge-line") ? { padding: "x".repeat(HUGE_LINE_BYTES) } : {};
  return JSON.stringify({
    ...head(context, false),
    ...extra,
    choices: [choice],
    ...usageField(context, usage),
  });
}

function message(context: AnswerContext, texts: readonly string[]): Record<string, unknown> {
  const role = "assistant";
  if (context.faults.has("tool-calls")) {
    const call = { name: "simulate", arguments: texts.join("") };
    const tool_calls = [{ id: `call_${context.requestNumber}`, type: "function", function: call }];
    return { role, content: null, tool_calls };
  }
  if (!context.faults.has("reasoning")) return { role, content: texts.join("") };
  const half = Math.ceil(context.outputTokens / 2);
  const name = context.requestNumber % 2 === 0 ? "reasoning_content" : "reasoning";
  return {
    role,
    [name]: texts.slice(0, half).join(""),
    content: texts.slice(half).join(""),
  };
}
