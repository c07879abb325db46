/**
 * Usage, counters and TTFT as three witnesses of one hit rate: which agree, which contradict.
 *
 * None of them decides alone. Two that agree are told from the third; where two are left and
 * contradict each other, both are named and neither is believed.
 *
 * @module
 */

import {
  type Cause,
  type Judged,
  rate,
  type RatioInterval,
  ttftRatio,
  usableCounterPercent,
} from "./verdict_evidence.ts";

/** Usage and counters of one set of requests may be this far apart: the edges of the window. */
const SOURCES_PERCENT = 5;
/** TTFT does not tell rates apart that are nearer to each other than this. */
const LEAST_APART_PERCENT = 15;
/** What takes this share of the time of a cold prompt is not seen to be reused. */
const NO_GAIN = 0.9;

/**
 * Which of two rates the TTFT is that of; `undefined` where it does not tell. The time of a prompt
 * is that of the tokens that are computed and something more, so at a rate r it is at least 1 − r
 * of a cold one. Both ends of the interval have to be on one side of the middle.
 */
export function timesFavour(
  ratio: RatioInterval | undefined,
  lowerPercent: number,
  higherPercent: number,
): "lower" | "higher" | undefined {
  if (ratio === undefined || higherPercent - lowerPercent < LEAST_APART_PERCENT) return undefined;
  const middle = 1 - (lowerPercent + higherPercent) / 200;
  if (ratio.high < middle) return "higher";
  return ratio.low > middle ? "lower" : undefined;
}

/** TTFT against a cold one, as it stands in a sentence. */
export function timeText({ ratio, low, high }: RatioInterval): string {
  return `${rate(100 * ratio)} of a cold one (95 %: ${rate(100 * low)} to ${rate(100 * high)})`;
}

/** Usage and counters that say different rates, and which of them TTFT is with. */
export function disagreement(judged: Judged): Cause | undefined {
  const { observedPercent: usage, observedBy, tolerancePercent } = judged;
  const counters = usableCounterPercent(judged);
  if (observedBy !== "usage" || counters === undefined) return undefined;
  if (Math.abs(counters - usage) <= Math.max(SOURCES_PERCENT, 2 * tolerancePercent)) {
    return undefined;
  }
  const ratio = ttftRatio(judged);
  const favour = timesFavour(ratio, Math.min(usage, counters), Math.max(usage, counters));
  const said = `Usage says ${rate(usage)}, the server's counters ${rate(counters)}`;
  if (favour === undefined || ratio === undefined) {
    const times = ratio === undefined ? "" : `; TTFT, ${timeText(ratio)}, does not tell which`;
    return { causeCode: "counter-lies", cause: `${said}: one of them is wrong${times}.` };
  }
  const usageIsWith = (favour === "lower") === (usage < counters);
  const [ally, other] = usageIsWith ? ["usage", "counters"] : ["the counters", "usage"];
  return {
    causeCode: "counter-lies",
    cause: `${said}: TTFT is ${timeText(ratio)}, so ${ally} and TTFT agree, and ${other} ` +
      `${usageIsWith ? "contradict" : "contradicts"} them.`,
  };
}

/** Less reuse is reported than the prompts allow, and the times are those of all of it. */
export function timesDenyDeficit(judged: Judged): Cause | undefined {
  const { observedPercent, achievablePercent } = judged;
  const ratio = ttftRatio(judged);
  const favour = timesFavour(ratio, observedPercent, achievablePercent);
  if (ratio === undefined || favour !== "higher") return undefined;
  return {
    causeCode: "contradiction",
    cause: `${who(judged)} ${rate(observedPercent)}, but TTFT is ${timeText(ratio)}, as it is ` +
      `where ${rate(achievablePercent)} is reused: they contradict each other.`,
  };
}

/** The rate is as intended, and the times are not. */
export function timesDenyRate(judged: Judged): Cause | undefined {
  const ratio = ttftRatio(judged);
  // Two witnesses that agree are right: then it is the reuse that brings nothing.
  if (ratio === undefined || areTwo(judged)) return undefined;
  const { observedPercent, achievablePercent } = judged;
  if (gainsNothing(judged)) {
    return {
      causeCode: "counter-lies",
      cause: `${rate(observedPercent)} is reported as reused, but TTFT is ${timeText(ratio)}: ` +
        "the count is wrong, or loading takes as long as computing.",
    };
  }
  return observedPercent < 5 && achievablePercent < 5 && ratio.high < 0.5
    ? {
      causeCode: "counter-lies",
      cause: `No hits are reported, but TTFT is ${timeText(ratio)}.`,
    }
    : undefined;
}

/** A good part is said to be reused, and prompts take as long as cold ones. */
export function gainsNothing(judged: Judged): boolean {
  const { observedPercent } = judged;
  const ratio = ttftRatio(judged);
  return ratio !== undefined && observedPercent >= 30 && ratio.low >= NO_GAIN &&
    timesFavour(ratio, 0, observedPercent) === "lower";
}

function areTwo(judged: Judged): boolean {
  return judged.observedBy === "usage" && usableCounterPercent(judged) !== undefined;
}

function who(judged: Judged): string {
  if (areTwo(judged)) return "Usage and the server's counters say";
  return judged.observedBy === "usage" ? "Usage says" : "The server's counters say";
}
