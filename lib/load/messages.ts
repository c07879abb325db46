/**
 * What the pool (main thread) and a load worker say to each other.
 *
 * All instants are on the main thread's timeline; the worker converts at its edge.
 *
 * @module
 */

import type { Exchange } from "../client/stream.ts";

/** The part of a request that a worker needs. */
export interface WireRequest {
  readonly requestId: string;
  readonly url: string;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly timeoutMs: number;
  /** Not one of the first `minRequests`: a period with a deadline may end without it. */
  readonly surplus?: true;
}

/** First message to a worker. */
export interface Setup {
  readonly type: "setup";
  readonly worker: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly caCerts: readonly string[];
}

/** A period is about to come: how many slots this worker has, and what all workers share. */
export interface Load {
  readonly type: "load";
  readonly period: number;
  readonly slots: number;
  /** Indices are those of {@linkcode SHARED}. */
  readonly shared: SharedArrayBuffer;
  /** How often a request that failed may be sent again. @default {0} */
  readonly retries?: number;
}

/** More requests for the stock. */
export interface Requests {
  readonly type: "requests";
  readonly period: number;
  readonly requests: readonly WireRequest[];
  /** No more will come. */
  readonly exhausted: boolean;
}

/** The clock of the period starts. */
export interface Start {
  readonly type: "start";
  readonly period: number;
  readonly startAtMs: number;
  /** Requests that the worker is to hold beyond those in flight; it reports at half of them. */
  readonly stockTarget: number;
  readonly deadlineAtMs?: number;
  /**
   * Without a deadline, how many requests all workers together launch. With one, how many that are
   * not surplus have to be launched before it counts.
   */
  readonly minRequests?: number;
}

/** Main to worker. */
export type ToWorker =
  | Setup
  | { readonly type: "ping" }
  /** What to add to the worker's own clock. */
  | { readonly type: "clock"; readonly offsetMs: number }
  | { readonly type: "trust"; readonly caCerts: readonly string[] }
  | {
    readonly type: "connect";
    readonly url: string;
    readonly count: number;
    readonly timeoutMs: number;
  }
  | Load
  | Requests
  | Start
  /** Launch no more. */
  | { readonly type: "stop"; readonly period: number }
  /** Give up what is in flight. */
  | { readonly type: "giveUp"; readonly period: number; readonly reason: "timeout" | "aborted" };

/** An exchange that is over. */
export interface Finished {
  readonly exchange: Exchange;
  /** First request of its slot. */
  readonly rampIn: boolean;
  /** How often it was sent again; the exchange is that of the last time. */
  readonly retries: number;
}

/** A worker's answer to `ping`. */
export interface Pong {
  readonly type: "pong";
  /** `performance.now()` of the worker, not converted. */
  readonly rawMs: number;
  readonly timeOriginMs: number;
}

/** A worker has nothing in flight and will launch nothing more. */
export interface Ended {
  readonly type: "ended";
  readonly period: number;
  readonly eventLoopLagP99Ms?: number;
  readonly eventLoopLagMaxMs?: number;
  /** Requests that it holds and did not send. */
  readonly unsent: readonly string[];
}

/** Worker to main. */
export type FromWorker =
  /** The thread listens: what was posted to it before this is lost. */
  | { readonly type: "alive" }
  | { readonly type: "ready" }
  | Pong
  | { readonly type: "connected" }
  | {
    readonly type: "progress";
    readonly period: number;
    /** Launched since the last message. */
    readonly launched: number;
    readonly finished: readonly Finished[];
    /** When the event loop was held up since the last message: start, end, start, end, … */
    readonly stalls: readonly number[];
  }
  /** A slot stayed empty, or the deadline passed, at this instant: launching is over. */
  | { readonly type: "stopping"; readonly period: number; readonly atMs: number }
  /** A slot stayed empty for want of requests at this instant. */
  | { readonly type: "dry"; readonly period: number; readonly atMs: number }
  | Ended;

/** Indices into the shared Int32Array of a period. */
export const SHARED = {
  /** Requests launched, all workers together; with a deadline, those of the first `minRequests`. */
  launched: 0,
  /** 1 as soon as launching is over. */
  stopped: 1,
  /** 1 if `minRequests` was only reached after the deadline. */
  minWasLate: 2,
} as const;

/** Bytes of the shared buffer of a period. */
export const SHARED_BYTES = 4 * Object.keys(SHARED).length;
