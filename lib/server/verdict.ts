/**
 * Was the hit rate of a cell the one that was intended? One verdict, with the likeliest cause.
 *
 * @module
 */

import { explainDeficit, explainExcess, explainMissing } from "./verdict_causes.ts";
import { countersHold, rate, ttftRatio } from "./verdict_evidence.ts";
import type { Cause, CounterFaults, HitEvidence, HitVerdict, Judged } from "./verdict_evidence.ts";

export type { HitEvidence, HitVerdict, VerdictCause } from "./verdict_evidence.ts";

/** Block that is allowed for where the server does not state one. */
const UNSTATED_BLOCK_TOKENS = 64;
/** Rates are printed with one decimal; this much is rounding. */
const ROUNDING_PERCENT = 0.05;
/** Requests at the edges of the window are counted by one side only. */
const EDGE_SHARE = 0.02;
/** Usage and counters of one set of requests may be this far apart, for the same reason. */
const SOURCES_PERCENT = 5;

/** Judges the hit rate of one cell. */
export function judgeHitRate(evidence: HitEvidence): HitVerdict {
  const tolerancePercent = toleranceOf(evidence);
  const otherTraffic = sawOtherTraffic(evidence);
  const overcounted = countsTwice(evidence);
  const undercounted = missesSome(evidence);
  const counters = { otherTraffic, overcounted, undercounted };
  const notes = notesOf(evidence, counters);
  const observed = evidence.requests > 0 ? observe(evidence) : undefined;
  if (observed === undefined) {
    return { verdict: "unchecked", tolerancePercent, notes, ...explainMissing(evidence) };
  }
  const judged: Judged = { ...evidence, ...observed, tolerancePercent, ...counters };
  const base = { ...observed, tolerancePercent, notes };
  if (observed.observedBy === "counters") {
    const unusable = unusableCounters(judged);
    if (unusable !== undefined) return { ...base, verdict: "unchecked", ...unusable };
  }
  const deviation = observed.observedPercent - evidence.achievablePercent;
  if (Math.abs(deviation) > tolerancePercent) {
    const cause = deviation < 0 ? explainDeficit(judged) : explainExcess(judged);
    return { ...base, verdict: "differs", ...cause };
  }
  const contradiction = contradictionOf(judged);
  if (contradiction !== undefined) return { ...base, verdict: "differs", ...contradiction };
  return {
    ...base,
    verdict: "confirmed",
    causeCode: "as-intended",
    cause: agreement(judged),
  };
}

function agreement(judged: Judged): string {
  const { observedBy, counterPercent, tolerancePercent } = judged;
  const who = observedBy === "usage" ? "usage of the requests" : "server's counters";
  const also = observedBy === "usage" && counterPercent !== undefined && countersHold(judged)
    ? `; the server's counters say ${rate(counterPercent)}`
    : "";
  return `The ${who} and the prompts agree within ${tolerancePercent.toFixed(1)} points${also}.`;
}

function observe(
  { reportedPercent, counterPercent }: HitEvidence,
): { observedPercent: number; observedBy: "usage" | "counters" } | undefined {
  if (reportedPercent !== undefined) {
    return { observedPercent: reportedPercent, observedBy: "usage" };
  }
  return counterPercent === undefined
    ? undefined
    : { observedPercent: counterPercent, observedBy: "counters" };
}

/** One block per request. */
function toleranceOf({ blockTokens, promptTokens }: HitEvidence): number {
  const block = blockTokens ?? UNSTATED_BLOCK_TOKENS;
  return Math.min(100, 100 * block / Math.max(1, promptTokens)) + ROUNDING_PERCENT;
}

/**
 * More prompt tokens than were sent, beyond the edges of the window. Queries tell it only where no
 * counter of prompt tokens is there: queries of one request may be counted again and again.
 */
function sawOtherTraffic(evidence: HitEvidence): boolean {
  const seen = evidence.counterPromptTokens ?? evidence.counterQueryTokens;
  const sent = evidence.sentPromptTokens;
  if (seen === undefined || sent === undefined) return false;
  return seen > sent * (1 + EDGE_SHARE) + evidence.promptTokens;
}

function countsTwice({ counterQueryTokens, counterPromptTokens, promptTokens }: HitEvidence) {
  if (counterQueryTokens === undefined || counterPromptTokens === undefined) return false;
  return counterQueryTokens > counterPromptTokens * (1 + EDGE_SHARE) + promptTokens;
}

/** A router's worker, or one data-parallel rank of several, tells only of its own requests. */
function missesSome(evidence: HitEvidence): boolean {
  const seen = evidence.counterPromptTokens ?? evidence.counterQueryTokens;
  const { answeredPromptTokens: answered, promptTokens } = evidence;
  if (seen === undefined || answered === undefined) return false;
  return seen < answered * (1 - EDGE_SHARE) - promptTokens;
}

function unusableCounters(judged: Judged): Cause | undefined {
  if (judged.otherTraffic) {
    return {
      causeCode: "other-traffic",
      cause: "Another client used the server: its counters hold more prompt tokens than were sent.",
    };
  }
  if (judged.overcounted) {
    return {
      causeCode: "known-counter-fault",
      cause: "The server counts waiting requests more than once (vLLM #43736, fixed by #48860).",
    };
  }
  if (judged.undercounted) {
    return {
      causeCode: "no-source",
      cause: "The server's counters hold only a part of the requests: give the metrics of every " +
        "worker with --metrics-url.",
    };
  }
  return undefined;
}

/** A rate that is as intended, and yet cannot be true. */
function contradictionOf(judged: Judged): Cause | undefined {
  const { observedPercent, counterPercent, achievablePercent, tolerancePercent } = judged;
  if (judged.cachedTokensDisproved === true && judged.observedBy === "usage") {
    return {
      causeCode: "counter-lies",
      cause: "The server reports cached tokens for prompts that it has never seen.",
    };
  }
  if (judged.observedBy === "usage" && counterPercent !== undefined && countersHold(judged)) {
    const apart = Math.abs(counterPercent - observedPercent);
    if (apart > Math.max(SOURCES_PERCENT, 2 * tolerancePercent)) {
      return {
        causeCode: "counter-lies",
        cause: `Usage says ${rate(observedPercent)}, the server's counters ${
          rate(counterPercent)
        }: one of them is wrong.`,
      };
    }
  }
  return contradictedByTimes(judged, achievablePercent);
}

function contradictedByTimes(judged: Judged, achievablePercent: number): Cause | undefined {
  const ratio = ttftRatio(judged);
  // Two witnesses that agree are right: then it is the reuse that brings nothing.
  const witnessed = judged.observedBy === "usage" && judged.counterPercent !== undefined &&
    countersHold(judged);
  if (ratio === undefined || witnessed) return undefined;
  if (judged.observedPercent >= 30 && ratio >= 0.95) {
    return {
      causeCode: "counter-lies",
      cause: `${rate(judged.observedPercent)} is reported as reused, but TTFT is ` +
        `${rate(100 * ratio)} of a cold one: the count is wrong, or loading takes as long as ` +
        "computing.",
    };
  }
  return judged.observedPercent < 5 && achievablePercent < 5 && ratio < 0.5
    ? {
      causeCode: "counter-lies",
      cause: `No hits are reported, but TTFT is ${rate(100 * ratio)} of a cold one.`,
    }
    : undefined;
}

function notesOf(
  evidence: HitEvidence,
  faults: CounterFaults,
): string[] {
  const { nominalPercent, achievablePercent, blockTokens, chunkTokens } = evidence;
  const notes: string[] = [];
  if (Math.abs(nominalPercent - achievablePercent) > 1) {
    const blocks = blockTokens === undefined ? "" : ` and blocks of ${blockTokens}`;
    notes.push(
      `Chunks of ${chunkTokens} tokens${blocks} make ${rate(achievablePercent)} of ${
        rate(nominalPercent)
      }.`,
    );
  }
  if (blockTokens === undefined && evidence.reportedPercent !== undefined) {
    notes.push(
      `The block size is unknown; ${UNSTATED_BLOCK_TOKENS} tokens a request are allowed for.`,
    );
  }
  return evidence.reportedPercent === undefined
    ? notes
    : [...notes, ...counterNotes(evidence, faults)];
}

function counterNotes(evidence: HitEvidence, faults: CounterFaults): string[] {
  const notes: string[] = [];
  if (faults.otherTraffic) {
    notes.push("Another client used the server meanwhile; its counters are not used.");
  }
  if (faults.overcounted) {
    const known = evidence.engine === "vllm" ? " (vLLM #43736, fixed by #48860)" : "";
    notes.push(`The counters count waiting requests more than once${known}; they are not used.`);
  }
  if (faults.undercounted) {
    notes.push("The counters hold only a part of the requests; they are not used.");
  }
  const ratio = ttftRatio(evidence);
  if (ratio !== undefined && ratio >= 0.95 && (evidence.reportedPercent ?? 0) >= 30) {
    notes.push(`TTFT is ${rate(100 * ratio)} of a cold one all the same.`);
  }
  return notes;
}
