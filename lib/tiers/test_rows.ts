/**
 * Rows of working-set runs on a cache that is known, for the tests of this folder: an exclusive LRU
 * hierarchy of whole prompts, with noise, in memory.
 *
 * @module
 */

import { type RandomStream, randomStream, seedFor } from "../random.ts";
import type { DetailRow, RunData } from "../results/schema.ts";

/** What is simulated. */
export interface TestRun {
  readonly seed: number;
  readonly order: "cyclic" | "random";
  /** The tiers, fastest first: tokens and TTFT of a prompt that is found there. */
  readonly tiers: readonly { readonly tokens: number; readonly ttftMs: number }[];
  readonly missMs: number;
  /** Working sets in tokens. */
  readonly sizes: readonly number[];
  readonly contextTokens?: number;
  readonly hitRatePercent?: number;
  readonly outputTokens?: number;
  readonly requestsPerSize?: number;
  readonly concurrency?: number;
  /** Standard deviation of the logarithm of TTFT, from request to request and from size to size. */
  readonly withinNoise?: number;
  readonly betweenNoise?: number;
  /** Share of requests that take four times as long. */
  readonly stragglers?: number;
  /** TTFT grows as the working set to this power. */
  readonly slope?: number;
  /** The server reports cached tokens. */
  readonly reportsCached?: boolean;
  /** The access order is neither among the options nor in the rows. */
  readonly orderUnknown?: boolean;
}

/** Sizes evenly in their logarithm. */
export function logSizes(from: number, to: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from * (to / from) ** (i / (count - 1)));
}

/** The rows of a run, as `readRun` would give them. */
export function testRun(options: TestRun): RunData {
  const details = options.sizes.flatMap((size) => rowsOfSize(options, size));
  return {
    dir: "out",
    kind: "working-set",
    writtenBy: "kvmark",
    config: options.orderUnknown ? {} : { parameters: { "access-order": options.order } },
    summary: [],
    details,
    phases: [],
    singlePrompt: [],
    sustained: [],
    files: [],
    problems: [],
  };
}

function rowsOfSize(options: TestRun, size: number): DetailRow[] {
  const { contextTokens: context = 2000, hitRatePercent: rate = 100, missMs } = options;
  const prompts = Math.max(1, Math.ceil(size / context));
  const stream = randomStream(seedFor("test-rows", options.seed, prompts, rate, context));
  const shared = Math.floor(context * rate / 100);
  const passing = context - shared + (rate === 100 ? 0 : options.outputTokens ?? 0);
  const kept = shared + (rate === 100 ? options.outputTokens ?? 0 : 0);
  const cache = new PromptLru(options.tiers.map((tier) => tier.tokens), kept, passing);
  for (let i = 0; i < prompts; i++) cache.use(i);
  const between = Math.exp((options.betweenNoise ?? 0.02) * normal(stream)) *
    (size / (options.sizes[0] ?? size)) ** (options.slope ?? 0);
  const count = options.requestsPerSize ?? Math.max(20, prompts);
  return Array.from({ length: count }, (_, k): DetailRow => {
    const index = options.order === "cyclic" ? k % prompts : stream.nextBelow(prompts);
    const tier = rate === 0 ? options.tiers.length : cache.use(index);
    const baseMs = options.tiers[tier]?.ttftMs ?? missMs;
    const late = stream.nextFloat() < (options.stragglers ?? 0) ? 4 : 1;
    const noise = Math.exp((options.withinNoise ?? 0.05) * normal(stream));
    return {
      request_id: `${size}_${k}`,
      phase_id: "FIXED_1",
      context_size: context,
      working_set_size: size,
      cache_hit_rate: rate,
      cached_tokens: shared,
      unique_tokens: context - shared,
      achievable_cached_tokens: Math.min(shared, context - 1),
      output_tokens: options.outputTokens ?? 0,
      ttft: baseMs * between * noise * late / 1000,
      launch_time: k,
      finish_time: k + 1,
      concurrency_level: options.concurrency ?? 1,
      ...(options.reportsCached
        ? {
          reported_cached_tokens: tier < options.tiers.length ? Math.min(shared, context - 1) : 0,
        }
        : {}),
    };
  });
}

/** Prompts and passing text in the order of their last use; a prompt is in the tier it falls into. */
class PromptLru {
  readonly #ends: readonly number[];
  readonly #kept: number;
  readonly #passing: number;
  /** Oldest first. Negative keys are passing text. */
  readonly #order = new Map<number, number>();
  #passed = 0;
  #total = 0;

  constructor(capacities: readonly number[], kept: number, passing: number) {
    let end = 0;
    this.#ends = capacities.map((tokens) => end += tokens);
    this.#kept = kept;
    this.#passing = passing;
  }

  /** Uses a prompt; returns the index of the tier that it was found in (one past them: none). */
  use(index: number): number {
    const found = this.#order.has(index);
    let newer = 0;
    if (found) {
      let older = 0;
      for (const [key, tokens] of this.#order) {
        if (key === index) break;
        older += tokens;
      }
      newer = this.#total - older;
      this.#drop(index);
    }
    if (this.#passing > 0) this.#add(--this.#passed, this.#passing);
    this.#add(index, this.#kept);
    for (const key of this.#order.keys()) {
      if (this.#total <= (this.#ends.at(-1) ?? 0) * 1.5) break;
      this.#drop(key);
    }
    const tier = found ? this.#ends.findIndex((end) => newer <= end) : -1;
    return tier < 0 ? this.#ends.length : tier;
  }

  #add(key: number, tokens: number): void {
    this.#order.set(key, tokens);
    this.#total += tokens;
  }

  #drop(key: number): void {
    this.#total -= this.#order.get(key) ?? 0;
    this.#order.delete(key);
  }
}

function normal(stream: RandomStream): number {
  const radius = Math.sqrt(-2 * Math.log(1 - stream.nextFloat()));
  return radius * Math.cos(2 * Math.PI * stream.nextFloat());
}
