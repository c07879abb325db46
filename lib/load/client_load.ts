/**
 * How much the client itself was in the way of a period: the figures of the honesty panel.
 *
 * @module
 */

import type { ClientLoad } from "../record.ts";
import type { EventLoopLag } from "./lag.ts";

/** What {@linkcode clientLoad} is made of. */
export interface ClientLoadSources {
  /** One of each worker. */
  readonly lags: readonly EventLoopLag[];
  readonly cpuMs: number;
  readonly wallMs: number;
  /** Time of the window in which the slots stood still in long stalls, on average. */
  readonly stoppedMs: number;
  readonly receivedBytes: number;
  /** Requests that were sent again, each time counted. */
  readonly retries: number;
}

/**
 * The client's load in one period. `connectionsOpened` is never known: fetch does not tell whether
 * it opened a connection.
 */
export function clientLoad(sources: ClientLoadSources): ClientLoad {
  const p99 = worst(sources.lags.map((lag) => lag.eventLoopLagP99Ms));
  const max = worst(sources.lags.map((lag) => lag.eventLoopLagMaxMs));
  return {
    ...(p99 === undefined ? {} : { eventLoopLagP99Ms: p99 }),
    ...(max === undefined ? {} : { eventLoopLagMaxMs: max }),
    ...(sources.wallMs > 0 ? { cpuCores: sources.cpuMs / sources.wallMs } : {}),
    stoppedMs: sources.stoppedMs,
    receivedBytes: sources.receivedBytes,
    retries: sources.retries,
  };
}

function worst(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}
