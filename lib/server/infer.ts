/**
 * Tiny inference requests of the probes: any extra field, streamed or not, any answer.
 *
 * @module
 */

import { createParser } from "eventsource-parser";
import type { ApiKind, CountBreach, ReportedUsage } from "../record.ts";
import { boundUsage, limitsOfPrompt } from "../token_counts.ts";
import { asObject, connectionError, DEFAULT_TIMEOUT_MS, send } from "./http.ts";
import type { ServerAccess, ServerReply } from "./http.ts";

/** A request for a few tokens. */
export interface ProbeRequest {
  readonly api: ApiKind;
  readonly model: string;
  readonly prompt: string | readonly number[];
  readonly maxTokens: number;
  readonly stream: boolean;
  /** Further fields of the body. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** What came back. */
export interface ProbeAnswer {
  readonly status: number;
  /** True for a 200 that generated something or reported usage, without an error in it. */
  readonly ok: boolean;
  /** True if the answer came as server-sent events. */
  readonly streamed: boolean;
  readonly usage?: ReportedUsage;
  /** Counts that are not in `usage` because they cannot be true. */
  readonly countBreaches: readonly CountBreach[];
  readonly finishReason?: string;
  readonly generated: string;
  /** What the server says is wrong. */
  readonly error?: string;
  /** First generated content, from the request; streamed answers only. */
  readonly ttftMs?: number;
  readonly elapsedMs: number;
  readonly reply: ServerReply;
}

/** Probes of a server that is slow, or loads its model at the first request, need longer. */
const PATIENCE = 6;

/**
 * Sends one tiny request.
 *
 * @throws {KvmarkError} `unreachable` if no complete answer came.
 */
export async function infer(access: ServerAccess, request: ProbeRequest): Promise<ProbeAnswer> {
  const path = request.api === "chat" ? "/v1/chat/completions" : "/v1/completions";
  const timeoutMs = (access.timeoutMs ?? DEFAULT_TIMEOUT_MS) * PATIENCE;
  const body = bodyOf(request);
  if (!request.stream) {
    const reply = await send(access, { path, body, timeoutMs });
    const whole = answerOf(reply, reply.json === undefined ? [] : [reply.json], false, undefined);
    return withPossibleCounts(whole, request);
  }
  const streamed = await inferStreamed(access, `${access.baseUrl}${path}`, body, timeoutMs);
  return withPossibleCounts(streamed, request);
}

/** The answer without the counts that cannot be true. */
function withPossibleCounts(
  { usage: reported, ...answer }: Omit<ProbeAnswer, "countBreaches">,
  { prompt, maxTokens }: ProbeRequest,
): ProbeAnswer {
  const limits = limitsOfPrompt(prompt, maxTokens);
  const { usage, breaches } = boundUsage(reported, limits, answer.generated === "" ? 0 : 1);
  return { ...answer, countBreaches: breaches, ...(usage === undefined ? {} : { usage }) };
}

function bodyOf(request: ProbeRequest): Record<string, unknown> {
  const prompt = request.api === "chat"
    ? { messages: [{ role: "user", content: request.prompt }] }
    : { prompt: request.prompt };
  return {
    model: request.model,
    max_tokens: request.maxTokens,
    temperature: 0,
    stream: request.stream,
    ...request.extra,
    ...prompt,
  };
}

/** Without the second one fetch asks for gzip, which holds chunks back. */
const IDENTITY_JSON = { "content-type": "application/json", "accept-encoding": "identity" };

async function inferStreamed(
  access: ServerAccess,
  url: string,
  body: unknown,
  timeoutMs: number,
): Promise<Omit<ProbeAnswer, "countBreaches">> {
  const startedAtMs = performance.now();
  const payloads: unknown[] = [];
  let ttftMs: number | undefined;
  let text = "";
  const parser = createParser({
    onEvent({ data }) {
      const payload = parsePayload(data);
      if (payload === undefined) return;
      payloads.push(payload);
      if (generatedIn(payload) !== "") ttftMs ??= performance.now() - startedAtMs;
    },
  });
  try {
    const response = await access.fetch(url, {
      method: "POST",
      headers: { ...IDENTITY_JSON, ...access.headers },
      body: JSON.stringify(body),
      redirect: "manual",
      signal: access.signal === undefined
        ? AbortSignal.timeout(timeoutMs)
        : AbortSignal.any([AbortSignal.timeout(timeoutMs), access.signal]),
    });
    const streamed = /text\/event-stream/i.test(response.headers.get("content-type") ?? "");
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      const part = decoder.decode(bytes, { stream: true });
      if (streamed) parser.feed(part);
      if (text.length < 65_536) text += part;
    }
    const { status, headers } = response;
    const json = streamed ? undefined : parsePayload(text);
    const elapsedMs = performance.now() - startedAtMs;
    const reply: ServerReply = {
      url,
      status,
      headers,
      text,
      truncated: false,
      elapsedMs,
      ...(json === undefined ? {} : { json }),
    };
    return answerOf(
      reply,
      streamed ? payloads : json === undefined ? [] : [json],
      streamed,
      ttftMs,
    );
  } catch (error) {
    throw connectionError(access, url, error, timeoutMs);
  }
}

function answerOf(
  reply: ServerReply,
  payloads: readonly unknown[],
  streamed: boolean,
  ttftMs: number | undefined,
): Omit<ProbeAnswer, "countBreaches"> {
  let usage: ReportedUsage | undefined;
  let finishReason: string | undefined;
  let error: string | undefined;
  let generated = "";
  for (const payload of payloads) {
    const fields = asObject(payload);
    if (fields === undefined) continue;
    usage = usageIn(fields) ?? usage;
    finishReason = finishReasonIn(fields) ?? finishReason;
    error ??= errorIn(fields);
    generated += generatedIn(payload);
  }
  const answered = generated !== "" || usage !== undefined || finishReason !== undefined;
  return {
    status: reply.status,
    ok: reply.status === 200 && error === undefined && answered,
    streamed,
    generated,
    elapsedMs: reply.elapsedMs,
    reply,
    ...(usage === undefined ? {} : { usage }),
    ...(finishReason === undefined ? {} : { finishReason }),
    ...(error === undefined ? {} : { error }),
    ...(ttftMs === undefined ? {} : { ttftMs }),
  };
}

function parsePayload(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function objectsIn(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(asObject).filter((entry) => entry !== undefined) : [];
}

function generatedIn(payload: unknown): string {
  let text = "";
  for (const choice of objectsIn(asObject(payload)?.["choices"])) {
    const delta = asObject(choice["delta"]) ?? asObject(choice["message"]);
    const reasoning = delta?.["reasoning"] ?? delta?.["reasoning_content"];
    for (const part of [choice["text"], reasoning, delta?.["content"], delta?.["refusal"]]) {
      if (typeof part === "string") text += part;
    }
    for (const call of objectsIn(delta?.["tool_calls"])) {
      const called = asObject(call["function"]);
      for (const part of [called?.["name"], called?.["arguments"]]) {
        if (typeof part === "string") text += part;
      }
    }
  }
  return text;
}

function finishReasonIn(payload: Readonly<Record<string, unknown>>): string | undefined {
  const reasons = objectsIn(payload["choices"]).map((choice) => choice["finish_reason"]);
  const reason = reasons.find((value) => typeof value === "string");
  return typeof reason === "string" ? reason : undefined;
}

function errorIn(payload: Readonly<Record<string, unknown>>): string | undefined {
  const error = payload["error"];
  if (error === undefined || error === null) return undefined;
  const message = typeof error === "string" ? error : asObject(error)?.["message"];
  return typeof message === "string" ? message : "an error without a message";
}

function usageIn(payload: Readonly<Record<string, unknown>>): ReportedUsage | undefined {
  const usage = asObject(payload["usage"]);
  const timings = asObject(payload["timings"]);
  const details = asObject(usage?.["prompt_tokens_details"]);
  const byTier = tiersIn(payload, details);
  const tierSum = Object.values(byTier ?? {}).reduce((sum, tokens) => sum + tokens, 0);
  const promptTokens = asNumber(usage?.["prompt_tokens"]);
  const completionTokens = asNumber(usage?.["completion_tokens"]);
  const cachedTokens = asNumber(details?.["cached_tokens"]) ?? asNumber(timings?.["cache_n"]) ??
    (byTier === undefined ? undefined : tierSum);
  if ([promptTokens, completionTokens, cachedTokens].every((count) => count === undefined)) {
    return undefined;
  }
  return {
    ...(promptTokens === undefined ? {} : { promptTokens }),
    ...(completionTokens === undefined ? {} : { completionTokens }),
    ...(cachedTokens === undefined ? {} : { cachedTokens }),
    ...(byTier === undefined ? {} : { cachedTokensByTier: byTier }),
  };
}

/** Any number, also an impossible one: `boundUsage` names these, and leaves them out. */
function asNumber(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** The simulator's tiers, or those of SGLang's extension. */
function tiersIn(
  payload: Readonly<Record<string, unknown>>,
  details: Readonly<Record<string, unknown>> | undefined,
): Record<string, number> | undefined {
  const holders = [payload, ...objectsIn(payload["choices"])];
  const found = asObject(details?.["cached_tokens_by_tier"]) ??
    holders.map((holder) => asObject(asObject(holder["sglext"])?.["cached_tokens_details"]))
      .find((tiers) => tiers !== undefined);
  const counts = Object.entries(found ?? {}).flatMap(([name, value]) => {
    const tokens = asNumber(value);
    return tokens === undefined ? [] : [[name, tokens] as const];
  });
  return counts.length === 0 ? undefined : Object.fromEntries(counts);
}
