/**
 * Summary rows by cell.
 *
 * @module
 */

import type { SummaryRow } from "./schema.ts";

/** One row a cell, the last of each, in the order of context size, working set and hit rate. */
export function latestByCell(rows: readonly SummaryRow[]): SummaryRow[] {
  const byCell = new Map<string, SummaryRow>();
  for (const row of rows) {
    const { context_size, working_set_size, cache_hit_rate } = row;
    byCell.set(`${context_size}_${working_set_size}_${cache_hit_rate}`, row);
  }
  const order = (row: SummaryRow) =>
    [row.context_size ?? 0, row.working_set_size ?? 0, row.cache_hit_rate ?? 0] as const;
  return [...byCell.values()].sort((a, b) => {
    const [one, other] = [order(a), order(b)];
    return one[0] - other[0] || one[1] - other[1] || one[2] - other[2];
  });
}
