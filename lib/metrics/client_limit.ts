/**
 * Was the client the limit? A period is marked where the client's own doing could have moved the
 * TTFT p95 or the throughput by more than 2 %.
 *
 * @module
 */

import type { ClientLoad } from "../record.ts";
import { formatMs, formatPercent } from "../units.ts";

/** The part of a figure that the client may move before the period is marked. */
export const CLIENT_TOLERANCE = 0.02;
/** Timers of a healthy event loop are late by up to this much; less than it says nothing. */
export const LAG_FLOOR_MS = 1;
/** Share of its cores above which a process counts as saturated. */
export const CPU_TOLERANCE = 0.9;

/** What {@linkcode clientLimits} judges. */
export interface ClientEvidence {
  readonly client: ClientLoad;
  /** 99th percentile of due to sent, without the burst at the start of the period. */
  readonly dueToSentP99Ms?: number;
  /** Σ (sent - due) over all requests / (concurrency x window): slot time that stood idle. */
  readonly idleShare?: number;
  /** Absent if no request was answered; lag is then not judged. */
  readonly ttftP95Ms?: number;
  readonly launched: number;
  /** Cores that the client may use; without it its CPU time is not judged. */
  readonly cores?: number;
}

/**
 * The reasons why the client may have been the limit, one line each; empty if it was not.
 *
 * - *Event-loop lag*: a read is stamped late by up to the lag, so its p99 may be at most 2 % of the
 *   TTFT p95, or 1 ms where that is more.
 * - *Due to sent, p99*: the same bound; a request that goes out late meets another queue.
 * - *Idle slots*: a closed loop loses the time between due and sent as throughput; at most 2 %.
 * - *CPU*: at least 90 % of the cores that the client may use.
 * - *Connections opened* inside the period, or *retries*, for more than 2 % of the requests: their
 *   TTFT holds more than the server's time.
 */
export function clientLimits(evidence: ClientEvidence): string[] {
  const { client, launched } = evidence;
  const reasons: string[] = [];
  const late = (what: string, ms: number | undefined) => {
    const ttftMs = evidence.ttftP95Ms;
    if (ms === undefined || ttftMs === undefined) return;
    if (ms > LAG_FLOOR_MS && ms > ttftMs * CLIENT_TOLERANCE) {
      reasons.push(`${what} ${formatMs(ms)} is over 2 % of the TTFT p95, ${formatMs(ttftMs)}`);
    }
  };
  late("event-loop lag p99", client.eventLoopLagP99Ms);
  late("delay before sending p99", evidence.dueToSentP99Ms);
  if ((evidence.idleShare ?? 0) > CLIENT_TOLERANCE) {
    const share = formatPercent((evidence.idleShare ?? 0) * 100);
    reasons.push(`slots stood idle for ${share} of the time before the client sent`);
  }
  const { cores } = evidence;
  if (cores !== undefined && (client.cpuCores ?? 0) >= cores * CPU_TOLERANCE) {
    reasons.push(`client CPU ${(client.cpuCores ?? 0).toFixed(2)} of ${cores} cores`);
  }
  const many = (count: number, what: string) => {
    if (count > launched * CLIENT_TOLERANCE) reasons.push(`${count} of ${launched} ${what}`);
  };
  many(client.connectionsOpened ?? 0, "requests opened a connection");
  many(client.retries, "requests were retries");
  return reasons;
}
