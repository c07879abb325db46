/**
 * The likeliest cause of a hit rate that is missing, too low or too high.
 *
 * @module
 */

import { formatCount } from "../units.ts";
import { timesFavour } from "./witnesses.ts";
import {
  type Cause,
  countersHold,
  type HitEvidence,
  type Judged,
  rate,
  ttftRatio,
} from "./verdict_evidence.ts";

/** Why there is no rate to judge. */
export function explainMissing(evidence: HitEvidence): Cause {
  if (evidence.requests === 0) return { causeCode: "no-source", cause: "No request succeeded." };
  if (evidence.cachedTokens !== "yes" && evidence.enableCachedTokens !== undefined) {
    return {
      causeCode: "flag-missing",
      cause: `The server does not report cached tokens: ${evidence.enableCachedTokens}.`,
    };
  }
  return {
    causeCode: "no-source",
    cause: "The server neither reports cached tokens nor counts hits.",
  };
}

/** Why there were fewer hits than the prompts allow. */
export function explainDeficit(judged: Judged): Cause {
  const model = isPredicted(judged) ? eviction(judged) : undefined;
  return cachingOff(judged) ?? notWarmed(judged) ?? model ?? coarserBlocks(judged) ??
    eviction(judged) ??
    deficitByTraffic(judged) ?? unstatedBlock(judged) ?? unsaid(judged) ?? {
    causeCode: "unexplained",
    cause: `${rate(judged.observedPercent)} of ${rate(judged.achievablePercent)} was reused; ` +
      "nothing that is known about the server explains it.",
  };
}

function cachingOff(judged: Judged): Cause | undefined {
  if (judged.prefixCaching === "no" && judged.observedPercent <= judged.tolerancePercent) {
    return { causeCode: "caching-off", cause: "The server does not reuse its KV cache." };
  }
  const nothing = judged.observedPercent < 0.05;
  return nothing && judged.prefixCaching === "unknown" && !outgrown(judged)
    ? { causeCode: "caching-off", cause: "Nothing was reused: prefix caching seems to be off." }
    : undefined;
}

/**
 * Prompts whose warm-up failed are computed at their first use. It is the cause where the set fits
 * and the LRU model, which knows what was sent, says what was seen.
 */
function notWarmed(judged: Judged): Cause | undefined {
  const { failedWarmUps = 0, workingSetTokens = 0, capacityTokens = Infinity } = judged;
  if (failedWarmUps === 0 || workingSetTokens > capacityTokens) return undefined;
  if (judged.theoreticalPercent !== undefined && !isPredicted(judged)) return undefined;
  return {
    causeCode: "not-warmed",
    cause: `The warm-up of ${failedWarmUps} prompts failed, and the first use of such a prompt ` +
      "finds nothing.",
  };
}

/**
 * The LRU model says just what was seen. What is left of a prompt is often its beginning as an
 * earlier cell asked for it, and such counts have a large common divisor too.
 */
export function isPredicted(
  { theoreticalPercent, observedPercent, tolerancePercent }: Judged,
): boolean {
  return theoreticalPercent !== undefined &&
    Math.abs(theoreticalPercent - observedPercent) <= tolerancePercent;
}

/** Every count is a multiple of more than a block, and floored to it the rate is as intended. */
function coarserBlocks(judged: Judged): Cause | undefined {
  const { cachedTokensGcd: grain, blockTokens, promptTokens } = judged;
  if (grain === undefined || grain <= (blockTokens ?? 1)) return undefined;
  const shared = judged.achievablePercent * promptTokens / 100;
  const floored = Math.floor(shared / grain) * grain;
  const expected = 100 * floored / promptTokens;
  if (Math.abs(expected - judged.observedPercent) > judged.tolerancePercent) return undefined;
  return {
    causeCode: "block-rounding",
    cause: `The server reuses in steps of ${grain} tokens: of ${Math.round(shared)} shared ` +
      `tokens ${floored} count.`,
  };
}

function outgrown({ theoreticalPercent, achievablePercent, tolerancePercent, ...rest }: Judged) {
  if (theoreticalPercent !== undefined) {
    return theoreticalPercent < achievablePercent - tolerancePercent;
  }
  const { workingSetTokens, capacityTokens } = rest;
  return workingSetTokens !== undefined && capacityTokens !== undefined &&
    workingSetTokens > capacityTokens;
}

function eviction(judged: Judged): Cause | undefined {
  if (!outgrown(judged)) return undefined;
  const { theoreticalPercent, workingSetTokens, capacityTokens } = judged;
  const model = theoreticalPercent === undefined
    ? ""
    : ` An LRU cache of that size would reuse ${rate(theoreticalPercent)}.`;
  const sizes = workingSetTokens === undefined || capacityTokens === undefined
    ? "The cache is too small for the requests that were sent."
    : `The working set of ${
      formatCount(workingSetTokens)
    } tokens does not fit beside the other text into ` +
      `the cache of ${formatCount(capacityTokens)}.`;
  return { causeCode: "eviction", cause: `${sizes}${model}` };
}

function deficitByTraffic(judged: Judged): Cause | undefined {
  return judged.otherTraffic
    ? {
      causeCode: "other-traffic",
      cause: "Another client used the server and its cache at the same time.",
    }
    : undefined;
}

/** Less than a chunk is missing, and the block is not known. */
function unstatedBlock(judged: Judged): Cause | undefined {
  if (judged.blockTokens !== undefined) return undefined;
  const missing = (judged.achievablePercent - judged.observedPercent) * judged.promptTokens / 100;
  return missing < judged.chunkTokens
    ? {
      causeCode: "block-rounding",
      cause:
        `${Math.round(missing)} tokens a request are missing: the server's block may be larger ` +
        "than is allowed for.",
    }
    : undefined;
}

/** With a working set of a cache of unknown size the cache is the first thing to doubt. */
function unsaid({ capacityTokens, workingSetTokens }: Judged): Cause | undefined {
  return capacityTokens === undefined && workingSetTokens !== undefined
    ? {
      causeCode: "eviction",
      cause: `The server does not say how much it can keep; the working set of ` +
        `${formatCount(workingSetTokens)} ` +
        "tokens is likely too large.",
    }
    : undefined;
}

/** Why there were more hits than the prompts allow. */
export function explainExcess(judged: Judged): Cause {
  const { observedPercent, achievablePercent, promptTokens } = judged;
  const excessTokens = (observedPercent - achievablePercent) * promptTokens / 100;
  const template = judged.overheadBeforeTokens ?? 0;
  if (template > 0 && excessTokens <= template + (judged.blockTokens ?? 1)) {
    return {
      causeCode: "template-tokens",
      cause: `The ${template} tokens of the chat template before the content are reused too.`,
    };
  }
  const impossible =
    `${rate(observedPercent)} is reported where ${rate(achievablePercent)} is the ` +
    "most that the prompts allow";
  return lie(judged, impossible) ?? {
    causeCode: "not-unique",
    cause:
      `${impossible}, and the other evidence agrees: the server knows these prompts from before.`,
  };
}

function lie(judged: Judged, impossible: string): Cause | undefined {
  const says = (reason: string): Cause => ({
    causeCode: "counter-lies",
    cause: `${impossible}${reason}.`,
  });
  if (judged.cachedTokensDisproved === true && judged.observedBy === "usage") {
    return says(", and prompts that it never saw are reported as cached");
  }
  if (judged.observedPercent > 100 || judged.prefixCaching === "no") return says("");
  const { counterPercent, observedPercent, achievablePercent } = judged;
  if (judged.observedBy === "usage" && counterPercent !== undefined && countersHold(judged)) {
    const nearer = Math.abs(counterPercent - achievablePercent) <
      Math.abs(counterPercent - observedPercent);
    return nearer ? says(`, and the server's own counters say ${rate(counterPercent)}`) : undefined;
  }
  if (ttftRatio(judged) === undefined) return says("");
  const favour = timesFavour(ttftRatio(judged), achievablePercent, observedPercent);
  return favour !== "higher"
    ? says(favour === "lower" ? `, and TTFT is that of ${rate(achievablePercent)} or less` : "")
    : undefined;
}
