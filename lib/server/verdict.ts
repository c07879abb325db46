/**
 * Was the hit rate of a cell the one that was intended? One verdict, with the likeliest cause.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Engine } from "./facts.ts";

/** Why a verdict is what it is. */
export type VerdictCause =
  | "as-intended"
  | "caching-off"
  | "flag-missing"
  | "block-rounding"
  | "template-tokens"
  | "eviction"
  | "other-traffic"
  | "known-counter-fault"
  | "counter-lies"
  | "not-unique"
  | "no-source"
  | "unexplained";

/** What is known about the hits of one cell. Rates are token-weighted, in percent of the prompt tokens. */
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
  /** Prompt tokens that the counters saw, over those that the cell sent; 1 if it was alone. */
  readonly counterQueryTokens?: number;
  /** Prompt tokens that kvmark sent while the counters were watched. */
  readonly sentPromptTokens?: number;
  /** Requests that succeeded. */
  readonly requests: number;
  /** Mean prompt tokens of a request. */
  readonly promptTokens: number;
  readonly blockTokens?: number;
  readonly chunkTokens: number;
  /** Tokens of BOS and template before the content: shared by every prompt. */
  readonly overheadBeforeTokens?: number;
  /** Greatest common divisor of the cached tokens that the requests reported. */
  readonly cachedTokensGcd?: number;
  readonly workingSetTokens?: number;
  /** All tiers together, as far as known. */
  readonly capacityTokens?: number;
  /** Medians at the same context size and concurrency: without hits, and in this cell. */
  readonly coldTtftMs?: number;
  readonly medianTtftMs?: number;
  readonly engine: Engine;
  readonly engineVersion?: string;
  /** State of the capability `prefixCaching`. */
  readonly prefixCaching: "yes" | "no" | "unknown";
  /** State of the capability `cachedTokens`, and what would switch it on. */
  readonly cachedTokens: "yes" | "no" | "unknown";
  readonly enableCachedTokens?: string;
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
  /** Deviation from the achievable rate that still counts as confirmed, in percentage points. */
  readonly tolerancePercent: number;
  /** Further findings, whole sentences. */
  readonly notes: readonly string[];
}

/** Judges the hit rate of one cell. */
export function judgeHitRate(_evidence: HitEvidence): HitVerdict {
  throw new KvmarkError("internal", "judgeHitRate is not written yet");
}
