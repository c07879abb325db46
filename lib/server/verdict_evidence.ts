/**
 * What a verdict starts from and what it is: types, and how rates are put into sentences.
 *
 * @module
 */

import type { Engine } from "./facts.ts";

/** Why a verdict is what it is. */
export type VerdictCause =
  | "as-intended"
  | "caching-off"
  | "flag-missing"
  | "block-rounding"
  | "not-warmed"
  | "template-tokens"
  | "eviction"
  | "other-traffic"
  | "known-counter-fault"
  | "counter-lies"
  | "contradiction"
  | "count-breach"
  | "not-unique"
  | "no-source"
  | "unexplained";

/**
 * What is known about the hits of one cell. Rates are token-weighted, in percent of the prompt
 * tokens; the rates of usage and of the counters must be of the same requests.
 */
export interface HitEvidence {
  readonly nominalPercent: number;
  /** What the prompts allow: Σ achievable / Σ prompt tokens. */
  readonly achievablePercent: number;
  /** What an LRU cache of the known capacity would have hit (`lru.ts`). */
  readonly theoreticalPercent?: number;
  /** Σ cached / Σ prompt tokens of the requests of the cell, as reported per request. */
  readonly reportedPercent?: number;
  /** Hits of all tiers / queries, by the delta of the server's counters. */
  readonly counterPercent?: number;
  /** Tokens that the cache was asked for, by the counters that `counterPercent` rests on. */
  readonly counterQueryTokens?: number;
  /** Prompt tokens that the server counted, by a counter of its own. */
  readonly counterPromptTokens?: number;
  /** Prompt tokens that kvmark sent while the counters were watched. */
  readonly sentPromptTokens?: number;
  /** Of these, those of requests that were answered: the counters must hold all of them. */
  readonly answeredPromptTokens?: number;
  /** Requests that succeeded. */
  readonly requests: number;
  /** Mean prompt tokens of a request. */
  readonly promptTokens: number;
  /** As the server states it, or as found by experiment; absent if unknown. */
  readonly blockTokens?: number;
  readonly chunkTokens: number;
  /** Tokens of BOS and template before the content: shared by every prompt. */
  readonly overheadBeforeTokens?: number;
  /** Greatest common divisor of the cached tokens that the requests reported. */
  readonly cachedTokensGcd?: number;
  readonly workingSetTokens?: number;
  /** Prompts of the working set whose warm-up failed. */
  readonly failedWarmUps?: number;
  /** All tiers together, as far as known. */
  readonly capacityTokens?: number;
  /**
   * Mean TTFT over that of prompts that were never sent, of the same context size and at the same
   * concurrency. Leave it out if there is no such cell: near a TTFT limit all times are alike.
   */
  readonly ttft?: RatioInterval & { readonly coldMs: number };
  /** Counts that cannot be true, and of how many of the requests. */
  readonly countBreaches?: {
    readonly prompt: number;
    readonly cached: number;
    readonly output: number;
    /** The first of each kind, as reported. */
    readonly text: string;
  };
  readonly engine: Engine;
  readonly engineVersion?: string;
  /** State of the capability `prefixCaching`. */
  readonly prefixCaching: "yes" | "no" | "unknown";
  /** State of the capability `cachedTokens`, and what would switch it on. */
  readonly cachedTokens: "yes" | "no" | "unknown";
  readonly enableCachedTokens?: string;
  /** True if a prompt that was never sent before was reported as cached (`ServerFacts`). */
  readonly cachedTokensDisproved?: boolean;
}

/** The verdict on one cell. */
export interface HitVerdict {
  readonly verdict: "confirmed" | "differs" | "unchecked";
  readonly causeCode: VerdictCause;
  /** One sentence for people: the likeliest cause. */
  readonly cause: string;
  /** The rate that the verdict rests on. */
  readonly observedPercent?: number;
  readonly observedBy?: "usage" | "counters";
  /** True where other witnesses contradict usage: what rests on its cached tokens is no figure. */
  readonly usageInDoubt?: boolean;
  /** Share of the server's prompt tokens that this run did not send; absent within noise. */
  readonly foreignPercent?: number;
  /** Deviation from the achievable rate that still counts as confirmed, in percentage points. */
  readonly tolerancePercent: number;
  /** Further findings, whole sentences. */
  readonly notes: readonly string[];
}

/** A ratio of two means, and what it may be by chance. */
export interface RatioInterval {
  readonly ratio: number;
  /** 95 %, or wider. */
  readonly low: number;
  readonly high: number;
}

/** Below this, TTFT is of other things than computing the prompt. */
const TELLING_MS = 50;

/** A cause, before it becomes part of a verdict. */
export interface Cause {
  readonly causeCode: VerdictCause;
  readonly cause: string;
}

/** What is wrong with the server's counters, whatever they say about hits. */
export interface CounterFaults {
  /** They saw more prompt tokens than kvmark sent. */
  readonly otherTraffic: boolean;
  /** They counted requests more than once. */
  readonly overcounted: boolean;
  /** They saw fewer prompt tokens than were answered. */
  readonly undercounted: boolean;
}

/** The evidence and what follows from it at once. */
export interface Judged extends HitEvidence, CounterFaults {
  readonly observedPercent: number;
  readonly observedBy: "usage" | "counters";
  readonly tolerancePercent: number;
}

/** True if nothing is wrong with the counters themselves. */
export function countersHold(faults: CounterFaults): boolean {
  return !faults.otherTraffic && !faults.overcounted && !faults.undercounted;
}

/** What the counters say, where nothing is wrong with them. */
export function usableCounterPercent(judged: HitEvidence & CounterFaults): number | undefined {
  return countersHold(judged) ? judged.counterPercent : undefined;
}

/** TTFT over that of cold requests, where these take long enough to tell. */
export function ttftRatio({ ttft }: HitEvidence): RatioInterval | undefined {
  return ttft === undefined || ttft.coldMs < TELLING_MS ? undefined : ttft;
}

/** A rate as it stands in a sentence. */
export function rate(percent: number): string {
  return `${Number(percent.toFixed(1))} %`;
}
