/**
 * How much of a figure may be the client's own doing? Each request says how long it waited to be
 * sent, and how long its answer may have waited to be read; a figure is marked where these delays
 * together can account for more than 5 % of it.
 *
 * @module
 */

import type { PeriodOutcome, RequestRecord } from "../record.ts";
import { formatPercent } from "../units.ts";
import { dueToSentMs, ttftFromDueMs, ttftMs } from "./durations.ts";
import { optional, spreadOf, total } from "./spread.ts";

/** The part of a figure that the client may account for before the figure is marked, in percent. */
export const CLIENT_TOLERANCE_PERCENT = 5;

/** The part of each figure that the client's own delays can account for, in percent of it. */
export interface ClientShares {
  readonly ttftP50Percent?: number;
  readonly ttftP95Percent?: number;
  readonly ttftP99Percent?: number;
  readonly throughputPercent?: number;
}

/**
 * The client's shares.
 *
 * - *TTFT*: every percentile is taken twice more, once of the least that the server can have taken
 *   (without what the client may have added while its event loop was held up), and once counted
 *   from when the request was due (one that goes out late meets another queue). The share is the
 *   difference of the two over the percentile.
 * - *Throughput*: a closed loop loses the time in which a slot stands empty, from when an answer
 *   may have been complete until the next request was sent. The share is that time, within the
 *   window, over slots x window.
 *
 * @param latency The requests that the latencies are taken over.
 */
export function clientShares(
  outcomes: readonly PeriodOutcome[],
  latency: readonly RequestRecord[],
): ClientShares {
  const measured = spreadOf(latency, ttftMs);
  const least = spreadOf(latency, leastTtftMs);
  const most = spreadOf(latency, ttftFromDueMs);
  const share = (of: (one: typeof measured) => number | undefined) => {
    const [figure, low, high] = [of(measured), of(least), of(most)];
    if (figure === undefined || low === undefined || high === undefined) return undefined;
    return figure > 0 ? (high - low) / figure * 100 : undefined;
  };
  const slotMs = total(outcomes, (one) => one.concurrency * (one.stopAtMs - one.startAtMs));
  const idleMs = total(outcomes, (one) => total(one.records, (record) => idleMsOf(record, one)));
  return {
    ...optional("ttftP50Percent", share((one) => one.medianMs)),
    ...optional("ttftP95Percent", share((one) => one.p95Ms)),
    ...optional("ttftP99Percent", share((one) => one.p99Ms)),
    ...optional("throughputPercent", slotMs > 0 ? idleMs / slotMs * 100 : undefined),
  };
}

/** The figures whose share is over the tolerance, in words: `TTFT p95 12 %`. */
export function clientMarks(shares: ClientShares): string[] {
  const named = [
    ["throughput", shares.throughputPercent],
    ["TTFT p50", shares.ttftP50Percent],
    ["TTFT p95", shares.ttftP95Percent],
    ["TTFT p99", shares.ttftP99Percent],
  ] as const;
  return named.flatMap(([name, percent]) =>
    isOver(percent) ? [`${name} ${formatPercent(Math.min(100, percent ?? 0))}`] : []
  );
}

/** True where the client's share of the throughput is over the tolerance: such a level is no peak. */
export function limitsThroughput({ throughputPercent }: ClientShares): boolean {
  return isOver(throughputPercent);
}

/**
 * Leaves out the requests that overlap a long stall of the client, if the others are more. Where
 * they are not, the client was held up all along, and the shares say so.
 */
export function withoutStalled(
  records: readonly RequestRecord[],
): { readonly kept: readonly RequestRecord[]; readonly leftOut: number } {
  const kept = records.filter((record) => record.stalled !== true);
  return kept.length * 2 > records.length
    ? { kept, leftOut: records.length - kept.length }
    : { kept: records, leftOut: 0 };
}

function isOver(percent: number | undefined): boolean {
  return percent !== undefined && percent > CLIENT_TOLERANCE_PERCENT;
}

function leastTtftMs(record: RequestRecord): number | undefined {
  const ms = ttftMs(record);
  return ms === undefined ? undefined : Math.max(0, ms - (record.ttftHeldMs ?? 0));
}

/** Time of the window in which the slot of a request stood empty for the client's sake. */
function idleMsOf(record: RequestRecord, { startAtMs, stopAtMs }: PeriodOutcome): number {
  const inside = (fromMs: number, toMs: number) =>
    Math.max(0, Math.min(toMs, stopAtMs) - Math.max(fromMs, startAtMs));
  const { dueAtMs, sentAtMs, endAtMs, endHeldMs = 0 } = record;
  const waiting = dueToSentMs(record) > 0 ? inside(dueAtMs, sentAtMs) : 0;
  return waiting + inside(endAtMs - endHeldMs, endAtMs);
}
