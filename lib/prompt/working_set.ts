/**
 * Which part of a prompt is shared with the working set, which part is new, and in which order the
 * prompts of a working set are used.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { type RandomStream, seedFor } from "../random.ts";
import type { PromptPlan } from "../record.ts";
import type { Segment } from "./generator.ts";

/** Tokens that the server puts around the content: BOS and the chat template. */
export interface Overhead {
  readonly beforeTokens: number;
  readonly afterTokens: number;
}

/** What a prompt of one cell is made of. */
export interface PromptShape {
  /** The whole prompt as the server counts it. */
  readonly contextSizeTokens: number;
  /** What is generated: the context size less the overhead. */
  readonly contentTokens: number;
  /** First part of the content, taken from a working-set prompt. */
  readonly sharedContentTokens: number;
  /** The rest of the content, new in every request. */
  readonly uniqueContentTokens: number;
  readonly plan: PromptPlan;
}

/** Options of {@linkcode planPrompt}. */
export interface PromptOptions {
  readonly contextSizeTokens: number;
  /** Nominal, 0 to 100. */
  readonly hitRatePercent: number;
  /** `--chunk-size`: the shared part is rounded down to a multiple of it. */
  readonly chunkTokens: number;
  /** Tokens in one KV block of the server, if known. */
  readonly blockTokens?: number;
  readonly overhead: Overhead;
  /**
   * True if the requests of a 0 % cell carry a cache salt of their own, so that they do not even
   * share the chat template. @default {false}
   */
  readonly saltsColdPrompts?: boolean;
}

/**
 * Splits a prompt into its shared and its unique part for a hit rate.
 *
 * - shared = the rate's share of the context, rounded down to a multiple of the chunk; the
 *   overhead before the content is part of it. At 100 % it is the whole prompt. Below 100 % at
 *   least one token of the content stays unique.
 * - achievable = the whole blocks in the shared part, the last token of the prompt excluded, which
 *   every server computes again. Without a known block size: the shared part itself.
 * - Where the overhead before the content is a block or longer, these blocks are the same in every
 *   prompt, whatever the rate. They are counted as shared and achievable then, unless
 *   `saltsColdPrompts` keeps them apart.
 *
 * @throws {KvmarkError} `usage`, if the context does not even hold the overhead and one token.
 * @throws {RangeError} If a number is out of its range.
 * @example
 * ```ts
 * import { planPrompt } from "./working_set.ts";
 * const { plan } = planPrompt({
 *   contextSizeTokens: 1000,
 *   hitRatePercent: 50,
 *   chunkTokens: 64,
 *   blockTokens: 16,
 *   overhead: { beforeTokens: 0, afterTokens: 0 },
 * });
 * console.log(plan.sharedTokens, plan.achievableTokens); // 448 448
 * ```
 */
export function planPrompt(options: PromptOptions): PromptShape {
  const { contextSizeTokens, hitRatePercent, chunkTokens, blockTokens, overhead } = options;
  const { beforeTokens, afterTokens } = overhead;
  requireNumbers(options);
  const contentTokens = contextSizeTokens - beforeTokens - afterTokens;
  if (contentTokens < 1) {
    throw new KvmarkError(
      "usage",
      `A context of ${contextSizeTokens} tokens is too small: the server itself adds ` +
        `${beforeTokens + afterTokens} (chat template, BOS)`,
      { hint: "take a larger --context-sizes, or --api completions, which has no chat template" },
    );
  }
  const whole = hitRatePercent === 100;
  // The small addend mends products such as 1000 * 33.3, which come out a hair too low.
  const nominal = Math.floor(contextSizeTokens * hitRatePercent / 100 + 1e-9);
  const limit = contextSizeTokens - afterTokens - 1;
  const rounded = whole
    ? contextSizeTokens
    : Math.floor(Math.min(nominal, limit) / chunkTokens) * chunkTokens;
  const achievableTokens = achievable(options, rounded);
  const sharedContentTokens = whole ? contentTokens : Math.max(0, rounded - beforeTokens);
  return {
    contextSizeTokens,
    contentTokens,
    sharedContentTokens,
    uniqueContentTokens: contentTokens - sharedContentTokens,
    plan: {
      promptTokens: contextSizeTokens,
      sharedTokens: Math.max(rounded, blockTokens === undefined ? 0 : achievableTokens),
      achievableTokens,
    },
  };
}

function achievable(options: PromptOptions, sharedTokens: number): number {
  const { contextSizeTokens, blockTokens, overhead, saltsColdPrompts = false } = options;
  const most = contextSizeTokens - 1;
  if (blockTokens === undefined) return Math.min(sharedTokens, most);
  const salted = options.hitRatePercent === 0 && saltsColdPrompts;
  const same = Math.max(sharedTokens, salted ? 0 : overhead.beforeTokens);
  return Math.floor(Math.min(same, most) / blockTokens) * blockTokens;
}

function requireNumbers(options: PromptOptions): void {
  const { contextSizeTokens, hitRatePercent, chunkTokens, blockTokens = 1, overhead } = options;
  const whole: Record<string, readonly [value: number, least: number]> = {
    contextSizeTokens: [contextSizeTokens, 1],
    chunkTokens: [chunkTokens, 1],
    blockTokens: [blockTokens, 1],
    beforeTokens: [overhead.beforeTokens, 0],
    afterTokens: [overhead.afterTokens, 0],
  };
  for (const [name, [value, least]] of Object.entries(whole)) {
    if (!Number.isSafeInteger(value) || value < least) {
      throw new RangeError(`Cannot plan a prompt as '${name}' must be >= ${least}: it is ${value}`);
    }
  }
  if (!(hitRatePercent >= 0 && hitRatePercent <= 100)) {
    throw new RangeError(
      `Cannot plan a prompt as 'hitRatePercent' must be 0 to 100: it is ${hitRatePercent}`,
    );
  }
}

/** How many prompts of a context size make up a working set: at least one, rounded up. */
export function promptCount(workingSetTokens: number, contextSizeTokens: number): number {
  return Math.max(1, Math.ceil(workingSetTokens / contextSizeTokens));
}

/** What {@linkcode effectiveWorkingSet} depends on. */
export interface OccupiedTokens {
  readonly promptCount: number;
  readonly contextSizeTokens: number;
  /** Generated tokens of a request. */
  readonly outputTokens: number;
  /** @default {1} */
  readonly blockTokens?: number;
}

/**
 * Tokens that one round over a working set keeps in the cache, where a server keeps everything that
 * it has computed: for each prompt the shared part, the unique part and the generated tokens, in
 * whole blocks. The last generated token is never computed upon.
 *
 * It is what a prompt has to outlast between two uses, so it is this size, not the nominal one,
 * that meets the capacity of a tier. A server that keeps prompts only (vLLM's offload tiers) holds
 * less.
 *
 * @example
 * ```ts
 * import { effectiveWorkingSet } from "./working_set.ts";
 * const round = { promptCount: 10, contextSizeTokens: 1000, outputTokens: 257, blockTokens: 16 };
 * console.log(effectiveWorkingSet(round)); // 12480: a quarter more than the nominal 10,000
 * ```
 */
export function effectiveWorkingSet(round: OccupiedTokens): number {
  const { promptCount, contextSizeTokens, outputTokens, blockTokens = 1 } = round;
  const tokens = contextSizeTokens + Math.max(0, outputTokens - 1);
  return promptCount * Math.floor(tokens / blockTokens) * blockTokens;
}

/** In which order the prompts of a working set are used. */
export type AccessOrder = "cyclic" | "random" | "zipf";

/**
 * Exponent of the `zipf` order: prompt i (from 0) is drawn with a weight of `1 / (i + 1)`, the
 * classic law. With 100 prompts the first one takes 19 % of the requests.
 */
export const ZIPF_EXPONENT = 1;

/**
 * A function that gives the index of the next prompt to use, from 0 to `count - 1`.
 *
 * @param order `cyclic`: 0, 1, … and round again. `random`: uniform. `zipf`: see
 *   {@linkcode ZIPF_EXPONENT}.
 * @param stream Decides the choices of `random` and `zipf`; not used by `cyclic`.
 * @throws {RangeError} If there is no prompt.
 */
export function accessOrder(order: AccessOrder, count: number, stream: RandomStream): () => number {
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new RangeError(`Cannot order prompts as 'count' must be >= 1: it is ${count}`);
  }
  if (order === "random") return () => stream.nextBelow(count);
  if (order === "zipf") return zipfOrder(count, stream);
  let next = 0;
  return () => {
    const index = next;
    next = (next + 1) % count;
    return index;
  };
}

function zipfOrder(count: number, stream: RandomStream): () => number {
  const upTo = new Float64Array(count);
  let sum = 0;
  for (let i = 0; i < count; i++) upTo[i] = sum += (i + 1) ** -ZIPF_EXPONENT;
  return () => {
    const target = stream.nextFloat() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (upTo[middle]! > target) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** What the text of one request depends on. */
export interface PromptSeeds {
  /** Unique to the run: it contains the run's nonce. */
  readonly runSeed: string;
  /** Unique to the cell (and the period, where request numbers start again) within the run. */
  readonly cellSeed: string;
  /** The working-set prompt whose beginning is shared; needed if anything is shared. */
  readonly promptIndex?: number;
  /** Unique within the cell. */
  readonly requestNumber: number;
}

/**
 * The segments of one request's content.
 *
 * The shared part depends on (run, context size, prompt index) alone, the unique part on (run,
 * cell, request number): unique text is never repeated, neither within a run nor between runs, and
 * never occurs in the working set.
 *
 * @throws {RangeError} If the shape has a shared part and there is no prompt index.
 */
export function promptSegments(shape: PromptShape, seeds: PromptSeeds): Segment[] {
  const segments: Segment[] = [];
  if (shape.sharedContentTokens > 0) {
    if (seeds.promptIndex === undefined) {
      throw new RangeError("Cannot build a prompt with a shared part: no prompt index is given");
    }
    segments.push({
      seed: promptSeed(shape, seeds.runSeed, seeds.promptIndex),
      tokens: shape.sharedContentTokens,
    });
  }
  if (shape.uniqueContentTokens > 0) {
    segments.push({
      seed: seedFor("unique", seeds.runSeed, seeds.cellSeed, seeds.requestNumber),
      tokens: shape.uniqueContentTokens,
    });
  }
  return segments;
}

/** The segments of the whole working-set prompt `promptIndex`: what the warm-up sends. */
export function workingSetSegments(
  shape: PromptShape,
  runSeed: string,
  promptIndex: number,
): Segment[] {
  return [{ seed: promptSeed(shape, runSeed, promptIndex), tokens: shape.contentTokens }];
}

function promptSeed(shape: PromptShape, runSeed: string, promptIndex: number): bigint {
  return seedFor("prompt", runSeed, shape.contextSizeTokens, promptIndex);
}
