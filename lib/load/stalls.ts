/**
 * Stretches in which the event loop of a load worker was held up: nothing was sent, and what
 * arrived was seen only at their end.
 *
 * A worker notices them by its heartbeat (`lag.ts`) and sends them along with its exchanges; the
 * main thread finds out here what they did to each request.
 *
 * @module
 */

import { formatMs } from "../units.ts";

/** A request that overlaps a stall of this length tells more about the client than the server. */
export const LONG_STALL_MS = 250;

/** A client that was stopped for more than this share of a period measured nothing. */
const STOPPED_TOLERANCE = 0.03;
/**
 * A read that waited is stamped in a turn after the late heartbeat, and on a busy core the thread
 * may have to wait once more before that turn: until the next heartbeat nothing is known better.
 */
const NEXT_TURN_MS = 4;
/** After a stall of this length the loop works off what has piled up: the next one belongs to it. */
const BACKLOG_AFTER_MS = 20;
/** Slots that emptied in a long stall are all refilled at once, within this time after it. */
const BURST_MS = 50;
/** 320 KB a worker. Of a longer history only the long stalls are kept. */
const MOST_STALLS = 20_000;

/** What the stalls of its worker did to one request. Absent where they did nothing. */
export interface HeldUp {
  /** Of the TTFT, what the client may have added: up to this much, and perhaps none of it. */
  readonly ttftHeldMs?: number;
  /** How long before the end was seen it may have been there. */
  readonly endHeldMs?: number;
  /** The request overlaps a stall of {@linkcode LONG_STALL_MS}, or was sent in the burst after it. */
  readonly stalled?: true;
}

/** A stretch of time. */
export interface Stretch {
  readonly startAtMs: number;
  readonly endAtMs: number;
}

/**
 * Time of a window in which every worker was in a long stall: the process was stopped, or had no
 * CPU. One worker alone that stands still is not that; the requests of its slots tell of it.
 */
export function stoppedMs(workers: readonly StallLog[], window: Stretch): number {
  const stopped = workers.reduce((left, log) => log.longWithin(left), [window]);
  return stopped.reduce((sum, { startAtMs, endAtMs }) => sum + endAtMs - startAtMs, 0);
}

/** Why a period is of no use if the client was stopped for so long; undefined if it is of use. */
export function stopProblem(stopped: number, windowMs: number): string | undefined {
  return stopped > windowMs * STOPPED_TOLERANCE
    ? `the client stood still for ${formatMs(stopped)} of ${formatMs(windowMs)} ` +
      "(its process was stopped, or had no CPU)"
    : undefined;
}

/** The stalls of one worker in one period, in order. */
export class StallLog {
  #starts: number[] = [];
  #ends: number[] = [];
  readonly #long: Stretch[] = [];

  /** Takes stalls as a worker sends them: start, end, start, end, … */
  add(flat: readonly number[]): void {
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const [startAtMs = 0, endAtMs = 0] = [flat[i], flat[i + 1]];
      this.#starts.push(startAtMs);
      this.#ends.push(endAtMs);
      if (endAtMs - startAtMs >= LONG_STALL_MS) this.#long.push({ startAtMs, endAtMs });
    }
    if (this.#starts.length <= MOST_STALLS) return;
    this.#starts = this.#starts.slice(-MOST_STALLS / 2);
    this.#ends = this.#ends.slice(-MOST_STALLS / 2);
  }

  /** What the stalls did to a request. */
  heldUp(request: {
    readonly dueAtMs: number;
    readonly sentAtMs: number;
    readonly firstContentAtMs?: number | undefined;
    readonly endAtMs: number;
  }): HeldUp {
    if (this.#starts.length === 0) return {};
    const { dueAtMs, sentAtMs, firstContentAtMs: firstAtMs, endAtMs } = request;
    const ttftHeldMs = firstAtMs === undefined ? 0 : Math.min(
      firstAtMs - sentAtMs,
      this.#heldAfter(sentAtMs) + this.#heldBefore(firstAtMs),
    );
    const endHeldMs = Math.min(endAtMs - sentAtMs, this.#heldBefore(endAtMs));
    const stalled = this.#long.some((one) =>
      one.startAtMs < endAtMs && dueAtMs < one.endAtMs + BURST_MS
    );
    return {
      ...(ttftHeldMs > 0 ? { ttftHeldMs } : {}),
      ...(endHeldMs > 0 ? { endHeldMs } : {}),
      ...(stalled ? { stalled } : {}),
    };
  }

  /** What the long stalls leave of some stretches of time that do not overlap. */
  longWithin(stretches: readonly Stretch[]): Stretch[] {
    return stretches.flatMap((stretch) =>
      this.#long.flatMap(({ startAtMs, endAtMs }) => {
        const from = Math.max(startAtMs, stretch.startAtMs);
        const to = Math.min(endAtMs, stretch.endAtMs);
        return from < to ? [{ startAtMs: from, endAtMs: to }] : [];
      })
    );
  }

  /** How long what was seen at `atMs` may have waited to be seen. */
  #heldBefore(atMs: number): number {
    const index = lastBefore(this.#starts, atMs);
    const [startAtMs, endAtMs] = [this.#starts[index], this.#ends[index]];
    if (startAtMs === undefined || endAtMs === undefined) return 0;
    if (atMs > endAtMs + NEXT_TURN_MS) return 0;
    const [earlierStartMs, earlierEndMs] = [this.#starts[index - 1], this.#ends[index - 1]];
    const follows = earlierStartMs !== undefined && earlierEndMs !== undefined &&
      earlierEndMs - earlierStartMs >= BACKLOG_AFTER_MS &&
      startAtMs - earlierEndMs < endAtMs - startAtMs;
    return atMs - (follows ? earlierStartMs : startAtMs);
  }

  /** How long what was queued for the network at `atMs` may have waited to leave. */
  #heldAfter(atMs: number): number {
    const index = lastBefore(this.#starts, atMs + NEXT_TURN_MS);
    return Math.max(0, (this.#ends[index] ?? -Infinity) - atMs);
  }
}

/** Index of the last of ascending numbers that is below a bound; -1 if none is. */
function lastBefore(ascending: readonly number[], bound: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? Infinity) < bound) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
