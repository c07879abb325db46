/**
 * The fields of one JSON payload of an OpenAI-compatible server, in all the dialects known.
 *
 * @module
 */

import type { ApiKind, ReportedUsage } from "../record.ts";

/** True for a JSON object (not null, not an array). */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function objectsIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/**
 * What one payload generated: text, reasoning, tool-call names and arguments. The empty string for
 * role-only and empty deltas, and for payloads that carry only usage.
 */
export function generatedIn(payload: Record<string, unknown>, api: ApiKind): string {
  let generated = "";
  for (const choice of objectsIn(payload.choices)) {
    if (api === "completions") generated += stringOr(choice.text);
    else {
      const delta = isObject(choice.delta) ? choice.delta : choice.message;
      if (isObject(delta)) generated += generatedInDelta(delta);
    }
  }
  return generated;
}

function generatedInDelta(delta: Record<string, unknown>): string {
  // A server that sends both names sends the same text twice.
  const reasoning = stringOr(delta.reasoning) || stringOr(delta.reasoning_content);
  let generated = reasoning + stringOr(delta.content) + stringOr(delta.refusal);
  const calls = objectsIn(delta.tool_calls).map((call) => call.function);
  for (const call of [...calls, delta.function_call]) {
    if (isObject(call)) generated += stringOr(call.name) + stringOr(call.arguments);
  }
  return generated;
}

function stringOr(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Why the generation ended, if this payload says so. */
export function finishReasonIn(payload: Record<string, unknown>): string | undefined {
  for (const choice of objectsIn(payload.choices)) {
    if (typeof choice.finish_reason === "string") return choice.finish_reason;
  }
  return undefined;
}

/**
 * The token counts in a payload, as they stand there: OpenAI's `usage`; without it llama.cpp's `timings`; the tiers of
 * the cached tokens from SGLang's `sglext` or the simulator's `cached_tokens_by_tier`.
 */
export function usageIn(payload: Record<string, unknown>): ReportedUsage | undefined {
  const usage = isObject(payload.usage) ? payload.usage : {};
  const timings = isObject(payload.timings) ? payload.timings : {};
  const details = isObject(usage.prompt_tokens_details) ? usage.prompt_tokens_details : {};
  const byTier = tierCounts(details.cached_tokens_by_tier) ?? sglangTiers(payload);
  const cachedInTiers = byTier === undefined
    ? undefined
    : Object.values(byTier).reduce((sum, count) => sum + count, 0);
  const promptTokens = count(usage.prompt_tokens) ?? sum(timings.cache_n, timings.prompt_n);
  const completionTokens = count(usage.completion_tokens) ?? count(timings.predicted_n);
  const cachedTokens = count(details.cached_tokens) ?? count(timings.cache_n) ?? cachedInTiers;
  const reported: ReportedUsage = {
    ...(promptTokens === undefined ? {} : { promptTokens }),
    ...(completionTokens === undefined ? {} : { completionTokens }),
    ...(cachedTokens === undefined ? {} : { cachedTokens }),
    ...(byTier === undefined ? {} : { cachedTokensByTier: byTier }),
  };
  return Object.keys(reported).length === 0 ? undefined : reported;
}

/** SGLang: `sglext.cached_tokens_details`, on the payload or on a choice. */
function sglangTiers(payload: Record<string, unknown>): Record<string, number> | undefined {
  for (const holder of [payload, ...objectsIn(payload.choices)]) {
    if (!isObject(holder.sglext)) continue;
    const tiers = tierCounts(holder.sglext.cached_tokens_details);
    if (tiers !== undefined) return tiers;
  }
  return undefined;
}

/** Only the counts: SGLang also names the storage back end there. */
function tierCounts(value: unknown): Record<string, number> | undefined {
  if (!isObject(value)) return undefined;
  const tiers: Record<string, number> = {};
  for (const [name, tokens] of Object.entries(value)) {
    const known = count(tokens);
    if (known !== undefined) tiers[name] = known;
  }
  return Object.keys(tiers).length === 0 ? undefined : tiers;
}

function sum(a: unknown, b: unknown): number | undefined {
  const [left, right] = [count(a), count(b)];
  return left === undefined || right === undefined ? undefined : left + right;
}

/** Any number, also an impossible one: `boundUsage` names these, and leaves them out. */
function count(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
