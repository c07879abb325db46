/**
 * What a server does with tiny requests: routes, usage, forced length, token ids, cached tokens.
 *
 * @module
 */

import type { ApiKind } from "../record.ts";
import { type Capability, type Engine, no, unknown, yes } from "./facts.ts";
import { excerpt, type ServerAccess } from "./http.ts";
import { infer, type ProbeAnswer, type ProbeRequest } from "./infer.ts";
import { probeText } from "./probe_text.ts";

/** What the probes of one server have in common. */
export interface ProbeContext {
  readonly access: ServerAccess;
  readonly engine: Engine;
  readonly model: string;
  readonly nonce: string;
}

/** What a route does with a streamed request. */
export interface RouteProbe {
  readonly route: Capability;
  readonly stream: Capability;
  readonly streamUsage: Capability;
  /** The refusal of a route that does not work. */
  readonly refused?: ProbeAnswer;
}

const SHORT_WORDS = 12;

/** Runs one streamed request on a route, with `stream_options`, and without it if that is refused. */
export async function probeRoute(context: ProbeContext, api: ApiKind): Promise<RouteProbe> {
  const path = api === "chat" ? "/v1/chat/completions" : "/v1/completions";
  const request = shortRequest(context, api, `route-${api}`);
  const asked = { stream_options: { include_usage: true } };
  const first = await infer(context.access, { ...request, stream: true, extra: asked });
  if (first.ok) return answeredRoute(path, first, true);
  const plain = await infer(context.access, { ...request, stream: true });
  if (plain.ok) return answeredRoute(path, plain, false);
  const evidence = `${path} answers ${describe(context.access, plain)}`;
  return {
    route: no(evidence),
    stream: no(evidence),
    streamUsage: no(evidence),
    refused: plain,
  };
}

function answeredRoute(path: string, answer: ProbeAnswer, asked: boolean): RouteProbe {
  const route = yes(`${path} answers 200`);
  if (!answer.streamed) {
    const evidence = `${path} answers a streamed request with one JSON body`;
    return { route, stream: no(evidence), streamUsage: no(evidence) };
  }
  const stream = yes(`${path} answers with events`);
  const counted = answer.usage?.promptTokens !== undefined;
  if (!asked) {
    const unasked = counted ? "; usage comes without being asked for" : "";
    return { route, stream, streamUsage: no(`stream_options is refused${unasked}`) };
  }
  return {
    route,
    stream,
    streamUsage: counted
      ? yes("the stream ends with usage")
      : no("stream_options.include_usage is taken, but no usage comes"),
  };
}

function shortRequest(context: ProbeContext, api: ApiKind, label: string): ProbeRequest {
  return {
    api,
    model: context.model,
    prompt: probeText(context.nonce, label, SHORT_WORDS),
    maxTokens: 3,
    stream: false,
  };
}

/** One line about an answer that is not as wished. */
export function describe(access: ServerAccess, answer: ProbeAnswer): string {
  if (answer.status === 200 && answer.error !== undefined) {
    return `200 with an error in it${excerpt(access, answer.reply)}`;
  }
  return `${answer.status}${excerpt(access, answer.reply)}`;
}

/** Engines that are known to drop a field without a word. */
const IGNORED: Readonly<Record<"ignore_eos" | "min_tokens", readonly Engine[]>> = {
  ignore_eos: ["tgi"],
  min_tokens: ["tgi", "llamacpp"],
};

/** Engines that are known to act on a field, though they do not check its type. */
const KNOWN: Readonly<Record<"ignore_eos" | "min_tokens", readonly Engine[]>> = {
  ignore_eos: ["llamacpp", "kvmark-sim"],
  min_tokens: [],
};

/**
 * Does the server act on a field? It must take a right value and make the asked number of tokens;
 * that alone proves little (few models end within three tokens), so a wrong type must be refused
 * too: a server that ignores unknown fields takes it.
 */
export async function probeField(
  context: ProbeContext,
  api: ApiKind,
  field: "ignore_eos" | "min_tokens",
): Promise<Capability> {
  const request = shortRequest(context, api, `field-${field}`);
  const right = field === "ignore_eos" ? true : 3;
  const taken = await infer(context.access, { ...request, extra: { [field]: right } });
  if (!taken.ok) {
    return no(`${field} is refused with ${describe(context.access, taken)}`);
  }
  const made = taken.usage?.completionTokens;
  const length = made === undefined ? "" : `; made ${made} of 3 tokens`;
  if (IGNORED[field].includes(context.engine)) {
    return no(`${context.engine} is known to ignore ${field}`);
  }
  if (made !== undefined && made < 3) return no(`${field} is taken but ignored${length}`);
  if (KNOWN[field].includes(context.engine)) return yes(`${field} is taken${length}`);
  const wrong = await infer(context.access, { ...request, extra: { [field]: "kvmark" } });
  return isTypeRefusal(wrong)
    ? yes(`${field} is taken, and a wrong type of it is refused${length}`)
    : unknown(`${field} is taken, but may be ignored: a wrong type of it is taken too${length}`);
}

function isTypeRefusal(answer: ProbeAnswer): boolean {
  return !answer.ok && (answer.status === 200 || answer.status === 400 || answer.status === 422);
}

/** Does `/v1/completions` take token ids? It must count as many prompt tokens as ids were sent. */
export async function probeTokenIds(
  context: ProbeContext,
  ids: readonly number[],
): Promise<Capability> {
  const request = shortRequest(context, "completions", "ids");
  const answer = await infer(context.access, { ...request, prompt: ids, maxTokens: 1 });
  if (!answer.ok) return no(`a list of ids is refused with ${describe(context.access, answer)}`);
  const counted = answer.usage?.promptTokens;
  if (counted === undefined) {
    return unknown("a list of ids is taken, but prompt tokens not counted");
  }
  const evidence = `${ids.length} ids are counted as ${counted} prompt tokens`;
  return counted === ids.length || counted === ids.length + 1 ? yes(evidence) : no(evidence);
}

/** A prompt that was sent until it was found in the cache, or three times. */
export interface RepeatProbe {
  readonly api: ApiKind;
  readonly words: number;
  readonly promptTokens?: number;
  /** What the first, cold request reported; absent if it reported no count. */
  readonly coldCachedTokens?: number;
  /** The best that a repeat reported; absent if none reported a count. */
  readonly warmCachedTokens?: number;
  /** The prompt, for further requests on what is now cached. */
  readonly text: string;
  readonly refused?: ProbeAnswer;
}

/** How to repeat. */
export interface RepeatOptions {
  readonly api: ApiKind;
  readonly words: number;
  readonly label: string;
  readonly streamUsage: boolean;
}

/** Sends one prompt up to three times: what is cached of it the second time, and the third? */
export async function probeRepeat(
  context: ProbeContext,
  { api, words, label, streamUsage }: RepeatOptions,
): Promise<RepeatProbe> {
  const text = probeText(context.nonce, label, words);
  const request = usageRequest(context, api, text, streamUsage);
  const cold = await infer(context.access, request);
  if (!cold.ok) return { api, words, text, refused: cold };
  let warm: number | undefined;
  for (let repeat = 0; repeat < 2; repeat++) {
    const again = await infer(context.access, request);
    const cached = again.usage?.cachedTokens;
    if (cached !== undefined) warm = Math.max(warm ?? 0, cached);
    if (isWarm(warm, cold)) break;
  }
  const { promptTokens, cachedTokens } = cold.usage ?? {};
  return {
    api,
    words,
    text,
    ...(promptTokens === undefined ? {} : { promptTokens }),
    ...(cachedTokens === undefined ? {} : { coldCachedTokens: cachedTokens }),
    ...(warm === undefined ? {} : { warmCachedTokens: warm }),
  };
}

/** A request that is answered with usage in the way that measurements will get it. */
export function usageRequest(
  context: Pick<ProbeContext, "model">,
  api: ApiKind,
  prompt: string | readonly number[],
  streamUsage: boolean,
): ProbeRequest {
  const extra = { stream_options: { include_usage: true } };
  const base = { api, model: context.model, prompt, maxTokens: 1, stream: streamUsage };
  return streamUsage ? { ...base, extra } : base;
}

/** Half of the prompt is far more than a template or a chance beginning, and less than any block. */
function isWarm(cached: number | undefined, cold: ProbeAnswer): boolean {
  const promptTokens = cold.usage?.promptTokens ?? Infinity;
  return cached !== undefined && cached > (cold.usage?.cachedTokens ?? 0) &&
    cached >= promptTokens / 4;
}

/** True if the repeat was served from the cache. */
export function wasReused(probe: RepeatProbe): boolean {
  const { promptTokens, coldCachedTokens, warmCachedTokens } = probe;
  return warmCachedTokens !== undefined && warmCachedTokens > (coldCachedTokens ?? 0) &&
    warmCachedTokens >= (promptTokens ?? 0) / 4;
}

/**
 * Does a `cache_salt` keep a request apart? A prompt that is cached is sent with a new salt: it
 * must report no cached tokens.
 */
export async function probeSalt(
  context: ProbeContext,
  cached: RepeatProbe,
  streamUsage: boolean,
): Promise<Capability> {
  return await probeBypass(context, cached, streamUsage, {
    field: "cache_salt",
    value: `kvmark-${context.nonce}`,
  });
}

/** Does `cache_prompt: false` (llama.cpp) make a cached prompt be computed again? */
export async function probeCachePrompt(
  context: ProbeContext,
  cached: RepeatProbe,
  streamUsage: boolean,
): Promise<Capability> {
  return await probeBypass(context, cached, streamUsage, { field: "cache_prompt", value: false });
}

/** Why a request with these further fields is refused; nothing if it is answered. */
export async function refusalOf(
  context: ProbeContext,
  cached: RepeatProbe,
  streamUsage: boolean,
  fields: Readonly<Record<string, unknown>>,
): Promise<string | undefined> {
  const request = usageRequest(context, cached.api, cached.text, streamUsage);
  const answer = await infer(context.access, {
    ...request,
    extra: { ...request.extra, ...fields },
  });
  if (answer.ok) return undefined;
  return `${Object.keys(fields).join(", ")} is refused with ${describe(context.access, answer)}`;
}

async function probeBypass(
  context: ProbeContext,
  cached: RepeatProbe,
  streamUsage: boolean,
  { field, value }: { field: string; value: unknown },
): Promise<Capability> {
  const request = usageRequest(context, cached.api, cached.text, streamUsage);
  const answer = await infer(context.access, {
    ...request,
    extra: { ...request.extra, [field]: value },
  });
  if (!answer.ok) return no(`${field} is refused with ${describe(context.access, answer)}`);
  if (!wasReused(cached)) {
    return unknown(`${field} is taken; without reported reuse its effect is not seen`);
  }
  const seen = answer.usage?.cachedTokens ?? 0;
  const before = cached.warmCachedTokens ?? 0;
  const evidence = `a prompt with ${before} cached tokens reports ${seen} with ${field}`;
  return seen < before / 4 ? yes(evidence) : no(evidence);
}
