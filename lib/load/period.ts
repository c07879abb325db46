/**
 * One period, seen from the main thread: supplies the workers, tells them when to stop, and makes
 * records of what they send back. It never measures.
 *
 * @module
 */

import { toRecord } from "../client/openai.ts";
import type { Clock } from "../host.ts";
import { redactorOf } from "../redaction.ts";
import type { InferenceRequest, PeriodOutcome, RequestRecord } from "../record.ts";
import { firstContentAtMs } from "../metrics/durations.ts";
import { clientLoad } from "./client_load.ts";
import {
  type Ended,
  type Finished,
  type FromWorker,
  SHARED,
  SHARED_BYTES,
  type ToWorker,
} from "./messages.ts";
import { RecordStore } from "./record_store.ts";
import { StallLog, stoppedMs, stopProblem } from "./stalls.ts";
import { type DescribedRequest, type Share, shares, Supply, type WorkerLink } from "./supply.ts";

/** A period to run. */
export interface PeriodSpec {
  readonly cellId: string;
  readonly periodId: string;
  /** Requests in flight at every moment, all workers together. */
  readonly concurrency: number;
  /** Launching stops after this time. Without it: when the requests run out, or at `minRequests`. */
  readonly durationMs?: number;
  /**
   * Launching goes on past `durationMs` until the first so many requests of `next()` were sent;
   * without `durationMs`, exactly so many are sent.
   */
  readonly minRequests?: number;
  /** Requests still in flight this long after launching stopped are given up (`timeout`). */
  readonly drainTimeoutMs?: number;
  /**
   * How often a request that failed in a way that may pass is sent again (`breaker.ts`). Its record
   * is that of the last try, due when the pause before it was over; `client.retries` counts them.
   *
   * @default {0}
   */
  readonly retries?: number;
  /** The clock starts then, or at once if that instant has passed. @default {at once} */
  readonly startAtMs?: number;
  /**
   * Opens `concurrency` connections, the same number to each, by GETs of these cheap routes right
   * before the clock starts. Their failures are ignored.
   */
  readonly connectUrls?: readonly string[];
}

/** What can be done to a period from outside, and what it tells. */
export interface PeriodControl {
  /** Launch no more, let what is in flight end. */
  readonly drain?: AbortSignal;
  /** Give up what is in flight. */
  readonly abort?: AbortSignal;
  /** What is known better of a record; it is kept, and told, as this gives it back. */
  readonly amend?: (record: RequestRecord) => RequestRecord;
  /** Called with each record, soon after its request is over. */
  readonly onRecord?: (record: RequestRecord) => void;
  /** Called at the end with each request that was taken from `next()` and not sent, in order. */
  readonly onUnsent?: (request: DescribedRequest) => void;
}

/** What a period needs of the pool. */
export interface PeriodHost {
  readonly clock: Clock;
  readonly links: readonly WorkerLink[];
  readonly cpuMs: () => number;
  readonly headers: Readonly<Record<string, string>>;
  /** Called with each URL before its first request (certificates are pinned here). */
  readonly prepare: (url: string) => Promise<void>;
}

/** From the message that starts the clock to the start. */
const START_LEAD_MS = 5;
/** Opening connections takes up to 2 s; idle ones are dropped after 4 s. */
const CONNECT_LEAD_MS = 2500;
/** Records are made in slices of this length, so that workers do not wait for requests. */
const SLICE_MS = 8;

/** Runs one period. */
export class Period {
  readonly #host: PeriodHost;
  readonly #id: number;
  readonly #spec: PeriodSpec;
  readonly #control: PeriodControl;
  readonly #supply: Supply;
  /** By index of the worker; a worker without a slot takes no part. */
  readonly #shares: readonly Share[];
  readonly #ended = new Map<Share, Ended>();
  /** By index of the worker. */
  readonly #stalls = new Map<number, StallLog>();
  readonly #shared = new SharedArrayBuffer(SHARED_BYTES);
  readonly #flags = new Int32Array(this.#shared);
  readonly #records: RequestRecord[] = [];
  readonly #store = new RecordStore();
  #finished: Finished[] = [];
  #decoding = false;
  #receivedBytes = 0;
  #retries = 0;
  #stopAtMs: number | undefined;
  #interrupted = false;
  #ranDry = false;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;
  #wake: () => void = () => {};
  #fail: (error: unknown) => void = () => {};

  constructor(
    id: number,
    spec: PeriodSpec,
    next: () => InferenceRequest | undefined,
    control: PeriodControl,
    host: PeriodHost,
  ) {
    this.#id = id;
    this.#spec = spec;
    this.#control = control;
    this.#host = host;
    const slots = shares(spec.concurrency, host.links.length);
    this.#shares = host.links.flatMap((link, index) => {
      const own = slots[index] ?? 0;
      return own === 0 ? [] : [{ link, slots: own, stockTarget: own, held: 0 }];
    });
    this.#supply = new Supply(id, this.#shares, next, host.clock, spec.minRequests);
  }

  /** Rejects the period: a worker died. */
  fail(error: unknown): void {
    this.#fail(error);
  }

  /** Runs the period to the end of its drain. */
  async run(): Promise<PeriodOutcome> {
    const { clock, cpuMs } = this.#host;
    const over = new Promise<void>((resolve, reject) => {
      this.#wake = () => {
        if (this.#isOver()) resolve();
      };
      this.#fail = reject;
    });
    over.catch(() => {}); // awaited below; it may reject earlier
    try {
      await Promise.race([this.#prepare(), over]);
      const before = { cpuMs: cpuMs(), atMs: clock.nowMs() };
      const startAtMs = Math.max(before.atMs + START_LEAD_MS, this.#spec.startAtMs ?? 0);
      const release = this.#listen(startAtMs);
      this.#start(startAtMs);
      await over.finally(release);
      for (const request of this.#supply.open) this.#control.onUnsent?.(request);
      return this.#outcome(startAtMs, cpuMs() - before.cpuMs, clock.nowMs() - before.atMs);
    } catch (error) {
      this.#giveUp("aborted");
      throw error;
    }
  }

  /** Takes a message of one of the workers. */
  receive(worker: number, message: FromWorker): void {
    const share = this.#shares[worker];
    if (share === undefined || !("period" in message) || message.period !== this.#id) return;
    if (message.type === "progress") {
      share.held -= message.launched;
      this.#stallsOf(worker).add(message.stalls);
      this.#finished.push(...message.finished);
      this.#topUp();
      this.#decode();
    } else if (message.type === "ended") {
      this.#ended.set(share, message);
      this.#wake();
    } else {
      this.#stopAtMs = Math.min(this.#stopAtMs ?? Infinity, message.atMs);
      if (message.type === "stopping") this.#stop();
      else this.#ranDry = true;
    }
  }

  #stallsOf(worker: number): StallLog {
    const known = this.#stalls.get(worker) ?? new StallLog();
    this.#stalls.set(worker, known);
    return known;
  }

  #topUp(): void {
    try {
      if (!this.#isStopped()) this.#supply.topUp();
    } catch (error) {
      this.#fail(error);
    }
    if (this.#supply.allLaunched) this.#startDrainTimer();
  }

  /** Fills the stocks, and opens connections if asked to. */
  async #prepare(): Promise<void> {
    const { links } = this.#host;
    for (const { link, slots } of this.#shares) {
      const { retries = 0 } = this.#spec;
      link.post({ type: "load", period: this.#id, slots, shared: this.#shared, retries });
    }
    for (const url of this.#supply.fill()) await this.#host.prepare(url);
    await this.#connect();
    await Promise.all(links.map((link) => link.flush()));
  }

  /** Not earlier than has to be: idle connections are dropped, by servers and by us. */
  async #connect(): Promise<void> {
    const { links, clock } = this.#host;
    const { connectUrls = [], concurrency, startAtMs = 0 } = this.#spec;
    if (connectUrls.length === 0) return;
    const earlyMs = startAtMs - CONNECT_LEAD_MS - clock.nowMs();
    if (earlyMs > 0) await new Promise((resolve) => setTimeout(resolve, earlyMs));
    const counts = shares(Math.ceil(concurrency / connectUrls.length), links.length);
    for (const url of connectUrls) await this.#host.prepare(url);
    await Promise.all(
      connectUrls.flatMap((url) =>
        links.map((link, index) => link.connect(url, counts[index] ?? 0))
      ),
    );
  }

  #start(startAtMs: number): void {
    const { durationMs, minRequests } = this.#spec;
    for (const { link, stockTarget } of this.#shares) {
      link.post({
        type: "start",
        period: this.#id,
        startAtMs,
        stockTarget,
        ...(durationMs === undefined ? {} : { deadlineAtMs: startAtMs + durationMs }),
        ...(minRequests === undefined ? {} : { minRequests }),
      });
    }
  }

  /** Obeys the signals until the returned function is called. */
  #listen(startAtMs: number): () => void {
    const { drain, abort } = this.#control;
    const onDrain = () => {
      if (this.#isStopped() || this.#supply.allLaunched) return; // launching was over anyway: nothing is cut short
      this.#interrupt(startAtMs);
    };
    const onAbort = () => {
      this.#interrupt(startAtMs);
      this.#giveUp("aborted");
    };
    if (drain?.aborted) onDrain();
    if (abort?.aborted) onAbort();
    drain?.addEventListener("abort", onDrain);
    abort?.addEventListener("abort", onAbort);
    return () => {
      drain?.removeEventListener("abort", onDrain);
      abort?.removeEventListener("abort", onAbort);
      clearTimeout(this.#drainTimer);
    };
  }

  #interrupt(startAtMs: number): void {
    this.#stopAtMs ??= Math.max(startAtMs, this.#host.clock.nowMs());
    this.#interrupted = true;
    this.#stop();
  }

  #isStopped(): boolean {
    return Atomics.load(this.#flags, SHARED.stopped) === 1;
  }

  #stop(): void {
    Atomics.store(this.#flags, SHARED.stopped, 1);
    this.#postAll({ type: "stop", period: this.#id });
    this.#startDrainTimer();
  }

  #startDrainTimer(): void {
    const { drainTimeoutMs } = this.#spec;
    if (this.#drainTimer !== undefined || drainTimeoutMs === undefined) return;
    this.#drainTimer = setTimeout(() => this.#giveUp("timeout"), drainTimeoutMs);
  }

  #giveUp(reason: "timeout" | "aborted"): void {
    this.#postAll({ type: "giveUp", period: this.#id, reason });
  }

  #postAll(message: ToWorker): void {
    for (const { link } of this.#shares) link.post(message);
  }

  /** Makes records of what is over, in slices, so that messages are heard between them. */
  async #decode(): Promise<void> {
    if (this.#decoding) return;
    this.#decoding = true;
    const { clock } = this.#host;
    try {
      let sliceEndMs = clock.nowMs() + SLICE_MS;
      while (this.#finished.length > 0) {
        const batch = this.#finished;
        this.#finished = [];
        for (const finished of batch) {
          this.#record(finished);
          if (clock.nowMs() < sliceEndMs) continue;
          await new Promise((resolve) => setTimeout(resolve, 0));
          sliceEndMs = clock.nowMs() + SLICE_MS;
        }
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#decoding = false;
    this.#wake();
  }

  #record({ exchange, rampIn, retries }: Finished): void {
    const request = this.#supply.settle(exchange.requestId);
    if (request === undefined) return;
    this.#receivedBytes += exchange.bytes.length;
    this.#retries += retries;
    const seen = withoutKeys(toRecord(request, exchange, rampIn), this.#host.headers);
    const held = { ...seen, firstContentAtMs: firstContentAtMs(seen) };
    const made = { ...seen, ...this.#stallsOf(exchange.worker).heldUp(held) };
    const record = this.#store.keep(this.#control.amend?.(made) ?? made);
    this.#records.push(record);
    this.#control.onRecord?.(record);
  }

  #isOver(): boolean {
    return this.#ended.size === this.#shares.length && !this.#decoding &&
      this.#finished.length === 0;
  }

  #outcome(startAtMs: number, cpuMs: number, wallMs: number): PeriodOutcome {
    const { cellId, periodId, concurrency } = this.#spec;
    const records = this.#records.sort((a, b) => a.sentAtMs - b.sentAtMs);
    const decidedAtMs = this.#stopAtMs ?? startAtMs;
    // A launch that was decided on right before the end has its stamp right after it. Where the
    // requests ran out, another worker may have gone on alone: that is not in the window.
    const stopAtMs = this.#ranDry
      ? decidedAtMs
      : Math.max(decidedAtMs, records.at(-1)?.sentAtMs ?? decidedAtMs);
    const lags = [...this.#ended.values()];
    const logs = this.#shares.map((_, worker) => this.#stallsOf(worker));
    const stopped = stoppedMs(logs, { startAtMs, endAtMs: stopAtMs });
    const unusable = stopProblem(stopped, stopAtMs - startAtMs);
    const sums = { receivedBytes: this.#receivedBytes, retries: this.#retries };
    return {
      cellId,
      periodId,
      concurrency,
      startAtMs,
      stopAtMs,
      drainedAtMs: records.reduce((last, record) => Math.max(last, record.endAtMs), stopAtMs),
      records,
      client: clientLoad({ lags, cpuMs, wallMs, stoppedMs: stopped, ...sums }),
      interrupted: this.#interrupted,
      ...(unusable === undefined ? {} : { unusable }),
    };
  }
}

function withoutKeys(
  record: RequestRecord,
  headers: Readonly<Record<string, string>>,
): RequestRecord {
  const { failure } = record;
  if (failure === undefined) return record;
  return { ...record, failure: { ...failure, message: redactorOf(headers)(failure.message) } };
}
