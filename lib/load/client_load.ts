/**
 * How much the client itself was in the way of a period: the figures of the honesty panel.
 *
 * @module
 */

import type { ClientLoad, RequestRecord } from "../record.ts";
import { type EventLoopLag, quantile } from "./lag.ts";

/** What {@linkcode clientLoad} is made of. */
export interface ClientLoadSources {
  readonly records: readonly RequestRecord[];
  readonly concurrency: number;
  /** One of each worker. */
  readonly lags: readonly EventLoopLag[];
  readonly cpuMs: number;
  readonly wallMs: number;
  readonly receivedBytes: number;
  /** Requests that were sent again, each time counted. */
  readonly retries: number;
}

/**
 * The client's load in one period. `connectionsOpened` is never known: fetch does not tell whether
 * it opened a connection.
 */
export function clientLoad(sources: ClientLoadSources): ClientLoad {
  const delays = dueToSent(sources.records, sources.concurrency);
  const p99 = worst(sources.lags.map((lag) => lag.eventLoopLagP99Ms));
  const max = worst(sources.lags.map((lag) => lag.eventLoopLagMaxMs));
  return {
    ...(delays.length === 0 ? {} : {
      dueToSentP99Ms: quantile(delays, 0.99),
      dueToSentMaxMs: delays.at(-1) ?? 0,
    }),
    ...(p99 === undefined ? {} : { eventLoopLagP99Ms: p99 }),
    ...(max === undefined ? {} : { eventLoopLagMaxMs: max }),
    ...(sources.wallMs > 0 ? { cpuCores: sources.cpuMs / sources.wallMs } : {}),
    receivedBytes: sources.receivedBytes,
    retries: sources.retries,
  };
}

/**
 * Delays from due to sent, ascending. The requests that filled the slots at the start were all due
 * at one instant, and one thread sends them one after the other; as in the latency figures they
 * are left out if enough others remain.
 */
function dueToSent(records: readonly RequestRecord[], concurrency: number): number[] {
  const settled = records.filter((record) => !record.rampIn);
  const counted = settled.length >= Math.max(concurrency, 4) ? settled : records;
  return counted.map((record) => record.sentAtMs - record.dueAtMs).sort((a, b) => a - b);
}

function worst(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}
