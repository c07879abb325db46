/**
 * Which figures of a row the client's own delays may have made, as the row says.
 *
 * @module
 */

import type { PhaseRow, SummaryRow } from "../results/schema.ts";
import { formatCount } from "../units.ts";

type Row = Pick<
  SummaryRow & PhaseRow,
  "client_limited" | "client_marks" | "client_share_throughput_percent"
>;

/** `throughput 12 %, TTFT p95 31 %`; undefined where no figure is marked. */
export function clientMarkText(row: Row): string | undefined {
  if (row.client_limited !== "yes") return undefined;
  return row.client_marks ?? "which figure is not recorded";
}

/**
 * True if the throughput is marked: the server may do more. Folders from before the marks were
 * told apart do not say which figure was meant: there it may have been this one.
 */
export function isThroughputMarked(row: Row): boolean {
  if (row.client_limited !== "yes") return false;
  return row.client_share_throughput_percent === undefined ||
    (row.client_marks ?? "").includes("throughput");
}

/** What a reader has to know of the client, one sentence each. */
export function clientWarnings(
  summary: readonly SummaryRow[],
  phases: readonly PhaseRow[],
): string[] {
  const marked = summary.filter((row) => clientMarkText(row) !== undefined);
  const told = marked.filter((row) => row.client_marks !== undefined);
  const figures = ["throughput", "TTFT p50", "TTFT p95", "TTFT p99"].flatMap((name) => {
    const count = told.filter((row) => row.client_marks?.includes(name)).length;
    return count === 0 ? [] : [`${name} in ${count}`];
  });
  const stalled = summary.reduce((sum, row) => sum + (row.stalled_requests ?? 0), 0);
  const again = phases.filter((phase) => phase.unusable?.startsWith("the client stood still"));
  return [
    told.length === 0
      ? ""
      : `In ${told.length} of ${summary.length} cells more than 5 % of a figure may be the` +
        ` measuring client's own delay: ${figures.join(", ")}. Such a throughput is a lower bound` +
        " of the server's, such a TTFT an upper one.",
    marked.length === told.length
      ? ""
      : `In ${marked.length - told.length} of ${summary.length} cells the measuring client may` +
        " have been the limit: their throughput is a lower bound of the server's, and their" +
        " latency an upper one.",
    stalled === 0
      ? ""
      : `${formatCount(stalled)} requests are left out of the latencies: the measuring client` +
        " stood still while they were in flight.",
    again.length === 0
      ? ""
      : `${again.length} ${again.length === 1 ? "period does" : "periods do"} not count: the` +
        " measuring client was stopped meanwhile.",
  ].filter((sentence) => sentence !== "");
}
