/**
 * One cell of several shards as one: the requests of all of them, counted in the time that all of
 * them shared.
 *
 * @module
 */

import { choosePeak } from "../load/levels.ts";
import type { Decision, FinishedPeriod } from "../load/policy.ts";
import { type Judgement, levelFigures, observe } from "../load/runner.ts";
import { limitsThroughput } from "../metrics/client_limit.ts";
import type { Peak } from "../metrics/peak.ts";
import { optional } from "../metrics/spread.ts";
import {
  type CellSummary,
  type PeriodSummary,
  summariseCell,
  summarisePeriod,
} from "../metrics/summary.ts";
import type { PeriodOutcome } from "../record.ts";
import { latestByCell } from "../results/cells.ts";
import { plainRow } from "../results/row_table.ts";
import type { DetailRow, PhaseRow, SummaryRow } from "../results/schema.ts";
import { alternatedOf } from "./alternation.ts";
import { clientOf, recordOf } from "./merge_records.ts";
import { cellIdOf, type ShardRun } from "./merge_shards.ts";
import { WHOLE_SHARE } from "./pace.ts";
import { type CellLabels, type HitRateVerdict, phaseRow, summaryRow } from "./rows.ts";

/** How a merged cell is judged: the settings of the run. */
export interface MergeJudgement extends Judgement {
  /** Length of a period, as planned. */
  readonly periodMs: number;
}

/** A merged cell. */
export interface MergedCell {
  readonly cellId: string;
  readonly contextSizeTokens: number;
  readonly row: SummaryRow;
  readonly phases: readonly PhaseRow[];
  readonly details: readonly DetailRow[];
  /** Of all its periods. */
  readonly startSkewMs: number;
}

/** What one shard has of a cell. */
interface CellShare {
  readonly index: number;
  readonly row: SummaryRow;
  readonly phases: readonly PhaseRow[];
  readonly details: readonly DetailRow[];
}

/** A period of all shards together. */
interface MergedPeriod {
  readonly planned: PhaseRow;
  readonly level: number;
  readonly outcome: PeriodOutcome;
  readonly summary: PeriodSummary;
  readonly startSkewMs: number;
  readonly sending: number;
  readonly problems: readonly string[];
}

/** The cells that at least one shard has finished, by context size, working set and hit rate. */
export function cellsOf(shards: readonly ShardRun[]): string[] {
  return latestByCell(shards.flatMap(({ data }) => data.summary)).map(cellIdOf);
}

/** Merges one cell. @param count Shards that the run was dealt out to. */
export function mergeCell(
  cellId: string,
  shards: readonly ShardRun[],
  count: number,
  judgement: MergeJudgement,
): MergedCell {
  const shares = shards.flatMap((shard) => shareOfCell(shard, cellId) ?? []);
  const first = shares[0]!;
  const labels = labelsOf(first.row);
  const originSec = Math.floor(Math.min(...starts(shares.flatMap((one) => one.phases))));
  const periods = periodIds(shares).map((id) => mergePeriod(id, shares, originSec, judgement));
  const peak = peakOf(periods, judgement);
  const pooled = periods.filter((one) => one.level === peak.concurrency);
  const startSkewMs = Math.max(0, ...periods.map((one) => one.startSkewMs));
  const problems = [...missingShards(shares, count), ...pooled.flatMap((one) => one.problems)];
  const phases = periods.map((one) => ({
    ...phaseRow(
      "FIXED",
      labels,
      one.outcome,
      one.summary,
      phaseExtras(one, originSec, {
        judgement,
        peak,
        atPeak: pooled.includes(one),
      }),
    ),
    ...shardColumns(one.sending, one.startSkewMs, one.problems),
  }));
  const row = mergedRow(labels, shares, pooled, peak, judgement);
  return {
    cellId,
    contextSizeTokens: labels.contextSizeTokens,
    row: { ...row, ...shardColumns(shares.length, startSkewMs, problems) },
    phases: [...mergeWarmUps(shares), ...phases],
    details: detailsOf(shares, periods),
    startSkewMs,
  };
}

function shareOfCell({ facts, data, shiftSec }: ShardRun, cellId: string): CellShare | undefined {
  const isHere = (row: SummaryRow) => cellIdOf(row) === cellId;
  const row = data.summary.find(isHere);
  if (row === undefined) return undefined;
  const shifted = (sec: number | undefined) => sec === undefined ? sec : sec + shiftSec;
  const usable = data.phases.filter((phase) => isHere(phase) && phase.unusable === undefined);
  const phases = usable.map((phase) => ({
    ...phase,
    ...optional("start_time", shifted(phase.start_time)),
    ...optional("end_time", shifted(phase.end_time)),
  }));
  const details = shiftedRows(data.details.filter(isHere), shiftSec);
  return { index: facts.index, row, phases, details: onceEach(details) };
}

/** Request rows by the clock of the first shard. */
export function shiftedRows(rows: readonly DetailRow[] = [], shiftSec: number): DetailRow[] {
  const shifted = (sec: number | undefined) => sec === undefined ? sec : sec + shiftSec;
  return rows.map((row) => ({
    ...plainRow(row),
    ...optional("launch_time", shifted(row.launch_time)),
    ...optional("finish_time", shifted(row.finish_time)),
  }));
}

/** Each request once, whatever happened to the files. */
function onceEach(details: readonly DetailRow[]): DetailRow[] {
  return [...new Map(details.map((row) => [row.request_id, row])).values()];
}

function labelsOf(row: SummaryRow): CellLabels {
  return {
    contextSizeTokens: row.context_size ?? 0,
    hitRatePercent: row.cache_hit_rate ?? 0,
    ...(row.working_set_size === undefined ? {} : { workingSetTokens: row.working_set_size }),
  };
}

function starts(phases: readonly PhaseRow[]): number[] {
  return phases.map((phase) => phase.start_time ?? Infinity);
}

function isWarmUp(phase: PhaseRow): boolean {
  return phase.phase_type === "WARMUP";
}

/** Periods in the order in which they were run. */
function periodIds(shares: readonly CellShare[]): string[] {
  const measured = shares.flatMap((one) => one.phases).filter((phase) => !isWarmUp(phase));
  const ordered = measured.sort((a, b) => (a.start_time ?? 0) - (b.start_time ?? 0));
  return [...new Set(ordered.flatMap((phase) => phase.phase_id ?? []))];
}

function mergePeriod(
  periodId: string,
  shares: readonly CellShare[],
  originSec: number,
  judgement: MergeJudgement,
): MergedPeriod {
  const each = shares.flatMap(({ index, phases }) => {
    const phase = phases.find((one) => one.phase_id === periodId && !isWarmUp(one));
    return phase === undefined ? [] : [{ index, phase }];
  });
  const sending = each.filter(({ phase }) => (phase.num_requests_launched ?? 0) > 0);
  const timed = sending.length > 0 ? sending : each;
  const ms = (sec: number) => (sec - originSec) * 1000;
  const begun = timed.map(({ phase }) => ms(phase.start_time ?? originSec));
  const stopped = timed.map(({ phase }, n) => begun[n]! + (phase.duration ?? 0) * 1000);
  const [startAtMs, stopAtMs] = [Math.max(...begun), Math.min(...stopped)];
  const records = shares.flatMap((one) => one.details)
    .filter((row) => row.phase_id === periodId)
    .map((row) => recordOf(row, originSec))
    .sort((a, b) => a.sentAtMs - b.sentAtMs);
  const outcome: PeriodOutcome = {
    cellId: "",
    periodId,
    concurrency: sum(each.map(({ phase }) => phase.concurrency_level)),
    startAtMs,
    stopAtMs: Math.max(startAtMs, stopAtMs),
    drainedAtMs: Math.max(...timed.map(({ phase }) => ms(phase.end_time ?? originSec)), startAtMs),
    records,
    client: clientOf(timed.map(({ phase }) => phase)),
    interrupted: false,
  };
  const summary = summarisePeriod(outcome, judgement);
  const limited = each.some(({ phase }) => throughputWasLimited(phase));
  return {
    planned: each[0]!.phase,
    level: Number(/_c(\d+)_/.exec(periodId)?.[1] ?? outcome.concurrency),
    outcome,
    summary: { ...summary, clientLimited: summary.clientLimited || limited },
    startSkewMs: startAtMs - Math.min(...begun),
    sending: sending.length,
    problems: periodProblems(periodId, shares, sending, stopAtMs - startAtMs, judgement),
  };
}

function periodProblems(
  periodId: string,
  shares: readonly CellShare[],
  sending: readonly { readonly index: number; readonly phase: PhaseRow }[],
  commonMs: number,
  { periodMs }: MergeJudgement,
): string[] {
  const problems: string[] = [];
  const there = new Set(sending.map((one) => one.index));
  const silent = shares.map((one) => one.index).filter((index) => !there.has(index));
  if (silent.length > 0) problems.push(`${periodId}: shard ${silent.join(", ")} sent nothing`);
  if (commonMs < periodMs * WHOLE_SHARE) {
    const common = Math.max(0, commonMs / 1000).toFixed(1);
    const short = sending.filter(({ phase }) =>
      (phase.duration ?? 0) * 1000 < periodMs * WHOLE_SHARE
    ).map((one) => one.index);
    const who = short.length === 0 ? "" : `; shard ${short.join(", ")} was short`;
    problems.push(`${periodId}: ${common} of ${(periodMs / 1000).toFixed(1)} s in common${who}`);
  }
  return problems;
}

function missingShards(shares: readonly CellShare[], count: number): string[] {
  const there = new Set(shares.map((one) => one.index));
  const missing = Array.from({ length: count }, (_, i) => i).filter((i) => !there.has(i));
  return missing.length === 0 ? [] : [`shard ${missing.join(", ")} is missing`];
}

/** Rows of before 0.2 do not say which figure was meant: it may have been this one. */
function throughputWasLimited(phase: PhaseRow): boolean {
  const { client_share_throughput_percent: percent, client_limited } = phase;
  return percent === undefined ? client_limited === "yes" : limitsThroughput({
    throughputPercent: percent,
  });
}

function withMarkOfBefore(summary: CellSummary, limited: boolean): CellSummary {
  if (!limited || summary.clientLimited) return summary;
  return { ...summary, clientLimited: true, clientMarks: ["throughput", ...summary.clientMarks] };
}

/** By the pooled periods of each level, as they are published. */
function peakOf(periods: readonly MergedPeriod[], judgement: MergeJudgement): Peak {
  const runs = periods.map((one) => {
    const level = periods.filter((other) => other.level === one.level);
    const pooled = levelFigures(summariseCell(outcomesOf(level), judgement), judgement);
    return { ...finishedPeriod(one, judgement), pooled };
  });
  return choosePeak(runs, judgement.limits);
}

/** A shard that has the cell has each of its periods, so the level is the same in all of them. */
function outcomesOf(level: readonly MergedPeriod[]): PeriodOutcome[] {
  const concurrency = Math.max(...level.map((one) => one.outcome.concurrency));
  return level.map(({ outcome }) => ({ ...outcome, concurrency }));
}

function finishedPeriod(period: MergedPeriod, judgement: MergeJudgement): FinishedPeriod {
  const { outcome, summary, level } = period;
  return {
    periodId: outcome.periodId,
    kind: "FIXED",
    concurrency: level,
    durationMs: judgement.periodMs,
    ...observe(summary, judgement, 0),
  };
}

interface PhaseContext {
  readonly judgement: MergeJudgement;
  readonly peak: Peak;
  readonly atPeak: boolean;
}

function phaseExtras(
  period: MergedPeriod,
  originSec: number,
  { judgement, peak, atPeak }: PhaseContext,
) {
  const { measuredTtftMs } = finishedPeriod(period, judgement);
  const { decision, decision_reason: reason = "" } = period.planned;
  const action = (decision ?? "hold") as Decision["action"];
  return {
    wallOffsetMs: originSec * 1000,
    ...optional("measuredTtftMs", measuredTtftMs),
    decision: { action, reason: action === "stop" ? peak.reason : reason },
    atPeak,
  };
}

function mergedRow(
  labels: CellLabels,
  shares: readonly CellShare[],
  pooled: readonly MergedPeriod[],
  peak: Peak,
  judgement: MergeJudgement,
): SummaryRow {
  const rows = shares.map((one) => one.row);
  const [first] = rows;
  const outcomes = outcomesOf(pooled);
  const summary = outcomes.length === 0 ? undefined : summariseCell(outcomes, judgement);
  const limited = pooled.some((one) => one.summary.clientLimited);
  const { maxTtftMs } = judgement.limits;
  // The gaps between reads are not in the rows: their percentiles are not known.
  const { median_itl: _, p95_itl: __, p99_itl: ___, ...row } = summaryRow(
    labels,
    summary && withMarkOfBefore(summary, limited),
    {
      model: first?.model ?? "",
      peak,
      ttftMetric: judgement.ttftMetric,
      ...optional("ttftLimitMs", maxTtftMs),
      verdict: verdictOf(rows),
      ...optional("alternated", alternatedOf(outcomes)?.ttft),
      pool: {
        prompts: first?.working_set_prompts ?? 0,
        ...optional("effectiveTokens", first?.effective_working_set_size),
        failedWarmUps: sum(rows.map((one) => one.failed_warmup_requests)),
      },
    },
  );
  return row;
}

/** One shard that differs is enough; it takes all of them to confirm. */
function verdictOf(rows: readonly SummaryRow[]): HitRateVerdict {
  const differing = rows.find((row) => row.hit_rate_verdict === "differs");
  const open = rows.find((row) => row.hit_rate_verdict !== "confirmed");
  const row = differing ?? open ?? rows[0];
  const verdict = (row?.hit_rate_verdict ?? "unchecked") as HitRateVerdict["verdict"];
  return {
    verdict,
    ...optional("cause", row?.hit_rate_cause),
    ...optional("causeCode", row?.hit_rate_cause_code),
  };
}

/** The n-th warm-up of all shards is one: from the first start to the last end. */
function mergeWarmUps(shares: readonly CellShare[]): PhaseRow[] {
  const each = shares.map((one) => one.phases.filter(isWarmUp));
  const most = Math.max(0, ...each.map((one) => one.length));
  return Array.from({ length: most }, (_, n) => {
    const phases = each.flatMap((one) => one[n] ?? []);
    const start_time = Math.min(...starts(phases));
    const stops = phases.map((one) => (one.start_time ?? 0) + (one.duration ?? 0));
    const end_time = Math.max(...phases.map((one) => one.end_time ?? 0));
    const total = (of: (phase: PhaseRow) => number | undefined) => sum(phases.map(of));
    return {
      ...phases[0],
      start_time,
      end_time,
      duration: Math.max(...stops) - start_time,
      drain_s: Math.max(0, end_time - Math.max(...stops)),
      concurrency_level: total((one) => one.concurrency_level),
      num_requests_launched: total((one) => one.num_requests_launched),
      num_requests_completed: total((one) => one.num_requests_completed),
      num_requests_failed: total((one) => one.num_requests_failed),
      input_tokens_per_sec: total((one) => one.input_tokens_per_sec),
      shards: phases.length,
    };
  });
}

/** The rows of all shards in the order of sending, with the concurrency of all together. */
function detailsOf(
  shares: readonly CellShare[],
  periods: readonly MergedPeriod[],
): DetailRow[] {
  const levels = new Map(periods.map(({ outcome }) => [outcome.periodId, outcome.concurrency]));
  return shares.flatMap((one) => one.details)
    .map((row) => ({
      ...plainRow(row),
      ...optional("concurrency_level", levels.get(row.phase_id ?? "") ?? row.concurrency_level),
    }))
    .sort((a, b) => (a.launch_time ?? 0) - (b.launch_time ?? 0));
}

function shardColumns(shards: number, startSkewMs: number, problems: readonly string[]) {
  return {
    shards,
    start_skew_ms: startSkewMs,
    ...(problems.length === 0 ? {} : { shard_problem: problems.join("; ") }),
  };
}

function sum(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((total, value) => total + (value ?? 0), 0);
}
