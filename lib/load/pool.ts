/**
 * The load pool: the worker threads that send and measure, and periods run on them.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { peerCertificatePem } from "../client/tls.ts";
import type { InferenceRequest, PeriodOutcome } from "../record.ts";
import type { FromWorker, Pong, ToWorker } from "./messages.ts";
import { Period, type PeriodControl, type PeriodSpec } from "./period.ts";
import type { WorkerLink } from "./supply.ts";

export type { PeriodControl, PeriodSpec } from "./period.ts";

/** Settings of {@linkcode openPool}. */
export interface PoolOptions {
  /** Threads that send. One per core but one is right. */
  readonly workers: number;
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Further certificate authorities, in PEM. */
  readonly caPem?: string;
  /** Trust the certificate that each server shows first, whatever it is (see `client/tls.ts`). */
  readonly insecure?: boolean;
  /** Module that runs {@linkcode runLoadWorker} when its name is `kvmark-load`. */
  readonly workerModule: string;
  /** The main thread's clock; all instants are on its timeline. */
  readonly clock: Clock;
  /** CPU time of the process. */
  readonly cpuMs: () => number;
}

/** Worker threads, ready to send. */
export interface LoadPool {
  readonly workers: number;
  /**
   * Runs one period in a closed loop: exactly `concurrency` requests in flight until launching
   * stops, then a drain. A slot is refilled at once, from requests that its worker holds ready
   * (`next` is called ahead: up to `concurrency` requests may stay unsent, see `onUnsent`); only
   * a slot whose requests fail twice in a row pauses, for 50 ms doubling to 1 s. Every request
   * that was sent gives exactly one record.
   *
   * The window ends (`stopAtMs`) at the deadline; or, if the end is by count or for want of
   * requests, at the first instant at which a slot stayed empty. No request is sent
   * after it, unless they run out on one worker before they do on another.
   *
   * @param next Called on the main thread; its requests' buffers are transferred, so no two may
   * share one. `undefined` ends the period when all were sent.
   * @throws {KvmarkError} `internal` if a worker dies; and whatever `next` or `onRecord` throws.
   */
  runPeriod(
    spec: PeriodSpec,
    next: () => InferenceRequest | undefined,
    control?: PeriodControl,
  ): Promise<PeriodOutcome>;
  close(): Promise<void>;
}

const CLOCK_PINGS = 8;
/** Play in the comparison of two clocks. */
const CLOCK_PLAY_MS = 0.05;
const CONNECT_TIMEOUT_MS = 2000;

/**
 * Starts the workers and aligns their clocks.
 *
 * @throws {KvmarkError} `usage` if the certificates cannot be read, `internal` if a worker cannot
 * be started.
 */
export async function openPool(options: PoolOptions): Promise<LoadPool> {
  const pool = new Pool(options);
  try {
    await pool.open();
  } catch (error) {
    await pool.close();
    throw error;
  }
  return pool;
}

class Pool implements LoadPool {
  readonly workers: number;
  readonly #options: PoolOptions;
  readonly #links: ThreadLink[];
  readonly #pinned = new Map<string, Promise<void>>();
  readonly #caCerts: string[];
  #periods = 0;
  #period: Period | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.workers = Math.max(1, Math.floor(options.workers));
    this.#caCerts = options.caPem === undefined ? [] : [options.caPem];
    checkCertificates(this.#caCerts);
    this.#links = Array.from(
      { length: this.workers },
      (_, index) =>
        new ThreadLink(options.workerModule, {
          onMessage: (message) => this.#period?.receive(index, message),
          onDeath: (error) => this.#period?.fail(error),
        }),
    );
  }

  async open(): Promise<void> {
    const { headers, clock } = this.#options;
    await Promise.all(this.#links.map(async (link, worker) => {
      await link.alive;
      await link.ask({ type: "setup", worker, headers, caCerts: this.#caCerts }, "ready");
      link.post({ type: "clock", offsetMs: await clockOffsetMs(link, clock) });
    }));
  }

  async runPeriod(
    spec: PeriodSpec,
    next: () => InferenceRequest | undefined,
    control: PeriodControl = {},
  ): Promise<PeriodOutcome> {
    if (this.#period !== undefined) {
      throw new KvmarkError("internal", "A period is running already on this pool");
    }
    if (!Number.isInteger(spec.concurrency) || spec.concurrency < 1) {
      throw new KvmarkError("internal", `Cannot run at a concurrency of ${spec.concurrency}`);
    }
    const { clock, cpuMs, headers } = this.#options;
    const prepare = (url: string) => this.#prepare(url);
    const host = { clock, cpuMs, headers, prepare, links: this.#links };
    this.#period = new Period(++this.#periods, spec, next, control, host);
    try {
      for (const link of this.#links) link.check();
      return await this.#period.run();
    } finally {
      this.#period = undefined;
    }
  }

  /** With `insecure`, learns the certificate of a server before it is first used. */
  #prepare(url: string): Promise<void> {
    const { protocol, origin } = new URL(url);
    if (this.#options.insecure !== true || protocol !== "https:") return Promise.resolve();
    const pinned = this.#pinned.get(origin) ?? this.#pin(origin);
    this.#pinned.set(origin, pinned);
    return pinned;
  }

  async #pin(origin: string): Promise<void> {
    this.#caCerts.push(await peerCertificatePem(origin));
    for (const link of this.#links) link.post({ type: "trust", caCerts: this.#caCerts });
  }

  close(): Promise<void> {
    for (const link of this.#links) link.close();
    return Promise.resolve();
  }
}

/** Reads the certificates once here, where an error can be told. */
function checkCertificates(caCerts: readonly string[]): void {
  if (caCerts.length === 0) return;
  const hint = "give a file of certificates in PEM (-----BEGIN CERTIFICATE-----)";
  // Text without any certificate is taken without a word, and then trusts nobody.
  if (!caCerts.every((pem) => pem.includes("-----BEGIN CERTIFICATE-----"))) {
    throw new KvmarkError("usage", "Cannot find a certificate in what --ca names", { hint });
  }
  try {
    Deno.createHttpClient({ caCerts: [...caCerts] }).close();
  } catch (cause) {
    throw new KvmarkError("usage", "Cannot read the certificates of --ca", { hint, cause });
  }
}

/**
 * What to add to a worker's clock to be on the main thread's. The difference of the two time
 * origins is exact to microseconds, unless the wall clock was set between the two starts; so it is
 * checked against the bounds that a few round trips give, and their middle is taken if it is out.
 */
async function clockOffsetMs(link: ThreadLink, clock: Clock): Promise<number> {
  let least = -Infinity;
  let most = Infinity;
  let byOrigin = 0;
  for (let ping = 0; ping < CLOCK_PINGS; ping++) {
    const beforeMs = clock.nowMs();
    const pong = await link.ask({ type: "ping" }, "pong") as Pong;
    least = Math.max(least, beforeMs - pong.rawMs);
    most = Math.min(most, clock.nowMs() - pong.rawMs);
    byOrigin = pong.timeOriginMs - performance.timeOrigin;
  }
  const fits = byOrigin > least - CLOCK_PLAY_MS && byOrigin < most + CLOCK_PLAY_MS;
  return fits ? byOrigin : (least + most) / 2;
}

interface ThreadEvents {
  readonly onMessage: (message: FromWorker) => void;
  readonly onDeath: (error: KvmarkError) => void;
}

/** One worker thread: messages, and questions with their answers, in order. */
class ThreadLink implements WorkerLink {
  /**
   * The worker has loaded its modules and listens; on a machine that has to compile them first that
   * takes seconds, and a message that comes sooner is lost.
   */
  readonly alive: Promise<unknown>;
  readonly #worker: Worker;
  readonly #questions: {
    type: FromWorker["type"];
    resolve: (message: FromWorker) => void;
    reject: (error: unknown) => void;
  }[] = [];
  #death: KvmarkError | undefined;

  constructor(module: string, events: ThreadEvents) {
    this.#worker = new Worker(module, { type: "module", name: "kvmark-load" });
    this.#worker.onmessage = (event: MessageEvent<FromWorker>) => {
      const index = this.#questions.findIndex(({ type }) => type === event.data.type);
      if (index >= 0) this.#questions.splice(index, 1)[0]?.resolve(event.data);
      else events.onMessage(event.data);
    };
    const die = (why: string) => {
      this.#death ??= new KvmarkError("internal", `A load worker has died: ${why}`);
      for (const { reject } of this.#questions.splice(0)) reject(this.#death);
      events.onDeath(this.#death);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      die(event.message);
    };
    this.#worker.onmessageerror = () => die("a message could not be read");
    this.alive = this.#answer("alive");
    this.alive.catch(() => {}); // Told by whoever waits for it; a closed pool may not.
  }

  /** @throws {KvmarkError} If the worker is dead. */
  check(): void {
    if (this.#death !== undefined) throw this.#death;
  }

  post(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  ask(message: ToWorker, type: FromWorker["type"]): Promise<FromWorker> {
    const answer = this.#answer(type);
    this.post(message);
    return answer;
  }

  #answer(type: FromWorker["type"]): Promise<FromWorker> {
    return new Promise((resolve, reject) => {
      if (this.#death !== undefined) return reject(this.#death);
      this.#questions.push({ type, resolve, reject });
    });
  }

  async flush(): Promise<void> {
    await this.ask({ type: "ping" }, "pong");
  }

  async connect(url: string, count: number): Promise<void> {
    if (count === 0) return;
    await this.ask({ type: "connect", url, count, timeoutMs: CONNECT_TIMEOUT_MS }, "connected");
  }

  close(): void {
    this.#worker.terminate();
  }
}
