/**
 * The block size by experiment: what a server reports as cached of beginnings of chosen lengths.
 *
 * @module
 */

import type { ApiKind } from "../record.ts";
import type { ServerFacts } from "./facts.ts";
import type { ServerAccess } from "./http.ts";
import { infer } from "./infer.ts";
import { usageRequest } from "./inference_probe.ts";
import type { MeasuredOverhead } from "./overhead.ts";
import { probeText } from "./probe_text.ts";

/** What the experiment found. */
export interface BlockExperiment {
  /** Tokens that are reused or not as one; absent if the counts do not fit a block size. */
  readonly blockTokens?: number;
  readonly evidence: string;
}

/**
 * Shared tokens of the experiments, chosen so that for every block size up to the least of them
 * the numbers of whole blocks have no common divisor: the greatest common divisor of what is
 * cached is then the block itself, never a multiple of it.
 */
export const SHARED_TOKENS = [437, 580, 611, 637, 673] as const;

const TAIL_WORDS = 24;

/** Options of {@linkcode findBlockTokens}. */
export interface BlockOptions {
  readonly api: ApiKind;
  readonly overhead: Pick<MeasuredOverhead, "beforeTokens" | "afterTokens" | "certainty">;
  /** Never use one twice. */
  readonly nonce: string;
}

/**
 * Finds the block size, by five pairs of prompts of up to 700 tokens. Needs a server that reports
 * cached tokens, and room for them.
 *
 * @throws {KvmarkError} `unreachable` if the server stops answering.
 */
export async function findBlockTokens(
  access: ServerAccess,
  facts: ServerFacts,
  options: BlockOptions,
): Promise<BlockExperiment> {
  const { cachedTokens, prefixCaching } = facts.capabilities;
  if (
    cachedTokens.state !== "yes" || prefixCaching.state !== "yes" || facts.cachedTokensDisproved
  ) {
    return { evidence: "needs prefix caching and true counts of cached tokens" };
  }
  const longest = Math.max(...SHARED_TOKENS) + TAIL_WORDS * 2;
  if ((facts.maxContextTokens ?? Infinity) < longest) {
    return { evidence: `needs a context of ${longest} tokens` };
  }
  const seen: SharedAndCached[] = [];
  for (const sharedTokens of SHARED_TOKENS) {
    const one = await shareOnce(access, facts, options, sharedTokens);
    if (one === undefined) return { evidence: "a prompt was refused, or came without counts" };
    seen.push(one);
  }
  return blockFrom(seen);
}

/** Shared tokens as planned, how far that may be off, and what of them was reported as cached. */
export interface SharedAndCached {
  readonly sharedTokens: number;
  readonly slackTokens: number;
  readonly cachedTokens: number;
}

/** The block size that explains the counts. Pure. */
export function blockFrom(seen: readonly SharedAndCached[]): BlockExperiment {
  const counts = seen.map(({ sharedTokens, cachedTokens }) => `${cachedTokens} of ${sharedTokens}`);
  const said = `of shared beginnings the server reused ${counts.join(", ")} tokens`;
  if (seen.every(({ cachedTokens }) => cachedTokens === 0)) {
    const least = Math.min(...seen.map(({ sharedTokens }) => sharedTokens));
    return { evidence: `${said}: its block is larger than ${least}, or nothing is kept` };
  }
  const block = seen.reduce((divisor, { cachedTokens }) => gcd(divisor, cachedTokens), 0);
  const fits = seen.every(({ sharedTokens, slackTokens, cachedTokens }) => {
    const rest = sharedTokens - cachedTokens;
    return rest >= -slackTokens && rest < block + slackTokens;
  });
  return fits
    ? { blockTokens: block, evidence: said }
    : { evidence: `${said}, which no block size explains` };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

async function shareOnce(
  access: ServerAccess,
  facts: ServerFacts,
  { api, overhead, nonce }: BlockOptions,
  sharedTokens: number,
): Promise<SharedAndCached | undefined> {
  const words = Math.max(1, sharedTokens - overhead.beforeTokens);
  const shared = probeText(nonce, `block-${sharedTokens}`, words);
  const streamUsage = facts.capabilities.streamUsage.state === "yes";
  // The first word after the shared part differs: chance must not make that part longer.
  const ask = (first: string) => {
    const tail = probeText(nonce, `${first}-${sharedTokens}`, TAIL_WORDS - 1);
    return infer(access, usageRequest(facts, api, `${shared} ${first} ${tail}`, streamUsage));
  };
  const first = await ask("left");
  const second = await ask("right");
  const promptTokens = second.usage?.promptTokens;
  const cachedTokens = second.usage?.cachedTokens ??
    (facts.cachedTokensAbsentMeansZero ? 0 : undefined);
  if (!first.ok || !second.ok || promptTokens === undefined || cachedTokens === undefined) {
    return undefined;
  }
  const planned = words + overhead.beforeTokens + overhead.afterTokens + TAIL_WORDS;
  const unknownSplit = overhead.certainty === "measured" ? 0 : overhead.beforeTokens;
  const slackTokens = Math.abs(promptTokens - planned) + unknownSplit;
  return { sharedTokens: words + overhead.beforeTokens, slackTokens, cachedTokens };
}
