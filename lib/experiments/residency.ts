/**
 * What of a working set is in the server's cache after its warm-up, where the server can tell.
 *
 * @module
 */

import { formatCount, formatPercent } from "../units.ts";
import type { CellContext } from "./cell.ts";
import { totalCapacityTokens } from "./sent_requests.ts";

/** What is known after a warm-up. */
export interface Residency {
  /** Tokens in the cache by the server's own gauges, whoever sent them. */
  readonly tokens?: number;
  /** For people; absent where nothing is known to be missing. */
  readonly note?: string;
}

/** Asks the gauges that were read after the warm-up, else the stated sizes of the tiers. */
export function residencyAfter(
  { watch, session }: Pick<CellContext, "watch" | "session">,
  workingSetTokens: number,
): Residency {
  const tokens = watch.residentTokens();
  if (tokens !== undefined) {
    const note = `by the server's gauges ${formatCount(tokens)} tokens are resident, ` +
      shareOf(tokens, workingSetTokens);
    return { tokens, ...(tokens < workingSetTokens ? { note } : {}) };
  }
  const capacity = totalCapacityTokens(session.facts);
  return capacity !== undefined && capacity < workingSetTokens
    ? {
      note: `the server states room for ${formatCount(capacity)} tokens, ` +
        shareOf(capacity, workingSetTokens),
    }
    : {};
}

function shareOf(tokens: number, workingSetTokens: number): string {
  return `at most ${formatPercent(tokens / workingSetTokens * 100)} of the working set`;
}
