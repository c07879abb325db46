/**
 * Was the hit rate of a cell the one that was intended? One verdict, with the likeliest cause.
 *
 * @module
 */

import { explainDeficit, explainExcess, explainMissing, isPredicted } from "./verdict_causes.ts";
import { rate, ttftRatio, usableCounterPercent } from "./verdict_evidence.ts";
import type { Cause, CounterFaults, HitEvidence, HitVerdict, Judged } from "./verdict_evidence.ts";
import {
  disagreement,
  gainsNothing,
  timesDenyDeficit,
  timesDenyRate,
  timeText,
} from "./witnesses.ts";

export type { HitEvidence, HitVerdict, VerdictCause } from "./verdict_evidence.ts";

/** Block that is allowed for where the server does not state one. */
const UNSTATED_BLOCK_TOKENS = 64;
/** Rates are printed with one decimal; this much is rounding. */
const ROUNDING_PERCENT = 0.05;
/** Requests at the edges of the window are counted by one side only. */
const EDGE_SHARE = 0.02;
/** Counts that cannot be true in more of the requests than this make the verdict. */
const BREACH_SHARE = 0.01;

/** Judges the hit rate of one cell. */
export function judgeHitRate(evidence: HitEvidence): HitVerdict {
  const foreignPercent = foreignPercentOf(evidence);
  const verdict = judge(evidence);
  return foreignPercent === undefined ? verdict : { ...verdict, foreignPercent };
}

function judge(evidence: HitEvidence): HitVerdict {
  const tolerancePercent = toleranceOf(evidence);
  const otherTraffic = foreignPercentOf(evidence) !== undefined;
  const overcounted = countsTwice(evidence);
  const undercounted = missesSome(evidence);
  const counters = { otherTraffic, overcounted, undercounted };
  const notes = notesOf(evidence, counters);
  const observed = evidence.requests > 0 ? observe(evidence) : undefined;
  const breach = breachCause(evidence, counters);
  if (breach !== undefined) {
    const base = { ...observed, tolerancePercent, notes };
    return { ...base, verdict: "differs", usageInDoubt: true, ...breach };
  }
  if (observed === undefined) {
    return { verdict: "unchecked", tolerancePercent, notes, ...explainMissing(evidence) };
  }
  const judged: Judged = { ...evidence, ...observed, tolerancePercent, ...counters };
  const base = { ...observed, tolerancePercent, notes };
  if (observed.observedBy === "counters") {
    const unusable = unusableCounters(judged);
    if (unusable !== undefined) return { ...base, verdict: "unchecked", ...unusable };
  }
  const difference = observed.observedPercent - evidence.achievablePercent;
  // A cold cell asks for no reuse: that a template was not found either is as intended.
  const deviation = evidence.nominalPercent === 0 ? Math.max(0, difference) : difference;
  const contradiction = Math.abs(deviation) <= tolerancePercent
    ? contradictionOf(judged)
    : deviation < 0
    ? deficitContradicted(judged)
    : undefined;
  if (contradiction !== undefined) {
    const usageInDoubt = observed.observedBy === "usage";
    return { ...base, verdict: "differs", usageInDoubt, ...contradiction };
  }
  if (Math.abs(deviation) > tolerancePercent) {
    const cause = deviation < 0 ? explainDeficit(judged) : explainExcess(judged);
    const usageInDoubt = observed.observedBy === "usage" && cause.causeCode === "counter-lies";
    return { ...base, verdict: "differs", usageInDoubt, ...cause };
  }
  return {
    ...base,
    verdict: "confirmed",
    causeCode: "as-intended",
    cause: agreement(judged),
  };
}

function agreement(judged: Judged): string {
  const { observedBy, tolerancePercent } = judged;
  const who = observedBy === "usage" ? "usage of the requests" : "server's counters";
  const counterPercent = observedBy === "usage" ? usableCounterPercent(judged) : undefined;
  const also = counterPercent === undefined
    ? ""
    : `; the server's counters say ${rate(counterPercent)}`;
  const ratio = ttftRatio(judged);
  const but = ratio !== undefined && gainsNothing(judged)
    ? `; TTFT contradicts them: it is ${timeText(ratio)}, so the reuse brings nothing`
    : "";
  return `The ${who} and the prompts agree within ${tolerancePercent.toFixed(1)} points` +
    `${also}${but}${miscounted(judged)}${shared(judged)}.`;
}

/** Confirmed, and yet the load was not the run's alone. */
function shared(judged: Judged): string {
  const percent = foreignPercentOf(judged);
  return percent === undefined
    ? ""
    : `, but ${rate(percent)} of the server's prompt tokens were not ours`;
}

/** Impossible counts that the hit rate does not rest on. */
function miscounted({ countBreaches, requests }: Judged): string {
  if (countBreaches === undefined || countBreaches.output <= requests * BREACH_SHARE) return "";
  return `; its output counts cannot be true (${countBreaches.text}) and are not used`;
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
 * The share of the server's prompt tokens that were not sent by this run, in percent; `undefined`
 * where its counters do not tell, or within what the edges of the window may come to: 2 %, and one
 * prompt. Retries and failed requests count as sent. Queries tell it only where no counter of
 * prompt tokens is there: queries of one request may be counted again and again.
 */
export function foreignPercentOf(
  evidence: Pick<
    HitEvidence,
    "counterPromptTokens" | "counterQueryTokens" | "sentPromptTokens" | "promptTokens"
  >,
): number | undefined {
  const seen = evidence.counterPromptTokens ?? evidence.counterQueryTokens;
  const sent = evidence.sentPromptTokens;
  if (seen === undefined || sent === undefined) return undefined;
  if (seen <= sent * (1 + EDGE_SHARE) + evidence.promptTokens) return undefined;
  return 100 * (seen - sent) / seen;
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
      cause: `Another client used the server: ${rate(foreignPercentOf(judged) ?? 0)} of its ` +
        "prompt tokens were not ours.",
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
  if (judged.cachedTokensDisproved === true && judged.observedBy === "usage") {
    return {
      causeCode: "counter-lies",
      cause: "The server reports cached tokens for prompts that it has never seen.",
    };
  }
  return disagreement(judged) ?? timesDenyRate(judged);
}

/** Fewer hits than the prompts allow, and another witness says that there were more. */
function deficitContradicted(judged: Judged): Cause | undefined {
  const found = disagreement(judged);
  if (found !== undefined) return found;
  // The model of the cache knows what was sent: it is a witness of its own.
  return isPredicted(judged) ? undefined : timesDenyDeficit(judged);
}

/** Counts of prompts or cached tokens that cannot be true: no rate rests on them. */
function breachCause(evidence: HitEvidence, faults: CounterFaults): Cause | undefined {
  const { countBreaches, requests } = evidence;
  const breached = Math.max(countBreaches?.prompt ?? 0, countBreaches?.cached ?? 0);
  if (countBreaches === undefined || breached <= requests * BREACH_SHARE) return undefined;
  const counters = usableCounterPercent({ ...evidence, ...faults });
  const also = counters === undefined ? "" : ` The server's counters say ${rate(counters)}.`;
  return {
    causeCode: "count-breach",
    cause: `The server's counts cannot be true in ${breached} of ${requests} requests ` +
      `(${countBreaches.text}, where ${evidence.promptTokens} prompt tokens were sent): they are ` +
      `left out of every figure.${also}`,
  };
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
  const { countBreaches: breaches } = evidence;
  if (breaches !== undefined) {
    const most = Math.max(breaches.prompt, breaches.cached, breaches.output);
    notes.push(
      `Counts of the server cannot be true in ${most} of ${evidence.requests} requests ` +
        `(${breaches.text}); they are left out.`,
    );
  }
  return evidence.reportedPercent === undefined
    ? notes
    : [...notes, ...counterNotes(evidence, faults)];
}

function counterNotes(evidence: HitEvidence, faults: CounterFaults): string[] {
  const notes: string[] = [];
  if (faults.otherTraffic) {
    const percent = rate(foreignPercentOf(evidence) ?? 0);
    notes.push(
      `Another client used the server: ${percent} of its prompt tokens were not ours; its ` +
        "counters are not used.",
    );
  }
  if (faults.overcounted) {
    const known = evidence.engine === "vllm" ? " (vLLM #43736, fixed by #48860)" : "";
    notes.push(`The counters count waiting requests more than once${known}; they are not used.`);
  }
  if (faults.undercounted) {
    notes.push("The counters hold only a part of the requests; they are not used.");
  }
  return notes;
}
