/**
 * The engine of the fault `constant-latency`: a server whose speed does not depend on anything.
 *
 * Every request gets its first token a fixed time after it arrived and one token each `itlMs`
 * after that, whatever the length of its prompt and however many others there are. A client that
 * sees anything but a flat line here measures itself.
 *
 * @module
 */

import type { Emission, EngineCounters, EngineRequest } from "./engine.ts";

/** What the constants are. */
export interface ConstantLatency {
  readonly ttftMs: number;
  readonly itlMs: number;
  /** See `EngineSettings`. */
  readonly speedAt?: (nowMs: number) => number;
}

/** Same calls as `Engine`, so that the server drives both alike; counts on the same counters. */
export class ConstantLatencyEngine {
  readonly #latency: ConstantLatency;
  readonly #counters: EngineCounters;
  readonly #requests = new Map<number, { readonly request: EngineRequest; sent: number }>();

  constructor(latency: ConstantLatency, counters: EngineCounters) {
    this.#latency = latency;
    this.#counters = counters;
  }

  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.#requests.size, waiting: 0 };
  }

  submit(request: EngineRequest): void {
    this.#requests.set(request.id, { request, sent: 0 });
  }

  abort(id: number): void {
    this.#requests.delete(id);
  }

  nextEventAtMs(): number | undefined {
    let earliest = Infinity;
    for (const { request, sent } of this.#requests.values()) {
      earliest = Math.min(earliest, this.#dueAtMs(request, sent));
    }
    return earliest === Infinity ? undefined : earliest;
  }

  advanceTo(nowMs: number): Emission[] {
    const emissions: Emission[] = [];
    for (const entry of this.#requests.values()) {
      const { request } = entry;
      let dueAtMs = this.#dueAtMs(request, entry.sent);
      while (entry.sent < request.outputTokens && dueAtMs <= nowMs) {
        const index = entry.sent++;
        this.#count(request, index);
        emissions.push({
          id: request.id,
          atMs: dueAtMs,
          index,
          token: request.outputToken(index),
          isLast: entry.sent === request.outputTokens,
          cached: { hbm: 0, dram: 0, ssd: 0 },
          scheduledAtMs: request.arrivedAtMs,
          ...(index === 0
            ? { prefill: [[request.arrivedAtMs, dueAtMs, request.promptTokens] as const] }
            : {}),
        });
        dueAtMs = this.#dueAtMs(request, entry.sent);
      }
      if (entry.sent === request.outputTokens) this.#requests.delete(request.id);
    }
    return emissions.sort((a, b) => a.atMs - b.atMs);
  }

  #count({ promptTokens }: EngineRequest, index: number): void {
    this.#counters.generationTokens++;
    if (index > 0) return;
    this.#counters.promptTokens += promptTokens;
    this.#counters.promptTokensComputed += promptTokens;
  }

  #dueAtMs(request: EngineRequest, index: number): number {
    const { ttftMs, itlMs, speedAt } = this.#latency;
    return request.arrivedAtMs + (ttftMs + index * itlMs) / (speedAt?.(request.arrivedAtMs) ?? 1);
  }
}
