/**
 * Whether the tables of a folder of the Python suite agree with each other: rows against the
 * requests that a period launched, cells against each other, periods against their numbers.
 *
 * @module
 */

import { formatCount } from "../units.ts";
import type { DetailRow, PhaseRow, SummaryRow, SustainedRow } from "./schema.ts";

/** The tables of a folder as they are read, zeros and all. */
export interface SuiteTables {
  readonly details: readonly DetailRow[];
  readonly phases: readonly PhaseRow[];
  readonly sustained: readonly SustainedRow[];
  readonly summary: readonly SummaryRow[];
}

/** Columns without which a request row has no place or no figure. */
const NEEDED = [
  "request_id",
  "phase_id",
  "context_size",
  "cache_hit_rate",
  "cached_tokens",
  "unique_tokens",
  "output_tokens",
  "ttft",
  "ttlt",
  "launch_time",
  "finish_time",
  "concurrency_level",
] as const satisfies readonly (keyof DetailRow)[];
const NEEDED_OF_PERIODS = [
  "period_number",
  "context_size",
  "cache_hit_rate",
  "start_time",
  "end_time",
  "duration",
  "concurrency_level",
  "num_requests_launched",
  "num_requests_completed",
  "total_input_tokens",
  "total_output_tokens",
  "input_tokens_per_sec",
  "avg_ttft",
  "median_ttft",
  "p95_ttft",
  "p99_ttft",
  "measured_ttft",
] as const satisfies readonly (keyof SustainedRow)[];
const NEEDED_OF_PHASES = [
  "phase_id",
  "context_size",
  "cache_hit_rate",
  "concurrency_level",
  "start_time",
  "end_time",
  "num_requests_completed",
] as const satisfies readonly (keyof PhaseRow)[];
const NEEDED_OF_SUMMARY = [
  "context_size",
  "cache_hit_rate",
  "input_tokens_per_sec",
  "avg_ttft",
  "p95_ttft",
  "peak_concurrency",
  "total_requests",
] as const satisfies readonly (keyof SummaryRow)[];

/** Seconds by which clocks of one row may differ. */
const SLACK_S = 0.25;

/** What is missing or contradicts itself, one sentence each, the worst first. */
export function damageOf(tables: SuiteTables): string[] {
  const { details, sustained, phases, summary } = tables;
  return [
    ...withoutTables(tables),
    ...missingRequests(details, sustained, phases),
    ...unknownPeriods(details, sustained),
    ...gapsBetween(sustained),
    ...absentCells("request row", details, NEEDED),
    ...absentCells("row", sustained, namesOf(sustained), "of the sustained periods"),
    ...absentCells("row", phases, NEEDED_OF_PHASES, "of the phases"),
    ...absentCells("row", summary, NEEDED_OF_SUMMARY, "of the summary"),
    ...contradictions(details, sustained),
  ];
}

/** Each request once: the rows, and how many were there twice. */
export function withoutDuplicates<R extends object>(
  rows: readonly R[],
): { readonly rows: R[]; readonly twice: number } {
  const seen = new Set<string>();
  const kept = rows.filter((row) => {
    const text = JSON.stringify(row);
    if (seen.has(text)) return false;
    seen.add(text);
    return true;
  });
  return { rows: kept, twice: rows.length - kept.length };
}

function withoutTables({ details, sustained, phases, summary }: SuiteTables): string[] {
  const periods = sustained.length + phases.length;
  if (details.length === 0 && periods + summary.length > 0) {
    return ["The request rows are missing: every figure is the suite's own and cannot be checked"];
  }
  if (details.length > 0 && periods === 0) {
    return [
      `${formatCount(details.length)} request rows, but the file of their periods is missing`,
    ];
  }
  const hasSet = (row: DetailRow | SustainedRow) => row.working_set_size !== undefined;
  if (sustained.length > 0 && details.some(hasSet) !== sustained.some(hasSet)) {
    return ["Either the request rows or their periods have lost the working set"];
  }
  if (phases.length > 0 && sustained.length === 0 && summary.length === 0) {
    return ["The summary is missing"];
  }
  return [];
}

function cellOf(row: { context_size?: number; cache_hit_rate?: number }): string {
  return `${row.context_size}_${row.cache_hit_rate}`;
}

function periodName(row: DetailRow): string {
  return `${cellOf(row)}_${row.phase_id}`;
}

function missingRequests(
  details: readonly DetailRow[],
  sustained: readonly SustainedRow[],
  phases: readonly PhaseRow[],
): string[] {
  if (details.length === 0) return [];
  const rows = Map.groupBy(details, periodName);
  const expected = sustained.length > 0
    ? sustained.map((row) =>
      [`${cellOf(row)}_SUSTAINED_P${row.period_number}`, row.num_requests_launched ?? 0] as const
    )
    : phases.map((row) =>
      [`${cellOf(row)}_${row.phase_id}`, row.num_requests_completed ?? 0] as const
    );
  // The other way round where a phase has fewer requests than rows.
  const short = expected.filter(([name, count]) => (rows.get(name)?.length ?? 0) < count);
  const long = expected.filter(([name, count]) => (rows.get(name)?.length ?? 0) > count);
  const total = expected.reduce((sum, [, count]) => sum + count, 0);
  const missing = short.reduce((sum, [n, count]) => sum + count - (rows.get(n)?.length ?? 0), 0);
  return [
    ...(missing === 0 ? [] : [
      `${formatCount(missing)} of ${formatCount(total)} requests have no row` +
      ` (in ${short.length} of ${expected.length} periods): lost, or they failed`,
    ]),
    ...(long.length === 0
      ? []
      : [`In ${long.length} of ${expected.length} periods there are more rows than requests`]),
  ];
}

function unknownPeriods(
  details: readonly DetailRow[],
  sustained: readonly SustainedRow[],
): string[] {
  if (sustained.length === 0) return [];
  const known = new Set(sustained.map((row) => `${cellOf(row)}_SUSTAINED_P${row.period_number}`));
  const lost = details.filter((row) => !known.has(periodName(row)));
  const names = new Set(lost.map(periodName));
  return lost.length === 0 ? [] : [
    `${formatCount(lost.length)} request rows belong to ${names.size} periods that are missing`,
  ];
}

/** The suite numbers the periods of a cell from 1, and each starts where the last one ended. */
function gapsBetween(sustained: readonly SustainedRow[]): string[] {
  const problems: string[] = [];
  for (const rows of Map.groupBy(sustained, cellOf).values()) {
    const numbers = rows.map((row) => row.period_number ?? NaN);
    const most = Math.max(...numbers.filter(Number.isFinite), 0);
    const missing = Array.from({ length: most }, (_, i) => i + 1)
      .filter((number) => !numbers.includes(number));
    if (missing.length > 0) {
      problems.push(`${missing.length} of ${most} periods are missing (${shortList(missing)})`);
    }
    if (new Set(numbers).size < numbers.length) problems.push("A period number is there twice");
  }
  return problems;
}

function shortList(numbers: readonly number[]): string {
  return numbers.slice(0, 5).join(", ") + (numbers.length > 5 ? ", …" : "");
}

function absentCells<R extends object>(
  what: string,
  rows: readonly R[],
  names: readonly (keyof R & string)[],
  of = "",
): string[] {
  return names.flatMap((name) => {
    const absent = rows.filter((row) => row[name] === undefined).length;
    if (absent === 0) return [];
    const where = of === "" ? "" : ` ${of}`;
    return absent === rows.length
      ? [`No ${what}${where} has a number of ${name}`]
      : [`${formatCount(absent)} of ${formatCount(rows.length)} ${what}s${where} have no ${name}`];
  });
}

/** The columns that a period needs, and those that other periods have. */
function namesOf(sustained: readonly SustainedRow[]): (keyof SustainedRow)[] {
  const present = sustained.flatMap((row) => Object.keys(row)) as (keyof SustainedRow)[];
  return sustained.length === 0 ? [] : [...new Set([...NEEDED_OF_PERIODS, ...present])];
}

/** Rows whose own numbers cannot all be true. */
function contradictions(
  details: readonly DetailRow[],
  sustained: readonly SustainedRow[],
): string[] {
  const periods = new Map(
    sustained.map((row) => [`${cellOf(row)}_SUSTAINED_P${row.period_number}`, row]),
  );
  const odd = details.filter((row) => isOdd(row, periods.get(periodName(row)))).length;
  const oddPeriods = sustained.filter(isOddPeriod).length;
  return [
    ...(odd === 0 ? [] : [
      `${formatCount(odd)} of ${formatCount(details.length)} request rows contradict themselves` +
      " (times, tokens or concurrency)",
    ]),
    ...(oddPeriods === 0 ? [] : [
      `${oddPeriods} of ${sustained.length} sustained periods contradict themselves` +
      " (times, tokens or rates)",
    ]),
  ];
}

function isOdd(row: DetailRow, period: SustainedRow | undefined): boolean {
  const { ttft = 0, ttlt = 0, launch_time: launched, finish_time: ended } = row;
  const tokens = (row.cached_tokens ?? NaN) + (row.unique_tokens ?? NaN);
  const context = row.context_size ?? NaN;
  return ttft < 0 || ttft > ttlt + SLACK_S ||
    Math.abs((ended ?? NaN) - (launched ?? NaN) - Math.max(ttlt, ttft)) > SLACK_S + 0.05 * ttlt ||
    tokens < 0.9 * context || tokens > 1.1 * context + 256 ||
    (period !== undefined && (
      row.concurrency_level !== period.concurrency_level ||
      (launched ?? NaN) < (period.start_time ?? NaN) - SLACK_S ||
      (launched ?? NaN) > (period.end_time ?? NaN) + SLACK_S
    ));
}

function isOddPeriod(row: SustainedRow): boolean {
  const { duration = NaN, total_input_tokens: input = NaN, input_tokens_per_sec: rate } = row;
  const span = (row.end_time ?? NaN) - (row.start_time ?? NaN);
  return Math.abs(span - duration) > SLACK_S + 0.01 * duration ||
    Math.abs((rate ?? NaN) - input / duration) > 0.02 * input / duration + 1 ||
    (row.num_requests_completed ?? 0) > (row.num_requests_launched ?? Infinity);
}
