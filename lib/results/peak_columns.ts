/**
 * Columns that say how the level of a cell was chosen.
 *
 * @module
 */

import { text } from "./columns.ts";

/** Why this level, and how far the search came. */
export const PEAK_COLUMNS = [
  text("peak_reason", "Why this concurrency is the peak"),
  text(
    "peak_bound",
    "`exact`, or `lower`: the search was cut, and the server may do more; empty for one fixed level",
  ),
  text(
    "search_cut_by",
    "What cut it: `test-duration`, `max-concurrency`, `levels`, `client` or `signal`",
  ),
  text("within_limits", "`no` where the figures of the row break a limit of the run; else `yes`"),
] as const;
