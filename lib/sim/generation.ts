/**
 * Reads the body of an inference request the way vLLM does, and says no in its words.
 *
 * @module
 */

import { randomStream, seedFor } from "../random.ts";
import type { ApiKind } from "../record.ts";
import type { SimulatorSettings } from "./settings.ts";
import {
  type ChatMessage,
  encodeChat,
  encodePrompt,
  isTokenId,
  SPECIAL_IDS,
  vocabularyWords,
} from "./tokenizer.ts";

/** An answer other than 200, in OpenAI's form. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(readonly status: number, readonly type: string, message: string) {
    super(message);
  }

  /** The JSON body. */
  body(): string {
    const { message, type, status } = this;
    return JSON.stringify({ error: { message, type, param: null, code: status } });
  }
}

/** A request for tokens, understood. */
export interface Generation {
  readonly api: ApiKind;
  readonly promptIds: Int32Array<ArrayBuffer>;
  readonly outputTokens: number;
  /** `stop` if the model ends by itself: the last token is then the end token, without a text. */
  readonly finishReason: "length" | "stop";
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly cacheSalt?: string;
  /** False with `kv_transfer_params: {max_load_tokens: 0}`: nothing is taken from below HBM. */
  readonly loadsLowerTiers: boolean;
}

type Body = Readonly<Record<string, unknown>>;

function badRequest(message: string): ApiError {
  return new ApiError(400, "BadRequestError", message);
}

/** The body of a request as an object. @throws {ApiError} 400 if it is none. */
export function parseBody(text: string): Body {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw badRequest(`JSON decode error: ${(error as Error).message}`);
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw badRequest("The body must be a JSON object");
  }
  return body as Body;
}

/** What a request asks for. @throws {ApiError} 400 or 404, in vLLM's words where there are any. */
export function parseGeneration(
  api: ApiKind,
  body: Body,
  settings: SimulatorSettings,
): Generation {
  checkModel(body, settings);
  if (body.n !== undefined && body.n !== null && body.n !== 1) {
    throw badRequest("This server makes one choice a request: n must be 1");
  }
  const promptIds = api === "chat"
    ? encodeChat(readMessages(body), settings)
    : readPrompt(body, settings);
  const length = outputLength(api, body, promptIds.length, settings);
  const options = body.stream_options as Body | null | undefined;
  if (
    typeof body.cache_salt !== "string" && body.cache_salt !== undefined && body.cache_salt !== null
  ) {
    throw badRequest("cache_salt must be a non-empty string");
  }
  if (body.cache_salt === "") throw badRequest("cache_salt must be a non-empty string");
  if (options !== undefined && options !== null && body.stream !== true) {
    throw badRequest("Stream options can only be defined when `stream=True`.");
  }
  return {
    api,
    promptIds,
    ...length,
    stream: body.stream === true,
    includeUsage: options?.include_usage === true,
    ...(typeof body.cache_salt === "string" ? { cacheSalt: body.cache_salt } : {}),
    loadsLowerTiers: (body.kv_transfer_params as Body | null | undefined)?.max_load_tokens !== 0,
  };
}

function checkModel(body: Body, settings: SimulatorSettings): void {
  if (body.model === undefined || body.model === null || body.model === settings.model) return;
  throw new ApiError(404, "NotFoundError", `The model \`${body.model}\` does not exist.`);
}

/** The messages of a chat body. @throws {ApiError} 400. */
export function readMessages(body: Body): ChatMessage[] {
  if (!Array.isArray(body.messages) || body.messages.length === 0) {
    throw badRequest("messages must be a list with at least one message");
  }
  return body.messages.map((message: Body) => {
    if (typeof message?.role !== "string") throw badRequest("A message needs a role");
    const { content } = message;
    if (typeof content === "string") return { role: message.role, content };
    if (content === null || content === undefined) return { role: message.role, content: "" };
    if (!Array.isArray(content)) throw badRequest("The content of a message must be text");
    const texts = content.map((part: Body) => {
      if (part?.type !== "text" || typeof part.text !== "string") {
        throw badRequest("This model takes text parts only");
      }
      return part.text;
    });
    return { role: message.role, content: texts.join("\n") };
  });
}

function readPrompt(body: Body, settings: SimulatorSettings): Int32Array<ArrayBuffer> {
  let { prompt } = body;
  // A batch of one: [text] or [[ids]].
  if (Array.isArray(prompt) && prompt.length === 1 && typeof prompt[0] !== "number") {
    prompt = prompt[0];
  }
  if (typeof prompt === "string") {
    const beginTokens = body.add_special_tokens === false ? 0 : settings.beginTokens;
    const ids = encodePrompt(prompt, { ...settings, beginTokens });
    if (ids.length === 0) throw badRequest("The prompt is empty");
    return ids;
  }
  if (!Array.isArray(prompt) || prompt.length === 0) {
    throw badRequest("prompt must be a text or a list of token ids, and not empty");
  }
  const stranger = prompt.find((id) => !isTokenId(id));
  if (stranger !== undefined) {
    throw badRequest(
      typeof stranger === "number"
        ? `Token id ${stranger} is out of vocabulary`
        : "This server takes one prompt a request",
    );
  }
  return Int32Array.from(prompt as number[]);
}

function wholeNumber(body: Body, name: string, lowest: number): number | undefined {
  const value = body[name];
  if (value === undefined || value === null) return undefined;
  if (!Number.isInteger(value) || (value as number) < lowest) {
    throw badRequest(`${name} must be at least ${lowest}, got ${JSON.stringify(value)}.`);
  }
  return value as number;
}

function outputLength(
  api: ApiKind,
  body: Body,
  promptTokens: number,
  { maxModelTokens, eosAfterTokens }: SimulatorSettings,
): { outputTokens: number; finishReason: "length" | "stop" } {
  const asked = (api === "chat" ? wholeNumber(body, "max_completion_tokens", 1) : undefined) ??
    wholeNumber(body, "max_tokens", 1) ?? (api === "completions" ? 16 : undefined);
  const minimum = wholeNumber(body, "min_tokens", 0) ?? 0;
  const left = maxModelTokens - promptTokens;
  if (left < (asked ?? 1)) {
    const part = api === "chat" ? "messages" : "prompt";
    throw badRequest(
      `This model's maximum context length is ${maxModelTokens} tokens. However, you requested ` +
        `${promptTokens + (asked ?? 1)} tokens (${promptTokens} in the ${part}, ${asked ?? 1} in ` +
        `the completion). Please reduce the length of the ${part} or completion.`,
    );
  }
  const limit = asked ?? left;
  if (minimum > limit) {
    throw badRequest(
      `min_tokens must be less than or equal to max_tokens=${limit}, got ${minimum}.`,
    );
  }
  // The end token cannot be among the first `min_tokens`.
  const ownEnd = Math.max(eosAfterTokens, minimum + 1);
  const stops = body.ignore_eos !== true && eosAfterTokens > 0 && ownEnd <= limit;
  return stops
    ? { outputTokens: ownEnd, finishReason: "stop" }
    : { outputTokens: limit, finishReason: "length" };
}

let outputIds: readonly number[] | undefined;

/**
 * The output of a prompt: words, the same for the same prompt every time, as greedy decoding
 * would have it. The returned function must be called with 0, 1, 2, … in turn.
 */
export function outputStream(generation: Generation, promptHash: number): (n: number) => number {
  outputIds ??= vocabularyWords().filter(({ text }) => /^ [a-z]+$/.test(text)).map(({ id }) => id);
  const ids = outputIds;
  const stream = randomStream(seedFor("sim output", promptHash));
  const endAt = generation.finishReason === "stop" ? generation.outputTokens - 1 : Infinity;
  return (n) => n === endAt ? SPECIAL_IDS.end : ids[stream.nextBelow(ids.length)] as number;
}
