/**
 * Rows of a run, sorted into what the graphs draw: cells, their periods and their requests.
 *
 * @module
 */

import { formatCount, formatPercent } from "../units.ts";
import type { DetailRow, PhaseRow, RunConfig, RunData, SummaryRow } from "../results/schema.ts";

/** Where a row belongs. */
export interface CellKey {
  readonly contextSizeTokens: number;
  readonly hitRatePercent: number;
  readonly workingSetTokens?: number;
}

/** Lowest and highest value of the periods that a summary row pools. */
export interface Span {
  readonly low: number;
  readonly high: number;
}

/** One finished cell: its summary row and the spread of its periods. */
export interface Point extends CellKey {
  readonly row: SummaryRow;
  readonly inputSpan?: Span;
  readonly outputSpan?: Span;
}

/** The rows of one period, keyed by cell and name. */
export interface Period {
  readonly key: CellKey;
  readonly periodId: string;
  readonly concurrency?: number;
  readonly phase?: PhaseRow;
  readonly requests: readonly DetailRow[];
}

interface Placed {
  readonly context_size?: number;
  readonly cache_hit_rate?: number;
  readonly working_set_size?: number;
}

/** The cell of a row, or `undefined` where the row does not say. */
export function keyOf(row: Placed): CellKey | undefined {
  if (row.context_size === undefined || row.cache_hit_rate === undefined) return undefined;
  return {
    contextSizeTokens: row.context_size,
    hitRatePercent: row.cache_hit_rate,
    ...(row.working_set_size === undefined ? {} : { workingSetTokens: row.working_set_size }),
  };
}

/** A cell as text, the same as in `progress.json`. */
export function cellName(key: CellKey): string {
  const { contextSizeTokens, workingSetTokens, hitRatePercent } = key;
  return workingSetTokens === undefined
    ? `${contextSizeTokens}_${hitRatePercent}`
    : `${contextSizeTokens}_${workingSetTokens}_${hitRatePercent}`;
}

/** `8,000 tokens at 50 %`, with the working set where there is one. */
export function cellText(row: SummaryRow): string {
  const set = row.working_set_size === undefined
    ? ""
    : `, working set ${formatCount(row.working_set_size)}`;
  return `${formatCount(row.context_size)} tokens at ${formatPercent(row.cache_hit_rate)}${set}`;
}

/** Distinct numbers, ascending. */
export function distinct(values: Iterable<number | undefined>): number[] {
  const set = new Set<number>();
  for (const value of values) if (value !== undefined) set.add(value);
  return [...set].sort((a, b) => a - b);
}

/** Percentile by linear interpolation between closest ranks (NumPy's default); `sorted` ascends. */
export function percentileOf(sorted: readonly number[], percent: number): number | undefined {
  if (sorted.length === 0) return undefined;
  const at = (sorted.length - 1) * percent / 100;
  const low = sorted[Math.floor(at)] ?? NaN;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at % 1);
}

/** Mean, or `undefined` of nothing. */
export function meanOf(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, v) => sum + v, 0) / values.length;
}

/** Everything that the graphs of a run share, computed once. */
export interface RunRows {
  readonly points: readonly Point[];
  readonly periods: readonly Period[];
  /** The periods of a cell, in the order of the rows. */
  readonly periodsOf: (key: CellKey) => readonly Period[];
  readonly contexts: readonly number[];
  readonly rates: readonly number[];
  readonly workingSets: readonly number[];
}

/** Sorts the rows of a run. Of two summary rows for one cell the later one counts. */
export function arrangeRows(run: RunData): RunRows {
  const periods = groupPeriods(run);
  const byCell = new Map<string, Period[]>();
  for (const period of periods) {
    const name = cellName(period.key);
    const list = byCell.get(name);
    if (list === undefined) byCell.set(name, [period]);
    else list.push(period);
  }
  const points = new Map<string, Point>();
  for (const row of run.summary) {
    const key = keyOf(row);
    if (key === undefined) continue;
    const spans = spansAtPeak(row, byCell.get(cellName(key)) ?? []);
    points.set(cellName(key), { ...key, row, ...spans });
  }
  const sorted = [...points.values()].sort((a, b) =>
    a.contextSizeTokens - b.contextSizeTokens ||
    (a.workingSetTokens ?? 0) - (b.workingSetTokens ?? 0) || a.hitRatePercent - b.hitRatePercent
  );
  const keys = [...sorted, ...periods.map((period) => period.key)];
  return {
    points: sorted,
    periods,
    periodsOf: (key) => byCell.get(cellName(key)) ?? [],
    contexts: distinct(keys.map((key) => key.contextSizeTokens)),
    rates: distinct(keys.map((key) => key.hitRatePercent)),
    workingSets: distinct(keys.map((key) => key.workingSetTokens)),
  };
}

function groupPeriods(run: RunData): Period[] {
  const groups = new Map<string, { key: CellKey; phase?: PhaseRow; requests: DetailRow[] }>();
  const group = (row: DetailRow | PhaseRow) => {
    const key = keyOf(row);
    if (key === undefined || row.phase_id === undefined) return undefined;
    const name = `${cellName(key)} ${row.phase_id}`;
    const found = groups.get(name) ?? { key, requests: [] };
    groups.set(name, found);
    return found;
  };
  for (const phase of run.phases) {
    if (phase.unusable !== undefined) continue;
    const found = group(phase);
    if (found !== undefined) found.phase = phase;
  }
  for (const request of run.details) group(request)?.requests.push(request);
  return [...groups].map(([name, { key, phase, requests }]) => {
    const concurrency = phase?.concurrency_level ?? requests[0]?.concurrency_level;
    return {
      key,
      periodId: name.slice(name.indexOf(" ") + 1),
      requests,
      ...(phase === undefined ? {} : { phase }),
      ...(concurrency === undefined ? {} : { concurrency }),
    };
  });
}

/** The periods that a summary row pools: marked so, or (Python) all at the peak concurrency. */
export function periodsAtPeak(row: SummaryRow, periods: readonly Period[]): Period[] {
  const marked = periods.filter((period) => period.phase?.at_peak === "yes");
  if (marked.length > 0) return marked;
  return periods.filter((period) =>
    !isWarmup(period) && period.concurrency !== undefined &&
    period.concurrency === row.peak_concurrency
  );
}

/** True for a period that only fills the cache. */
export function isWarmup(period: Period): boolean {
  return (period.phase?.phase_type ?? period.periodId).toUpperCase().includes("WARMUP");
}

/**
 * Input and output tokens per second of a period: as its row says or, where it does not (Python),
 * the tokens of its successful requests over first launch to last finish, as the suite defines it.
 */
export function periodThroughput(period: Period): { input?: number; output?: number } {
  const { phase } = period;
  if (phase?.input_tokens_per_sec !== undefined) {
    const output = phase.output_tokens_per_sec;
    return { input: phase.input_tokens_per_sec, ...(output === undefined ? {} : { output }) };
  }
  let [from, to, input, output] = [Infinity, -Infinity, 0, 0];
  for (const request of period.requests) {
    if (!isSuccess(request)) continue;
    from = Math.min(from, request.launch_time ?? Infinity);
    to = Math.max(to, request.finish_time ?? -Infinity);
    input += (request.cached_tokens ?? 0) + (request.unique_tokens ?? 0);
    output += request.output_tokens ?? 0;
  }
  return to > from ? { input: input / (to - from), output: output / (to - from) } : {};
}

/**
 * The spread of the periods at the peak: of their rows, else as the summary says, else (Python
 * folders with request rows only) of the throughput that the requests amount to.
 */
function spansAtPeak(row: SummaryRow, periods: readonly Period[]) {
  const atPeak = periodsAtPeak(row, periods);
  const input = spanOf(atPeak.map((period) => period.phase?.input_tokens_per_sec)) ??
    spanOf([row.min_input_tokens_per_sec, row.max_input_tokens_per_sec]) ??
    spanOf(atPeak.map((period) => periodThroughput(period).input));
  const output = spanOf(atPeak.map((period) => period.phase?.output_tokens_per_sec)) ??
    (row.min_input_tokens_per_sec === undefined
      ? spanOf(atPeak.map((period) => periodThroughput(period).output))
      : undefined);
  return {
    ...(input === undefined ? {} : { inputSpan: input }),
    ...(output === undefined ? {} : { outputSpan: output }),
  };
}

function spanOf(values: readonly (number | undefined)[]): Span | undefined {
  const present = values.filter((value) => value !== undefined);
  if (present.length === 0) return undefined;
  return { low: Math.min(...present), high: Math.max(...present) };
}

/** True for a request that was answered. The Python suite keeps rows of no others. */
export function isSuccess(request: DetailRow): boolean {
  return (request.error_kind ?? "") === "" && (request.ttft ?? 0) > 0;
}

/** False where answers were not as long as was asked for: such a cell is no part of a ratio. */
export function isOutputAsAsked({ output_not_as_asked = 0, total_requests = 0 }: SummaryRow) {
  return output_not_as_asked <= total_requests * 0.01;
}

/**
 * The requests of a period that its latency statistics count: answered and, where at least
 * max(concurrency, 4) others remain, not the first of their slot.
 */
export function measuredRequests(period: Period): readonly DetailRow[] {
  const answered = period.requests.filter(isSuccess);
  const steady = answered.filter((request) => request.ramp_in !== "yes");
  return steady.length >= Math.max(period.concurrency ?? 1, 4) ? steady : answered;
}

/**
 * True for a run of an early kvmark, whose throughput counts prompts that still waited in the
 * server's queue at the end of a period: too high where TTFT is long. Its rows lack the column that
 * came with today's definition. The strict window never counted them.
 */
export function hasQueueInThroughput(run: RunData): boolean {
  if (run.writtenBy !== "kvmark" || isStrict(run.config)) return false;
  return run.summary.some((row) =>
    (row.input_tokens_per_sec ?? 0) > 0 && row.unanswered_input_percent === undefined
  );
}

function isStrict(config: RunConfig): boolean {
  const { parameters = {} } = config;
  return `${parameters["strict-time-window"] ?? parameters.strict_time_window}` === "true";
}

/** The TTFT limit of the run in seconds, if it had one. */
export function ttftLimit(run: RunData): number | undefined {
  const fromRow = run.summary.find((row) => row.ttft_limit !== undefined)?.ttft_limit;
  return fromRow ?? numberParameter(run.config, "max-ttft");
}

/** A numeric option of the run, under the name with dashes or with underscores (Python). */
export function numberParameter(config: RunConfig, name: string): number | undefined {
  const value = config.parameters?.[name] ?? config.parameters?.[name.replaceAll("-", "_")];
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}
