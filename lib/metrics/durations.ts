/**
 * What is derived from the instants and counts of one request. A figure whose parts are missing is
 * `undefined`.
 *
 * @module
 */

import type { RequestRecord } from "../record.ts";
import { OUTPUT_ALLOWANCE_TOKENS } from "../token_counts.ts";

/** True if the request gave a complete answer with generated content. Only these make figures. */
export function isAnswered(record: RequestRecord): boolean {
  return record.failure === undefined && record.contentReadsAtMs.length > 0;
}

/** The first read that carried generated content. */
export function firstContentAtMs(record: RequestRecord): number | undefined {
  return record.contentReadsAtMs[0];
}

/** The last read that carried generated content. */
export function lastContentAtMs(record: RequestRecord): number | undefined {
  return record.contentReadsAtMs.at(-1);
}

/** Time to first token: first content less sent. */
export function ttftMs(record: RequestRecord): number | undefined {
  return since(record.sentAtMs, firstContentAtMs(record));
}

/** First content less due: with the client's own delay. */
export function ttftFromDueMs(record: RequestRecord): number | undefined {
  return since(record.dueAtMs, firstContentAtMs(record));
}

/** Time to last token: last content less sent. */
export function ttltMs(record: RequestRecord): number | undefined {
  return since(record.sentAtMs, lastContentAtMs(record));
}

/** Last content less first content. */
export function generationMs(record: RequestRecord): number | undefined {
  const first = firstContentAtMs(record);
  return first === undefined ? undefined : since(first, lastContentAtMs(record));
}

/** The client's own delay: sent less due. */
export function dueToSentMs(record: RequestRecord): number {
  return record.sentAtMs - record.dueAtMs;
}

/**
 * Time per output token after the first read: (TTLT - TTFT) / (output tokens - tokens of the first
 * read). Absent for an answer of one read or one token.
 */
export function tpotMs(record: RequestRecord): number | undefined {
  const decoded = decodedTokens(record);
  const ms = generationMs(record);
  return decoded === undefined || ms === undefined ? undefined : ms / decoded;
}

/** Output tokens per second after the first read: the reciprocal of TPOT. */
export function decodeRatePerSec(record: RequestRecord): number | undefined {
  const decoded = decodedTokens(record);
  const ms = generationMs(record);
  return decoded === undefined || ms === undefined || ms <= 0 ? undefined : decoded / ms * 1000;
}

/** Gaps between neighbouring content-bearing reads. */
export function readGapsMs(record: RequestRecord): Float64Array {
  const reads = record.contentReadsAtMs;
  const gaps = new Float64Array(Math.max(0, reads.length - 1));
  for (let i = 0; i < gaps.length; i++) gaps[i] = (reads[i + 1] ?? NaN) - (reads[i] ?? NaN);
  return gaps;
}

/** Prompt tokens: the server's count, else what the prompt was built to have. */
export function promptTokens(record: RequestRecord): number {
  return record.usage?.promptTokens ?? record.plan.promptTokens;
}

/** True if the server counted a prompt that cannot be the one that was sent. */
export function hasPromptBreach({ countBreaches = [] }: RequestRecord): boolean {
  return countBreaches.some(({ count }) => count === "prompt");
}

/**
 * False if the output is known to be shorter or longer than was asked for. Chunks alone do not tell
 * how many tokens they hold: a short answer is then one that ended by itself.
 */
export function isOutputAsAsked(record: RequestRecord): boolean {
  const { outputTokens, outputTokensSource, maxOutputTokens, finishReason } = record;
  // The record of an older row does not say what was asked for.
  if (outputTokens === undefined || maxOutputTokens <= 0) return true;
  if (outputTokensSource !== "chunks") {
    return outputTokens >= maxOutputTokens &&
      outputTokens <= maxOutputTokens + OUTPUT_ALLOWANCE_TOKENS;
  }
  const isShort = outputTokens < maxOutputTokens && finishReason === "stop";
  return !isShort && outputTokens <= 2 * maxOutputTokens + OUTPUT_ALLOWANCE_TOKENS;
}

/**
 * True if the stream's events carried several tokens each, so that gaps between reads are not gaps
 * between tokens. One token more than events is allowed for an end token without text, and a tenth
 * for tokens that wait for the rest of a character.
 */
export function hasMultiTokenChunks(record: RequestRecord): boolean {
  const { outputTokens, contentChunks, outputTokensSource } = record;
  if (outputTokens === undefined || contentChunks === 0) return false;
  return outputTokensSource !== "chunks" && outputTokens - 1 > contentChunks * 1.1;
}

/** Tokens that were generated after the first read; absent if that is not known or none. */
function decodedTokens(record: RequestRecord): number | undefined {
  const { outputTokens, firstChunkTokens, contentReadsAtMs } = record;
  if (outputTokens === undefined || firstChunkTokens === undefined) return undefined;
  const decoded = outputTokens - firstChunkTokens;
  return contentReadsAtMs.length < 2 || decoded <= 0 ? undefined : decoded;
}

function since(startMs: number, instantMs: number | undefined): number | undefined {
  return instantMs === undefined ? undefined : instantMs - startMs;
}
