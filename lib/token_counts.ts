/**
 * Which token counts of a server are possible at all: the one place where they are bounded.
 *
 * A count that is impossible is left out, as if the server had not given it, and named in the
 * record. No figure rests on it, and nothing loops or allocates over it.
 *
 * @module
 */

import type { CountBreach, PromptPlan, ReportedUsage } from "./record.ts";

/** What the counts of one answer can be. */
export interface CountLimits {
  readonly leastPromptTokens: number;
  readonly mostPromptTokens: number;
  readonly mostOutputTokens: number;
}

/**
 * Tokens by which a server may count a prompt differently although the words are one token each
 * and the template was measured: a BOS more or less, and a merge at each end of the content.
 */
const SEAM_TOKENS = 4;
/** A template whose tokens are not known adds at most this. */
const TEMPLATE_TOKENS = 2048;
/** Words that were not compared with the server's tokenizer take at most this many tokens each. */
const TOKENS_PER_WORD = 4;
/** Some servers count the end token and a stop token, which have no text. */
export const OUTPUT_ALLOWANCE_TOKENS = 2;

/** The limits for a request whose prompt was planned, from what was sent and what was asked for. */
export function limitsOfPlan(plan: PromptPlan, maxOutputTokens: number): CountLimits {
  const { promptTokens, isEstimate } = plan;
  const mostOutputTokens = maxOutputTokens + OUTPUT_ALLOWANCE_TOKENS;
  if (isEstimate !== true) {
    return {
      leastPromptTokens: Math.max(1, promptTokens - SEAM_TOKENS),
      mostPromptTokens: promptTokens + SEAM_TOKENS,
      mostOutputTokens,
    };
  }
  return {
    leastPromptTokens: Math.max(1, Math.floor(promptTokens / TOKENS_PER_WORD)),
    mostPromptTokens: promptTokens * TOKENS_PER_WORD + TEMPLATE_TOKENS,
    mostOutputTokens,
  };
}

/** The limits for any prompt: no tokenizer makes more tokens than the text has bytes. */
export function limitsOfPrompt(
  prompt: string | readonly number[],
  maxOutputTokens: number,
): CountLimits {
  const bytes = typeof prompt === "string"
    ? new TextEncoder().encode(prompt).length
    : prompt.length;
  return {
    leastPromptTokens: 1,
    mostPromptTokens: bytes + TEMPLATE_TOKENS,
    mostOutputTokens: maxOutputTokens + OUTPUT_ALLOWANCE_TOKENS,
  };
}

/** Counts that are possible, and those that are not. */
export interface BoundedUsage {
  /** Absent if no count is left. */
  readonly usage?: ReportedUsage;
  readonly breaches: readonly CountBreach[];
}

/**
 * Leaves out the counts that cannot be true: not whole, negative, not finite, more than was sent
 * or asked for, more cached than sent.
 *
 * @param contentChunks Events with text: an answer that has any cannot have 0 tokens, and a chunk
 * is half a token at least (a token is split over two where its text is of two kinds).
 * @example
 * ```ts
 * import { boundUsage, limitsOfPlan } from "./token_counts.ts";
 * const plan = { promptTokens: 100, sharedTokens: 0, achievableTokens: 0 };
 * const said = { promptTokens: 100, completionTokens: 1e300 };
 * const { usage, breaches } = boundUsage(said, limitsOfPlan(plan, 8), 8);
 * console.log(usage, breaches[0]?.count); // { promptTokens: 100 } "output"
 * ```
 */
export function boundUsage(
  reported: ReportedUsage | undefined,
  limits: CountLimits,
  contentChunks: number,
): BoundedUsage {
  if (reported === undefined) return { breaches: [] };
  const breaches: CountBreach[] = [];
  const within = (count: CountBreach["count"], value: number, least: number, most: number) => {
    const isPossible = Number.isSafeInteger(value) && value >= least && value <= most;
    if (!isPossible) breaches.push({ count, reported: value });
    return isPossible ? value : undefined;
  };
  const { promptTokens, completionTokens, cachedTokens, cachedTokensByTier: tiers } = reported;
  const { leastPromptTokens, mostPromptTokens, mostOutputTokens } = limits;
  const prompt = promptTokens === undefined
    ? undefined
    : within("prompt", promptTokens, leastPromptTokens, mostPromptTokens);
  const leastOutput = Math.max(0, Math.ceil(contentChunks / 2) - 1, Math.min(1, contentChunks));
  const output = completionTokens === undefined
    ? undefined
    : within("output", completionTokens, leastOutput, Math.max(mostOutputTokens, contentChunks));
  const mostCached = prompt ?? mostPromptTokens;
  const cached = cachedTokens === undefined
    ? undefined
    : within("cached", cachedTokens, 0, mostCached);
  const byTier = tiers === undefined ? undefined : tiersWithin(tiers, mostCached, within);
  const usage: ReportedUsage = {
    ...(prompt === undefined ? {} : { promptTokens: prompt }),
    ...(output === undefined ? {} : { completionTokens: output }),
    ...(cached === undefined ? {} : { cachedTokens: cached }),
    ...(byTier === undefined ? {} : { cachedTokensByTier: byTier }),
  };
  return { breaches, ...(Object.keys(usage).length === 0 ? {} : { usage }) };
}

function tiersWithin(
  tiers: Readonly<Record<string, number>>,
  most: number,
  within: (count: "tier", value: number, least: number, most: number) => number | undefined,
): Readonly<Record<string, number>> | undefined {
  let sum = 0;
  for (const tokens of Object.values(tiers)) {
    const possible = within("tier", tokens, 0, most - sum);
    if (possible === undefined) return undefined;
    sum += possible;
  }
  return tiers;
}

/** Breaches as one cell of a table: `prompt:9000000000000000 output:1e+300`. */
export function breachText(breaches: readonly CountBreach[] | undefined): string | undefined {
  if (breaches === undefined || breaches.length === 0) return undefined;
  return breaches.map(({ count, reported }) => `${count}:${reported}`).join(" ");
}

const COUNTS: readonly CountBreach["count"][] = ["prompt", "output", "cached", "tier"];

/** Reads what {@linkcode breachText} wrote; `undefined` where there is no breach. */
export function breachesIn(text: string | undefined): readonly CountBreach[] | undefined {
  const breaches = (text ?? "").split(" ").flatMap((part) => {
    const [name, reported] = part.split(":");
    const count = COUNTS.find((one) => one === name);
    return count === undefined ? [] : [{ count, reported: Number(reported) }];
  });
  return breaches.length === 0 ? undefined : breaches;
}
