/**
 * Which graphs open with a logarithmic axis.
 *
 * @module
 */

import type { Panel } from "./figure.ts";

/** Values further apart than this cannot be read off one linear axis. */
const DECADE = 10;

/** True where a linear axis would press the small values of a panel into its floor. */
export function spansDecade({ log, traces, rightTitle }: Panel): boolean {
  // On logarithmic axes a line and its ratio to a base are one line.
  if (log === false || rightTitle !== undefined) return false;
  const values = traces.filter((trace) => trace["fill"] !== "toself" && trace["right"] !== true)
    .flatMap((trace) => (trace["y"] ?? []) as readonly unknown[])
    .filter((value) => typeof value === "number" && value > 0) as number[];
  if (values.length < 2) return false;
  return values.reduce((a, b) => Math.max(a, b)) / values.reduce((a, b) => Math.min(a, b)) > DECADE;
}
