/**
 * Does the server reuse its cache, and does it say so? One prompt, sent again.
 *
 * @module
 */

import type { ApiKind } from "../record.ts";
import { canonicalSeries, type ServerSeries, sumByKey } from "./counters.ts";
import type { StatedLimits } from "./detect.ts";
import { parseExposition } from "./exposition.ts";
import { type Capability, type Engine, no, unknown, yes } from "./facts.ts";
import { hitsFromCounters } from "./hits.ts";
import { type ServerAccess, trySend } from "./http.ts";
import { recomputeOf } from "./recompute.ts";
import {
  probeCachePrompt,
  type ProbeContext,
  probeRepeat,
  probeSalt,
  refusalOf,
  type RepeatProbe,
  wasReused,
} from "./inference_probe.ts";

/** What the probe of the cache needs to know. */
export interface CachingContext extends ProbeContext {
  readonly api: ApiKind;
  readonly limits: StatedLimits;
  readonly streamUsage: boolean;
  readonly metricsUrl?: string;
}

/** What was found. */
export interface CachingFindings {
  readonly capabilities: {
    readonly prefixCaching: Capability;
    readonly cachedTokens: Capability;
    readonly cacheSalt: Capability;
    readonly recompute: Capability;
  };
  readonly absentMeansZero: boolean;
  readonly disproved: boolean;
}

const FIRST_WORDS = 300;
/** Larger than the blocks of hybrid models (some hundred tokens) and the chunk of LMCache. */
const LONG_WORDS = 2400;
/** A stated block of more than 8,000 tokens is not believed so far as to send such a prompt. */
const LONGEST_WORDS = 20_000;

/** Sends a prompt of some 300 tokens again and again; without a hit, one of some 2400. */
export async function probeCaching(context: CachingContext): Promise<CachingFindings> {
  const { limits } = context;
  const block = Math.max(limits.blockTokens?.value ?? 0, limits.lmcacheChunkTokens?.value ?? 0);
  const room = Math.floor((limits.maxContextTokens?.value ?? Infinity) * 0.6);
  // Nothing is made as large as a server says.
  const words = Math.min(Math.max(FIRST_WORDS, Math.ceil(block * 2.5)), LONGEST_WORDS, room);
  let seen = await observe(context, words, "repeat");
  const longer = Math.min(LONG_WORDS, room);
  if (!seen.reused && limits.prefixCaching?.on !== false && longer > words) {
    seen = await observe(context, longer, "repeat-long");
  }
  const { repeat } = seen;
  const prefixCaching = cachingCapability(context, seen);
  const reported = repeat.warmCachedTokens !== undefined;
  return {
    capabilities: {
      prefixCaching,
      cachedTokens: cachedTokensCapability(context, seen, prefixCaching),
      cacheSalt: await saltCapability(context, repeat),
      recompute: await recomputeCapability(context, repeat),
    },
    absentMeansZero: reported && repeat.coldCachedTokens === undefined && wasReused(repeat),
    disproved: isDisproved(repeat),
  };
}

/** No prompt begins like a new one for a quarter of its length. */
function isDisproved({ coldCachedTokens, promptTokens, words }: RepeatProbe): boolean {
  return (coldCachedTokens ?? 0) >= (promptTokens ?? words) / 4;
}

interface Observed {
  readonly repeat: RepeatProbe;
  /** Hits that the counters gained over the repeats; absent where they do not tell. */
  readonly counterHits?: number;
  readonly reused: boolean;
}

async function observe(context: CachingContext, words: number, label: string): Promise<Observed> {
  const before = await scrapeOnce(context);
  const { api, streamUsage } = context;
  const repeat = await probeRepeat(context, { api, words, label, streamUsage });
  const after = await scrapeOnce(context);
  const size = repeat.promptTokens ?? words;
  const counterHits = hitsBetween(before, after, size);
  const enough = (counterHits ?? 0) >= size / 4;
  return {
    repeat,
    ...(counterHits === undefined ? {} : { counterHits }),
    reused: wasReused(repeat) || enough,
  };
}

/**
 * How it is known that the server looks further down than HBM for what it does not hold there; call
 * it when prompts were sent. vLLM has the counter without a connector too, and then it stays 0.
 */
export async function offloadOf(
  access: ServerAccess,
  metricsUrl: string | undefined,
  tiers: readonly { readonly name: string }[],
): Promise<string | undefined> {
  if (metricsUrl === undefined || tiers.some(({ name }) => name !== "HBM")) return undefined;
  const reply = await trySend(access, { path: metricsUrl, timeoutMs: 5_000 });
  if (reply?.status !== 200) return undefined;
  const { externalQueries = 0 } = sumByKey(canonicalSeries(parseExposition(reply.text)));
  return externalQueries > 0
    ? "a second tier is on, its size is not stated (the counter of look-ups there has moved)"
    : undefined;
}

async function scrapeOnce({ access, metricsUrl }: CachingContext): Promise<ServerSeries[]> {
  if (metricsUrl === undefined) return [];
  const reply = await trySend(access, { path: metricsUrl, timeoutMs: 5_000 });
  return reply?.status === 200 ? canonicalSeries(parseExposition(reply.text)) : [];
}

/** Most that three sends of one prompt may count; more tokens than that are someone else's. */
const OWN_TOKENS = 4;

function hitsBetween(
  before: readonly ServerSeries[],
  after: readonly ServerSeries[],
  promptTokens: number,
): number | undefined {
  if (before.length === 0) return undefined;
  const [from, to] = [before, after].map((series) =>
    sumByKey(series.filter(({ kind }) => kind === "counter"))
  );
  const deltas = Object.entries(to ?? {}).map(([key, value]) => [key, value - (from?.[key] ?? 0)]);
  const hits = hitsFromCounters(Object.fromEntries(deltas));
  return hits === undefined || hits.queryTokens > promptTokens * OWN_TOKENS
    ? undefined
    : hits.hitTokens;
}

const ENABLE_CACHING: Partial<Record<Engine, string>> = {
  vllm: "start vLLM with --enable-prefix-caching",
  sglang: "start SGLang without --disable-radix-cache",
  trtllm: "set kv_cache_config.enable_block_reuse: true",
  llamacpp: "start llama-server without --no-cache-prompt",
};

function cachingCapability(context: CachingContext, seen: Observed): Capability {
  const { repeat, counterHits } = seen;
  const stated = context.limits.prefixCaching;
  const enable = ENABLE_CACHING[context.engine];
  const size = repeat.promptTokens ?? repeat.words;
  if (repeat.refused !== undefined) {
    return unknown(`a prompt of ${repeat.words} words is refused with ${repeat.refused.status}`);
  }
  if (wasReused(repeat)) {
    return yes(`a repeated prompt of ${size} tokens reports ${repeat.warmCachedTokens} as cached`);
  }
  if (seen.reused) {
    return yes(`the counters gained ${counterHits} hits over repeats of ${size} tokens`);
  }
  if (stated?.on === false) return no(stated.evidence, enable);
  if (isDisproved(repeat) && counterHits === undefined) {
    return unknown("the reported counts are not true, and no counters tell");
  }
  if (!isDisproved(repeat) && repeat.warmCachedTokens !== undefined) {
    const cached = repeat.warmCachedTokens;
    return no(`a repeated prompt of ${size} tokens reports ${cached} as cached`, enable);
  }
  if (counterHits !== undefined) {
    return no(`the counters gained ${counterHits} hits over repeats of ${size} tokens`, enable);
  }
  return stated?.on === true
    ? yes(stated.evidence)
    : unknown("neither usage nor counters tell; the times of doctor do");
}

const ENABLE_CACHED_TOKENS: Partial<Record<Engine, string>> = {
  vllm: "start vLLM with --enable-prompt-tokens-details",
  sglang: "start SGLang with --enable-cache-report",
  trtllm: "needs a TensorRT-LLM that reports usage.prompt_tokens_details",
  llamacpp: "needs a newer llama-server",
  tgi: "TGI does not count cached tokens",
};

function cachedTokensCapability(
  context: CachingContext,
  { repeat }: Observed,
  prefixCaching: Capability,
): Capability {
  const enable = ENABLE_CACHED_TOKENS[context.engine];
  const where = context.streamUsage ? "the usage of the stream" : "the usage of the answer";
  if (repeat.refused !== undefined) return unknown("the repeated prompt was refused");
  if (isDisproved(repeat)) {
    const size = repeat.promptTokens ?? repeat.words;
    return no(
      `a prompt never sent before is reported with ${repeat.coldCachedTokens} of ${size} cached`,
    );
  }
  if (repeat.warmCachedTokens !== undefined) {
    const cold = repeat.coldCachedTokens ?? "no count";
    const evidence = `${where} reports ${cold} cold and ${repeat.warmCachedTokens} repeated`;
    return context.streamUsage ? yes(evidence) : unknown(`${evidence}, but streams have no usage`);
  }
  if (repeat.coldCachedTokens !== undefined) return yes(`${where} reports cached tokens`);
  // vLLM leaves the count out where it is 0: with caching off its flag cannot be seen.
  if (prefixCaching.state === "no" && context.engine === "vllm") {
    return unknown("no count comes, and nothing is cached", enable);
  }
  return no(`${where} has no cached-token count`, enable);
}

async function saltCapability(context: CachingContext, repeat: RepeatProbe): Promise<Capability> {
  if (repeat.refused !== undefined) return unknown("the repeated prompt was refused");
  if (context.engine === "llamacpp" || context.engine === "tgi") {
    return no(`${context.engine} has no cache_salt`);
  }
  return await probeSalt(context, repeat, context.streamUsage);
}

async function recomputeCapability(
  context: CachingContext,
  repeat: RepeatProbe,
): Promise<Capability> {
  const { engine, streamUsage } = context;
  const recompute = recomputeOf(engine);
  if (recompute === undefined) return no("no control per request is known");
  if (repeat.refused !== undefined) return unknown("the repeated prompt was refused");
  if (recompute.skips === "everything") {
    return await probeCachePrompt(context, repeat, streamUsage);
  }
  const refusal = await refusalOf(context, repeat, streamUsage, recompute.fields);
  if (refusal !== undefined) return no(refusal);
  // Its effect is not seen on a prompt that HBM holds.
  return engine === "kvmark-sim"
    ? yes("kv_transfer_params.max_load_tokens: 0 skips its tiers below HBM")
    : unknown(
      "kv_transfer_params.max_load_tokens: 0 is taken; vLLM obeys it from September 2026",
      "needs a vLLM with max_load_tokens and an offload tier",
    );
}
