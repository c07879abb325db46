/**
 * Ratios in words.
 *
 * @module
 */

import type { Gain } from "./gains.ts";

/** `6.9×`; two digits after the point below 2. */
export function formatRatio(ratio: number | undefined): string {
  if (ratio === undefined || !Number.isFinite(ratio)) return "–";
  const digits = ratio < 2 ? 2 : ratio < 100 ? 1 : 0;
  return `${ratio.toFixed(digits)}×`;
}

/**
 * A ratio as people say it: `6.9×`, and below one the other way round: `12.5× lower`.
 *
 * @param below What a ratio below one is called.
 */
export function changeText(ratio: number | undefined, below: string): string {
  if (ratio === undefined || !(ratio > 0) || ratio >= 0.995) return formatRatio(ratio);
  return `${formatRatio(1 / ratio)} ${below}`;
}

/** The change of a gain: `at least 6.9×` where the search at the faster point was cut. */
export function boundedRatio(
  { ratio, bound }: Pick<Gain, "ratio" | "bound">,
  below: string,
): string {
  if (bound !== "at least" && bound !== "at most") return changeText(ratio, below);
  // The other way round, at least becomes at most.
  const isTurned = ratio !== undefined && ratio > 0 && ratio < 0.995;
  const other = bound === "at least" ? "at most" : "at least";
  return `${isTurned ? other : bound} ${changeText(ratio, below)}`;
}
