/**
 * How late an event loop is: a timer every 10 ms, and by how much it missed.
 *
 * @module
 */

/** Delay of the event loop in one stretch of time. */
export interface EventLoopLag {
  readonly eventLoopLagP99Ms?: number;
  readonly eventLoopLagMaxMs?: number;
}

const EVERY_MS = 10;
const CALIBRATION_TIMERS = 8;

/**
 * Measures the lag of the event loop that it runs in. Timers of an idle loop come about a
 * millisecond late (they are rounded up); that part is found once and taken off.
 */
export class LagMeter {
  readonly #nowMs: () => number;
  #idleMs = 0;
  #late: number[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Finds out how late a timer is while the loop is idle. */
  async calibrate(): Promise<void> {
    const late: number[] = [];
    for (let i = 0; i < CALIBRATION_TIMERS; i++) {
      const expectedAtMs = this.#nowMs() + EVERY_MS;
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      late.push(this.#nowMs() - expectedAtMs);
    }
    this.#idleMs = quantile(late.sort((a, b) => a - b), 0.5);
  }

  /** Starts a new measurement. */
  start(): void {
    clearTimeout(this.#timer);
    this.#late = [];
    this.#next();
  }

  #next(): void {
    const expectedAtMs = this.#nowMs() + EVERY_MS + this.#idleMs;
    this.#timer = setTimeout(() => {
      this.#late.push(Math.max(0, this.#nowMs() - expectedAtMs));
      this.#next();
    }, EVERY_MS);
  }

  /** Ends the measurement. Nothing is known of a stretch shorter than one timer. */
  stop(): EventLoopLag {
    clearTimeout(this.#timer);
    const late = this.#late.sort((a, b) => a - b);
    this.#late = [];
    if (late.length === 0) return {};
    return { eventLoopLagP99Ms: quantile(late, 0.99), eventLoopLagMaxMs: late.at(-1) ?? 0 };
  }
}

/**
 * A quantile of sorted numbers, linear between the closest ranks (the NumPy default).
 *
 * @param sorted In ascending order, not empty.
 * @param share 0 to 1.
 */
export function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? NaN;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at % 1);
}
