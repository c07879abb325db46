/**
 * The slots of one worker in one period: a closed loop, each slot with one request in flight.
 *
 * It has no thread, socket or clock of its own, so it is tested without any.
 *
 * @module
 */

import type { Exchange } from "../client/stream.ts";
import { retryDelayMs } from "./breaker.ts";
import {
  type Finished,
  type FromWorker,
  type Load,
  type Requests,
  SHARED,
  type Start,
  type WireRequest,
} from "./messages.ts";

/** What the slots need of the world. */
export interface SlotsHost {
  nowMs(): number;
  /** Sends a request; resolves when it is over, and never rejects. */
  send(request: WireRequest, dueAtMs: number, signal: AbortSignal): Promise<Exchange>;
  post(message: FromWorker, transfer?: ArrayBuffer[]): void;
  /** Calls back after `ms`; returns how to cancel that. */
  after(ms: number, callback: () => void): () => void;
  /** The slots are filled for the first time: from here on the event loop is to keep up. */
  filled(): void;
  /** When the event loop was held up since the last call: start, end, start, end, … */
  takeStalls(): readonly number[];
}

interface Slot {
  sent: number;
  /** Failures without a success between them. */
  failures: number;
}

interface Waiting {
  readonly slot: Slot;
  readonly dueAtMs: number;
}

/** A request that is sent again after a pause, unless launching is over by then. */
interface Retry {
  readonly slot: Slot;
  readonly finished: Finished;
  readonly cancel: () => void;
}

/** Finished exchanges wait this long for company before they are posted. */
const POST_EVERY_MS = 20;
/** A slot that fails twice in a row pauses, so that a dead server is not hammered: 50 ms … 1 s. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** Nothing waits longer to be sent again, a period without a deadline (a warm-up) neither. */
const MOST_WAIT_MS = 60_000;

/** Runs the slots of one worker through one period. */
export class Slots {
  readonly period: number;
  readonly #host: SlotsHost;
  readonly #shared: Int32Array;
  readonly #slots: readonly Slot[];
  readonly #controller = new AbortController();
  readonly #pauses = new Map<Slot, () => void>();
  readonly #retries = new Set<Retry>();
  readonly #mostRetries: number;
  #stock: WireRequest[] = [];
  #exhausted = false;
  #starved: Waiting[] = [];
  #start: Start | undefined;
  #active = 0;
  #launched = 0;
  #finished: Finished[] = [];
  #cancelPost: (() => void) | undefined;
  #postAtMs = Infinity;
  #cancelDeadline: (() => void) | undefined;
  readonly #onEnd: (unsent: readonly string[]) => void;

  /**
   * @param onEnd Called once, when all slots are empty for good, with the ids of the requests that
   * were not sent.
   */
  constructor(load: Load, host: SlotsHost, onEnd: (unsent: readonly string[]) => void) {
    this.period = load.period;
    this.#host = host;
    this.#shared = new Int32Array(load.shared);
    this.#mostRetries = load.retries ?? 0;
    this.#slots = Array.from({ length: load.slots }, () => ({ sent: 0, failures: 0 }));
    this.#onEnd = onEnd;
  }

  /** Takes requests into the stock; slots that wait for one start at once. */
  add(message: Requests): void {
    this.#stock.push(...message.requests);
    this.#exhausted ||= message.exhausted;
    const starved = this.#starved;
    this.#starved = [];
    for (const { slot, dueAtMs } of starved) this.#fill(slot, dueAtMs);
  }

  /** Fills all slots, at the instant that the message names. */
  start(message: Start): void {
    this.#start = message;
    this.#active = this.#slots.length;
    this.#at(message.startAtMs, () => {
      for (const slot of this.#slots) this.#fill(slot, message.startAtMs);
      this.#host.filled();
    });
    if (message.deadlineAtMs !== undefined) this.#watchDeadline(message.deadlineAtMs);
  }

  /** Never early: timers take whole milliseconds, and what is sent before the start counts nowhere. */
  #at(atMs: number, callback: () => void): void {
    this.#host.after(Math.max(0, atMs - this.#host.nowMs()), () => {
      if (this.#host.nowMs() < atMs) this.#at(atMs, callback);
      else callback();
    });
  }

  #watchDeadline(deadlineAtMs: number): void {
    const leftMs = deadlineAtMs - this.#host.nowMs();
    this.#cancelDeadline = this.#host.after(Math.max(0, leftMs), () => {
      if (this.#host.nowMs() < deadlineAtMs) this.#watchDeadline(deadlineAtMs);
      else if (this.#reachedMin()) this.#stopAt(deadlineAtMs);
    });
  }

  /** Launches no more; what is in flight goes on. */
  stop(): void {
    Atomics.store(this.#shared, SHARED.stopped, 1);
    const idle = [...this.#starved, ...this.#pauses.keys()];
    for (const cancel of this.#pauses.values()) cancel();
    this.#starved = [];
    this.#pauses.clear();
    for (const _ of idle) this.#retire();
    const retries = [...this.#retries];
    this.#retries.clear();
    for (const { slot, finished, cancel } of retries) {
      cancel();
      this.#settle(slot, finished);
    }
  }

  /** Gives up what is in flight. */
  giveUp(reason: "timeout" | "aborted"): void {
    this.stop();
    this.#controller.abort(reason);
  }

  #fill(slot: Slot, dueAtMs: number): void {
    if (this.#isOver(dueAtMs)) return this.#retire();
    const request = this.#stock[0];
    if (request === undefined) {
      if (!this.#exhausted) {
        this.#starved.push({ slot, dueAtMs });
        return this.#postSoon(0);
      }
      if (slot.sent > 0) {
        this.#host.post({ type: "dry", period: this.period, atMs: dueAtMs });
      }
      return this.#retire();
    }
    if (!this.#takeTicket(request)) {
      this.#stopAt(dueAtMs);
      return this.#retire();
    }
    this.#stock.shift();
    this.#launch(slot, request, dueAtMs);
  }

  /** Counts a launch in; false if the exact number of requests asked for was launched already. */
  #takeTicket({ surplus }: WireRequest): boolean {
    const { minRequests, deadlineAtMs } = this.#start ?? {};
    if (deadlineAtMs !== undefined && surplus) return true;
    const ticket = Atomics.add(this.#shared, SHARED.launched, 1) + 1;
    if (minRequests === undefined) return true;
    if (deadlineAtMs === undefined) {
      if (ticket <= minRequests) return true;
      Atomics.sub(this.#shared, SHARED.launched, 1);
      return false;
    }
    if (ticket === minRequests && this.#host.nowMs() > deadlineAtMs) {
      Atomics.store(this.#shared, SHARED.minWasLate, 1);
    }
    return true;
  }

  #launch(slot: Slot, request: WireRequest, dueAtMs: number): void {
    const rampIn = slot.sent === 0;
    slot.sent++;
    this.#launched++;
    if (this.#stock.length * 2 <= (this.#start?.stockTarget ?? 0)) this.#postSoon(0);
    this.#send(slot, request, dueAtMs, { rampIn, retries: 0 });
  }

  #send(
    slot: Slot,
    request: WireRequest,
    dueAtMs: number,
    about: Omit<Finished, "exchange">,
  ): void {
    this.#host.send(request, dueAtMs, this.#controller.signal).then((exchange) => {
      const finished = { exchange, ...about };
      const begun = exchange.status === 200 && exchange.bytes.length > 0;
      const { failure } = exchange;
      const pauseMs = retryDelayMs(failure, about.retries + 1, this.#mostRetries, begun);
      if (pauseMs === undefined || this.#isOver(exchange.endAtMs)) this.#settle(slot, finished);
      else this.#sendLater(slot, request, finished, Math.min(pauseMs, this.#leftMs()));
    });
  }

  /** The most that is worth waiting: a server may ask for an hour. */
  #leftMs(): number {
    const { deadlineAtMs } = this.#start ?? {};
    const leftMs = (deadlineAtMs ?? Infinity) - this.#host.nowMs();
    return leftMs > 0 ? Math.min(leftMs, MOST_WAIT_MS) : MOST_WAIT_MS;
  }

  #sendLater(slot: Slot, request: WireRequest, finished: Finished, pauseMs: number): void {
    const { rampIn, retries } = finished;
    const cancel = this.#host.after(pauseMs, () => {
      this.#retries.delete(retry);
      const dueAtMs = this.#host.nowMs();
      if (this.#isOver(dueAtMs)) this.#settle(slot, finished);
      else this.#send(slot, request, dueAtMs, { rampIn, retries: retries + 1 });
    });
    const retry = { slot, finished, cancel };
    this.#retries.add(retry);
  }

  #settle(slot: Slot, finished: Finished): void {
    this.#finished.push(finished);
    this.#postSoon(POST_EVERY_MS);
    this.#refill(slot, finished.exchange);
  }

  #refill(slot: Slot, exchange: Exchange): void {
    slot.failures = exchange.failure === undefined ? 0 : slot.failures + 1;
    if (slot.failures < 2) return this.#fill(slot, exchange.endAtMs);
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (slot.failures - 2));
    if (this.#isOver(exchange.endAtMs)) return this.#retire();
    const cancel = this.#host.after(pauseMs, () => {
      this.#pauses.delete(slot);
      // A pause is for the server's sake and has no right length: its request is due when it ends.
      this.#fill(slot, this.#host.nowMs());
    });
    this.#pauses.set(slot, cancel);
  }

  /** True if no slot is to be filled any more. */
  #isOver(dueAtMs: number): boolean {
    if (Atomics.load(this.#shared, SHARED.stopped) === 1) return true;
    const { deadlineAtMs } = this.#start ?? {};
    if (deadlineAtMs === undefined || this.#host.nowMs() < deadlineAtMs || !this.#reachedMin()) {
      return false;
    }
    const late = Atomics.load(this.#shared, SHARED.minWasLate) === 1;
    this.#stopAt(late ? Math.max(dueAtMs, deadlineAtMs) : deadlineAtMs);
    return true;
  }

  #reachedMin(): boolean {
    const min = this.#start?.minRequests ?? 0;
    return Atomics.load(this.#shared, SHARED.launched) >= min;
  }

  /** The first worker that sees the end says when it was. */
  #stopAt(atMs: number): void {
    if (Atomics.exchange(this.#shared, SHARED.stopped, 1) === 0) {
      this.#host.post({ type: "stopping", period: this.period, atMs });
    }
  }

  #retire(): void {
    this.#active--;
    if (this.#active > 0) return;
    this.#cancelDeadline?.();
    this.#post();
    this.#onEnd(this.#stock.map((request) => request.requestId));
  }

  #postSoon(withinMs: number): void {
    const atMs = this.#host.nowMs() + withinMs;
    if (atMs >= this.#postAtMs) return;
    this.#cancelPost?.();
    this.#postAtMs = atMs;
    this.#cancelPost = this.#host.after(withinMs, () => this.#post());
  }

  #post(): void {
    this.#cancelPost?.();
    this.#cancelPost = undefined;
    this.#postAtMs = Infinity;
    if (this.#launched === 0 && this.#finished.length === 0) return;
    const finished = this.#finished;
    const launched = this.#launched;
    this.#finished = [];
    this.#launched = 0;
    const transfer = finished.flatMap(({ exchange }) => [
      exchange.bytes.buffer,
      exchange.readEnds.buffer,
      exchange.readAtMs.buffer,
    ]);
    const stalls = this.#host.takeStalls();
    const progress = { type: "progress", period: this.period, launched, finished, stalls } as const;
    this.#host.post(progress, transfer);
  }
}
