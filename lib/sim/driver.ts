/**
 * Plays engines in real time: wakes when one has something to do and hands over what came out.
 *
 * Timers have whole milliseconds and fire late. So a timer is set to fire early and the rest is
 * waited for by going around the event loop, which keeps answering in the meantime. An engine's
 * schedule does not depend on when it is woken, so that lateness never adds up.
 *
 * @module
 */

import { clearImmediate, setImmediate } from "node:timers";
import type { Emission, EngineRequest } from "./engine.ts";

/** What the driver needs of an engine. */
export interface DrivenEngine {
  submit(request: EngineRequest): void;
  abort(id: number): void;
  nextEventAtMs(): number | undefined;
  advanceTo(nowMs: number): Emission[];
}

/** A timer may fire this much too late. */
const TIMER_SLACK_MS = 1.2;

/** See the module's text. */
export class EngineDriver {
  readonly #engines: readonly DrivenEngine[];
  readonly #deliver: (emission: Emission) => void;
  readonly #nowMs: () => number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #immediate: ReturnType<typeof setImmediate> | undefined;

  constructor(
    engines: readonly DrivenEngine[],
    deliver: (emission: Emission) => void,
    nowMs: () => number,
  ) {
    this.#engines = engines;
    this.#deliver = deliver;
    this.#nowMs = nowMs;
  }

  /** To be called whenever an engine was given or relieved of something. */
  wake(): void {
    this.stop();
    let nextAtMs = Infinity;
    for (const engine of this.#engines) {
      nextAtMs = Math.min(nextAtMs, engine.nextEventAtMs() ?? Infinity);
    }
    if (nextAtMs === Infinity) return;
    const leftMs = nextAtMs - this.#nowMs();
    if (leftMs > TIMER_SLACK_MS) {
      this.#timer = setTimeout(() => this.#play(), Math.floor(leftMs - TIMER_SLACK_MS));
    } else {
      this.#immediate = setImmediate(() => this.#play());
    }
  }

  /** No more wake-ups until the next call of `wake`. */
  stop(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    if (this.#immediate !== undefined) clearImmediate(this.#immediate);
    this.#timer = this.#immediate = undefined;
  }

  #play(): void {
    const nowMs = this.#nowMs();
    for (const engine of this.#engines) {
      for (const emission of engine.advanceTo(nowMs)) this.#deliver(emission);
    }
    this.wake();
  }
}
