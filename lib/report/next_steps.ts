/**
 * What a reader can do about what is doubtful or missing in a run.
 *
 * @module
 */

import type { RunData, SummaryRow } from "../results/schema.ts";

/** One sentence each, the most useful first; empty where nothing is left to do. */
export function nextSteps(run: RunData): string[] {
  const { summary } = run;
  const some = (is: (row: SummaryRow) => boolean) => summary.some(is);
  return [
    some((row) => row.hit_rate_verdict === "unchecked") && run.writtenBy === "kvmark"
      ? "Let the server report its cached tokens; kvmark doctor names the option for it."
      : "",
    some((row) => row.hit_rate_verdict === "differs" && row.hit_rate_cause_code !== "eviction")
      ? "Look into the cells whose hit rate differs before you use their throughput."
      : "",
    some((row) => row.client_limited === "yes")
      ? "Measure the marked cells again from a machine with more free cores, or with several load" +
        " hosts (--shard)."
      : "",
    failedShare(summary) > 0.01
      ? "Find out why requests failed (the error columns of the request rows, the server's log)," +
        " and measure again."
      : "",
    ...tierSteps(run),
  ].filter((step) => step !== "");
}

function failedShare(summary: readonly SummaryRow[]): number {
  const total = (of: (row: SummaryRow) => number | undefined) =>
    summary.reduce((sum, row) => sum + (of(row) ?? 0), 0);
  const failed = total((row) => row.failed_requests);
  return failed === 0 ? 0 : failed / (failed + total((row) => row.total_requests));
}

function tierSteps({ kind, tierMap }: RunData): string[] {
  const series = tierMap?.series[0];
  if (kind !== "working-set" || series === undefined) return [];
  return [
    series.knees.length === 0 && series.reachesRecompute !== "yes"
      ? "To see where the cache ends, go on with larger sets: --max-working-set-size."
      : "",
    series.knees.some((knee) => knee.method === "step" && knee.high > 1.3 * knee.low)
      ? "To place the ends more closely, measure sizes between the two of each knee:" +
        " --working-set-sizes."
      : "",
  ];
}
