/**
 * How much memory an engine really reserves for what a model keeps: pages, windows, padding.
 *
 * The rules are those of the engines' sources, named in `docs/kv-size.md`. Everything here is for
 * one GPU and one sequence.
 *
 * @module
 */

import type { KvEngine } from "./precision.ts";
import type { Window } from "./shape.ts";

/** A cache before the engine: so many bytes a token in each of so many layers. */
export interface Demand {
  readonly label: string;
  readonly layers: number;
  readonly layerBytesPerToken: number;
  readonly window?: Window;
}

/** A state before the engine. */
export interface StateDemand {
  readonly label: string;
  readonly layers: number;
  readonly layerBytes: number;
}

/** A cache as the engine reserves it. */
export interface Reserved {
  readonly label: string;
  readonly layers: number;
  /** Layers that the engine adds so that its groups are equal. */
  readonly paddingLayers: number;
  /** Bytes of one token in all these layers, padding included. */
  readonly bytesPerToken: number;
  /** What one token of the pool costs, where the pool is not as long as the context. */
  readonly poolBytesPerToken: number;
  /** Tokens that are reserved at once. */
  readonly blockTokens: number;
  /** No more tokens than these are held; absent where all are. */
  readonly limitTokens?: number;
  /** Where the limit is soft: the share of all tokens that is held at least. */
  readonly leastShare?: number;
}

/** What an engine reserves for a sequence. */
export interface Reservation {
  readonly caches: readonly Reserved[];
  /** States, padding included. */
  readonly stateBytes: number;
  /** Whole sentences. */
  readonly notes: readonly string[];
}

/** Tokens of a page. */
const PAGE_TOKENS: Readonly<Record<KvEngine, number>> = {
  vllm: 16,
  sglang: 1,
  trtllm: 32,
  llamacpp: 256,
};
/** `swa_full_tokens_ratio` of SGLang: tokens of its window pool for each token of its full pool. */
const SGLANG_WINDOW_SHARE = 0.8;
/** `model_type`s whose windows SGLang keeps in a pool of their own. */
const SGLANG_WINDOW_POOL = /^(llama4|gpt_oss|mimo_v2|gemma4)/;
/** `n_ubatch` of llama.cpp: a window holds so many tokens more. */
const LLAMACPP_BATCH_TOKENS = 512;
/** Above this ratio of layers vLLM takes the smaller number as the size of its groups. */
const VLLM_GROUP_RATIO = 1.5;

/** What is reserved for these caches and states. */
export function reserve(
  engine: KvEngine | undefined,
  modelType: string,
  demands: readonly Demand[],
  states: readonly StateDemand[],
): Reservation {
  if (engine === "vllm") return vllm(demands, states);
  const stateBytes = states.reduce((sum, state) => sum + state.layers * state.layerBytes, 0);
  const blockTokens = engine === undefined ? 1 : PAGE_TOKENS[engine];
  const windows = demands.some((demand) => demand.window !== undefined);
  const notes: string[] = [];
  const plain = demands.map((demand) => reserved(demand, { blockTokens }));
  if (!windows) return { caches: plain, stateBytes, notes };
  if (engine === undefined) {
    const caches = demands.map((one) => reserved(one, { limitTokens: one.window?.tokens }));
    return { caches, stateBytes, notes };
  }
  if (engine === "llamacpp") {
    const caches = demands.map((demand) => reserved(demand, { blockTokens, ...padded(demand) }));
    notes.push(
      `llama.cpp keeps ${LLAMACPP_BATCH_TOKENS} tokens more than a window (a batch), in steps of ` +
        `${blockTokens}; with --swa-full it keeps all.`,
    );
    return { caches, stateBytes, notes };
  }
  if (engine === "sglang" && SGLANG_WINDOW_POOL.test(modelType)) {
    notes.push(
      `SGLang gives layers with a window a pool of ${SGLANG_WINDOW_SHARE} tokens for each token ` +
        "of the others (--swa-full-tokens-ratio).",
    );
    const caches = demands.map((demand) =>
      reserved(demand, {
        limitTokens: demand.window?.tokens,
        ...(demand.window === undefined ? {} : { leastShare: SGLANG_WINDOW_SHARE }),
      })
    );
    return { caches, stateBytes, notes };
  }
  notes.push(
    engine === "sglang"
      ? "SGLang keeps every token in every layer of this model, windows or not."
      : "TensorRT-LLM keeps every token in every layer unless max_attention_window is set.",
  );
  return { caches: plain, stateBytes, notes };
}

function padded(demand: Demand): { readonly limitTokens?: number } {
  if (demand.window === undefined) return {};
  const step = PAGE_TOKENS.llamacpp;
  const tokens = demand.window.tokens + LLAMACPP_BATCH_TOKENS;
  return { limitTokens: Math.ceil(tokens / step) * step };
}

function reserved(
  demand: Demand,
  o: {
    readonly blockTokens?: number;
    readonly paddingLayers?: number;
    readonly limitTokens?: number | undefined;
    readonly leastShare?: number;
  },
): Reserved {
  const { paddingLayers = 0, blockTokens = 1, limitTokens, leastShare } = o;
  const bytesPerToken = (demand.layers + paddingLayers) * demand.layerBytesPerToken;
  return {
    label: demand.label,
    layers: demand.layers,
    paddingLayers,
    bytesPerToken,
    poolBytesPerToken: bytesPerToken * (leastShare ?? 1),
    blockTokens,
    ...(limitTokens === undefined ? {} : { limitTokens }),
    ...(leastShare === undefined ? {} : { leastShare }),
  };
}

/**
 * vLLM has one pool of pages of equal size. Layers of one kind form groups of equally many layers,
 * filled up with padding; a page holds so many tokens of a whole group.
 */
function vllm(demands: readonly Demand[], states: readonly StateDemand[]): Reservation {
  const notes: string[] = [];
  const kinds = demands.map((demand) => {
    if (demand.window?.kind !== "chunked") return demand;
    notes.push("vLLM keeps every token in the chunked layers of Llama 4 (by default).");
    const { window: _, ...unlimited } = demand;
    return { ...unlimited, label: demand.label };
  });
  const limited = kinds.filter((kind) => kind.window !== undefined);
  const mixed = limited.length > 0 && limited.length < kinds.length;
  const grouped = (mixed || states.length > 0) && kinds.length > 0;
  const size = grouped ? groupLayers([...kinds, ...states].map((kind) => kind.layers)) : undefined;
  const padding = (layers: number) => size === undefined ? 0 : (size - layers % size) % size;
  const statePage = Math.max(0, ...states.map((state) => state.layerBytes));
  const page = Math.max(
    statePage,
    ...kinds.map((kind) => PAGE_TOKENS.vllm * kind.layerBytesPerToken),
  );
  const caches = kinds.map((kind) => {
    const blockTokens = grouped ? blockOf(kind, page, statePage) : PAGE_TOKENS.vllm;
    return reserved(kind, {
      blockTokens,
      paddingLayers: padding(kind.layers),
      limitTokens: limitOf(kind, blockTokens),
    });
  });
  if (caches.some((cache) => cache.paddingLayers > 0)) {
    notes.push("vLLM adds padding layers, so that its groups of layers are equal.");
  }
  if (mixed) {
    notes.push(
      "With a KV connector, or --disable-hybrid-kv-cache-manager, vLLM keeps every token in " +
        "every layer.",
    );
  }
  return { caches, stateBytes: vllmStates(caches, kinds, states, padding), notes };
}

/** A state is padded to the page of an attention layer. */
function vllmStates(
  caches: readonly Reserved[],
  kinds: readonly Demand[],
  states: readonly StateDemand[],
  padding: (layers: number) => number,
): number {
  const page = Math.max(
    0,
    ...caches.map((cache, i) => cache.blockTokens * (kinds[i]?.layerBytesPerToken ?? 0)),
  );
  return states.reduce(
    (sum, state) => sum + (state.layers + padding(state.layers)) * Math.max(page, state.layerBytes),
    0,
  );
}

function groupLayers(counts: readonly number[]): number {
  const least = Math.min(...counts);
  const most = Math.max(...counts);
  return most < least * VLLM_GROUP_RATIO ? most : least;
}

/** Pages have one size in bytes: layers with smaller tokens have more of them in a page. */
function blockOf(kind: Demand, page: number, statePage: number): number {
  const own = PAGE_TOKENS.vllm * kind.layerBytesPerToken;
  const exact = page / own;
  return PAGE_TOKENS.vllm *
    (statePage > 0 ? Math.ceil(exact) : Number.isInteger(exact) ? exact : 1);
}

function limitOf(kind: Demand, blockTokens: number): number | undefined {
  if (kind.window === undefined) return undefined;
  // The window may begin inside of a block.
  return (Math.ceil(kind.window.tokens / blockTokens) + 1) * blockTokens;
}

/** Tokens that are held of a sequence of `tokens`. */
export function tokensHeld(cache: Reserved, tokens: number): number {
  const { blockTokens, limitTokens = Infinity, leastShare = 0 } = cache;
  const all = Math.ceil(tokens / blockTokens) * blockTokens;
  return Math.max(Math.min(all, limitTokens), leastShare * all);
}

/** Bytes that one further token adds, blocks aside. */
export function slopeAt(cache: Reserved, tokens: number): number {
  const { limitTokens = Infinity, leastShare = 0, bytesPerToken } = cache;
  if (tokens < limitTokens) return bytesPerToken;
  return leastShare * tokens >= limitTokens ? leastShare * bytesPerToken : 0;
}
