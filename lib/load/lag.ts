/**
 * A heartbeat: a timer every few milliseconds. By how much it comes late is the lag of the event
 * loop; where it comes later than a collection of garbage takes, the loop was held up.
 *
 * @module
 */

/** Delay of the event loop in one stretch of time. */
export interface EventLoopLag {
  readonly eventLoopLagP99Ms?: number;
  readonly eventLoopLagMaxMs?: number;
}

const EVERY_MS = 4;
const CALIBRATION_TIMERS = 8;
/** Timers are rounded up to whole milliseconds; what is later on an idle loop has other causes. */
const MOST_IDLE_MS = 2;
/** Later than this, and the loop was held up. What is shorter cannot be told from noise. */
export const STALL_MS = 2;
/** Stalls that nobody has taken: beyond these the shorter half is forgotten. */
const MOST_STALLS = 4096;

/**
 * Measures the lag of the event loop that it runs in, and notes its stalls. Timers of an idle loop
 * come about a millisecond late (they are rounded up); that part is found once and taken off.
 */
export class LagMeter {
  readonly #nowMs: () => number;
  #idleMs = 0;
  #late: number[] = [];
  /** Start, end, start, end, … */
  #stalls: number[] = [];
  #lastAtMs = Infinity;
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
    this.#idleMs = Math.min(MOST_IDLE_MS, quantile(late.sort((a, b) => a - b), 0.5));
  }

  /** Starts a new measurement. */
  start(): void {
    this.#stalls = [];
    this.restartLag();
    this.#next();
  }

  /** Forgets the lag so far, not the stalls: what fills the slots at first is the ramp-in. */
  restartLag(): void {
    this.#late = [];
  }

  #next(): void {
    clearTimeout(this.#timer);
    this.#lastAtMs = this.#nowMs();
    this.#timer = setTimeout(() => this.#beat(), EVERY_MS);
  }

  #beat(): void {
    const atMs = this.#nowMs();
    const lateMs = atMs - this.#lastAtMs - EVERY_MS - this.#idleMs;
    this.#late.push(Math.max(0, lateMs));
    if (lateMs > STALL_MS) {
      // The loop ran at the last beat, and should have run at this one: it stopped in between.
      this.#stalls.push(this.#lastAtMs + (EVERY_MS + this.#idleMs) / 2, atMs);
      if (this.#stalls.length > 2 * MOST_STALLS) this.#stalls = longerHalf(this.#stalls);
    }
    this.#next();
  }

  /** The stalls since the last call, up to this instant: start, end, start, end, … */
  takeStalls(): readonly number[] {
    // What comes first after a stall may be this call, and not the heartbeat.
    if (this.#nowMs() > this.#lastAtMs + EVERY_MS + this.#idleMs + STALL_MS) this.#beat();
    const stalls = this.#stalls;
    this.#stalls = [];
    return stalls;
  }

  /** Ends the measurement. Nothing is known of a stretch shorter than one timer. */
  stop(): EventLoopLag {
    clearTimeout(this.#timer);
    this.#lastAtMs = Infinity;
    const late = this.#late.sort((a, b) => a - b);
    this.#late = [];
    if (late.length === 0) return {};
    return { eventLoopLagP99Ms: quantile(late, 0.99), eventLoopLagMaxMs: late.at(-1) ?? 0 };
  }
}

function longerHalf(flat: readonly number[]): number[] {
  const lengths = Array.from(
    { length: flat.length / 2 },
    (_, i) => (flat[2 * i + 1] ?? 0) - (flat[2 * i] ?? 0),
  );
  const bound = quantile(lengths.toSorted((a, b) => a - b), 0.5);
  return lengths.flatMap((ms, i) => ms > bound ? [flat[2 * i] ?? 0, flat[2 * i + 1] ?? 0] : []);
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
