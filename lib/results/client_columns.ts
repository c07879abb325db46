/**
 * Columns that say how far to trust the client.
 *
 * @module
 */

import { number, text } from "./columns.ts";

/** How far to trust the client, of a period and of a cell. */
export const CLIENT_COLUMNS = [
  number(
    "client_share_throughput_percent",
    "%",
    "Part of the throughput that the client's own delays can account for",
  ),
  number("client_share_ttft_p50_percent", "%", "The same of the median TTFT"),
  number("client_share_ttft_p95_percent", "%", "The same of the p95 of TTFT"),
  number("client_share_ttft_p99_percent", "%", "The same of the p99 of TTFT"),
  text(
    "client_limited",
    "`yes` where one of these is over 5 % (folders before 0.2: by other rules)",
  ),
  text("client_marks", "Which, and how much: `throughput 12 %, TTFT p95 31 %`"),
  number(
    "stalled_requests",
    "",
    "Requests left out of latencies: the client stood still meanwhile",
  ),
] as const;
