/**
 * Tokens that a server puts around the text of a prompt: BOS, and the chat template.
 *
 * @module
 */

import type { ApiKind } from "../record.ts";
import type { ServerFacts } from "./facts.ts";
import type { ServerAccess } from "./http.ts";
import { infer } from "./infer.ts";
import { probeText } from "./probe_text.ts";
import { tokenizeChat, tokenizeText } from "./tokenize.ts";

/** Tokens around the content, and how they were counted. */
export interface MeasuredOverhead {
  /** Tokens before the content: these are shared by every prompt. */
  readonly beforeTokens: number;
  /** Tokens after it. */
  readonly afterTokens: number;
  readonly evidence: string;
  /**
   * `measured`: both numbers are known. `total`: the sum is known, the split is not (all of it is
   * counted as before). `assumed`: nothing is known, both are 0.
   */
  readonly certainty: "measured" | "total" | "assumed";
}

/** What the measurement needs of the facts. */
type OverheadFacts = Pick<ServerFacts, "engine" | "model" | "capabilities">;

const WORDS = 24;

/**
 * Measures the tokens that the server adds to a prompt on `api`: by its own tokenizer, confirmed
 * by `usage.prompt_tokens`; without a tokenizer by usage alone.
 *
 * @param nonce Unlike that of any other measurement.
 */
export async function measureOverhead(
  access: ServerAccess,
  facts: OverheadFacts,
  api: ApiKind,
  nonce = "overhead",
): Promise<MeasuredOverhead> {
  const text = probeText(nonce, "overhead", WORDS);
  const counted = await countPromptTokens(access, facts, api, text);
  const byTokenizer = facts.capabilities.tokenize.state === "yes"
    ? await overheadByTokenizer(access, facts, api, text)
    : undefined;
  if (byTokenizer !== undefined) return reconcile(byTokenizer, counted);
  return await overheadByUsage(access, facts, api, nonce) ?? {
    beforeTokens: 0,
    afterTokens: 0,
    certainty: "assumed",
    evidence: "neither /tokenize nor usage tells, so none is assumed",
  };
}

interface TokenizerSplit {
  readonly beforeTokens: number;
  readonly afterTokens: number;
  readonly contentTokens: number;
}

async function overheadByTokenizer(
  access: ServerAccess,
  facts: OverheadFacts,
  api: ApiKind,
  text: string,
): Promise<TokenizerSplit | undefined> {
  const content = await tokenizeText(access, facts, text, false);
  const whole = api === "chat"
    ? await tokenizeChat(access, facts, text)
    : await tokenizeText(access, facts, text, true);
  if (content === undefined || whole === undefined) return undefined;
  return splitAround(whole, content);
}

/**
 * Where the content stands in the whole. Its first and last token may be others at the seam with
 * the template, so only the tokens between these are looked for.
 */
export function splitAround(
  whole: readonly number[],
  content: readonly number[],
): TokenizerSplit | undefined {
  const middle = content.slice(1, -1);
  if (middle.length === 0) return undefined;
  const at = whole.findIndex((_, start) => middle.every((id, i) => whole[start + i] === id));
  const beforeTokens = at - 1;
  const afterTokens = whole.length - beforeTokens - content.length;
  return at < 1 || afterTokens < 0
    ? undefined
    : { beforeTokens, afterTokens, contentTokens: content.length };
}

function reconcile(split: TokenizerSplit, counted: number | undefined): MeasuredOverhead {
  const { beforeTokens, afterTokens, contentTokens } = split;
  const evidence = `/tokenize adds ${beforeTokens} before and ${afterTokens} after`;
  if (counted === undefined) {
    const unproved = `${evidence}; usage does not say how many are counted`;
    return { beforeTokens, afterTokens, certainty: "measured", evidence: unproved };
  }
  const total = counted - contentTokens;
  if (total === beforeTokens + afterTokens) {
    const proved = `${evidence}, and usage counts as many`;
    return { beforeTokens, afterTokens, certainty: "measured", evidence: proved };
  }
  const differs = `${evidence}, but usage counts ${total} in all`;
  if (total < 0) return { beforeTokens, afterTokens, certainty: "measured", evidence: differs };
  const after = Math.min(afterTokens, total);
  return {
    beforeTokens: total - after,
    afterTokens: after,
    certainty: "total",
    evidence: differs,
  };
}

/**
 * From prompts of known numbers of words. The words are one token each in common vocabularies: if
 * twice as many words make that many more tokens, they are here. A first word without a space may
 * be two tokens, so the least of several beginnings counts.
 */
async function overheadByUsage(
  access: ServerAccess,
  facts: OverheadFacts,
  api: ApiKind,
  nonce: string,
): Promise<MeasuredOverhead | undefined> {
  const found: number[] = [];
  for (const label of ["usage-a", "usage-b", "usage-c"]) {
    const short = await countPromptTokens(access, facts, api, probeText(nonce, label, WORDS));
    const long = await countPromptTokens(access, facts, api, probeText(nonce, label, 2 * WORDS));
    if (short === undefined || long === undefined) return undefined;
    if (long - short === WORDS && short >= WORDS) found.push(short - WORDS);
  }
  if (found.length === 0) return undefined;
  const total = Math.min(...found);
  return {
    beforeTokens: total,
    afterTokens: 0,
    certainty: total === 0 ? "measured" : "total",
    evidence: `usage counts ${total} tokens more than words; all are taken as before them`,
  };
}

/**
 * `usage.prompt_tokens` of a request for one token; `undefined` if the server does not say.
 *
 * @throws {KvmarkError} `unreachable` if no answer came.
 */
export async function countPromptTokens(
  access: ServerAccess,
  facts: Pick<ServerFacts, "model">,
  api: ApiKind,
  text: string,
): Promise<number | undefined> {
  const request = { api, model: facts.model, prompt: text, maxTokens: 1, stream: false };
  const answer = await infer(access, request);
  return answer.ok ? answer.usage?.promptTokens : undefined;
}
