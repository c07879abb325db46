/**
 * Notices that the machine slept, or that somebody set its clock.
 *
 * @module
 */

import type { Clock } from "../host.ts";
import { formatMs } from "../units.ts";

/** Clocks that are corrected little by little differ by less. */
const TOLERANCE_MS = 1000;

/**
 * Starts watching.
 *
 * @returns A function that says what happened since: `undefined` if both clocks went on alike.
 */
export function watchClocks(clock: Pick<Clock, "nowMs" | "wallMs">): () => string | undefined {
  const startNowMs = clock.nowMs();
  const startWallMs = clock.wallMs();
  return () => {
    const ranMs = clock.nowMs() - startNowMs;
    const jumpMs = clock.wallMs() - startWallMs - ranMs;
    if (Math.abs(jumpMs) < TOLERANCE_MS) return undefined;
    const how = jumpMs > 0
      ? "ahead (the machine slept, or its clock was set)"
      : "back (it was set)";
    return `the wall clock jumped ${formatMs(Math.abs(jumpMs))} ${how}; durations are not ` +
      "touched by it, but connections may have broken";
  };
}
