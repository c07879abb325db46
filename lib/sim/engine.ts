/**
 * The simulated engine: continuous batching with chunked prefill over a {@linkcode TieredCache}.
 *
 * It is a discrete-event simulation that is told what time it is. `advanceTo(now)` plays every
 * step up to `now` and returns the tokens that came out, each with the exact instant of the model;
 * the server calls it at real instants, a test at any it likes. A step begins when the one before
 * it ends, so that lateness of the caller never adds up.
 *
 * One step, as in vLLM's scheduler: running sequences first, in the order of their arrival, one
 * token for each that decodes and a chunk for each that prefills; then waiting ones, first come
 * first served, while there is room in the batch, the token budget and the pool of KV blocks. A
 * decoding sequence that finds no free block takes those of the sequence that came last, which
 * goes back to the head of the queue.
 *
 * @module
 */

import { chainKey, contentHash } from "./block_hash.ts";
import { type LatencyModel, type LowerTierName, scheduleRead, stepMs } from "./latency.ts";
import type { Lease, TieredCache, TokensByTier } from "./tiered_cache.ts";

/** Limits of a step. */
export interface EngineSettings {
  readonly latency: LatencyModel;
  /** Sequences that run (or read a tier) at the same time. */
  readonly maxBatch: number;
  /** Tokens that are computed in one step. */
  readonly maxBatchedTokens: number;
  /** Speed of the steps at an instant: 1 is what `latency` says. @default {always 1} */
  readonly speedAt?: (nowMs: number) => number;
}

/** A request as the engine knows it. */
export interface EngineRequest {
  readonly id: number;
  readonly promptTokens: number;
  /** Where the chain of keys starts (see `block_hash.ts`). */
  readonly rootKey: number;
  /** Keys of the full blocks of the prompt; empty if the cache must not be used. */
  readonly blockKeys: readonly number[];
  /** Tokens of the prompt after its last full block. */
  readonly lastTokens: readonly number[];
  readonly useCache: boolean;
  /** False: what only the tiers below HBM hold is computed again. @default {true} */
  readonly loadsLowerTiers?: boolean;
  readonly outputTokens: number;
  readonly arrivedAtMs: number;
  /** The n-th generated token, from 0. */
  outputToken(n: number): number;
}

/** Prompt tokens of one request that one step computed, evenly from its start to its end. */
export type PrefillPart = readonly [startAtMs: number, endAtMs: number, tokens: number];

/** A generated token. */
export interface Emission {
  readonly id: number;
  /** End of the step that made the token. */
  readonly atMs: number;
  /** From 0. */
  readonly index: number;
  readonly token: number;
  readonly isLast: boolean;
  /** Where the prompt's tokens were found when the request was first taken in. */
  readonly cached: TokensByTier;
  /** When the request left the waiting queue for the first time. */
  readonly scheduledAtMs: number;
  /** With the first token: how the prompt was computed. Work that a preemption undid is left out. */
  readonly prefill?: readonly PrefillPart[];
}

/** What the engine has counted since it was made. */
export interface EngineCounters {
  prefixCacheQueries: number;
  hits: Record<"hbm" | "dram" | "ssd", number>;
  /** Prompt tokens of requests whose prefill is over, by where they came from. */
  promptTokensComputed: number;
  promptTokensBySource: { local: number; external: number };
  promptTokens: number;
  generationTokens: number;
  preemptions: number;
}

/** All zero. */
export function newCounters(): EngineCounters {
  return {
    prefixCacheQueries: 0,
    hits: { hbm: 0, dram: 0, ssd: 0 },
    promptTokensComputed: 0,
    promptTokensBySource: { local: 0, external: 0 },
    promptTokens: 0,
    generationTokens: 0,
    preemptions: 0,
  };
}

interface Sequence {
  readonly request: EngineRequest;
  readonly keys: number[];
  /** Tokens after the last full block. */
  readonly tail: number[];
  generated: number;
  computed: number;
  prefill: PrefillPart[];
  lease: Lease | undefined;
  readReadyAtMs: number;
  cached: TokensByTier | undefined;
  scheduledAtMs: number;
  gone: boolean;
}

interface StepItem {
  readonly sequence: Sequence;
  readonly tokens: number;
}

interface Step {
  readonly startAtMs: number;
  readonly endAtMs: number;
  readonly items: readonly StepItem[];
}

/** The engine. See the module's text. */
export class Engine {
  readonly counters: EngineCounters = newCounters();
  readonly #settings: EngineSettings;
  readonly #cache: TieredCache;
  readonly #sequences = new Map<number, Sequence>();
  readonly #waiting: Sequence[] = [];
  readonly #loading: Sequence[] = [];
  readonly #running: Sequence[] = [];
  readonly #linkFreeAtMs: Record<LowerTierName, number> = { dram: -Infinity, ssd: -Infinity };
  #step: Step | undefined;
  #freeAtMs = -Infinity;
  /** The head of the queue has no room; only something that gives room changes that. */
  #blocked = false;

  constructor(settings: EngineSettings, cache: TieredCache) {
    this.#settings = settings;
    this.#cache = cache;
  }

  /** Requests in a batch (or reading a tier), and requests in the queue. */
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running.length + this.#loading.length, waiting: this.#waiting.length };
  }

  /** Puts a request at the end of the queue. Its arrival may lie in the past. */
  submit(request: EngineRequest): void {
    const sequence: Sequence = {
      request,
      keys: [...request.blockKeys],
      tail: [...request.lastTokens],
      generated: 0,
      computed: 0,
      prefill: [],
      lease: undefined,
      readReadyAtMs: -Infinity,
      cached: undefined,
      scheduledAtMs: NaN,
      gone: false,
    };
    this.#sequences.set(request.id, sequence);
    this.#waiting.push(sequence);
  }

  /** Takes a request out, wherever it is. Unknown ids are ignored. */
  abort(id: number): void {
    const sequence = this.#sequences.get(id);
    if (sequence === undefined) return;
    for (const list of [this.#waiting, this.#loading, this.#running]) remove(list, sequence);
    this.#end(sequence);
  }

  /** The instant at which `advanceTo` will have something to do; `undefined` if never. */
  nextEventAtMs(): number | undefined {
    return this.#step?.endAtMs ?? this.#nextStartAtMs();
  }

  /** Plays everything up to `nowMs`; returns the tokens in the order in which they came out. */
  advanceTo(nowMs: number): Emission[] {
    const emissions: Emission[] = [];
    for (;;) {
      if (this.#step !== undefined) {
        if (this.#step.endAtMs > nowMs) return emissions;
        this.#finishStep(emissions);
      }
      const startAtMs = this.#nextStartAtMs();
      if (startAtMs === undefined || startAtMs > nowMs) return emissions;
      this.#startStep(startAtMs);
    }
  }

  /** Sends everything that runs back to the queue, as vLLM's `reset_running_requests` does. */
  preemptAll(): void {
    for (const list of [this.#running, this.#loading]) {
      while (list.length > 0) this.#preempt(list.pop() as Sequence);
    }
  }

  #nextStartAtMs(): number | undefined {
    let earliest = this.#running.length > 0 ? -Infinity : Infinity;
    for (const { readReadyAtMs } of this.#loading) earliest = Math.min(earliest, readReadyAtMs);
    const head = this.#waiting[0];
    if (head !== undefined && !this.#blocked) {
      earliest = Math.min(earliest, head.request.arrivedAtMs);
    }
    return earliest === Infinity ? undefined : Math.max(earliest, this.#freeAtMs);
  }

  #startStep(nowMs: number): void {
    // Only relevant while idle: a later start must not lie before this one.
    this.#freeAtMs = nowMs;
    for (const sequence of this.#loading.filter((other) => other.readReadyAtMs <= nowMs)) {
      remove(this.#loading, sequence);
      this.#running.push(sequence);
    }
    const batch: StepItem[] = [];
    const preemptionsBefore = this.counters.preemptions;
    const budget = this.#scheduleRunning(batch, this.#settings.maxBatchedTokens);
    // What was just preempted would take back the blocks that others were short of.
    if (this.counters.preemptions === preemptionsBefore) {
      this.#admitWaiting(batch, budget, nowMs);
    }
    if (batch.length === 0) return;
    let prefillTokens = 0;
    let decodeSequences = 0;
    for (const { sequence, tokens } of batch) {
      if (sequence.generated > 0 && tokens === 1) decodeSequences++;
      else prefillTokens += tokens;
    }
    const { latency, speedAt } = this.#settings;
    const durationMs = stepMs(latency, prefillTokens, decodeSequences) / (speedAt?.(nowMs) ?? 1);
    this.#step = { startAtMs: nowMs, endAtMs: nowMs + durationMs, items: batch };
  }

  /** One token or one chunk for each running sequence; returns what is left of the budget. */
  #scheduleRunning(batch: StepItem[], budget: number): number {
    for (let i = 0; i < this.#running.length && budget > 0; i++) {
      const sequence = this.#running[i] as Sequence;
      const tokens = Math.min(budget, lengthOf(sequence) - sequence.computed);
      while (!this.#cache.grow(leaseOf(sequence), sequence.computed + tokens)) {
        const last = this.#running.pop() as Sequence;
        this.#preempt(last);
        if (last === sequence) return budget;
      }
      budget -= this.#take(batch, sequence, tokens);
    }
    return budget;
  }

  #admitWaiting(batch: StepItem[], budgetTokens: number, nowMs: number): void {
    let budget = budgetTokens;
    while (budget > 0) {
      const sequence = this.#waiting[0];
      if (sequence === undefined || sequence.request.arrivedAtMs > nowMs) return;
      const { running } = this.load;
      const lease = running >= this.#settings.maxBatch ? undefined : this.#cache.acquire({
        keys: sequence.keys,
        tokens: lengthOf(sequence),
        loadsLowerTiers: sequence.request.loadsLowerTiers ?? true,
      });
      if (lease === undefined) {
        this.#blocked = true;
        return;
      }
      this.#waiting.shift();
      this.#admit(sequence, lease, nowMs);
      if (sequence.readReadyAtMs > nowMs) {
        this.#loading.push(sequence);
        continue;
      }
      this.#running.push(sequence);
      const tokens = Math.min(budget, lengthOf(sequence) - sequence.computed);
      budget -= this.#take(batch, sequence, tokens);
    }
  }

  #admit(sequence: Sequence, lease: Lease, nowMs: number): void {
    const { cached } = lease;
    sequence.lease = lease;
    sequence.computed = cached.hbm + cached.dram + cached.ssd;
    sequence.readReadyAtMs = lease.sharedReadReadyAtMs;
    let ownReadReadyAtMs = -Infinity;
    for (const tier of ["dram", "ssd"] as const) {
      if (cached[tier] === 0) continue;
      const read = scheduleRead(
        this.#settings.latency[tier],
        cached[tier],
        nowMs,
        this.#linkFreeAtMs[tier],
      );
      this.#linkFreeAtMs[tier] = read.linkFreeAtMs;
      ownReadReadyAtMs = Math.max(ownReadReadyAtMs, read.readyAtMs);
    }
    this.#cache.setReadReady(lease, ownReadReadyAtMs);
    sequence.readReadyAtMs = Math.max(sequence.readReadyAtMs, ownReadReadyAtMs);
    if (sequence.cached !== undefined) return; // Taken in again after a preemption.
    sequence.cached = cached;
    sequence.scheduledAtMs = nowMs;
    const { counters } = this;
    if (sequence.request.useCache) counters.prefixCacheQueries += sequence.request.promptTokens;
    for (const tier of ["hbm", "dram", "ssd"] as const) counters.hits[tier] += cached[tier];
  }

  #take(batch: StepItem[], sequence: Sequence, tokens: number): number {
    this.#cache.publish(leaseOf(sequence), sequence.computed + tokens);
    batch.push({ sequence, tokens });
    return tokens;
  }

  #finishStep(emissions: Emission[]): void {
    const { items, startAtMs, endAtMs } = this.#step as Step;
    this.#step = undefined;
    this.#freeAtMs = endAtMs;
    for (const { sequence, tokens } of items) {
      // A sequence that was preempted or aborted while the step ran has lost its work.
      if (sequence.gone || sequence.lease === undefined) continue;
      sequence.computed += tokens;
      if (sequence.generated === 0) sequence.prefill.push([startAtMs, endAtMs, tokens]);
      if (sequence.computed < lengthOf(sequence)) continue;
      emissions.push(this.#emit(sequence, endAtMs));
      if (sequence.generated === sequence.request.outputTokens) {
        remove(this.#running, sequence);
        this.#end(sequence);
      }
    }
  }

  #emit(sequence: Sequence, atMs: number): Emission {
    const { request, generated } = sequence;
    const cached = sequence.cached as TokensByTier;
    const token = request.outputToken(generated);
    sequence.generated++;
    this.#append(sequence, token);
    this.counters.generationTokens++;
    if (generated === 0) {
      const { counters } = this;
      const external = cached.dram + cached.ssd;
      counters.promptTokens += request.promptTokens;
      counters.promptTokensBySource.local += cached.hbm;
      counters.promptTokensBySource.external += external;
      counters.promptTokensComputed += request.promptTokens - cached.hbm - external;
    }
    return {
      id: request.id,
      atMs,
      index: generated,
      token,
      isLast: sequence.generated === request.outputTokens,
      cached,
      scheduledAtMs: sequence.scheduledAtMs,
      ...(generated === 0 ? { prefill: sequence.prefill } : {}),
    };
  }

  /** Generated tokens fill blocks too, and these are cached like the prompt's. */
  #append(sequence: Sequence, token: number): void {
    const { tail, keys, request } = sequence;
    tail.push(token);
    if (tail.length < this.#cache.settings.blockTokens) return;
    if (request.useCache) {
      keys.push(chainKey(keys.at(-1) ?? request.rootKey, contentHash(tail, 0, tail.length)));
    }
    tail.length = 0;
  }

  #preempt(sequence: Sequence): void {
    this.#cache.release(leaseOf(sequence));
    sequence.lease = undefined;
    sequence.computed = 0;
    if (sequence.generated === 0) sequence.prefill = [];
    this.counters.preemptions++;
    this.#waiting.unshift(sequence);
    this.#blocked = false;
  }

  #end(sequence: Sequence): void {
    if (sequence.lease !== undefined) this.#cache.release(sequence.lease);
    sequence.lease = undefined;
    sequence.gone = true;
    this.#sequences.delete(sequence.request.id);
    this.#blocked = false;
  }
}

function lengthOf(sequence: Sequence): number {
  return sequence.request.promptTokens + sequence.generated;
}

function leaseOf(sequence: Sequence): Lease {
  if (sequence.lease === undefined) throw new Error("a sequence runs without its KV blocks");
  return sequence.lease;
}

function remove(list: Sequence[], sequence: Sequence): void {
  const at = list.indexOf(sequence);
  if (at >= 0) list.splice(at, 1);
}
