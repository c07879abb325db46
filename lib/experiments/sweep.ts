/**
 * A sweep: cells one after the other, each with its working set warmed, driven by the same policy,
 * judged and written in the same way. Cache-rate and working-set differ only in their cells.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { fixedPolicy, type Policy, rampPolicy } from "../load/controller.ts";
import { mean } from "../metrics/intervals.ts";
import { effectiveWorkingSet, planPrompt, promptCount } from "../prompt/working_set.ts";
import type { Host } from "../host.ts";
import type { CellSummary } from "../metrics/summary.ts";
import { breachText } from "../token_counts.ts";
import { latestByCell } from "../results/cells.ts";
import type { ExperimentKind, SummaryRow } from "../results/schema.ts";
import { requireRecompute } from "./alternation.ts";
import { type CellContext, type CellPlan, type CellResult, runCell } from "./cell.ts";
import type { LoadConfig, OutputConfig, RunEnd, RunResult, Signals } from "./config.ts";
import { cellProblem, failureWarning } from "./error_handling.ts";
import { runExperiment } from "./experiment.ts";
import type { CellPosition, RunListener } from "./listener.ts";
import { orderCells, type SearchedCell, startingPeak } from "./order.ts";
import { describePace, isPartial, type Pace, partOf, planPace } from "./pace.ts";
import { keepRound } from "./round.ts";
import { type PoolFigures, summaryRow } from "./rows.ts";
import { keepsOneSequenceASlot } from "../server/facts.ts";
import type { Session, TargetConfig } from "./session.ts";
import { type CellVerdict, judgeCell } from "./verdict.ts";
import { keepWarm, type WarmSet } from "./warm_set.ts";

/** One point of a sweep. */
export interface SweepCell {
  /** Name of the cell in `progress.json`. */
  readonly cellId: string;
  /** For people: `8,000 tokens at 50 %`. */
  readonly title: string;
  readonly contextSizeTokens: number;
  /** Tokens in the pool of prompts. */
  readonly poolTokens: number;
  /** The same, where it is a coordinate of the result. */
  readonly workingSetTokens?: number;
  readonly hitRatePercent: number;
  /**
   * The working set is warmed before a cell whose key differs from the key of the cell before;
   * `undefined` warms it before each period.
   */
  readonly warmKey?: string;
  /** The search starts at the peak of the last cell with the same key. */
  readonly peakKey: string;
  /** Requests that each period sends at least. */
  readonly minRequests?: number;
  /** It may be measured before or after any other cell of its context. */
  readonly anyOrder?: true;
  /** Look before the cell whether the working set is still there, if unique text came between. */
  readonly checkWarmSet?: boolean;
}

/** Settings of a sweep. */
export interface SweepConfig extends LoadConfig {
  readonly target: TargetConfig;
  readonly output: OutputConfig;
}

/** Runs an experiment that is a sweep; rows are on disk as soon as they are known. */
export async function runSweepExperiment(
  host: Host,
  experiment: ExperimentKind,
  config: SweepConfig,
  planned: readonly SweepCell[],
  listener: RunListener,
  signals: Signals,
): Promise<RunResult> {
  if (config.shard !== undefined && (config.proof?.cold ?? "salt") !== "salt") {
    throw new KvmarkError("usage", "A shard cannot drop the caches that the others warm", {
      hint: "drop them before the shards start; --cold salt is right for a shard",
    });
  }
  const { order, shard, seed = shard?.runId } = config;
  // All shards compute one order. A run in one piece keeps its seed in its folder.
  const cells = seed === undefined ? planned : orderCells(planned, order, seed);
  const pace = await planPace(host, config, cells, config.output.forceRestart);
  if (pace !== undefined) await keepRound(host.files, pace.config, pace.round, false);
  const judgement = config;
  const frame = { ...config, judgement, ...(pace && { again: pace.round.redo }) };
  const result = await runExperiment(
    host,
    experiment,
    frame,
    listener,
    signals,
    async (context) => {
      if (pace !== undefined) {
        await keepRound(host.files, pace.config, pace.round, true);
        describePace(pace, context.listener);
      }
      const { runSeed } = context.runDir;
      const inOrder = seed === undefined ? orderCells(planned, order, runSeed) : cells;
      return await runSweep(context, config, inOrder, pace);
    },
  );
  return experiment === "cache-rate" ? { ...result, rows: latestByCell(result.rows) } : result;
}

/** Runs the cells that are not finished yet. */
export async function runSweep(
  context: CellContext,
  config: LoadConfig,
  cells: readonly SweepCell[],
  pace?: Pace,
): Promise<RunEnd> {
  const { runDir, listener, session, watch, errors, host: { clock } } = context;
  requirePossible(session, config, cells);
  let warmed: WarmSet | undefined;
  const searched: SearchedCell[] = [];
  const missed: string[] = [];
  for (const [index, cell] of cells.entries()) {
    if (runDir.isFinished(cell.cellId)) continue;
    const times = pace?.times.get(cell.cellId);
    if (pace !== undefined && clock.wallMs() >= (times?.stopAtWallMs ?? 0)) {
      missed.push(cell.cellId);
      listener.warning(`${cell.cellId} is not measured here: its time has passed`);
      continue;
    }
    const whole = planCell(config, session, cell, startingPeak(searched, cell));
    const plan = pace && times ? { ...whole, part: partOf(pace, times, whole.promptCount) } : whole;
    const { cellId, title } = cell;
    const position: CellPosition = {
      ...{ cellId, title, index: index + 1, count: cells.length },
      remaining: cells.slice(index).filter((one) => !runDir.isFinished(one.cellId)).length,
    };
    listener.cellStarted?.(position);
    await watch.ready();
    const warmth = await keepWarm(context, cell, plan, {
      set: warmed,
      cutShort: isCutShort(session, pace),
      atWallMs: times?.warmUpAtWallMs,
    });
    if (warmth === "interrupted") return { interrupted: true };
    warmed = warmth;
    const result = await runCell(context, plan);
    const failedWarmUps = result.failedWarmUps + (warmed?.failed ?? 0);
    if (result.interrupted) {
      await keepCutCell(context, config, cell, plan, { ...result, failedWarmUps });
      return { interrupted: true };
    }
    searched.push(searchOf(cell, result));
    warmed &&= { ...warmed, uniqueTextSince: warmed.uniqueTextSince || cell.hitRatePercent < 100 };
    const row = cellRow(context, config, cell, plan, { ...result, failedWarmUps });
    const problem = (pace === undefined ? result.unusable : undefined) ??
      cellProblem(result.summary, errors);
    const partial = times !== undefined && isPartial(result.periods, times);
    await runDir.finishCell(cell.cellId, row, { redo: problem !== undefined, partial });
    listener.cellFinished?.(position, row);
    const failures = failureWarning(result.summary);
    if (failures !== undefined) listener.warning(`${cell.cellId}: ${failures}`);
    if (problem === undefined) continue;
    listener.warning(`${cell.cellId} failed: ${problem}; the same command runs it again`);
    if (errors.onError === "stop") {
      return { interrupted: false, stopped: `${cell.cellId}: ${problem}` };
    }
  }
  return { interrupted: false, ...(missed.length === 0 ? {} : { missed }) };
}

/** What the search of a cell tells the cells after it. */
function searchOf({ peakKey, hitRatePercent }: SweepCell, { peak }: CellResult): SearchedCell {
  const { withinLimits, concurrency } = peak;
  return { peakKey, hitRatePercent, ...(withinLimits && { concurrency }) };
}

/** What is known of a cell that was cut is shown, as far as it goes; a resume measures it anew. */
async function keepCutCell(
  context: CellContext,
  config: LoadConfig,
  cell: SweepCell,
  plan: CellPlan,
  result: CellResult,
): Promise<void> {
  if (result.pooled.length === 0 || config.shard !== undefined) return;
  const row = cellRow(context, config, cell, plan, result);
  await context.runDir.finishCell(cell.cellId, row, { redo: true });
}

/**
 * Whether each cell has to warm its set again, prompt after prompt: the cells before left the
 * beginnings only. Shards have their common times for warm-ups, and keep to them.
 */
function isCutShort({ facts }: Pick<Session, "facts">, pace?: Pace): boolean {
  return pace === undefined && facts.some(keepsOneSequenceASlot);
}

function planCell(
  config: LoadConfig,
  session: Session,
  cell: SweepCell,
  previousPeak: number | undefined,
): CellPlan {
  const { contextSizeTokens, hitRatePercent, workingSetTokens, minRequests } = cell;
  const facts = session.facts[0]!;
  const shape = planPrompt({
    contextSizeTokens,
    hitRatePercent,
    chunkTokens: config.chunkTokens,
    ...(facts.blockTokens === undefined ? {} : { blockTokens: facts.blockTokens }),
    overhead: session.overhead,
  });
  return {
    cellId: cell.cellId,
    contextSizeTokens,
    ...(workingSetTokens === undefined ? {} : { workingSetTokens }),
    hitRatePercent,
    shape,
    promptCount: promptCount(cell.poolTokens, contextSizeTokens),
    accessOrder: config.accessOrder,
    orderSeed: `${config.seed ?? crypto.randomUUID()}${shardSuffix(config)}`,
    outputTokens: config.outputTokens,
    policy: policyOf(config, previousPeak),
    warmEachPeriod: cell.warmKey === undefined,
    // Several at once would take slots from each other, and leave a part of the set only.
    initConcurrency: isCutShort(session) ? 1 : config.initConcurrency,
    ...(minRequests === undefined ? {} : { minRequests }),
    alternateRecompute: config.proof?.alternateRecompute === true,
  };
}

/** Shards do not all draw the same prompts. */
function shardSuffix({ shard }: LoadConfig): string {
  return shard === undefined ? "" : `/shard ${shard.shard.index}`;
}

/** @throws {KvmarkError} `usage`, if the server cannot do what the cells need. */
function requirePossible(
  session: Session,
  config: LoadConfig,
  cells: readonly SweepCell[],
): void {
  for (const { contextSizeTokens } of cells) requireFits(session, config, contextSizeTokens);
  if (config.proof?.alternateRecompute === true) requireRecompute(session.facts);
}

/** @throws {KvmarkError} `usage`, if the server takes no prompt of this size. */
function requireFits(session: Session, config: LoadConfig, contextSizeTokens: number): void {
  const { outputTokens } = config;
  const limit = session.facts[0]!.maxContextTokens;
  if (limit === undefined || contextSizeTokens + outputTokens <= limit) return;
  throw new KvmarkError(
    "usage",
    `A context of ${contextSizeTokens} tokens and ${outputTokens} output tokens exceed ` +
      `the ${limit} tokens that the server takes`,
    {
      hint: `use --context-sizes of at most ${limit - outputTokens}, ` +
        "or start the server with a longer context",
    },
  );
}

/** The policy of `--mode`. */
function policyOf(config: LoadConfig, previousPeak: number | undefined): Policy {
  if (config.mode === "fixed") {
    return fixedPolicy({
      levels: config.fixedConcurrencyLevels,
      durationMs: config.rampDurationMs,
      retries: config.retries,
      limits: config.limits,
      toTheEnd: config.shard !== undefined,
    });
  }
  return rampPolicy({ ...config, ...(previousPeak === undefined ? {} : { previousPeak }) });
}

function cellRow(
  context: CellContext,
  config: LoadConfig,
  cell: SweepCell,
  plan: CellPlan,
  result: CellResult,
): SummaryRow {
  const { session, listener } = context;
  const { summary, peak } = result;
  const outcomes = result.pooled.map((period) => period.outcome);
  const measured = { outcomes, ...(summary === undefined ? {} : { summary }) };
  const verdict = judgeCell(context, plan, measured, {
    chunkTokens: config.chunkTokens,
    workingSetTokens: cell.poolTokens,
    failedWarmUps: result.failedWarmUps,
  });
  for (const note of verdict.notes) listener.note(note);
  if (verdict.verdict === "differs") {
    // A working set that outgrows the cache is what a working-set sweep is after.
    const expected = cell.workingSetTokens !== undefined && verdict.causeCode === "eviction";
    listener[expected ? "note" : "warning"](`${plan.cellId}: ${verdict.cause}`);
  }
  for (const warning of cellWarnings(summary, verdict)) {
    listener.warning(`${plan.cellId}: ${warning}`);
  }
  if (summary !== undefined && summary.clientMarks.length > 0) {
    const marks = summary.clientMarks.join(", ");
    listener.warning(`${plan.cellId}: up to so much may be the client's own delay: ${marks}`);
  }
  if (verdict.alternated?.note?.isWarning) {
    listener.warning(`${plan.cellId}: ${verdict.alternated.note.text}`);
  }
  if (verdict.alternated?.caution !== undefined) {
    listener.warning(`${plan.cellId}: ${verdict.alternated.caution}`);
  }
  const { maxTtftMs } = config.limits;
  return summaryRow(plan, summary, {
    model: session.model,
    peak,
    ttftMetric: config.ttftMetric,
    ...(maxTtftMs === undefined ? {} : { ttftLimitMs: maxTtftMs }),
    verdict,
    ...(verdict.alternated === undefined ? {} : { alternated: verdict.alternated.ttft }),
    pool: poolFigures(session, plan, result),
  });
}

/** More than this share of the requests is not chance. */
const FEW = 0.01;

/** What makes the figures of a cell doubtful, whatever its hit rate. */
function cellWarnings(
  summary: CellSummary | undefined,
  { foreignPercent }: CellVerdict,
): string[] {
  const warnings: string[] = [];
  const { outputNotAsAsked = 0, succeeded = 0, countBreaches } = summary ?? {};
  if (outputNotAsAsked > succeeded * FEW) {
    warnings.push(
      `${outputNotAsAsked} of ${succeeded} answers are not as long as was asked for: its ` +
        "throughput is not to be compared with that of other cells",
    );
  }
  const breached = countBreaches?.requests ?? 0;
  if (breached > succeeded * FEW) {
    warnings.push(
      `counts of the server cannot be true in ${breached} of ${succeeded} requests ` +
        `(${breachText(countBreaches?.examples)}); no figure rests on them`,
    );
  }
  if (foreignPercent !== undefined) {
    warnings.push(
      `${Number(foreignPercent.toFixed(1))} % of the server's prompt tokens were not ours: ` +
        "another client shared it, so its latencies and throughput are not those of this load",
    );
  }
  return warnings;
}

function poolFigures(session: Session, plan: CellPlan, result: CellResult): PoolFigures {
  const { promptCount, contextSizeTokens, shape } = plan;
  const { blockTokens } = session.facts[0]!;
  const generated = result.pooled.flatMap(({ outcome }) =>
    outcome.records.flatMap((record) => record.outputTokens ?? [])
  );
  const isUsed = shape.sharedContentTokens > 0;
  const effectiveTokens = effectiveWorkingSet({
    promptCount,
    contextSizeTokens,
    outputTokens: mean(generated) ?? plan.outputTokens,
    ...(blockTokens === undefined ? {} : { blockTokens }),
  });
  return {
    prompts: promptCount,
    ...(isUsed ? { effectiveTokens } : {}),
    failedWarmUps: result.failedWarmUps,
  };
}
