/**
 * The hit rate that an LRU cache of a known size would have had for the requests that were sent.
 *
 * @module
 */

/** One request, in the order in which it was sent; warm-up requests included. */
export interface SentRequest {
  /** The prompt whose beginning is shared; absent for an all-unique prompt. */
  readonly promptIndex?: number | string;
  /** Tokens at the beginning that are those of that prompt. */
  readonly sharedTokens: number;
  /** Of these, the most that the server can reuse: whole blocks, last block recomputed. */
  readonly achievableTokens: number;
  readonly promptTokens: number;
  /** Generated tokens; they occupy the cache as well. */
  readonly outputTokens?: number;
  /** False for a request that only warms the cache: it is not in the rate. Default true. */
  readonly counted?: boolean;
}

/** The cache to model. */
export interface LruModel {
  /** All tiers together. */
  readonly capacityTokens: number;
  /** Tokens that are kept or dropped as one; 1 where unknown. */
  readonly blockTokens?: number;
  /** Most steps to spend: the grain is made coarser than the block until they suffice. */
  readonly maxSteps?: number;
}

/** What the model says. */
export interface TheoreticalHits {
  /** Σ hit / Σ prompt tokens of the counted requests, in percent. */
  readonly hitRatePercent: number;
  readonly hitTokens: number;
  readonly promptTokens: number;
  /** Tokens that the model moved as one. */
  readonly grainTokens: number;
}

const DEFAULT_MAX_STEPS = 4_000_000;
/** Entries of a {@linkcode CacheModel}: some 50 MB. */
const MOST_GRAINS = 500_000;
/** A shared part of fewer grains than this is modelled too coarsely to be told anything about. */
const LEAST_GRAINS = 8;

/**
 * Plays the requests, one after another, on an LRU cache of blocks. As in the engines a block is
 * of use only if all before it are there, and the end of a prompt is thrown out before its
 * beginning. Unique text and generated tokens occupy room and are never asked for again.
 *
 * @returns Nothing if no counted request was given.
 * @example
 * ```ts
 * import { theoreticalHits } from "./lru.ts";
 * const ask = { promptIndex: 0, sharedTokens: 64, achievableTokens: 48, promptTokens: 64 };
 * const hits = theoreticalHits([ask, ask], { capacityTokens: 1000, blockTokens: 16 });
 * console.log(hits?.hitRatePercent); // 37.5
 * ```
 */
export function theoreticalHits(
  requests: readonly SentRequest[],
  model: LruModel,
): TheoreticalHits | undefined {
  const grainTokens = grainOf(requests, model);
  const cache = new GrainLru(Math.floor(model.capacityTokens / grainTokens));
  let hitTokens = 0;
  let promptTokens = 0;
  for (const request of requests) {
    const hit = play(cache, request, grainTokens);
    if (request.counted === false) continue;
    hitTokens += hit;
    promptTokens += request.promptTokens;
  }
  if (promptTokens === 0) return undefined;
  return {
    hitTokens,
    promptTokens,
    grainTokens,
    hitRatePercent: 100 * hitTokens / promptTokens,
  };
}

/** The same cache, kept over a run: each request is played once, in the order of sending. */
export class CacheModel {
  readonly #cache: GrainLru;
  readonly #blockTokens: number;
  readonly grainTokens: number;

  constructor({ capacityTokens, blockTokens = 1 }: Omit<LruModel, "maxSteps">) {
    this.#blockTokens = blockTokens;
    this.grainTokens = blockTokens *
      Math.max(1, Math.ceil(capacityTokens / blockTokens / MOST_GRAINS));
    this.#cache = new GrainLru(Math.floor(capacityTokens / this.grainTokens));
  }

  /** Tokens that the cache would have had; `undefined` where its grain is too coarse to tell. */
  play(request: SentRequest): number | undefined {
    const hit = play(this.#cache, request, this.grainTokens);
    const { sharedTokens } = request;
    const coarse = this.grainTokens > this.#blockTokens && sharedTokens > 0 &&
      sharedTokens < LEAST_GRAINS * this.grainTokens;
    return coarse ? undefined : hit;
  }

  /** Nothing is cached any more. */
  clear(): void {
    this.#cache.clear();
  }
}

function grainOf(requests: readonly SentRequest[], model: LruModel): number {
  const block = Math.max(1, model.blockTokens ?? 1);
  const tokens = requests.reduce((sum, r) => sum + r.promptTokens + (r.outputTokens ?? 0), 0);
  const steps = tokens / block;
  return block * Math.max(1, Math.ceil(steps / (model.maxSteps ?? DEFAULT_MAX_STEPS)));
}

function play(cache: GrainLru, request: SentRequest, grain: number): number {
  const { promptIndex, sharedTokens, achievableTokens, promptTokens } = request;
  const shared = promptIndex === undefined ? 0 : Math.floor(sharedTokens / grain);
  const all = Math.floor((promptTokens + (request.outputTokens ?? 0)) / grain);
  let found = 0;
  while (found < shared && cache.has(`${promptIndex}:${found}`)) found++;
  // The unique rest is dropped first, then the shared part from its end: oldest goes in first.
  for (let i = shared; i < all; i++) cache.addUnique();
  for (let i = shared - 1; i >= 0; i--) cache.touch(`${promptIndex}:${i}`);
  return found === shared && shared > 0
    ? Math.min(achievableTokens, sharedTokens)
    : Math.min(achievableTokens, found * grain);
}

/** Grains in the order of their last use: a Map iterates in the order of insertion. */
class GrainLru {
  readonly #grains = new Map<string, true>();
  readonly #capacity: number;
  #unique = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  has(key: string): boolean {
    return this.#grains.has(key);
  }

  touch(key: string): void {
    this.#grains.delete(key);
    this.#grains.set(key, true);
    this.#shrink();
  }

  clear(): void {
    this.#grains.clear();
  }

  addUnique(): void {
    this.touch(`unique:${this.#unique++}`);
  }

  #shrink(): void {
    while (this.#grains.size > this.#capacity) {
      const { value } = this.#grains.keys().next();
      if (value === undefined) return;
      this.#grains.delete(value);
    }
  }
}
