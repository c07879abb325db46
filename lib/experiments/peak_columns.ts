/**
 * The columns of a summary row that say how its level was chosen.
 *
 * @module
 */

import type { Peak } from "../metrics/peak.ts";

/**
 * The columns of a peak.
 *
 * @param isMeasured False where no period was run: then only the reason is known.
 */
export function peakColumns(peak: Peak | undefined, isMeasured: boolean) {
  const { bound, cutBy, withinLimits, reason } = peak ?? {};
  return {
    peak_reason: reason,
    peak_bound: isMeasured ? bound : undefined,
    search_cut_by: isMeasured ? cutBy : undefined,
    within_limits: !isMeasured || peak === undefined ? undefined : withinLimits ? "yes" : "no",
  };
}
