/**
 * Supplies the workers of a period with requests, ahead of need.
 *
 * @module
 */

import type { Clock } from "../host.ts";
import type { InferenceRequest } from "../record.ts";
import type { ToWorker, WireRequest } from "./messages.ts";

/** A worker, as a period sees it. */
export interface WorkerLink {
  post(message: ToWorker, transfer?: ArrayBuffer[]): void;
  /** Resolves when the worker has handled everything posted so far. */
  flush(): Promise<void>;
  connect(url: string, count: number): Promise<void>;
}

/** The part of a period that one worker runs. */
export interface Share {
  readonly link: WorkerLink;
  readonly slots: number;
  /** Requests that it wants to hold beyond those in flight. */
  stockTarget: number;
  /** Requests that it holds and has not launched. */
  held: number;
}

/** A request without its body, which is the worker's by now. */
export type DescribedRequest = Omit<InferenceRequest, "body">;

/** Ready requests beyond those in flight take at most this much memory, all workers together. */
const STOCK_BYTES = 256 * 1024 * 1024;
/** Requests are handed over at least this often while many are being built. */
const HAND_OVER_MS = 4;

/** Shares of a whole: equal but for the remainder, which the first ones get. Sums to the whole. */
export function shares(whole: number, parts: number): number[] {
  return Array.from(
    { length: parts },
    (_, part) => Math.floor(whole / parts) + (part < whole % parts ? 1 : 0),
  );
}

/** Takes requests from `next()` and deals them out. */
export class Supply {
  readonly shares: readonly Share[];
  readonly #period: number;
  readonly #next: () => InferenceRequest | undefined;
  readonly #clock: Clock;
  readonly #minRequests: number;
  #taken = 0;
  /** Dealt out, and not yet taken back by {@linkcode settle}. */
  readonly #open = new Map<string, DescribedRequest>();
  #bounded = false;
  #exhausted = false;
  #toldExhausted = false;

  constructor(
    period: number,
    shares: readonly Share[],
    next: () => InferenceRequest | undefined,
    clock: Clock,
    minRequests = Infinity,
  ) {
    this.#period = period;
    this.shares = shares;
    this.#next = next;
    this.#clock = clock;
    this.#minRequests = minRequests;
  }

  /** True if `next()` has ended and every request was launched. */
  get allLaunched(): boolean {
    return this.#exhausted && this.shares.every((share) => share.held === 0);
  }

  /** Requests that were dealt out and never settled, in the order of `next()`. */
  get open(): Iterable<DescribedRequest> {
    return this.#open.values();
  }

  /** Fills slots and stocks before the start. Returns the URLs that will be asked. */
  fill(): ReadonlySet<string> {
    const urls = new Set<string>();
    this.#deal((share) => share.slots + share.stockTarget - share.held, urls);
    return urls;
  }

  /** Fills the stocks up again. */
  topUp(): void {
    this.#deal((share) => share.stockTarget - share.held);
  }

  /** The request of an exchange that is over; undefined for one that is not known. */
  settle(requestId: string): DescribedRequest | undefined {
    const request = this.#open.get(requestId);
    this.#open.delete(requestId);
    return request;
  }

  /**
   * Each request goes to the worker that is shortest of them, so that the order of sending keeps
   * close to the order of `next()`.
   */
  #deal(wanted: (share: Share) => number, urls?: Set<string>): void {
    const dealt = new Map<Share, WireRequest[]>();
    let handOverAtMs = this.#clock.nowMs() + HAND_OVER_MS;
    while (!this.#exhausted) {
      const share = neediest(this.shares, wanted);
      if (share === undefined) break;
      const request = this.#take();
      if (request === undefined) break;
      urls?.add(request.url);
      const { requestId, url, timeoutMs, body } = request;
      const list = dealt.get(share) ?? [];
      const surplus = this.#taken > this.#minRequests;
      list.push({ requestId, url, timeoutMs, body, ...(surplus ? { surplus } : {}) });
      dealt.set(share, list);
      share.held++;
      if (this.#clock.nowMs() < handOverAtMs) continue;
      this.#handOver(dealt);
      dealt.clear();
      handOverAtMs = this.#clock.nowMs() + HAND_OVER_MS;
    }
    this.#handOver(dealt);
  }

  #take(): InferenceRequest | undefined {
    const request = this.#next();
    if (request === undefined) {
      this.#exhausted = true;
      return undefined;
    }
    if (!this.#bounded) this.#boundStock(request.body.length);
    this.#taken++;
    const { body: _, ...described } = request;
    this.#open.set(request.requestId, described);
    return request;
  }

  #boundStock(bodyBytes: number): void {
    this.#bounded = true;
    const slots = this.shares.reduce((sum, share) => sum + share.slots, 0);
    const affordable = STOCK_BYTES / Math.max(1, bodyBytes);
    for (const share of this.shares) {
      const own = Math.floor(affordable * share.slots / slots);
      share.stockTarget = Math.max(1, Math.min(share.slots, own));
    }
  }

  #handOver(dealt: ReadonlyMap<Share, readonly WireRequest[]>): void {
    const tell = this.#exhausted && !this.#toldExhausted;
    this.#toldExhausted ||= tell;
    for (const share of this.shares) {
      const requests = dealt.get(share) ?? [];
      if (requests.length === 0 && !tell) continue;
      const exhausted = this.#exhausted;
      const message = { type: "requests", period: this.#period, requests, exhausted } as const;
      share.link.post(message, requests.map((request) => request.body.buffer));
    }
  }
}

/** The share that wants most, for its size; undefined if none wants any. */
function neediest(all: readonly Share[], wanted: (share: Share) => number): Share | undefined {
  let best: Share | undefined;
  let most = 0;
  for (const share of all) {
    const want = wanted(share) / share.slots;
    if (want > most) [best, most] = [share, want];
  }
  return best;
}
