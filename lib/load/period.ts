/**
 * One period, seen from the main thread: deals requests out to the workers, keeps them supplied,
 * and makes records of what they send back. It never measures.
 *
 * @module
 */

import { redacted } from "../client/failures.ts";
import { toRecord } from "../client/openai.ts";
import type { Clock } from "../host.ts";
import type { ClientLoad, InferenceRequest, PeriodOutcome, RequestRecord } from "../record.ts";
import { quantile } from "./lag.ts";
import {
  type Ended,
  type Finished,
  type FromWorker,
  SHARED,
  SHARED_BYTES,
  type ToWorker,
  type WireRequest,
} from "./messages.ts";

/** A period to run. */
export interface PeriodSpec {
  readonly cellId: string;
  readonly periodId: string;
  /** Requests in flight at every moment, all workers together. */
  readonly concurrency: number;
  /** Launching stops after this time. Without it: when the requests run out, or at `minRequests`. */
  readonly durationMs?: number;
  /** Launching goes on past `durationMs` until this many were sent; without it, exactly so many. */
  readonly minRequests?: number;
  /** Requests still in flight this long after launching stopped are given up (`timeout`). */
  readonly drainTimeoutMs?: number;
  /** Opens `concurrency` connections by GETs of this URL right before the clock starts. */
  readonly connectUrl?: string;
}

/** What can be done to a period from outside. */
export interface PeriodControl {
  /** Launch no more, let what is in flight end. */
  readonly drain?: AbortSignal;
  /** Give up what is in flight. */
  readonly abort?: AbortSignal;
  /** Called with each record, soon after its request is over. */
  readonly onRecord?: (record: RequestRecord) => void;
  /** Called at the end with each request that was taken from `next()` and not sent, in order. */
  readonly onUnsent?: (request: Omit<InferenceRequest, "body">) => void;
}

/** A worker, as a period sees it. */
export interface WorkerLink {
  post(message: ToWorker, transfer?: ArrayBuffer[]): void;
  /** Resolves when the worker has handled everything posted so far. */
  flush(): Promise<void>;
  connect(url: string, count: number): Promise<void>;
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

interface Share {
  readonly link: WorkerLink;
  readonly slots: number;
  stockTarget: number;
  /** Requests that the worker holds and has not launched. */
  held: number;
  ended: Ended | undefined;
}

type Described = Omit<InferenceRequest, "body">;

/** Ready requests beyond those in flight take at most this much memory, all workers together. */
const STOCK_BYTES = 256 * 1024 * 1024;
/** From the message that starts the clock to the start. */
const START_LEAD_MS = 5;
/** Records are made in slices of this length, so that workers do not wait for requests. */
const SLICE_MS = 8;

/** Shares of a whole: equal but for the remainder, which the first ones get. Sums to the whole. */
export function shares(whole: number, parts: number): number[] {
  return Array.from(
    { length: parts },
    (_, part) => Math.floor(whole / parts) + (part < whole % parts ? 1 : 0),
  );
}

/** Runs one period. */
export class Period {
  readonly #host: PeriodHost;
  readonly #id: number;
  readonly #spec: PeriodSpec;
  readonly #next: () => InferenceRequest | undefined;
  readonly #control: PeriodControl;
  readonly #shares: Share[];
  readonly #shared = new SharedArrayBuffer(SHARED_BYTES);
  readonly #sent = new Map<string, Described>();
  readonly #records: RequestRecord[] = [];
  #finished: Finished[] = [];
  #exhausted = false;
  #decoding = false;
  #receivedBytes = 0;
  #stopAtMs: number | undefined;
  #interrupted = false;
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
    this.#next = next;
    this.#control = control;
    this.#host = host;
    const slots = shares(spec.concurrency, host.links.length);
    this.#shares = host.links.map((link, index) => {
      const own = slots[index] ?? 0;
      return { link, slots: own, stockTarget: own, held: 0, ended: undefined };
    });
  }

  /** Rejects the period: a worker died. */
  fail(error: unknown): void {
    this.#fail(error);
  }

  async run(): Promise<PeriodOutcome> {
    const { clock, cpuMs } = this.#host;
    const over = new Promise<void>((resolve, reject) => {
      this.#wake = () => {
        if (this.#isOver()) resolve();
      };
      this.#fail = reject;
    });
    over.catch(() => {});
    await Promise.race([this.#prepare(), over]);
    const startAtMs = clock.nowMs() + START_LEAD_MS;
    const before = { cpuMs: cpuMs(), atMs: clock.nowMs() };
    const release = this.#listen(startAtMs);
    this.#start(startAtMs);
    try {
      await over;
    } finally {
      release();
    }
    const busyMs = cpuMs() - before.cpuMs;
    const cpuCores = busyMs / (clock.nowMs() - before.atMs);
    this.#reportUnsent();
    return this.#outcome(startAtMs, cpuCores);
  }

  /** Takes a message of one of the workers. */
  receive(worker: number, message: FromWorker): void {
    const share = this.#shares[worker];
    if (share === undefined || !("period" in message) || message.period !== this.#id) return;
    if (message.type === "progress") {
      share.held -= message.launched;
      this.#guarded(() => this.#deal());
      this.#finished.push(...message.finished);
      this.#decode();
    } else if (message.type === "ended") {
      share.ended = message;
      this.#wake();
    } else {
      this.#stopAtMs = Math.min(this.#stopAtMs ?? Infinity, message.atMs);
      if (message.type === "stopping") this.#stop();
    }
  }

  /** What `next` or `onRecord` throws ends the period. */
  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#fail(error);
    }
  }

  #working(): Share[] {
    return this.#shares.filter((share) => share.slots > 0);
  }

  /** Fills the stocks, and opens connections if asked to. */
  async #prepare(): Promise<void> {
    const { links } = this.#host;
    for (const { link, slots, stockTarget } of this.#working()) {
      link.post({ type: "load", period: this.#id, slots, stockTarget, shared: this.#shared });
    }
    const urls = new Set<string>();
    this.#deal(urls);
    for (const url of urls) await this.#host.prepare(url);
    const { connectUrl, concurrency } = this.#spec;
    if (connectUrl !== undefined) {
      const counts = shares(concurrency, links.length);
      await Promise.all(links.map((link, index) => link.connect(connectUrl, counts[index] ?? 0)));
    }
    await Promise.all(links.map((link) => link.flush()));
  }

  #start(startAtMs: number): void {
    const { durationMs, minRequests } = this.#spec;
    for (const { link } of this.#working()) {
      link.post({
        type: "start",
        period: this.#id,
        startAtMs,
        ...(durationMs === undefined ? {} : { deadlineAtMs: startAtMs + durationMs }),
        ...(minRequests === undefined ? {} : { minRequests }),
      });
    }
    this.#wake();
  }

  /** Obeys the signals until the returned function is called. */
  #listen(startAtMs: number): () => void {
    const { drain, abort } = this.#control;
    const onDrain = () => this.#interrupt(startAtMs);
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
      this.#cancelDrain();
    };
  }

  #interrupt(startAtMs: number): void {
    if (this.#isOver()) return;
    // Aborted while draining anyway: launching had stopped before.
    this.#stopAtMs ??= Math.max(startAtMs, this.#host.clock.nowMs());
    this.#interrupted = true;
    this.#stop();
  }

  #cancelDrain: () => void = () => {};
  #draining = false;

  #stop(): void {
    Atomics.store(new Int32Array(this.#shared), SHARED.stopped, 1);
    for (const { link } of this.#working()) link.post({ type: "stop", period: this.#id });
    const { drainTimeoutMs } = this.#spec;
    if (this.#draining || drainTimeoutMs === undefined) return;
    this.#draining = true;
    const timer = setTimeout(() => this.#giveUp("timeout"), drainTimeoutMs);
    this.#cancelDrain = () => clearTimeout(timer);
  }

  #giveUp(reason: "timeout" | "aborted"): void {
    for (const { link } of this.#working()) {
      link.post({ type: "giveUp", period: this.#id, reason });
    }
  }

  /**
   * Takes requests from `next()` and gives each to the worker that is shortest of them, so that
   * the order of sending keeps close to the order of `next()`.
   */
  #deal(urls?: Set<string>): void {
    const stopped = Atomics.load(new Int32Array(this.#shared), SHARED.stopped) === 1;
    const dealt = new Map<Share, WireRequest[]>();
    // Before the start the slots themselves are to be filled, too.
    const wanted = (share: Share) =>
      share.stockTarget + (urls === undefined ? 0 : share.slots) - share.held;
    while (!this.#exhausted && !stopped) {
      const share = neediest(this.#working(), wanted);
      if (share === undefined) break;
      const request = this.#next();
      if (request === undefined) {
        this.#exhausted = true;
        break;
      }
      if (this.#sent.size === 0) this.#boundStock(request.body.length);
      urls?.add(request.url);
      const { body, ...described } = request;
      this.#sent.set(request.requestId, described);
      const { requestId, url, timeoutMs } = request;
      const list = dealt.get(share) ?? [];
      list.push({ requestId, url, timeoutMs, body });
      dealt.set(share, list);
      share.held++;
    }
    this.#hand(dealt);
  }

  #toldExhausted = false;

  #hand(dealt: ReadonlyMap<Share, readonly WireRequest[]>): void {
    const tell = this.#exhausted && !this.#toldExhausted;
    this.#toldExhausted ||= tell;
    for (const share of this.#working()) {
      const requests = dealt.get(share) ?? [];
      if (requests.length === 0 && !tell) continue;
      const transfer = requests.map((request) => request.body.buffer);
      const { link } = share;
      link.post(
        { type: "requests", period: this.#id, requests, exhausted: this.#exhausted },
        transfer,
      );
    }
  }

  #boundStock(bodyBytes: number): void {
    const affordable = STOCK_BYTES / Math.max(1, bodyBytes);
    for (const share of this.#shares) {
      const own = Math.floor(affordable * share.slots / this.#spec.concurrency);
      share.stockTarget = Math.max(1, Math.min(share.slots, own));
    }
  }

  /** Makes records of what is over, in slices, so that messages are heard between them. */
  async #decode(): Promise<void> {
    if (this.#decoding) return;
    this.#decoding = true;
    try {
      while (this.#finished.length > 0) {
        const batch = this.#finished;
        this.#finished = [];
        let sliceEndMs = this.#host.clock.nowMs() + SLICE_MS;
        for (const finished of batch) {
          this.#record(finished);
          if (this.#host.clock.nowMs() < sliceEndMs) continue;
          await new Promise((resolve) => setTimeout(resolve, 0));
          sliceEndMs = this.#host.clock.nowMs() + SLICE_MS;
        }
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#decoding = false;
    this.#wake();
  }

  #record({ exchange, rampIn }: Finished): void {
    const request = this.#sent.get(exchange.requestId);
    if (request === undefined) return;
    this.#sent.delete(exchange.requestId);
    this.#receivedBytes += exchange.bytes.length;
    const record = toRecord(request, exchange, rampIn);
    const { failure } = record;
    const safe = failure === undefined ? record : {
      ...record,
      failure: { ...failure, message: redacted(failure.message, this.#host.headers) },
    };
    this.#records.push(safe);
    this.#control.onRecord?.(safe);
  }

  #isOver(): boolean {
    return this.#working().every((share) => share.ended !== undefined) && !this.#decoding &&
      this.#finished.length === 0;
  }

  #reportUnsent(): void {
    for (const request of this.#sent.values()) this.#control.onUnsent?.(request);
  }

  #outcome(startAtMs: number, cpuCores: number): PeriodOutcome {
    const records = this.#records.sort((a, b) => a.sentAtMs - b.sentAtMs);
    const stopAtMs = this.#stopAtMs ?? startAtMs;
    return {
      cellId: this.#spec.cellId,
      periodId: this.#spec.periodId,
      concurrency: this.#spec.concurrency,
      startAtMs,
      stopAtMs,
      drainedAtMs: records.reduce((last, record) => Math.max(last, record.endAtMs), stopAtMs),
      records,
      client: this.#clientLoad(cpuCores),
      interrupted: this.#interrupted,
    };
  }

  #clientLoad(cpuCores: number): ClientLoad {
    const worst = (values: readonly (number | undefined)[]) =>
      values.reduce((a, b) => a === undefined ? b : b === undefined ? a : Math.max(a, b));
    const ended = this.#shares.map((share) => share.ended);
    const lagP99 = worst(ended.map((end) => end?.eventLoopLagP99Ms));
    const lagMax = worst(ended.map((end) => end?.eventLoopLagMaxMs));
    const delays = dueToSent(this.#records, this.#spec.concurrency);
    return {
      ...(delays.length === 0 ? {} : {
        dueToSentP99Ms: quantile(delays, 0.99),
        dueToSentMaxMs: delays.at(-1) ?? 0,
      }),
      ...(lagP99 === undefined ? {} : { eventLoopLagP99Ms: lagP99 }),
      ...(lagMax === undefined ? {} : { eventLoopLagMaxMs: lagMax }),
      ...(Number.isFinite(cpuCores) ? { cpuCores } : {}),
      receivedBytes: this.#receivedBytes,
      retries: 0,
    };
  }
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
