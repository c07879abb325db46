/**
 * Tokens per second in the window of a period.
 *
 * @module
 */

import type { PeriodOutcome, RequestRecord } from "../record.ts";
import { hasPromptBreach, isAnswered, promptTokens } from "./durations.ts";
import { type PromptWork, tokensWorkedOn } from "./even_work.ts";
import { sum } from "./intervals.ts";
import { isComplete, optional, total } from "./spread.ts";

/** Tokens per second over a window. A rate is absent where a request lacks the count. */
export interface WindowRates {
  /** Prompt tokens, all of them. */
  readonly inputTokensPerSec?: number;
  /** Prompt tokens that the server computed: input less reused. */
  readonly computedTokensPerSec?: number;
  /** Prompt tokens that the server reported as taken from its cache. */
  readonly reusedTokensPerSec?: number;
  readonly outputTokensPerSec?: number;
  /**
   * Share of the input that belongs to prompts without an answer at the end of the window: how far
   * the input rates can be too high at most. Absent of the strict window, which counts none.
   */
  readonly unansweredInputPercent?: number;
}

/** Tokens in a window; a count is absent where a request lacks it. */
interface WindowTokens {
  readonly input: number | undefined;
  readonly computed: number | undefined;
  readonly reused: number | undefined;
  readonly output: number | undefined;
  /** Input of prompts that had their first content in the window. */
  readonly answered: number | undefined;
}

/** Tokens per second of the windows together: Σ tokens / Σ time; see `docs/metrics.md`. */
export function windowRates(outcomes: readonly PeriodOutcome[], strict: boolean): WindowRates {
  const windowMs = total(outcomes, (outcome) => outcome.stopAtMs - outcome.startAtMs);
  const each = outcomes.flatMap((outcome) => {
    const counted = countedRequests([outcome], strict);
    if (counted.length === 0) return [];
    return [strict ? wholeTokens(counted) : tokensInside(counted, outcome)];
  });
  if (each.length === 0 || windowMs <= 0) return {};
  const summed = (of: (one: WindowTokens) => number | undefined) => {
    const values = each.map(of);
    return isComplete(values) ? sum(values) : undefined;
  };
  const rate = (of: (one: WindowTokens) => number | undefined) => {
    const tokens = summed(of);
    return tokens === undefined ? undefined : tokens / windowMs * 1000;
  };
  const input = summed((one) => one.input);
  const answered = summed((one) => one.answered);
  return {
    ...optional("inputTokensPerSec", rate((one) => one.input)),
    ...optional("computedTokensPerSec", rate((one) => one.computed)),
    ...optional("reusedTokensPerSec", rate((one) => one.reused)),
    ...optional("outputTokensPerSec", rate((one) => one.output)),
    ...(strict || input === undefined || answered === undefined || input <= 0 ? {} : {
      unansweredInputPercent: Math.min(100, Math.max(0, (1 - answered / input) * 100)),
    }),
  };
}

/** Sent inside the window. Requests are launched only there, but one may go out too late. */
export function isSentIn(record: RequestRecord, outcome: PeriodOutcome): boolean {
  return record.sentAtMs >= outcome.startAtMs && record.sentAtMs <= outcome.stopAtMs;
}

/** Answered requests that were sent inside the window; of the strict window, ended there as well. */
export function sentInWindow(outcome: PeriodOutcome, strict: boolean): RequestRecord[] {
  return outcome.records.filter((record) =>
    isAnswered(record) && isSentIn(record, outcome) &&
    (!strict || record.endAtMs <= outcome.stopAtMs)
  );
}

/** Requests that count for rates and hit rates. */
export function countedRequests(
  outcomes: readonly PeriodOutcome[],
  strict: boolean,
): RequestRecord[] {
  return outcomes.flatMap((outcome) =>
    strict ? sentInWindow(outcome, true) : outcome.records.filter(isAnswered)
  );
}

function wholeTokens(records: readonly RequestRecord[]): WindowTokens {
  const input = whole(records, inputOf);
  const reused = whole(records, reusedOf);
  const computed = reused === undefined || input === undefined ? undefined : input - reused;
  return { input, computed, reused, output: whole(records, outputOf), answered: input };
}

function whole(
  records: readonly RequestRecord[],
  of: (record: RequestRecord) => number | undefined,
): number | undefined {
  const values = records.map(of);
  return isComplete(values) ? sum(values) : undefined;
}

/** Absent where the server's count contradicts what was sent. */
function inputOf(record: RequestRecord): number | undefined {
  return hasPromptBreach(record) ? undefined : promptTokens(record);
}

function reusedOf(record: RequestRecord): number | undefined {
  return record.usage?.cachedTokens;
}

function outputOf(record: RequestRecord): number | undefined {
  return record.outputTokens;
}

/**
 * What falls into the window. Where the server says what it reused, computed and reused tokens are
 * followed on their own, since it is the computed ones that a busy server does at an even rate.
 */
function tokensInside(records: readonly RequestRecord[], outcome: PeriodOutcome): WindowTokens {
  const window = { fromMs: outcome.startAtMs, toMs: outcome.stopAtMs };
  const works = records.map((record): PromptWork => ({
    sentAtMs: record.sentAtMs,
    firstContentAtMs: record.contentReadsAtMs[0] ?? NaN,
  }));
  const inside = (tokens: readonly (number | undefined)[]) =>
    isComplete(tokens) ? tokensWorkedOn(works, tokens, window) : undefined;
  const prompts = records.map(inputOf);
  const cached = records.map(reusedOf);
  const reused = isComplete(prompts) ? inside(cached) : undefined;
  const computed = isComplete(cached) && isComplete(prompts)
    ? inside(prompts.map((tokens, i) => (tokens ?? 0) - (cached[i] ?? 0)))
    : undefined;
  const input = computed === undefined || reused === undefined
    ? inside(prompts)
    : computed + reused;
  const answered = prompts.map((tokens, i) => {
    const atMs = works[i]?.firstContentAtMs ?? NaN;
    return tokens === undefined || (atMs >= window.fromMs && atMs < window.toMs) ? tokens : 0;
  });
  return {
    input,
    computed,
    reused,
    output: whole(records, (record) => outputInside(record, outcome)),
    answered: isComplete(answered) ? sum(answered) : undefined,
  };
}

/** Output tokens that were read in the window: those of the first read, and an equal share a read. */
function outputInside(
  record: RequestRecord,
  { startAtMs, stopAtMs }: PeriodOutcome,
): number | undefined {
  const { outputTokens, contentReadsAtMs: reads } = record;
  if (outputTokens === undefined) return undefined;
  if (reads.length < 2) return isInside(reads[0] ?? NaN) ? outputTokens : 0;
  const first = Math.min(outputTokens, record.firstChunkTokens ?? 1);
  let later = 0;
  for (let i = 1; i < reads.length; i++) if (isInside(reads[i] ?? NaN)) later++;
  return (isInside(reads[0] ?? NaN) ? first : 0) +
    (outputTokens - first) * later / (reads.length - 1);

  function isInside(atMs: number): boolean {
    return atMs >= startAtMs && atMs < stopAtMs;
  }
}
