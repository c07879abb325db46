/**
 * A closed loop against the simulated engine on simulated time: what a client sees of a period, and
 * what the engine did in its window. Seconds of load take milliseconds.
 *
 * @module
 */

import type { PeriodOutcome, RequestRecord } from "../../lib/record.ts";
import {
  type Emission,
  Engine,
  type EngineRequest,
  type PrefillPart,
} from "../../lib/sim/engine.ts";
import { TieredCache } from "../../lib/sim/tiered_cache.ts";

/** What is run. */
export interface SimulatedLoad {
  readonly contextTokens: number;
  readonly concurrency: number;
  readonly hitRatePercent: number;
  readonly outputTokens: number;
  readonly periodMs: number;
  readonly prefillTokensPerSec?: number;
  readonly itlMs?: number;
  readonly itlGrowthMs?: number;
  readonly maxBatchedTokens?: number;
  readonly maxBatch?: number;
  /** Equal engines that take requests in turn, each at the whole speed. @default {1} */
  readonly engines?: number;
  /** Of how many requests one fails after the server has done its work; 0 = none. */
  readonly failEvery?: number;
  /** Client: how much later than it was made a token is read, at most. */
  readonly readDelayMs?: number;
  /** Another client keeps this many requests of the same kind in flight. */
  readonly strangers?: number;
}

/** Tokens a second in the window, as the engine made them. */
export interface TrueRates {
  readonly input: number;
  readonly computed: number;
  readonly reused: number;
  readonly output: number;
}

const BLOCK = 16;
const ROOT = 0;

/** What the engine did for one request. */
export interface TrueWork {
  readonly cachedTokens: number;
  readonly prefill: readonly PrefillPart[];
  /** Instants of the output tokens. */
  readonly outputAtMs: readonly number[];
}

/**
 * What falls into a window. Cached tokens are counted at the pace of the computed ones of the same
 * request: a prompt is worked on as a whole.
 */
export function trueRates(works: Iterable<TrueWork>, fromMs: number, toMs: number): TrueRates {
  const inWindow = (startAtMs: number, endAtMs: number) =>
    Math.max(0, Math.min(endAtMs, toMs) - Math.max(startAtMs, fromMs)) / (endAtMs - startAtMs);
  let [computed, reused, output] = [0, 0, 0];
  for (const { cachedTokens, prefill, outputAtMs } of works) {
    let [all, inside] = [0, 0];
    for (const [startAtMs, endAtMs, tokens] of prefill) {
      all += tokens;
      inside += tokens * inWindow(startAtMs, endAtMs);
    }
    computed += inside;
    reused += all > 0 ? cachedTokens * inside / all : 0;
    output += outputAtMs.filter((atMs) => atMs >= fromMs && atMs < toMs).length;
  }
  const seconds = (toMs - fromMs) / 1000;
  return {
    input: (computed + reused) / seconds,
    computed: computed / seconds,
    reused: reused / seconds,
    output: output / seconds,
  };
}

interface Sent {
  readonly request: EngineRequest;
  readonly slot: number;
  readonly emissions: Emission[];
}

/** Runs one period. */
export function simulatePeriod(load: SimulatedLoad): { outcome: PeriodOutcome; truth: TrueRates } {
  const run = new Loop(load);
  run.warm();
  const startAtMs = run.nowMs;
  const stopAtMs = startAtMs + load.periodMs;
  const sent = run.play(startAtMs, stopAtMs);
  const records = sent.map((one, i) => recordOf(one, load, i));
  const counted = sent.filter((_, i) => records[i]?.failure === undefined);
  return {
    outcome: {
      cellId: "",
      periodId: "FIXED",
      concurrency: load.concurrency,
      startAtMs,
      stopAtMs,
      drainedAtMs: Math.max(stopAtMs, ...records.map((one) => one.endAtMs)),
      records,
      client: { retries: 0 },
      interrupted: false,
    },
    truth: trueRates(counted.map(workOf), startAtMs, stopAtMs),
  };
}

function workOf({ emissions }: Sent): TrueWork {
  return {
    cachedTokens: emissions[0]?.cached.hbm ?? 0,
    prefill: emissions[0]?.prefill ?? [],
    outputAtMs: emissions.map(({ atMs }) => atMs),
  };
}

class Loop {
  nowMs = 0;
  readonly #load: SimulatedLoad;
  readonly #engines: Engine[];
  #number = 0;

  constructor(load: SimulatedLoad) {
    this.#load = load;
    const { maxBatch = 256, maxBatchedTokens = 8192, engines = 1 } = load;
    const latency = {
      prefillTokensPerSec: load.prefillTokensPerSec ?? 20_000,
      itlMs: load.itlMs ?? 30,
      itlGrowthMs: load.itlGrowthMs ?? 0,
      dram: { readTokensPerSec: 1, latencyMs: 0 },
      ssd: { readTokensPerSec: 1, latencyMs: 0 },
    };
    this.#engines = Array.from({ length: engines }, () => {
      const hbmTokens = 64 * (load.contextTokens + load.outputTokens + 64) * 4;
      const cache = new TieredCache({ blockTokens: BLOCK, hbmTokens, dramTokens: 0, ssdTokens: 0 });
      return new Engine({ latency, maxBatch, maxBatchedTokens }, cache);
    });
  }

  /** Puts the shared prefix into the cache of each engine. */
  warm(): void {
    for (const engine of this.#engines) {
      engine.submit(this.#request());
      for (let at = engine.nextEventAtMs(); at !== undefined; at = engine.nextEventAtMs()) {
        this.nowMs = Math.max(this.nowMs, at);
        engine.advanceTo(at);
      }
    }
  }

  play(startAtMs: number, stopAtMs: number): Sent[] {
    const { concurrency, strangers = 0 } = this.#load;
    const own: Sent[] = [];
    const open = new Map<number, Sent>();
    const send = (slot: number) => {
      const one: Sent = { request: this.#request(), slot, emissions: [] };
      open.set(one.request.id, one);
      if (slot < concurrency) own.push(one);
      this.#engines[slot % this.#engines.length]?.submit(one.request);
    };
    this.nowMs = startAtMs;
    for (let slot = concurrency; slot < concurrency + strangers; slot++) send(slot);
    for (let slot = 0; slot < concurrency; slot++) send(slot);
    while (open.size > 0) {
      const next = this.#engines.map((engine) => engine.nextEventAtMs() ?? Infinity);
      this.nowMs = Math.min(...next);
      for (const engine of this.#engines) {
        for (const emission of engine.advanceTo(this.nowMs)) {
          const one = open.get(emission.id);
          if (one === undefined) continue;
          one.emissions.push(emission);
          if (!emission.isLast) continue;
          open.delete(emission.id);
          if (emission.atMs < stopAtMs) send(one.slot);
        }
      }
    }
    return own;
  }

  #request(): EngineRequest {
    const { contextTokens, hitRatePercent, outputTokens } = this.#load;
    const id = this.#number++;
    const blocks = Math.floor(contextTokens / BLOCK);
    const shared = Math.floor(blocks * hitRatePercent / 100);
    return {
      id,
      promptTokens: contextTokens,
      rootKey: ROOT,
      blockKeys: Array.from(
        { length: blocks },
        (_, i) => i < shared ? i + 1 : (id + 1) * 100_000 + i,
      ),
      lastTokens: Array.from({ length: contextTokens % BLOCK }, (_, i) => i),
      useCache: true,
      outputTokens,
      arrivedAtMs: this.nowMs,
      outputToken: (n) => id * 1000 + n,
    };
  }
}

function recordOf(
  { request, slot, emissions }: Sent,
  load: SimulatedLoad,
  i: number,
): RequestRecord {
  const { readDelayMs = 0, failEvery = 0 } = load;
  // Not in step with anything, and the same each time.
  const delayMs = readDelayMs * ((i * 0.618) % 1);
  const reads = Float64Array.from(emissions, ({ atMs }) => atMs + delayMs);
  const failed = failEvery > 0 && i % failEvery === failEvery - 1;
  return {
    requestId: `${request.id}`,
    labels: {
      cellId: "",
      periodId: "FIXED",
      purpose: "measure",
      contextSizeTokens: load.contextTokens,
      hitRatePercent: load.hitRatePercent,
      concurrency: load.concurrency,
    },
    plan: { promptTokens: load.contextTokens, sharedTokens: 0, achievableTokens: 0 },
    api: "completions",
    url: "",
    maxOutputTokens: load.outputTokens,
    worker: 0,
    dueAtMs: request.arrivedAtMs,
    sentAtMs: request.arrivedAtMs,
    contentReadsAtMs: reads,
    contentChunks: reads.length,
    endAtMs: reads.at(-1) ?? NaN,
    usage: {
      promptTokens: load.contextTokens,
      completionTokens: reads.length,
      cachedTokens: emissions[0]?.cached.hbm ?? 0,
    },
    outputTokens: reads.length,
    outputTokensSource: "usage",
    firstChunkTokens: 1,
    rampIn: i < load.concurrency && slot < load.concurrency,
    ...(failed ? { failure: { kind: "disconnect", message: "cut" } } : {}),
  };
}
