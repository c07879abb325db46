/**
 * When to stop asking a server that fails, and whether to ask again.
 *
 * Both are pure: they see outcomes and say what to do, and never a clock or a socket.
 *
 * @module
 */

import type { Failure, FailureKind } from "../record.ts";

/** Settings of {@linkcode Breaker}. */
export interface BreakerLimits {
  /** Failures in a row, over all slots, after which the period ends. */
  readonly maxConsecutiveErrors: number;
  /** Share of failures among the latest requests at which the period ends, in percent. */
  readonly maxErrorPercent: number;
  /** Requests in flight: every slot must have failed twice before the breaker opens. */
  readonly concurrency: number;
}

/** Requests that the share of failures is taken over, at least. */
const WINDOW_REQUESTS = 100;

/**
 * Counts failures: in a row, and among the latest 100 requests (four of each slot, if these are
 * more), so that a single success now and then does not keep a broken server's period alive. Once
 * open it stays open: what a server does after that belongs to another period.
 */
export class Breaker {
  readonly #most: number;
  readonly #maxErrorPercent: number;
  /** The latest requests, true where one failed; a ring once it is full. */
  readonly #latest: boolean[] = [];
  readonly #windowRequests: number;
  #recorded = 0;
  #failedInWindow = 0;
  #consecutive = 0;
  #last: Failure | undefined;
  #why: string | undefined;

  constructor({ maxConsecutiveErrors, maxErrorPercent, concurrency }: BreakerLimits) {
    this.#most = Math.max(maxConsecutiveErrors, 2 * concurrency);
    this.#maxErrorPercent = maxErrorPercent;
    this.#windowRequests = Math.max(WINDOW_REQUESTS, 4 * concurrency);
  }

  /** Takes the end of a request. @param failure Undefined for a success. */
  record(failure: Failure | undefined): void {
    // What was given up by the run itself says nothing about the server.
    if (failure?.kind === "aborted") return;
    const failed = failure !== undefined;
    this.#consecutive = failed ? this.#consecutive + 1 : 0;
    if (failed) this.#last = failure;
    const at = this.#recorded++ % this.#windowRequests;
    this.#failedInWindow += Number(failed) - Number(this.#latest[at] ?? false);
    this.#latest[at] = failed;
    this.#why ??= this.#trouble();
  }

  #trouble(): string | undefined {
    if (this.#consecutive >= this.#most) return `${this.#most} requests in a row failed`;
    const isFull = this.#latest.length === this.#windowRequests;
    const percent = 100 * this.#failedInWindow / this.#windowRequests;
    if (!isFull || percent < this.#maxErrorPercent) return undefined;
    return `${this.#failedInWindow} of the last ${this.#windowRequests} requests failed`;
  }

  /** True if no request is to be sent any more. */
  get isOpen(): boolean {
    return this.#why !== undefined;
  }

  /** Why it is open, for people: `20 requests in a row failed (connect: refused)`. */
  get reason(): string | undefined {
    if (this.#why === undefined || this.#last === undefined) return undefined;
    return `${this.#why} (${this.#last.kind}: ${this.#last.message})`;
  }
}

/** Failures that may pass by themselves; the others say no again, or were not the server's. */
const PASSING: ReadonlySet<FailureKind> = new Set(["connect", "disconnect", "timeout"]);
const PASSING_STATUS: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 30_000;
/** A timer takes no more: it would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * How long to wait before a request is sent again; `undefined` if it is not.
 *
 * A connection that broke says nothing about the load of the server: the first time the request is
 * sent again at once, as a pause of its slot would lower the concurrency that is measured. Else the
 * delay doubles from a quarter of a second to half a minute, and is never shorter than what the
 * server asked for in Retry-After. A request of which content was already read is not sent
 * again: its prompt is in the cache by now, and a second try would measure that.
 *
 * @param attempt Tries so far, 1 after the first one.
 * @param retries `--retries`.
 * @param hadContent True if the answer had begun.
 * @example
 * ```ts
 * import { retryDelayMs } from "./breaker.ts";
 * const failure = { kind: "http_status", message: "HTTP 429", status: 429, retryAfterMs: 1000 };
 * console.log(retryDelayMs(failure as never, 1, 2, false)); // 1000
 * ```
 */
export function retryDelayMs(
  failure: Failure | undefined,
  attempt: number,
  retries: number,
  hadContent: boolean,
): number | undefined {
  if (failure === undefined || attempt > retries || hadContent) return undefined;
  const passes = PASSING.has(failure.kind) ||
    (failure.kind === "http_status" && PASSING_STATUS.has(failure.status ?? 0));
  if (!passes) return undefined;
  if (failure.kind === "disconnect" && attempt === 1) return failure.retryAfterMs ?? 0;
  const backOffMs = FIRST_DELAY_MS * 2 ** Math.min(attempt - 1, 16);
  const asked = failure.retryAfterMs ?? 0;
  return Math.max(Math.min(backOffMs, LONGEST_DELAY_MS), Math.min(asked, LONGEST_TIMER_MS));
}

/** Requests of a cell or a run, counted. */
export interface SuccessCount {
  readonly succeeded: number;
  readonly failed: number;
}

/**
 * What is wrong with a share of successes; `undefined` if nothing is.
 *
 * @param minSuccessPercent `--min-success`. Nothing at all is always too little.
 */
export function successProblem(
  { succeeded, failed }: SuccessCount,
  minSuccessPercent: number,
): string | undefined {
  const all = succeeded + failed;
  if (all === 0 || succeeded === 0) return "no request succeeded";
  const percent = succeeded / all * 100;
  if (percent >= minSuccessPercent) return undefined;
  return `${succeeded} of ${all} requests succeeded (${percent.toFixed(1)} %), ` +
    `less than --min-success ${minSuccessPercent}`;
}
