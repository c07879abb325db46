/**
 * A load worker: sends requests and stamps what comes back. It decodes nothing.
 *
 * @module
 */

import { exchange } from "../client/stream.ts";
import { LagMeter } from "./lag.ts";
import type { Ended, FromWorker, Setup, ToWorker } from "./messages.ts";
import { Slots, type SlotsHost } from "./slots.ts";
import { Turns } from "./turns.ts";

/**
 * Idle connections are dropped before a server drops them: llama.cpp, uvicorn (vLLM, SGLang) and
 * Node close theirs after 5 s, and a request on a connection that is just being closed fails.
 */
const IDLE_CONNECTION_MS = 4000;

/** The messages of this thread, typed. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker, transfer: ArrayBuffer[]): void;
}

/** Makes this thread a load worker. Called by the main module when its name is `kvmark-load`. */
export function runLoadWorker(): void {
  const scope = self as unknown as WorkerScope;
  const worker = new LoadWorker((message, transfer) => scope.postMessage(message, transfer ?? []));
  scope.onmessage = (event) => worker.receive(event.data);
  scope.postMessage({ type: "alive" }, []);
}

class LoadWorker implements SlotsHost {
  readonly post: SlotsHost["post"];
  readonly #lag = new LagMeter(() => this.nowMs());
  readonly #turns = new Turns();
  #setup: Setup = { type: "setup", worker: 0, headers: {}, caCerts: [] };
  #client: Deno.HttpClient | undefined;
  #offsetMs = 0;
  #slots: Slots | undefined;

  constructor(post: SlotsHost["post"]) {
    this.post = post;
  }

  nowMs(): number {
    return performance.now() + this.#offsetMs;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  }

  /** Sending to all slots at once takes a while: that is the ramp-in, not lag. */
  filled(): void {
    this.#turns.whenIdle(() => this.#lag.restartLag());
  }

  takeStalls(): readonly number[] {
    return this.#lag.takeStalls();
  }

  send(...[request, dueAtMs, signal]: Parameters<SlotsHost["send"]>): ReturnType<
    SlotsHost["send"]
  > {
    const options = {
      worker: this.#setup.worker,
      headers: this.#setup.headers,
      nowMs: () => this.nowMs(),
      client: this.#client,
      signal,
    };
    return new Promise((resolve) =>
      this.#turns.take(() => resolve(exchange({ ...request, dueAtMs }, options)))
    );
  }

  receive(message: ToWorker): void {
    switch (message.type) {
      case "setup":
        this.#setup = message;
        this.#trust(message.caCerts);
        this.#lag.calibrate().then(() => this.post({ type: "ready" }));
        break;
      case "ping":
        this.post({
          type: "pong",
          rawMs: performance.now(),
          timeOriginMs: performance.timeOrigin,
        });
        break;
      case "clock":
        this.#offsetMs = message.offsetMs;
        break;
      case "trust":
        this.#trust(message.caCerts);
        break;
      case "connect":
        this.#connect(message.url, message.count, message.timeoutMs)
          .then(() => this.post({ type: "connected" }));
        break;
      default:
        this.#receiveOfPeriod(message);
    }
  }

  #receiveOfPeriod(message: Extract<ToWorker, { readonly period: number }>): void {
    if (message.type === "load") {
      this.#slots = new Slots(message, this, (unsent) => this.#end(message.period, unsent));
    }
    const slots = this.#slots;
    if (slots === undefined || slots.period !== message.period) return;
    switch (message.type) {
      case "requests":
        slots.add(message);
        break;
      case "start":
        this.#lag.start();
        slots.start(message);
        break;
      case "stop":
        slots.stop();
        break;
      case "giveUp":
        slots.giveUp(message.reason);
    }
  }

  #end(period: number, unsent: readonly string[]): void {
    // A period that was given up may end after the next one was loaded.
    if (this.#slots?.period !== period) return;
    this.#slots = undefined;
    const ended: Ended = { type: "ended", period, unsent, ...this.#lag.stop() };
    this.post(ended);
  }

  #trust(caCerts: readonly string[]): void {
    this.#client?.close();
    this.#client = Deno.createHttpClient({
      caCerts: [...caCerts],
      poolIdleTimeout: IDLE_CONNECTION_MS,
      poolMaxIdlePerHost: 1_000_000,
      // One connection a stream: streams that share an HTTP/2 connection wait for one another.
      http2: false,
    });
  }

  /**
   * Opens connections by as many requests at once. No body is read before all headers are there,
   * so that no connection is used twice. A server that refuses some does no harm here.
   */
  async #connect(url: string, count: number, timeoutMs: number): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs);
    const { headers } = this.#setup;
    const init = { headers, signal, redirect: "manual" as const };
    const client = this.#client;
    const open = () => fetch(url, { ...init, ...(client === undefined ? {} : { client }) });
    const opened = await Promise.allSettled(Array.from({ length: count }, open));
    await Promise.allSettled(
      opened.map((one) => one.status === "fulfilled" ? one.value.arrayBuffer() : undefined),
    );
  }
}
