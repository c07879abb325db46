/**
 * A server whose speed changes: it warms up, throttles, swings from minute to minute, or is another
 * one each time it is started. Nothing here reads a clock.
 *
 * With t seconds since the first request:
 *
 * ```text
 * speed = (1 - warming/100 * max(0, 1 - t / warming_s))
 *       * (1 - slowing/100 * min(1, t / slowing_s))
 *       * (1 + swing/100 * sin(2π * t / swing_s))
 *       * (1 + wander/100 * u)      u from -1 to 1, drawn once a start
 * ```
 *
 * @module
 */

import { randomStream, seedFor } from "../random.ts";

/** How the speed changes. All percentages 0: it does not. */
export interface SpeedSettings {
  /** Slower at the first request by this; at full speed `warmingSeconds` later. */
  readonly warmingPercent: number;
  readonly warmingSeconds: number;
  /** Slower by this from `slowingSeconds` on, as if it got hot. */
  readonly slowingPercent: number;
  readonly slowingSeconds: number;
  /** Up and down by this, once in `swingSeconds`. */
  readonly swingPercent: number;
  readonly swingSeconds: number;
  /** Each start is faster or slower by up to this. */
  readonly wanderPercent: number;
  /** Decides what this start is like. */
  readonly wanderSeed: number;
}

/** Speed as a function of the time since the first request: 1 is the speed of the settings. */
export function speedOf(settings: SpeedSettings): (elapsedMs: number) => number {
  const { warmingPercent, slowingPercent, swingPercent, wanderPercent } = settings;
  const stream = randomStream(seedFor("wander", settings.wanderSeed));
  const ofThisStart = 1 + wanderPercent / 100 * (2 * stream.nextBelow(1_000_001) / 1e6 - 1);
  return (elapsedMs) => {
    const t = Math.max(0, elapsedMs) / 1000;
    const warming = 1 - warmingPercent / 100 * Math.max(0, 1 - t / settings.warmingSeconds);
    const slowing = 1 - slowingPercent / 100 * Math.min(1, t / settings.slowingSeconds);
    const swing = 1 + swingPercent / 100 * Math.sin(2 * Math.PI * t / settings.swingSeconds);
    return warming * slowing * swing * ofThisStart;
  };
}
