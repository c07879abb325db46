/**
 * The inference routes of the simulated server: from a body to a running request to its line in
 * the truth log.
 *
 * @module
 */

import type { ServerResponse } from "node:http";
import type { ApiKind } from "../record.ts";
import { Answer, type Cut, resetConnection } from "./answer.ts";
import { blockKeys, chainKey, contentHash, hashText, rootKey } from "./block_hash.ts";
import { ConstantLatencyEngine } from "./constant_latency.ts";
import { EngineDriver } from "./driver.ts";
import { type Emission, Engine, type EngineRequest } from "./engine.ts";
import { formatMetrics, Histogram, TTFT_BUCKETS_S } from "./exposition.ts";
import { answerFault, type Fault, type FaultName, faultsOf, parseFault } from "./faults.ts";
import {
  ApiError,
  type Generation,
  outputStream,
  parseBody,
  parseGeneration,
} from "./generation.ts";
import { latencyModel, type SimulatorSettings } from "./settings.ts";
import { speedOf } from "./speed.ts";
import { TieredCache } from "./tiered_cache.ts";
import type { TruthEntry } from "./truth_log.ts";

/** A request as it came in. */
export interface Arrival {
  readonly api: ApiKind;
  /** `X-Request-Id`, if it was sent. */
  readonly requestId: string | undefined;
  readonly receivedAtMs: number;
  readonly response: ServerResponse;
}

interface Active {
  readonly number: number;
  readonly arrival: Arrival;
  readonly generation: Generation;
  readonly answer: Answer;
  readonly engine: Engine | ConstantLatencyEngine;
  readonly faults: ReadonlySet<FaultName>;
  readonly promptHash: number;
  first: Emission | undefined;
  cut: Cut | undefined;
}

/** The connection ended before the request was complete. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}

/** How long half of the headers travels before the connection is reset. */
const HALF_HEADERS_MS = 5;

/** Engine, cache and running requests of one server. */
export class Inference {
  readonly #settings: SimulatorSettings;
  readonly #faults: readonly Fault[];
  readonly #nowMs: () => number;
  readonly #originMs: number;
  readonly #startedAtMs: number;
  readonly #onTruth: (entry: TruthEntry) => void;
  readonly #cache: TieredCache;
  readonly #engine: Engine;
  readonly #constant: ConstantLatencyEngine;
  readonly #driver: EngineDriver;
  readonly #active = new Map<number, Active>();
  readonly #ttftSeconds = new Histogram(TTFT_BUCKETS_S);
  readonly #finished = { length: 0, stop: 0, abort: 0 };
  readonly #speedAt: (nowMs: number) => number;
  #firstRequestAtMs: number | undefined;
  #requests = 0;

  /** `originMs` is added to instants of `nowMs` for the truth log. */
  constructor(
    settings: SimulatorSettings,
    clock: { nowMs: () => number; originMs: number },
    onTruth: (entry: TruthEntry) => void,
  ) {
    this.#settings = settings;
    this.#faults = settings.faults.map(parseFault);
    this.#nowMs = clock.nowMs;
    this.#originMs = clock.originMs;
    this.#startedAtMs = clock.originMs + clock.nowMs();
    this.#onTruth = onTruth;
    this.#cache = new TieredCache(settings);
    const { maxBatch, maxBatchedTokens, constantTtftMs, itlMs, speedup } = settings;
    const latency = latencyModel(settings);
    const speed = speedOf(settings);
    const speedAt = (nowMs: number) => speed(nowMs - (this.#firstRequestAtMs ?? nowMs));
    this.#speedAt = speedAt;
    this.#engine = new Engine({ latency, maxBatch, maxBatchedTokens, speedAt }, this.#cache);
    this.#constant = new ConstantLatencyEngine(
      { ttftMs: constantTtftMs / speedup, itlMs: itlMs / speedup, speedAt },
      this.#engine.counters,
    );
    const engines = [this.#engine, this.#constant];
    this.#driver = new EngineDriver(engines, (emission) => this.#deliver(emission), clock.nowMs);
  }

  /** The body of `/metrics`. */
  metrics(): string {
    const { running, waiting } = this.#engine.load;
    return formatMetrics({
      settings: this.#settings,
      counters: this.#engine.counters,
      running: running + this.#constant.load.running,
      waiting,
      kvUsedShare: this.#cache.usedShare(),
      resident: this.#cache.residentTokens(),
      startedAtMs: this.#startedAtMs,
      ttftSeconds: this.#ttftSeconds,
      finished: this.#finished,
    });
  }

  /** Empties the cache; false if requests hold blocks and are not to be preempted. */
  resetCache(options: { external: boolean; preempt: boolean }): boolean {
    if (options.preempt) this.#engine.preemptAll();
    const success = this.#cache.reset(options.external);
    this.#driver.wake();
    return success;
  }

  /** Answers a request, now or in time. */
  async serve(arrival: Arrival, body: Promise<string>): Promise<void> {
    const number = this.#requests++;
    this.#firstRequestAtMs ??= arrival.receivedAtMs;
    const faults = faultsOf(this.#faults, number);
    try {
      const text = await body;
      const answerWith = answerFault(faults);
      if (answerWith !== undefined) {
        this.#misbehave(answerWith, arrival);
        this.#log(arrival, number, faults, {
          status: arrival.response.statusCode,
          finish: "fault",
        });
      } else {
        const generation = parseGeneration(arrival.api, parseBody(text), this.#settings);
        if (arrival.response.destroyed) throw new ClientGone();
        this.#start(arrival, number, faults, generation);
      }
    } catch (error) {
      if (error instanceof ClientGone) {
        this.#log(arrival, number, faults, { status: 0, finish: "disconnect" });
      }
      if (!(error instanceof ApiError)) throw error;
      sendJson(arrival.response, error.status, error.body());
      this.#log(arrival, number, faults, { status: error.status, finish: "refused" });
    }
  }

  /** Ends everything that runs; each running request is logged as `closed`. */
  close(): void {
    this.#driver.stop();
    for (const active of [...this.#active.values()]) this.#end(active, "closed");
  }

  #start(
    arrival: Arrival,
    number: number,
    faults: ReadonlySet<FaultName>,
    generation: Generation,
  ): void {
    const { blockTokens } = this.#settings;
    const { promptIds, cacheSalt } = generation;
    const keys = blockKeys(promptIds, blockTokens, cacheSalt);
    const lastTokens = [...promptIds.subarray(keys.length * blockTokens)];
    const isConstant = faults.has("constant-latency");
    const useCache = !isConstant && !faults.has("cache-off");
    const root = rootKey(cacheSalt);
    // Without the salt: the hash says whether two prompts are the same text.
    const promptHash = chainKey(
      blockKeys(promptIds, blockTokens).at(-1) ?? 0,
      contentHash(lastTokens, 0, lastTokens.length),
    );
    const answer = this.#answerFor(arrival, number, faults, generation);
    const engine = isConstant ? this.#constant : this.#engine;
    const active: Active = {
      number,
      arrival,
      generation,
      answer,
      engine,
      faults,
      promptHash,
      first: undefined,
      cut: undefined,
    };
    this.#active.set(number, active);
    arrival.response.on("close", () => this.#closed(active));
    const request: EngineRequest = {
      id: number,
      promptTokens: promptIds.length,
      rootKey: root,
      blockKeys: useCache ? keys : [],
      lastTokens,
      useCache,
      loadsLowerTiers: generation.loadsLowerTiers,
      outputTokens: generation.outputTokens,
      arrivedAtMs: arrival.receivedAtMs,
      outputToken: outputStream(generation, promptHash),
    };
    answer.open();
    engine.submit(request);
    this.#driver.wake();
  }

  #answerFor(
    arrival: Arrival,
    number: number,
    faults: ReadonlySet<FaultName>,
    generation: Generation,
  ): Answer {
    const { api, response, receivedAtMs } = arrival;
    return new Answer({
      response,
      generation,
      blockTokens: this.#settings.blockTokens,
      nowMs: this.#nowMs,
      context: {
        api,
        id: `${api === "chat" ? "chatcmpl" : "cmpl"}-${requestIdOf(arrival, number)}`,
        model: this.#settings.model,
        created: Math.floor((this.#originMs + receivedAtMs) / 1000),
        faults,
        requestNumber: number,
        outputTokens: generation.outputTokens,
        includeUsage: generation.includeUsage,
      },
      onCut: (cut) => this.#cutOff(number, cut),
      onSent: () => {
        const active = this.#active.get(number);
        if (active !== undefined) this.#end(active, generation.finishReason);
      },
    });
  }

  #deliver(emission: Emission): void {
    const active = this.#active.get(emission.id);
    if (active === undefined) return;
    active.first ??= emission;
    active.answer.token(emission);
    if (emission.index === 0) {
      const atMs = active.answer.chunks[0]?.[0] ?? emission.atMs;
      this.#ttftSeconds.observe((atMs - active.arrival.receivedAtMs) / 1000);
    }
  }

  #cutOff(number: number, cut: Cut): void {
    const active = this.#active.get(number);
    if (active === undefined) return;
    active.cut = cut;
    active.engine.abort(number);
    // Called while the driver plays, which looks for the next event afterwards by itself.
  }

  /** The connection is closed; if the answer was complete, this is no news. */
  #closed(active: Active): void {
    if (this.#active.has(active.number)) this.#end(active, "disconnect");
  }

  #end(active: Active, ended: TruthEntry["finish"]): void {
    const finish = active.cut === undefined ? ended : "fault";
    this.#active.delete(active.number);
    active.answer.stop();
    active.engine.abort(active.number);
    this.#driver.wake();
    this.#finished[finish === "length" || finish === "stop" ? finish : "abort"]++;
    this.#log(active.arrival, active.number, active.faults, {
      status: 200,
      finish,
      ...this.#truthOf(active),
    });
  }

  #truthOf({ generation, answer, promptHash, first }: Active): Partial<TruthEntry> {
    const epoch = (atMs: number) => this.#originMs + atMs;
    const { promptIds, cacheSalt } = generation;
    const chunks = answer.chunks.map(([atMs, tokens]) => [epoch(atMs), tokens] as const);
    return {
      stream: generation.stream,
      promptTokens: promptIds.length,
      promptHash: hashText(promptHash),
      ...(this.#settings.truthBlocks ? { blockHashes: this.#blockHashes(promptIds) } : {}),
      ...(cacheSalt === undefined ? {} : { cacheSalt }),
      ...(answer.headersAtMs === undefined ? {} : { headersEpochMs: epoch(answer.headersAtMs) }),
      ...(first === undefined ? {} : {
        cached: first.cached,
        prefill: (first.prefill ?? []).map(([startAtMs, endAtMs, tokens]) =>
          [epoch(startAtMs), epoch(endAtMs), tokens] as const
        ),
        scheduledEpochMs: epoch(first.scheduledAtMs),
        speed: this.#speedAt(first.scheduledAtMs),
        firstTokenDueEpochMs: epoch(first.atMs),
      }),
      chunks,
      outputTokens: chunks.reduce((sum, [, tokens]) => sum + tokens, 0),
      plannedOutputTokens: generation.outputTokens,
    };
  }

  #blockHashes(ids: Int32Array): string[] {
    const { blockTokens } = this.#settings;
    return Array.from(
      { length: Math.floor(ids.length / blockTokens) },
      (_, i) => hashText(contentHash(ids, i * blockTokens, (i + 1) * blockTokens)),
    );
  }

  #log(
    arrival: Arrival,
    number: number,
    faults: ReadonlySet<FaultName>,
    rest: Partial<TruthEntry> & Pick<TruthEntry, "status" | "finish">,
  ): void {
    this.#onTruth({
      number,
      requestId: requestIdOf(arrival, number),
      api: arrival.api,
      stream: false,
      receivedEpochMs: this.#originMs + arrival.receivedAtMs,
      chunks: [],
      outputTokens: 0,
      ...rest,
      endedEpochMs: this.#originMs + this.#nowMs(),
      faults: [...faults],
    });
  }

  #misbehave(fault: FaultName, { response }: Arrival): void {
    if (fault === "reset-before-headers") resetConnection(response);
    else if (fault === "reset-mid-headers") {
      response.socket?.write("HTTP/1.1 200 OK\r\ncontent-type: text/ev");
      setTimeout(() => resetConnection(response), HALF_HEADERS_MS);
    } else if (fault === "http-429") {
      response.setHeader("retry-after", "1");
      sendJson(response, 429, new ApiError(429, "RateLimitError", "Too many requests").body());
    } else {
      const status = fault === "http-500" ? 500 : 200;
      const error = new ApiError(500, "InternalServerError", "The engine has died (simulated)");
      sendJson(response, status, error.body());
    }
  }
}

function requestIdOf({ requestId }: Arrival, number: number): string {
  return requestId ?? `sim-${number}`;
}

/** Sends a whole JSON answer. Does nothing if the client has gone. */
export function sendJson(response: ServerResponse, status: number, body: string): void {
  if (response.destroyed) return;
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": `${new TextEncoder().encode(body).length}`,
  });
  response.end(body);
}
