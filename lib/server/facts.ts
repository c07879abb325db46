/**
 * What is known about a server, and how it is known.
 *
 * @module
 */

import type { ApiKind } from "../record.ts";

/** Engines that kvmark knows the routes and counters of. */
export const ENGINES = [
  "vllm",
  "sglang",
  "trtllm",
  "dynamo",
  "llamacpp",
  "tgi",
  "lmcache",
  "kvmark-sim",
  "unknown",
] as const;

/** An engine that kvmark knows, or `unknown`: plain OpenAI, with what that can prove. */
export type Engine = typeof ENGINES[number];

/** The engines' names as people write them. */
export const ENGINE_TITLES: Readonly<Record<Engine, string>> = {
  "vllm": "vLLM",
  "sglang": "SGLang",
  "trtllm": "TensorRT-LLM",
  "dynamo": "Dynamo",
  "llamacpp": "llama.cpp",
  "tgi": "TGI",
  "lmcache": "LMCache",
  "kvmark-sim": "kvmark simulator",
  "unknown": "unknown OpenAI-compatible server",
};

/** What a server may be able to do, with the meaning that `doctor` prints. */
export const CAPABILITIES = {
  completions: "answers on /v1/completions",
  chat: "answers on /v1/chat/completions",
  stream: "streams its answer as server-sent events",
  streamUsage: "takes stream_options.include_usage and reports usage in the stream",
  keepAlive: "keeps the connection open after a streamed answer",
  cachedTokens: "reports the cached prompt tokens of each request",
  prefixCaching: "reuses the KV cache of a prompt that it has seen",
  tokenize: "tokenizes text on request",
  tokenIds: "takes token ids as a prompt on /v1/completions",
  ignoreEos: "takes ignore_eos, so that an answer is not ended early",
  minTokens: "takes min_tokens, so that an answer has an exact length",
  metrics: "has a Prometheus metrics route",
  cacheCounters: "counts prompt tokens and cache hits on that route",
  reset: "can drop its cache over HTTP",
  resetExternal: "can drop its offload tiers over HTTP",
  cacheSalt: "keeps requests with different cache_salt apart",
  recompute: "can be told per request to recompute instead of load (A/B on one server)",
} as const;

/** Name of a capability. */
export type CapabilityName = keyof typeof CAPABILITIES;

/** Whether a server can do something, why kvmark thinks so, and what would switch it on. */
export interface Capability {
  readonly state: "yes" | "no" | "unknown";
  /** What was seen: one line, for people. */
  readonly evidence: string;
  /** What the operator of the server can do, where it is not `yes` and something is known. */
  readonly enable?: string;
}

/** A place that holds KV blocks, as the server describes it. */
export interface ServerTier {
  readonly name: "HBM" | "DRAM" | "SSD";
  readonly capacityTokens?: number;
  readonly capacityBytes?: number;
  readonly evidence: string;
}

/** A number that the server stated, and where. */
export interface StatedFact {
  readonly value: number;
  readonly evidence: string;
}

/** Everything that a probe found out about one endpoint. */
export interface ServerFacts {
  readonly baseUrl: string;
  readonly engine: Engine;
  /** What the engine was recognised by. */
  readonly engineEvidence: string;
  readonly engineVersion?: string;
  /** Ids of `/v1/models`, in its order; empty where that route is missing. */
  readonly models: readonly string[];
  /** The model that requests are to name. */
  readonly model: string;
  /** Name of the weights where the server tells it and it is not the id (vLLM's `root`). */
  readonly modelRoot?: string;
  /** The route for measurements: the one asked for, or the better of those that work. */
  readonly api: ApiKind;
  /** Prompt and answer together. */
  readonly maxContextTokens?: number;
  /** Tokens that are cached or not as one. Absent unless the server states it: never a default. */
  readonly blockTokens?: number;
  /** Tokens that the accelerator's memory holds. */
  readonly hbmTokens?: number;
  readonly tiers?: readonly ServerTier[];
  /** How it is known that a tier below the stated ones is on, whose size is not stated. */
  readonly offload?: string;
  /** Where the numbers above come from, by the name of the field. */
  readonly evidence: Readonly<Record<string, string>>;
  readonly capabilities: Readonly<Record<CapabilityName, Capability>>;
  /**
   * True if the server leaves the cached-token count out where it is 0 (vLLM does), so that an
   * absent count of a successful request means none. Only set where a probe has seen both.
   */
  readonly cachedTokensAbsentMeansZero: boolean;
  /**
   * True if a prompt that was never sent before was reported as cached for the most part: the
   * count is not of what is reused, and must not be believed.
   */
  readonly cachedTokensDisproved: boolean;
  /** Where the Prometheus text is; absent if there is none. */
  readonly metricsUrl?: string;
  /** Chunk of an LMCache that serves this engine; hits shorter than it do not count there. */
  readonly lmcacheChunkTokens?: number;
  /** Whole sentences for stderr and the report. */
  readonly notes: readonly string[];
}

/** `yes`, with the reason. */
export function yes(evidence: string): Capability {
  return { state: "yes", evidence };
}

/** `no`, with the reason and what would switch it on. */
export function no(evidence: string, enable?: string): Capability {
  return enable === undefined ? { state: "no", evidence } : { state: "no", evidence, enable };
}

/** `unknown`, with the reason and what would switch it on. */
export function unknown(evidence: string, enable?: string): Capability {
  return enable === undefined
    ? { state: "unknown", evidence }
    : { state: "unknown", evidence, enable };
}

/**
 * True for an engine that keeps one sequence a slot: a request that shares a beginning cuts the
 * kept sequence off behind it, so that a cell leaves less of the working set than it found.
 */
export function keepsOneSequenceASlot({ engine }: Pick<ServerFacts, "engine">): boolean {
  return engine === "llamacpp";
}
