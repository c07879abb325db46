/**
 * The assessment periods of a sustained run of the Python suite as summary rows and labels.
 *
 * @module
 */

import type { DetailRow, SummaryRow, SustainedRow } from "./schema.ts";

/**
 * One row for each working set (of a working-set run) or hit rate: the periods at the concurrency
 * with the highest input throughput among those that met the TTFT limit; if none did, the period
 * with the lowest measured TTFT. Rates are Σ tokens / Σ time, means are weighted by requests. A
 * percentile is given only for a single period: those of several cannot be pooled.
 *
 * @param maxTtftSec The TTFT limit of the run, in seconds.
 */
export function summaryOfPeriods(
  periods: readonly SustainedRow[],
  maxTtftSec: number | undefined,
): SummaryRow[] {
  const cells = Map.groupBy(
    periods.filter((row) => (row.num_requests_completed ?? 0) > 0 && (row.duration ?? 0) > 0),
    (row) => `${row.context_size}_${row.working_set_size}_${row.cache_hit_rate}`,
  );
  return [...cells.values()].map((rows) => {
    const { chosen, reason } = atPeak(rows, maxTtftSec);
    return { ...pooled(chosen), peak_reason: reason, ...limit(maxTtftSec) };
  });
}

/**
 * Request rows with the working set of their period: the Python suite labels all of a sustained
 * test with the largest one.
 */
export function setOfPeriod(
  details: readonly DetailRow[],
  periods: readonly SustainedRow[],
): DetailRow[] {
  const sets = new Map(periods.map((row) => [
    `${row.context_size}_${row.cache_hit_rate}_${row.period_number}`,
    row.working_set_size,
  ]));
  return details.map((row) => {
    const number = /^SUSTAINED_P(\d+)$/.exec(row.phase_id ?? "")?.[1];
    const set = sets.get(`${row.context_size}_${row.cache_hit_rate}_${number}`);
    return set === undefined ? row : { ...row, working_set_size: set };
  });
}

function atPeak(
  rows: readonly SustainedRow[],
  maxTtftSec: number | undefined,
): { readonly chosen: readonly SustainedRow[]; readonly reason: string } {
  const good = rows.filter((row) =>
    maxTtftSec === undefined || (row.measured_ttft ?? Infinity) <= maxTtftSec
  );
  if (good.length === 0) {
    const best = rows.reduce((a, b) =>
      (b.measured_ttft ?? Infinity) < (a.measured_ttft ?? Infinity) ? b : a
    );
    return { chosen: [best], reason: "no sustained period met the TTFT limit; lowest TTFT" };
  }
  const levels = [...Map.groupBy(good, (row) => row.concurrency_level).values()];
  const chosen = levels.reduce((a, b) => inputRate(b) > inputRate(a) ? b : a);
  return {
    chosen,
    reason: "highest input throughput of the sustained periods within the limits",
  };
}

function pooled(rows: readonly SustainedRow[]): SummaryRow {
  const [first] = rows;
  const requests = total(rows, "num_requests_completed");
  const duration = total(rows, "duration");
  const weighted = (name: "avg_ttft" | "avg_ttlt" | "avg_itl" | "avg_output_tokens_per_request") =>
    rows.every((row) => row[name] !== undefined)
      ? rows.reduce(
        (sum, row) => sum + (row[name] ?? NaN) * (row.num_requests_completed ?? NaN),
        0,
      ) / requests
      : undefined;
  const only = rows.length === 1 ? first : undefined;
  const rates = rows.map((row) => row.input_tokens_per_sec ?? NaN);
  const row: { [K in keyof SummaryRow]: SummaryRow[K] | undefined } = {
    context_size: first?.context_size,
    working_set_size: first?.working_set_size,
    cache_hit_rate: first?.cache_hit_rate,
    input_tokens_per_sec: inputRate(rows),
    output_tokens_per_sec: total(rows, "total_output_tokens") / duration,
    avg_ttft: weighted("avg_ttft"),
    median_ttft: only?.median_ttft,
    p95_ttft: only?.p95_ttft,
    p99_ttft: only?.p99_ttft,
    avg_ttlt: weighted("avg_ttlt"),
    median_ttlt: only?.median_ttlt,
    p95_ttlt: only?.p95_ttlt,
    p99_ttlt: only?.p99_ttlt,
    avg_tpot: weighted("avg_itl"),
    avg_output_tokens: weighted("avg_output_tokens_per_request"),
    peak_concurrency: first?.concurrency_level,
    total_requests: requests,
    test_duration: duration,
    min_input_tokens_per_sec: Math.min(...rates),
    max_input_tokens_per_sec: Math.max(...rates),
    periods_at_peak: rows.length,
  };
  const known = Object.entries(row).filter(([, value]) =>
    typeof value === "number" && Number.isFinite(value)
  );
  return Object.fromEntries(known) as SummaryRow;
}

function inputRate(rows: readonly SustainedRow[]): number {
  return total(rows, "total_input_tokens") / total(rows, "duration");
}

function total(
  rows: readonly SustainedRow[],
  name: "total_input_tokens" | "total_output_tokens" | "duration" | "num_requests_completed",
): number {
  return rows.reduce((sum, row) => sum + (row[name] ?? NaN), 0);
}

function limit(maxTtftSec: number | undefined): Pick<SummaryRow, "ttft_limit"> {
  return maxTtftSec === undefined ? {} : { ttft_limit: maxTtftSec };
}
